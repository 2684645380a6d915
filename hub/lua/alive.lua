-- Say that a pump is running, and find its place among those that are.
--
-- KEYS  1 pumps of a kind
-- ARGV  1 pump   2 ms for which it shall be believed
-- Returns  {its rank from 0, how many there are}
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[1])
-- By name, so that a rank doesn't change with every renewal.
local names = redis.call('ZRANGE', KEYS[1], 0, -1)
table.sort(names)
for i, name in ipairs(names) do
  if name == ARGV[1] then return {i - 1, #names} end
end
