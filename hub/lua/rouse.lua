-- Make subscriptions due now, those in back-off too.
--
-- KEYS  1 due  2 wait  3 wake
-- ARGV  subscriptions
-- Returns  1
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
for _, s in ipairs(ARGV) do
  redis.call('ZREM', KEYS[2], s)
  redis.call('ZADD', KEYS[1], 'LT', now, s)
end
redis.call('XADD', KEYS[3], 'MAXLEN', 1, '*', 'at', now)
return 1
