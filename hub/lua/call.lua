-- Let a subscription's next attempt be before its own time, which is kept beside it as `early`.
--
-- KEYS  1 subscription
-- Returns  1, or 0 when it is not active any more
if redis.call('HGET', KEYS[1], 'status') ~= 'active' then return 0 end
local next_ms = redis.call('HGET', KEYS[1], 'next')
if next_ms then
  redis.call('HDEL', KEYS[1], 'next')
  redis.call('HSET', KEYS[1], 'early', next_ms)
end
return 1
