-- Remember a ValueSet or CodeSystem that the hub was given, and say so in the log that every matcher follows.
--
-- KEYS  1 terminology  2 its order  3 log
-- ARGV  1 tenant/version/Type/id   2 the resource
--       3 the number of its version; '' for the one after what is there, unless that is the same
-- Returns  1 if it was new; 0 if that version, or a later one, was there
local held = redis.call('HGET', KEYS[1], ARGV[1]) or '0 '
local number, resource = string.match(held, '^(%d+) (.*)$')
local wanted = tonumber(ARGV[3])
if wanted and wanted <= tonumber(number) or not wanted and resource == ARGV[2] then return 0 end
-- A write that can't grow comes first, as in `settle`: what is stored goes on its way when memory is full, too.
redis.call('ZREM', KEYS[2], '')
redis.call('HSET', KEYS[1], ARGV[1], string.format('%d %s', wanted or number + 1, ARGV[2]))
redis.call('ZADD', KEYS[2], redis.call('HINCRBY', KEYS[1], '', 1), ARGV[1])
redis.call('XADD', KEYS[3], 'MAXLEN', '~', 10000, '*', 'name', 'terminology:' .. ARGV[1])
return 1
