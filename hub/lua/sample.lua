-- Note what was added to the totals since the last sample.
--
-- KEYS  1 totals  2 sampled  3 history  4 flushed  5 criteria
-- ARGV  1 ms that matching is behind   2 changes that are not matched
--       3 ms for which the last sample stands   4 samples that are kept
--       5 ms after which a silent process is forgotten   6 costs that are kept   7 what is left of each
-- Returns  1; or 0 if the last sample stands
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local ms = now - tonumber(redis.call('HGET', KEYS[1], '') or '0')
if ms >= 0 and ms < tonumber(ARGV[3]) then return 0 end
local before, rows = {}, redis.call('HGETALL', KEYS[2])
-- The first one, and that after a clock was set back: as if it came in time.
if #rows == 0 or ms < 0 then ms = 2 * tonumber(ARGV[3]) end
for i = 1, #rows, 2 do before[rows[i]] = rows[i + 1] end
local counts = {}
rows = redis.call('HGETALL', KEYS[1])
for i = 1, #rows, 2 do
  local added = tonumber(rows[i + 1]) - tonumber(before[rows[i]] or '0')
  if added ~= 0 and rows[i] ~= '' then counts[#counts + 1] = string.format('%s %.0f', rows[i], added) end
end
-- A write that can't grow comes first, as in `settle`.
redis.call('ZREMRANGEBYRANK', KEYS[5], 0, -1 - tonumber(ARGV[6]))
redis.call('ZUNIONSTORE', KEYS[5], 1, KEYS[5], 'WEIGHTS', ARGV[7])
redis.call('HSET', KEYS[1], '', string.format('%.0f', now))
redis.call('COPY', KEYS[1], KEYS[2], 'REPLACE')
redis.call('XADD', KEYS[3], 'MAXLEN', '~', ARGV[4], '*', 'at', string.format('%.0f', now), 'ms', string.format('%.0f', ms),
  'behind', ARGV[1], 'unmatched', ARGV[2], 'counts', table.concat(counts, '\n'))
rows = redis.call('HGETALL', KEYS[4])
for i = 1, #rows, 2 do
  if now - tonumber(string.match(rows[i + 1], '%d+$')) > tonumber(ARGV[5]) then redis.call('HDEL', KEYS[4], rows[i]) end
end
return 1
