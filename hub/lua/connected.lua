-- Record that a connection to an origin was made: its breaker is closed, and nothing is held against it any more.
--
-- KEYS  1 breaker  2 probe  3 parked
-- ARGV  1 who was let through and is not parked any more
-- Returns  {1 if it was open else 0, how many are parked}
local open = redis.call('HEXISTS', KEYS[1], 'probes')
redis.call('DEL', KEYS[1], KEYS[2])
redis.call('ZREM', KEYS[3], ARGV[1])
return {open, redis.call('ZCARD', KEYS[3])}
