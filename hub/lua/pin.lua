-- Shared by `take` and `settle`: fix what the next notification holds, so that every repeat of it has the same bytes.
-- `sending` is 'first last ms kind'; it names this notification alone. Without events (handshake, heartbeat) `last` is 0, and `first` is how many events
-- there were. Behind the kind, in the next notification of events, stands what was dropped before it (`untold`).
local function now_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- Whether its end has come. The clock turns it off; nothing goes out until it has.
local function ended(ends, now)
  return ends and ends ~= '' and tonumber(ends) <= now
end

-- These have been sent once more, or can't be any more: they are taken out of the ranges in a field.
local function strike_out(key, field, first, last)
  local left = {}
  for from, to in string.gmatch(redis.call('HGET', key, field) or '', '(%d+)%-(%d+)') do
    from, to = tonumber(from), tonumber(to)
    if from < first then left[#left + 1] = string.format('%.0f-%.0f', from, math.min(to, first - 1)) end
    if to > last then left[#left + 1] = string.format('%.0f-%.0f', math.max(from, last + 1), to) end
  end
  redis.call('HDEL', key, field)
  if #left > 0 then redis.call('HSET', key, field, table.concat(left, ' ')) end
end

-- The next events of `resend` that are kept, as many as follow each other; what is not kept is struck out, and
-- is not said to be missed any more: it was dropped.
local function once_more(key, outbox, most)
  local ranges = redis.call('HGET', key, 'resend')
  while ranges do
    local from, to, rest = string.match(ranges, '^(%d+)%-(%d+) ?(.*)$')
    local found = redis.call('XRANGE', outbox, from, to, 'COUNT', most)
    if #found > 0 then
      local first = tonumber(string.match(found[1][1], '^%d+'))
      local last = first
      while found[last - first + 2] and tonumber(string.match(found[last - first + 2][1], '^%d+')) == last + 1 do
        last = last + 1
      end
      return first, last
    end
    strike_out(key, 'skipped', tonumber(from), tonumber(to))
    ranges = rest ~= '' and rest
    if ranges then redis.call('HSET', key, 'resend', ranges) else redis.call('HDEL', key, 'resend') end
  end
end

local function pin(key, outbox, status, events, delivered)
  local held, now = redis.call('HMGET', key, 'max_count', 'beat_at', 'test', 'resend', 'end', 'untold',
    'outcome_at'), now_ms()
  local most = tonumber(held[1])
  local first, last, kind
  if ended(held[5], now) then return '' end
  -- What is asked for again goes before what is new.
  if status == 'active' and held[4] and not held[3] then first, last = once_more(key, outbox, most) end
  if first then
    kind = 'resend'
  elseif status == 'requested' then
    first, last, kind = events, 0, 'handshake'
  elseif status == 'active' and held[3] then
    -- Somebody wants to see whether a notification arrives.
    redis.call('HDEL', key, 'test')
    first, last, kind = events, 0, 'heartbeat'
  elseif status == 'active' and events > delivered then
    first, last, kind = delivered + 1, math.min(events, delivered + most), 'events'
  elseif status == 'active' and held[2] and tonumber(held[2]) <= now then
    first, last, kind = events, 0, 'heartbeat'
  else
    return ''
  end
  -- Later than what was settled last: else the same once more could be taken for that, when its settling is repeated.
  if kind ~= 'events' then now = math.max(now, tonumber(held[7] or '0') + 1) end
  local sending = string.format('%.0f %.0f %.0f %s', first, last, now, kind)
  if kind == 'events' and held[6] then sending = sending .. ' ' .. held[6] end
  redis.call('HSET', key, 'sending', sending, 'attempt', '0')
  return sending
end
