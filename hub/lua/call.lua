-- Let a subscription's next attempt be before its own time, which is kept beside it as `early`.
--
-- KEYS  1 subscription
-- ARGV  1 'test': a test notification is wanted too, next and whatever the delivery window; else ''
-- Returns  1, or 0 when it is not active any more
if redis.call('HGET', KEYS[1], 'status') ~= 'active' then return 0 end
local next_ms = redis.call('HGET', KEYS[1], 'next')
if next_ms then
  redis.call('HDEL', KEYS[1], 'next')
  redis.call('HSET', KEYS[1], 'early', next_ms)
end
if ARGV[1] == 'test' then
  redis.call('HDEL', KEYS[1], 'quiet_until')
  redis.call('HSET', KEYS[1], 'test', '1')
end
return 1
