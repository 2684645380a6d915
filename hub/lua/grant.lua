-- Change who there is, and count that.
--
-- KEYS  1 tenants, clients or keys  2 clients, whose field with the empty name counts the changes of all three
-- ARGV  1 its name   2 the record, or '' to remove it   3 '1' if there must be none yet
-- Returns  1 if it was done; 0 if there is one already
if ARGV[3] == '1' and redis.call('HEXISTS', KEYS[1], ARGV[1]) == 1 then return 0 end
if ARGV[2] == '' then redis.call('HDEL', KEYS[1], ARGV[1]) else redis.call('HSET', KEYS[1], ARGV[1], ARGV[2]) end
redis.call('HINCRBY', KEYS[2], '', 1)
return 1
