-- Remove a partition's oldest changes, and of each resource the versions that came before what the change made: they were
-- superseded then. The version in force is never among them, nor is the mark of a deletion.
-- Idempotent: what is gone is counted once.
--
-- KEYS  1 changes  2 trimmed  3 superseded  4 passed  5... the resources of the changes
-- ARGV  1 id before which changes are removed   2... the numbers of the versions that they made
-- Returns  how many versions were removed
local removed, bytes = 0, 0
for i = 5, #KEYS do
  local number = tonumber(ARGV[i - 3]) - 1
  -- Those further down went with earlier changes, unless an earlier release of the hub left them: so many at once.
  for n = number, math.max(number - 999, 1), -1 do
    local text = string.format('%.0f', n)
    local size = redis.call('HSTRLEN', KEYS[i], 'b' .. text)
    if redis.call('HDEL', KEYS[i], 'm' .. text, 'b' .. text, 'e' .. text) == 0 then break end
    removed, bytes = removed + 1, bytes + size
  end
end
local trimmed = redis.call('XTRIM', KEYS[1], 'MINID', ARGV[1])
redis.call('SET', KEYS[2], ARGV[1])
-- What an earlier release of the hub has stored was not counted.
if redis.call('DECRBY', KEYS[3], string.format('%.0f', bytes)) < 0 then redis.call('SET', KEYS[3], '0') end
if redis.call('DECRBY', KEYS[4], trimmed) < 0 then redis.call('SET', KEYS[4], '0') end
return removed
