-- include: indexed
-- Index a resource that was stored in layout 1, unless it was written meanwhile, which has indexed it.
--
-- KEYS  1 resource  2... the indexes, in the order of their numbers
-- ARGV  1 id  2 number of the version that is in force  3... what it is found by: number of the index, text
-- Returns  1 if it was indexed, else 0
local held = redis.call('HMGET', KEYS[1], 'version', 'indexed')
if held[1] ~= ARGV[2] then return 0 end
redis.call('HDEL', KEYS[1], 'identifiers')
index(held[2], ARGV[1], 1, 3)
return 1
