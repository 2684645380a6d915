-- include: alert pin passed_by
-- Record what became of the pinned notification, and say what to send next.
--
-- KEYS  1 subscription  2 attempts  3 outbox
-- ARGV  1 token of the lease   2 revision that was served   3 sending, as it was served
--       4 delivered | again | error | off | active   5 what is said of the attempt   6 FHIR error code, or ''
--       7 number of the attempt, or '' when nothing was tried   8 ms that it took   9 bytes that were sent
--       10 how it was answered, or ''   11 what was told of `sending`: all of it, or fewer events from its first on
--       12 again: ms of the next attempt   13 again: attempts that have failed so far
--       12 active: stream id behind which a first activation begins with the past, or ''
--       13... active: partition, stream id of its end, in pairs. Else what was put before is not numbered
-- Returns  {'settled', status, revision, events, sending, ms before which nothing is sent, ms of the next heartbeat,
--           '1' if somebody is to be told of something}
--                        sending: the next one, as in pin; '' for nothing now. The next two: only then; '' for none
--        | {'refused'}   not the owner any more, or the subscription was changed or deleted meanwhile
-- Safe to repeat: when `sending` has moved on under the same lease, it was settled before; so it was when the next
-- attempt is to be at that time already.
local held = redis.call('HMGET', KEYS[1],
  'token', 'revision', 'status', 'events', 'delivered', 'sending', 'beat', 'window', 'skip', 'counting',
  'next', 'attempt', 'test', 'troubled', 'alerts')
if held[1] ~= ARGV[1] or held[2] ~= ARGV[2] then return {'refused'} end

local verb, said, code = ARGV[4], ARGV[5], ARGV[6]
local status, events, delivered, revision = held[3], tonumber(held[4]), tonumber(held[5]), tonumber(held[2])
local tell = held[15] and '1' or ''
local function settled(sending)
  local times = sending == '' and redis.call('HMGET', KEYS[1], 'quiet_until', 'beat_at') or {}
  return {'settled', status, string.format('%.0f', revision), held[4], sending, times[1] or '', times[2] or '',
    tell}
end
-- `troubled`: the owner knows that something is wrong, and wants to know when it is over.
local function note(now, kind, first, last)
  if kind == 'recovered' then
    redis.call('HDEL', KEYS[1], 'troubled')
    alert(KEYS[1], kind, now, status, '', '', first, last)
  else
    redis.call('HSET', KEYS[1], 'troubled', '1')
    alert(KEYS[1], kind, now, status, code, said, first, last)
  end
  tell = '1'
end
if (held[6] or '') ~= ARGV[3] then return settled(held[6] or '') end
if verb == 'again' and held[11] == ARGV[12] and held[12] == ARGV[13] then return settled('') end

-- A write that can't grow comes first: then the rest is done even when memory is full, and what came is not sent again.
redis.call('HDEL', KEYS[1], 'next', 'early', 'beat_at', 'quiet_until')
local now = now_ms()
redis.call('HSET', KEYS[1], 'outcome', said, 'outcome_at', string.format('%.0f', now))

if ARGV[7] ~= '' then
  local attempt = {'sending', ARGV[11], 'number', ARGV[7], 'verb', verb, 'said', said,
    'milliseconds', ARGV[8], 'bytes', ARGV[9]}
  if ARGV[10] ~= '' then
    attempt[#attempt + 1] = 'answer'
    attempt[#attempt + 1] = ARGV[10]
  end
  redis.call('XADD', KEYS[2], 'MAXLEN', '~', 100, '*', unpack(attempt))
end

if verb == 'again' then
  redis.call('HSET', KEYS[1], 'attempt', ARGV[13], 'next', ARGV[12],
    'failing', said, 'failing_code', code)
  if ARGV[13] == '3' and held[12] == '2' then note(now, 'failing') end
  return settled('')
end

redis.call('HDEL', KEYS[1], 'sending', 'attempt', 'failing', 'failing_code')
if (verb == 'delivered' or verb == 'active') and held[7] then
  redis.call('HSET', KEYS[1], 'beat_at', string.format('%.0f', now + held[7]))
end
if verb == 'delivered' then
  if held[14] then note(now, 'recovered') end
  local first, last, kind = string.match(ARGV[11], '^(%d+) (%d+) %d+ (%l+)')
  if kind == 'resend' then
    strike_out(KEYS[1], 'resend', tonumber(first), tonumber(last))
    strike_out(KEYS[1], 'skipped', tonumber(first), tonumber(last))
  elseif kind == 'events' then
    delivered = tonumber(last)
    redis.call('HSET', KEYS[1], 'delivered', string.format('%.0f', delivered))
    if string.find(held[6], '/', 1, true) then redis.call('HDEL', KEYS[1], 'untold') end
  end
  if held[8] then
    -- What comes meanwhile is gathered: nothing is pinned before the window opens.
    redis.call('HSET', KEYS[1], 'quiet_until', string.format('%.0f', now + held[8]))
    if not held[13] then return settled('') end
  end
else
  status, revision = verb, revision + 1
  redis.call('HSET', KEYS[1], 'status', status, 'revision', string.format('%.0f', revision),
    'updated', string.format('%.0f', now))
  if verb == 'active' then
    redis.call('HDEL', KEYS[1], 'error', 'error_code', 'skip')
    if held[10] ~= '1' then
      redis.call('HSET', KEYS[1], 'counting', '1')
      local past = redis.call('HSETNX', KEYS[1], 'begun', '1') == 1 and ARGV[12] ~= ''
      for i = 13, #ARGV, 2 do
        redis.call('HSET', KEYS[1], 'owed:' .. ARGV[i], past and ARGV[12] or ARGV[i + 1])
        if past then
          redis.call('HSET', KEYS[1], 'filling:' .. ARGV[i], '0-0')
        else
          redis.call('HDEL', KEYS[1], 'filling:' .. ARGV[i])
        end
      end
    end
    local missed = held[9] and events > delivered
    if held[14] then note(now, 'recovered', missed and delivered + 1, missed and events) end
    if missed then
      redis.call('HSET', KEYS[1], 'delivered', held[4])
      passed_by(KEYS[1], delivered + 1, events)
      delivered = events
    end
  else
    redis.call('HSET', KEYS[1], 'error', said, 'error_code', code, 'skip', '1')
    redis.call('HDEL', KEYS[1], 'test', 'resend')
    local missed = events > delivered
    note(now, status, missed and delivered + 1, missed and events)
    if verb == 'off' then redis.call('HDEL', KEYS[1], 'counting') end
  end
end
return settled(pin(KEYS[1], KEYS[3], status, events, delivered))
