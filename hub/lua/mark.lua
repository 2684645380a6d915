-- Mark subscriptions as having work now. Those in back-off stay there.
--
-- KEYS  1 due  2 wait  3 lease  4 wake
-- ARGV  subscriptions
-- Returns  how many were marked
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
-- A write that can't grow comes first, as in `settle`: what is stored goes on its way when memory is full, too.
redis.call('ZREM', KEYS[1], '')
local marked, idle = 0, false
for _, s in ipairs(ARGV) do
  if not redis.call('ZSCORE', KEYS[2], s) then
    redis.call('ZADD', KEYS[1], 'LT', now, s)
    marked = marked + 1
    if not redis.call('ZSCORE', KEYS[3], s) then idle = true end
  end
end
-- Who holds a lease sees the new work when it settles; only work that nobody holds wakes a pump.
if idle then redis.call('XADD', KEYS[4], 'MAXLEN', 1, '*', 'at', now) end
return marked
