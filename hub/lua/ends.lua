-- Say when a subscription ends, and nothing else.
--
-- KEYS  1 end
-- ARGV  1 subscription   2 ms, or '' for never
-- Returns  1
redis.call('ZREM', KEYS[1], ARGV[1])
if ARGV[2] ~= '' then redis.call('ZADD', KEYS[1], ARGV[2], ARGV[1]) end
return 1
