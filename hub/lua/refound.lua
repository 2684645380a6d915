-- End a recovery: the store goes on under its new id, and its count is above any that was seen.
--
-- KEYS  1 epoch
-- ARGV  1 the new id   2 the highest count that is known   3 the ids of before, newest first, joined by blanks
-- Returns  1, or 0 when it is not the recovery that is under way
local held = redis.call('HMGET', KEYS[1], 'recovering', 'count')
if held[1] ~= ARGV[1] then return 0 end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local count = math.max(now, tonumber(ARGV[2]) + 1, tonumber(held[2] or '0') + 1)
redis.call('HDEL', KEYS[1], 'recovering', 'jump')
redis.call('HSET', KEYS[1], 'id', ARGV[1], 'before', ARGV[3], 'count', string.format('%.0f', count))
return 1
