-- Forget what was remembered of a resource, so that no earlier version comes back; and say so in the log.
--
-- KEYS  1 where it is remembered: name -> number, blank, what  2 their order  3 log
-- ARGV  1 name   2 the number of the last version that is forgotten   3 what stands there instead   4 what the log says
-- Returns  1, or 0 when a later version is there
local held = redis.call('HGET', KEYS[1], ARGV[1])
if held and tonumber(string.match(held, '^%d+')) > tonumber(ARGV[2]) then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2] .. ' ' .. ARGV[3])
redis.call('ZADD', KEYS[2], redis.call('HINCRBY', KEYS[1], '', 1), ARGV[1])
redis.call('XADD', KEYS[3], 'MAXLEN', '~', 10000, '*', 'name', ARGV[4])
return 1
