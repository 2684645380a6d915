-- Take the lock of a conditional create for a short time.
--
-- KEYS  1 lock  2 the last token
-- ARGV  1 ms after which it is free again
-- Returns  {1, the token, above all earlier ones} | {0, who has it: a token, or a transaction until it is decided}
local holder = redis.call('GET', KEYS[1])
if holder then return {0, holder} end
local token = string.format('%.0f', redis.call('INCR', KEYS[2]))
redis.call('SET', KEYS[1], token, 'PX', ARGV[1])
return {1, token}
