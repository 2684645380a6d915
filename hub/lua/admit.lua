-- Ask an origin's breaker whether an event notification may be sent; who may not is parked. So is everybody while the
-- origin is drained. Mirrors `admit` in subscriptions/breaker.py.
--
-- KEYS  1 breaker  2 probe  3 parked  4 drained
-- ARGV  1 subscription   2 who would hold the probe   3 ms for which   4 ms after which who is parked may send
-- Returns  {'closed'}   it is not open
--        | {'send'}     it is open, but this one has waited long enough
--        | {'probe'}
--        | {'park', ms at which it may send}
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local drained = redis.call('PTTL', KEYS[4])
if drained > 0 then
  redis.call('ZADD', KEYS[3], 'NX', now, ARGV[1])
  return {'park', string.format('%.0f', now + drained)}
end
local probes = redis.call('HGET', KEYS[1], 'probes')
if not probes then return {'closed'} end
if now >= tonumber(redis.call('HGET', KEYS[1], 'probe_at'))
  and redis.call('SET', KEYS[2], ARGV[2], 'NX', 'PX', ARGV[3]) then return {'probe'} end
local parked = tonumber(redis.call('ZSCORE', KEYS[3], ARGV[1]) or now)
if now - parked >= tonumber(ARGV[4]) then
  redis.call('ZREM', KEYS[3], ARGV[1])
  return {'send'}
end
redis.call('ZADD', KEYS[3], 'NX', now, ARGV[1])
return {'park', string.format('%.0f', parked + ARGV[4])}
