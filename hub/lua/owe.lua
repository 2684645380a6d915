-- include: alert dropped
-- Owe a batch of changes of one partition to one subscription: each gets the next event number, once.
-- Idempotent: what was owed before is skipped, so fan-out may stop anywhere and run again.
--
-- While the subscription is being filled with changes of the past (`filling:<partition>`), those that are matched live
-- wait for that, as they are behind its cursor: only how far they reach is kept. The filling ends when it has reached
-- that, in this one step, and what comes then is owed at once.
--
-- KEYS  1 subscription  2 outbox
-- ARGV  1 partition
--       2 filling: id of the last change that was looked through; '' when the changes are matched live
--       3 filling: id that it must have reached before it can end, or ''
--       4 how many events may wait to be sent: what is beyond is numbered and dropped, and the status becomes `error`
--       then for each change, in stream order:
--       stream id, type, id, version number, interaction, ms, what is included (`Type/id/number …`, or ''), tenant,
--       or '' for the subscription's own, trace, or ''
-- Returns  {events so far, how many of the batch were owed now, 1 if there is something to send now else 0, how many of
--           these were dropped}
--          {} when nothing is numbered: no such subscription, off, never active; or filled, or not yet, by others
local held = redis.call('HMGET', KEYS[1],
  'counting', 'events', 'delivered', 'status', 'owed:' .. ARGV[1], 'filling:' .. ARGV[1])
if held[1] ~= '1' then return {} end
-- A write that can't grow comes first, as in `settle`: what is stored goes on its way when memory is full, too.
redis.call('HDEL', KEYS[1], '')
local function parts(id)
  local ms, seq = string.match(id, '^(%d+)-(%d+)$')
  return tonumber(ms), tonumber(seq)
end
local function later(one, other)
  local ms, seq = parts(one)
  local other_ms, other_seq = parts(other)
  return ms > other_ms or (ms == other_ms and seq > other_seq)
end
local partition, reached, goal = ARGV[1], ARGV[2], held[6]
if reached ~= '' and not goal then return {} end
if reached == '' and goal then
  local last = ARGV[#ARGV - 8]
  if later(last, goal) then redis.call('HSET', KEYS[1], 'filling:' .. partition, last) end
  return {}
end
local events, owed = tonumber(held[2]), held[5] or '0-0'
local owed_ms, owed_seq = parts(owed)
local fresh, room, dropped = 0, tonumber(ARGV[4]) - (events - tonumber(held[3])), 0
for i = 5, #ARGV, 9 do
  local ms, seq = parts(ARGV[i])
  if ms > owed_ms or (ms == owed_ms and seq > owed_seq) then
    fresh = fresh + 1
    local event = {'type', ARGV[i + 1], 'id', ARGV[i + 2], 'number', ARGV[i + 3], 'interaction', ARGV[i + 4],
      'at', ARGV[i + 5]}
    if ARGV[i + 6] ~= '' then
      event[#event + 1] = 'included'
      event[#event + 1] = ARGV[i + 6]
    end
    if ARGV[i + 7] ~= '' then
      event[#event + 1] = 'tenant'
      event[#event + 1] = ARGV[i + 7]
    end
    if ARGV[i + 8] ~= '' then
      event[#event + 1] = 'trace'
      event[#event + 1] = ARGV[i + 8]
    end
    if fresh <= room then
      redis.call('XADD', KEYS[2], string.format('%.0f-0', events + fresh), unpack(event))
    else
      dropped = dropped + 1
    end
    owed, owed_ms, owed_seq = ARGV[i], ms, seq
  end
end
if fresh > 0 then
  events = events + fresh
  redis.call('HSET', KEYS[1], 'events', string.format('%.0f', events), 'owed:' .. partition, owed)
end
if reached ~= '' then
  if later(reached, owed) then redis.call('HSET', KEYS[1], 'owed:' .. partition, reached) end
  if ARGV[3] ~= '' and not later(ARGV[3], reached) and not later(goal, reached) then
    redis.call('HDEL', KEYS[1], 'filling:' .. partition)
  end
end
if dropped > 0 then
  local time = redis.call('TIME')
  local now, status = time[1] * 1000 + math.floor(time[2] / 1000), held[4]
  local text = 'its backlog is full: ' .. ARGV[4] .. ' events wait to be sent, and what comes is dropped'
  -- What was dropped is no more to be sent, whatever comes: the next activation leaves it behind.
  redis.call('HSET', KEYS[1], 'skip', '1')
  if status == 'active' then
    status = 'error'
    redis.call('HSET', KEYS[1], 'status', status, 'error', text, 'error_code', '', 'updated', string.format('%.0f', now),
      'troubled', '1')
    redis.call('HINCRBY', KEYS[1], 'revision', 1)
    redis.call('HDEL', KEYS[1], 'sending', 'attempt', 'next', 'early', 'failing', 'failing_code', 'beat_at',
      'quiet_until', 'test', 'resend')
    alert(KEYS[1], 'error', now, status, '', text, tonumber(held[3]) + 1, events)
  end
  count_dropped(KEYS[1], now, status, events - dropped + 1, events, dropped, text)
  held[4] = status
end
local send = held[4] == 'active' and events > tonumber(held[3])
return {events, fresh, send and 1 or 0, dropped}
