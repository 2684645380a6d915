-- include: pin
-- Begin to serve a subscription under a lease.
--
-- KEYS  1 subscription  2 outbox
-- ARGV  1 token of the lease   2 how many events to bring along
-- Returns  {'serve', status, revision, events, failed attempts, sending, its first events, ms of the next heartbeat}
--                                sending: see pin; '' when there is nothing. Events: as XRANGE has them
--                                the last: only when there is nothing to send; '' for none
--        | {'later', ms}        the next attempt isn't due yet, or the delivery window is shut
--        | {'stale', token}     a later lease was here before
--        | {'gone'}
local held = redis.call('HMGET', KEYS[1],
  'token', 'status', 'revision', 'events', 'delivered', 'attempt', 'next', 'sending', 'beat_at', 'quiet_until',
  'test', 'end')
if not held[2] then return {'gone'} end
if tonumber(ARGV[1]) <= tonumber(held[1] or '0') then return {'stale', held[1]} end
local status, events, sending, attempt, now = held[2], tonumber(held[4]), held[8], held[6], now_ms()
-- A write that can't grow comes first, as in `settle`: what is stored goes on its way when memory is full, too.
redis.call('HDEL', KEYS[1], '')
redis.call('HSET', KEYS[1], 'token', ARGV[1])
if status ~= 'requested' and status ~= 'active' or ended(held[12], now) then
  return {'serve', status, held[3], held[4], '0', '', {}, ''}
end
local later = tonumber(held[7] or '0')
if not sending and status == 'active' and not held[11] then later = math.max(later, tonumber(held[10] or '0')) end
if later > now then return {'later', string.format('%.0f', later)} end
if not sending then
  sending, attempt = pin(KEYS[1], KEYS[2], status, events, tonumber(held[5])), '0'
elseif string.match(sending, '^%d+ %d+ %d+$') then
  -- Pinned before notifications had a kind.
  sending = sending .. (string.match(sending, ' 0 %d+$') and ' handshake' or ' events')
  redis.call('HSET', KEYS[1], 'sending', sending)
end
local first, last = string.match(sending, '^(%d+) (%d+)')
local ahead = {}
if first and last ~= '0' then ahead = redis.call('XRANGE', KEYS[2], first, '+', 'COUNT', ARGV[2]) end
local beat_at = status == 'active' and sending == '' and held[9] or ''
return {'serve', status, held[3], held[4], attempt, sending, ahead, beat_at}
