-- include: alert
-- Create or change a Subscription. What is under way for the earlier revision is refused when it settles.
--
-- KEYS  1 subscription
-- ARGV  1 '' to create, '*' to change whatever is there, else the revision in force
--       2 requested | off   3 resource, or '' to keep it and its headers   4 most events in a notification
--       5 now in ms
--       6 ms before which no handshake starts   7 ms at which it ends, or ''   8 style
--       9 ms after a notification at which a heartbeat goes out, or ''   10 ms after one in which nothing does, or ''
--       11 why it is turned off, for its owner and the operator; '' when its client does it, who knows
--       12 the resource's headers, sealed, or ''   13 to create: the client whose it is
-- Returns  {'created', 1} | {'changed', revision} | {'conflict', revision} | {'missing'}
local held = redis.call('HMGET', KEYS[1], 'revision', 'events', 'delivered')
local expected, status = ARGV[1], ARGV[2]
local function keep()
  if ARGV[3] ~= '' then
    redis.call('HSET', KEYS[1], 'resource', ARGV[3])
    redis.call('HDEL', KEYS[1], 'headers')
    if ARGV[12] ~= '' then redis.call('HSET', KEYS[1], 'headers', ARGV[12]) end
  end
  redis.call('HSET', KEYS[1], 'status', status, 'max_count', ARGV[4], 'updated', ARGV[5],
    'next', ARGV[6], 'end', ARGV[7], 'style', ARGV[8])
  redis.call('HDEL', KEYS[1], 'beat', 'beat_at', 'window', 'quiet_until')
  if ARGV[9] ~= '' then redis.call('HSET', KEYS[1], 'beat', ARGV[9]) end
  if ARGV[10] ~= '' then redis.call('HSET', KEYS[1], 'window', ARGV[10]) end
end
if expected == '' then
  if held[1] then return {'conflict', tonumber(held[1])} end
  redis.call('HSET', KEYS[1], 'revision', '1', 'events', '0', 'delivered', '0', 'owner', ARGV[13])
  keep()
  if status == 'off' then redis.call('HSET', KEYS[1], 'skip', '1') end
  return {'created', 1}
end
if not held[1] then return {'missing'} end
if expected ~= '*' and expected ~= held[1] then return {'conflict', tonumber(held[1])} end
local revision = tonumber(held[1]) + 1
redis.call('HDEL', KEYS[1], 'sending', 'attempt', 'failing', 'failing_code', 'error', 'error_code', 'test')
redis.call('HSET', KEYS[1], 'revision', string.format('%.0f', revision))
keep()
-- After `error` and `off` the subscriber asks for what it missed (`skip`); after a mere change, what is owed goes out.
if status == 'off' then
  redis.call('HSET', KEYS[1], 'skip', '1')
  redis.call('HDEL', KEYS[1], 'counting', 'resend')
  if ARGV[11] ~= '' then
    local events, delivered = tonumber(held[2]), tonumber(held[3])
    local missed = events > delivered
    alert(KEYS[1], status, tonumber(ARGV[5]), status, '', ARGV[11], missed and delivered + 1, missed and events)
  end
end
return {'changed', revision}
