-- Record that a connection to an origin could not be made, open its breaker when it is time, and park who tried.
-- Mirrors `failed` in subscriptions/breaker.py.
--
-- KEYS  1 breaker  2 probe  3 parked
-- ARGV  1 origin   2 subscription   3 the holder of the probe, if this was it, or ''   4 dice
--       5 failures that open it   6 ms without a connection that do   7 ms to the first probe   8 the longest
--       9 how much dice add   10 ms after which a closed one is forgotten
-- Returns  {'open', ms of the next probe, failures, 1 when it was opened now else 0}  |  {'closed', ms now, failures, 0}
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local held = redis.call('HMGET', KEYS[1], 'since', 'failures', 'probes', 'probe_at')
local since, failures = tonumber(held[1] or now), tonumber(held[2] or '0') + 1
local probes, probe_at, opened = held[3] and tonumber(held[3]), held[4] or '0', 0
local first = not held[1]
redis.call('HSET', KEYS[1], 'origin', ARGV[1], 'since', string.format('%.0f', since),
  'failures', string.format('%.0f', failures))
local again
if not probes then
  if not first and failures >= tonumber(ARGV[5]) and now - since >= tonumber(ARGV[6]) then again, opened = 0, 1 end
elseif ARGV[3] ~= '' and redis.call('GET', KEYS[2]) == ARGV[3] then
  again = probes + 1
end
if again then
  local wait = math.min(ARGV[7] * 2 ^ math.min(again, 16), ARGV[8]) * (1 + ARGV[9] * ARGV[4])
  probes, probe_at = again, string.format('%.0f', now + math.floor(wait))
  redis.call('HSET', KEYS[1], 'probes', string.format('%.0f', probes), 'probe_at', probe_at)
  redis.call('DEL', KEYS[2])
end
if not probes then
  redis.call('PEXPIRE', KEYS[1], ARGV[10])
  return {'closed', string.format('%.0f', now), failures, 0}
end
redis.call('PERSIST', KEYS[1])
redis.call('ZADD', KEYS[3], now, ARGV[2])
return {'open', probe_at, failures, opened}
