-- Shared by `take` and `settle`: fix what the next notification holds, so that every repeat of it has the same bytes.
-- `sending` is 'first last ms kind'. Without events (handshake, heartbeat) `last` is 0, and `first` is how many events
-- there were.
local function now_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- Whether its end has come. The clock turns it off; nothing goes out until it has.
local function ended(key)
  local ends = redis.call('HGET', key, 'end')
  return ends and ends ~= '' and tonumber(ends) <= now_ms()
end

local function pin(key, status, events, delivered)
  local held, now = redis.call('HMGET', key, 'max_count', 'beat_at', 'test'), now_ms()
  local first, last, kind
  if ended(key) then
    return ''
  elseif status == 'requested' then
    first, last, kind = events, 0, 'handshake'
  elseif status == 'active' and held[3] then
    -- Somebody wants to see whether a notification arrives.
    redis.call('HDEL', key, 'test')
    first, last, kind = events, 0, 'heartbeat'
  elseif status == 'active' and events > delivered then
    first, last, kind = delivered + 1, math.min(events, delivered + tonumber(held[1])), 'events'
  elseif status == 'active' and held[2] and tonumber(held[2]) <= now then
    first, last, kind = events, 0, 'heartbeat'
  else
    return ''
  end
  local sending = string.format('%.0f %.0f %.0f %s', first, last, now, kind)
  redis.call('HSET', key, 'sending', sending, 'attempt', '0')
  return sending
end
