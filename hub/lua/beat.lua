-- Raise a store's count by the clock, if this is the store that is meant. It only rises, whatever the clock does.
--
-- KEYS  1 epoch
-- ARGV  1 id of the store   2 the highest count that the caller has seen   3 ms for which a count will do
-- Returns  {id, count, ids of before, id that a recovery is giving it}, as they are now
local held = redis.call('HMGET', KEYS[1], 'id', 'count', 'before', 'recovering')
local seen = tonumber(held[2] or '0')
if held[1] == ARGV[1] and not held[4] and seen >= tonumber(ARGV[2]) then
  local time = redis.call('TIME')
  local now = time[1] * 1000 + math.floor(time[2] / 1000)
  if now < seen or now - seen >= tonumber(ARGV[3]) then
    held[2] = string.format('%.0f', math.max(now, seen + 1))
    -- A write that can't grow comes first, as in `settle`.
    redis.call('HDEL', KEYS[1], '')
    redis.call('HSET', KEYS[1], 'count', held[2])
  end
end
return held
