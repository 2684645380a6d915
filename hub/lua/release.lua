-- End a lease, and say when the subscription next needs work.
--
-- KEYS  1 due  2 wait  3 lease  4 owner  5 fence  6 wake
-- ARGV  1 subscription   2 token
--       3 none | more | wait (not before a time, whatever comes) | at (at a time, if nothing comes before)
--       4 wait, at: ms   5 a token that the next one must be above, or 0
-- Returns  1, or 0 when the lease was not the caller's any more
local s = ARGV[1]
if redis.call('HGET', KEYS[4], s) ~= ARGV[2] then return 0 end
redis.call('HDEL', KEYS[4], s)
redis.call('ZREM', KEYS[3], s)
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
-- What is due meanwhile may be a handshake that a client waits for: `take` then says whether there is to wait.
local marked = redis.call('ZSCORE', KEYS[1], s)
if (ARGV[3] == 'wait' or ARGV[3] == 'at') and not marked then
  if ARGV[3] == 'wait' then redis.call('ZADD', KEYS[2], ARGV[4], s) else redis.call('ZADD', KEYS[1], ARGV[4], s) end
  -- Whoever waits for work looks again within a second; what is due sooner has to be said.
  if tonumber(ARGV[4]) < now + 1000 then redis.call('XADD', KEYS[6], 'MAXLEN', 1, '*', 'at', now) end
elseif ARGV[3] ~= 'none' or marked then
  redis.call('ZADD', KEYS[1], now, s)
  redis.call('XADD', KEYS[6], 'MAXLEN', 1, '*', 'at', now)
end
if tonumber(ARGV[5]) > tonumber(redis.call('GET', KEYS[5]) or '0') then redis.call('SET', KEYS[5], ARGV[5]) end
return 1
