-- Change who there is, and count that.
--
-- KEYS  1 tenants, clients or keys  2 clients, whose field with the empty name counts the changes of all three
-- ARGV  1 its name   2 the record, or '' to remove it   3 the count that this was decided at, or '' for any
-- Returns  1 if it was done; 0 if something was changed since
if ARGV[3] ~= '' and (redis.call('HGET', KEYS[2], '') or '0') ~= ARGV[3] then return 0 end
if ARGV[2] == '' then redis.call('HDEL', KEYS[1], ARGV[1]) else redis.call('HSET', KEYS[1], ARGV[1], ARGV[2]) end
redis.call('HINCRBY', KEYS[2], '', 1)
return 1
