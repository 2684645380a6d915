-- Shared by `settle` and `recover`: note in `skipped` that events were passed by, behind those that were before and have
-- not been sent once more since. Of too many ranges the oldest two become one, with what lies between: what is told
-- twice is better than what is forgotten.
local MOST_RANGES = 32
local function passed_by(key, first, last)
  local ranges = {}
  for from, to in string.gmatch(redis.call('HGET', key, 'skipped') or '', '(%d+)%-(%d+)') do
    ranges[#ranges + 1] = {tonumber(from), tonumber(to)}
  end
  local before = ranges[#ranges]
  if before and before[2] + 1 >= first then
    before[2] = last
  else
    ranges[#ranges + 1] = {first, last}
  end
  if #ranges > MOST_RANGES then ranges[2][1] = table.remove(ranges, 1)[1] end
  for i, range in ipairs(ranges) do ranges[i] = string.format('%.0f-%.0f', range[1], range[2]) end
  redis.call('HSET', key, 'skipped', table.concat(ranges, ' '))
  redis.call('HINCRBY', key, 'skipped_events', last - first + 1)
end
