-- Make a lease longer.
--
-- KEYS  1 lease  2 owner
-- ARGV  1 subscription   2 token   3 ms from now
-- Returns  ms of its end, or 0 when it is not the caller's any more
if redis.call('HGET', KEYS[2], ARGV[1]) ~= ARGV[2] then return 0 end
local time = redis.call('TIME')
local ends = time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[3]
-- A write that can't grow comes first, as in `settle`: what is stored goes on its way when memory is full, too.
redis.call('HDEL', KEYS[2], '')
redis.call('ZADD', KEYS[1], ends, ARGV[1])
return ends
