-- Keep the credentials that a subscription's endpoint is shown, or keep none. Safe to repeat.
--
-- KEYS  1 subscription
-- ARGV  1 the credentials, sealed, or ''
-- Returns  1, or 0 when there is no such subscription
local held = redis.call('HMGET', KEYS[1], 'revision', 'credentials')
if not held[1] then return 0 end
if (held[2] or '') == ARGV[1] then return 1 end
local time = redis.call('TIME')
redis.call('HDEL', KEYS[1], 'credentials')
if ARGV[1] ~= '' then redis.call('HSET', KEYS[1], 'credentials', ARGV[1]) end
redis.call('HSET', KEYS[1], 'revision', string.format('%.0f', tonumber(held[1]) + 1),
  'updated', string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000)))
return 1
