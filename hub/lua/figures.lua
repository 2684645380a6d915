-- The totals, and how they became what they are.
--
-- KEYS  1 totals  2 sampled  3 history
-- ARGV  1 how many samples, the last ones
-- Returns  {now (ms), totals, what they were at the last sample, samples from the last one on}
local time = redis.call('TIME')
local samples = {}
if tonumber(ARGV[1]) > 0 then samples = redis.call('XREVRANGE', KEYS[3], '+', '-', 'COUNT', ARGV[1]) end
return {time[1] * 1000 + math.floor(time[2] / 1000), redis.call('HGETALL', KEYS[1]), redis.call('HGETALL', KEYS[2]),
  samples}
