-- Take one of the requests that may go out in a minute.
--
-- KEYS  1 how many were taken in this minute
-- ARGV  1 most in a minute
-- Returns  0, or ms until there are some again
if tonumber(redis.call('GET', KEYS[1]) or '0') >= tonumber(ARGV[1]) then
  return math.max(redis.call('PTTL', KEYS[1]), 1)
end
if redis.call('INCR', KEYS[1]) == 1 then redis.call('EXPIRE', KEYS[1], 60) end
return 0
