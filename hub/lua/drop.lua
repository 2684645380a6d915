-- Give back a lease or a lock.
--
-- KEYS  1 lease
-- ARGV  1 holder
-- Returns  1 if it was the holder's, else 0
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
