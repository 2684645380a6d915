-- include: alert dropped pin
-- Remove a subscription's oldest events, if they happened before the horizon. Of what is being sent once more, and of
-- what comes behind it, nothing is removed; what was not sent yet is, and is counted.
--
-- KEYS  1 subscription  2 outbox
-- ARGV  1 horizon in ms   2 how many at most
-- Returns  {removed, of them dropped before they were sent, first, last of these, 1 if there may be more else 0}
local held = redis.call('HMGET', KEYS[1], 'status', 'events', 'delivered', 'resend', 'sending', 'attempt')
if not held[1] then return {0, 0, '0', '0', 0} end
local status, events, delivered = held[1], tonumber(held[2]), tonumber(held[3])
local keep = tonumber(string.match(held[4] or '', '^%d+') or 'inf')
local pinned, kind = string.match(held[5] or '', '^(%d+) %d+ %d+ (%l+)')
if kind == 'resend' then keep = math.min(keep, tonumber(pinned)) end

local most, last, removed, dropped, from = tonumber(ARGV[2]), nil, 0, 0, nil
for _, event in ipairs(redis.call('XRANGE', KEYS[2], '-', '+', 'COUNT', most)) do
  local number, fields, at = tonumber(string.match(event[1], '^%d+')), event[2], nil
  for i = 1, #fields, 2 do
    if fields[i] == 'at' then at = tonumber(fields[i + 1]) end
  end
  if number >= keep or at >= tonumber(ARGV[1]) then break end
  last, removed = number, removed + 1
  if number > delivered then
    from, dropped = from or number, dropped + 1
  end
end
if not last then return {0, 0, '0', '0', 0} end

-- A write that frees memory comes first: then the rest is done even when it is full.
redis.call('XTRIM', KEYS[2], 'MINID', string.format('%.0f', last + 1))
strike_out(KEYS[1], 'skipped', 1, last)
if dropped > 0 then
  redis.call('HSET', KEYS[1], 'delivered', string.format('%.0f', last))
  count_dropped(KEYS[1], now_ms(), status, from, last, dropped, 'they were not kept any longer')
  if kind == 'events' then
    -- What was pinned is gone, in part at least; the failures that it had stay counted for what comes in its place.
    redis.call('HDEL', KEYS[1], 'sending', 'attempt')
    if pin(KEYS[1], KEYS[2], status, events, last) ~= '' then
      redis.call('HSET', KEYS[1], 'attempt', held[6] or '0')
    else
      redis.call('HDEL', KEYS[1], 'next', 'early', 'failing', 'failing_code')
    end
  end
end
return {removed, dropped, string.format('%.0f', from or 0), string.format('%.0f', last), removed == most and 1 or 0}
