-- Move an erasure on to its next stage, unless somebody else has done that.
--
-- KEYS  1 order  2 left
-- ARGV  1 the stage that it is in   2 the next one   3 a field that is noted with it, or ''   4 its value
--       5... what is to be erased from now on: resource, number of its last version
-- Returns  1, or 0 when it is in another stage
if redis.call('HGET', KEYS[1], 'stage') ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'stage', ARGV[2])
if ARGV[3] ~= '' then redis.call('HSET', KEYS[1], ARGV[3], ARGV[4]) end
for n = 5, #ARGV, 2 do redis.call('HSET', KEYS[2], ARGV[n], ARGV[n + 1]) end
return 1
