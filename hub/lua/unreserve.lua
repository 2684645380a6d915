-- Give back what a transaction had reserved: for good when it is undone, with the lock; else the resource alone, for as
-- long as it waits for another one. Safe to repeat.
--
-- KEYS  1 resource  2 lock of a conditional create, or a key that is never there
-- ARGV  1 transaction
-- Returns  1 if the resource was reserved by it, else 0
local mine = redis.call('HGET', KEYS[1], 'reserved') == ARGV[1]
if mine then redis.call('HDEL', KEYS[1], 'reserved') end
if redis.call('GET', KEYS[2]) == ARGV[1] then redis.call('DEL', KEYS[2]) end
return mine and 1 or 0
