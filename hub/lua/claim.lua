-- Claim subscriptions that are due: each comes with a lease and a token above all earlier ones.
--
-- KEYS  1 due  2 wait  3 lease  4 owner  5 fence
-- ARGV  1 how many at most   2 ms of the lease
-- Returns  {ms now, ms at which something is due next or '', subscription, token, ms of the lease's end, ...}
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
-- A write that can't grow comes first, as in `settle`: what is stored goes on its way when memory is full, too.
redis.call('HDEL', KEYS[4], '')
for _, s in ipairs(redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', now, 'LIMIT', 0, 1000)) do
  redis.call('ZREM', KEYS[3], s)
  redis.call('HDEL', KEYS[4], s)
  redis.call('ZADD', KEYS[1], now, s)
end
for _, s in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now, 'LIMIT', 0, 1000)) do
  redis.call('ZREM', KEYS[2], s)
  redis.call('ZADD', KEYS[1], 'LT', now, s)
end
local claimed = {string.format('%.0f', now), ''}
local ends = string.format('%.0f', now + ARGV[2])
for _, s in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, ARGV[1])) do
  local leased = redis.call('ZSCORE', KEYS[3], s)
  if leased then
    -- Marked while somebody serves it: `release` finds this mark, and so does the end of the lease.
    redis.call('ZADD', KEYS[1], leased, s)
  else
    local token = string.format('%.0f', redis.call('INCR', KEYS[5]))
    redis.call('ZREM', KEYS[1], s)
    redis.call('ZADD', KEYS[3], ends, s)
    redis.call('HSET', KEYS[4], s, token)
    claimed[#claimed + 1] = s
    claimed[#claimed + 1] = token
    claimed[#claimed + 1] = ends
  end
end
local nearest
for i = 1, 3 do
  local first = redis.call('ZRANGE', KEYS[i], 0, 0, 'WITHSCORES')[2]
  if first and (not nearest or tonumber(first) < nearest) then nearest = tonumber(first) end
end
if nearest then claimed[2] = string.format('%.0f', nearest) end
return claimed
