-- Shared, with `alert`: count events that were dropped before they could be sent. `dropped` is the range of the last time;
-- `untold` all that no notification has told of yet, `first-last/many`: the next one does.
local function count_dropped(key, now, status, first, last, many, why)
  redis.call('HINCRBY', key, 'dropped_events', many)
  redis.call('HSET', key, 'dropped', string.format('%.0f-%.0f', first, last))
  local from, to, before = string.match(redis.call('HGET', key, 'untold') or '', '^(%d+)%-(%d+)/(%d+)$')
  if from then
    first, last, many = math.min(first, tonumber(from)), math.max(last, tonumber(to)), many + tonumber(before)
  end
  redis.call('HSET', key, 'untold', string.format('%.0f-%.0f/%.0f', first, last, many))
  alert(key, 'dropped', now, status, '', why, first, last)
end

