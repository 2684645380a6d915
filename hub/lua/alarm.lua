-- Claim subscriptions of which something is to be told, no more than so many in a minute.
--
-- KEYS  1 due alerts  2 how many were claimed in this minute
-- ARGV  1 most in a minute   2 most now   3 ms after which they are claimed again
-- Returns  {ms of now, ms at which they are claimed again, subscriptions...}
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local again = string.format('%.0f', now + ARGV[3])
local room = math.min(tonumber(ARGV[1]) - tonumber(redis.call('GET', KEYS[2]) or '0'), tonumber(ARGV[2]))
local claimed = {string.format('%.0f', now), again}
if room <= 0 then return claimed end
local found = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, room)
for _, name in ipairs(found) do
  redis.call('ZADD', KEYS[1], again, name)
  claimed[#claimed + 1] = name
end
if #found > 0 and redis.call('INCRBY', KEYS[2], #found) == #found then redis.call('EXPIRE', KEYS[2], 60) end
return claimed
