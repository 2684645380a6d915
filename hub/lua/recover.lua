-- include: alert passed_by
-- Set a subscription to `error` after its store was restored, and have its numbers go on above all that were given.
-- Safe to repeat: it is done once for each recovery.
--
-- KEYS  1 subscription
-- ARGV  1 the recovery   2 how many numbers may have been given since   3 numbers are rounded up to the next so-manieth
--       4 what is said of it, with %s for the last number that is kept, and for the one that new ones are above
-- Returns  1 if it is in `error` by this recovery, else 0: it is gone, or is off (its numbers go on above, too)
local held = redis.call('HMGET', KEYS[1], 'status', 'revision', 'events', 'delivered', 'recovered')
local status, events, delivered = held[1], tonumber(held[3]), tonumber(held[4])
if not status then return 0 end
local off = status == 'off'
if held[5] == ARGV[1] then return off and 0 or 1 end

local function number(n) return string.format('%.0f', n) end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local above = number(math.ceil((events + ARGV[2]) / ARGV[3]) * ARGV[3])
-- A write that can't grow comes first, as in `settle`.
redis.call('HDEL', KEYS[1], 'sending', 'attempt', 'next', 'early', 'failing', 'failing_code', 'beat_at', 'quiet_until',
  'resend', 'test')
if events > delivered then passed_by(KEYS[1], delivered + 1, events) end
redis.call('HSET', KEYS[1], 'events', above, 'delivered', above, 'recovered', ARGV[1], 'revision', number(held[2] + 1),
  'updated', number(now))
if off then return 0 end
local said = string.format(ARGV[4], number(events), above)
redis.call('HSET', KEYS[1], 'status', 'error', 'error', said, 'skip', '1', 'troubled', '1')
redis.call('HDEL', KEYS[1], 'error_code')
alert(KEYS[1], 'error', now, 'error', '', said)
return 1
