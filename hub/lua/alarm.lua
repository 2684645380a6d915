-- Claim subscriptions of which something is to be told.
--
-- KEYS  1 due alerts
-- ARGV  1 most   2 ms after which they are claimed again
-- Returns  {ms of now, ms at which they are claimed again, subscriptions...}
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local again = string.format('%.0f', now + ARGV[2])
local claimed = {string.format('%.0f', now), again}
for _, name in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, ARGV[1])) do
  redis.call('ZADD', KEYS[1], again, name)
  claimed[#claimed + 1] = name
end
return claimed
