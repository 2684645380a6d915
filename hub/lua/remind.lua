-- See to it that subscriptions are looked after at some time, unless somebody does before or has them in hand.
--
-- KEYS  1 due  2 wait  3 lease  4 wake
-- ARGV  subscription, ms, in pairs
-- Returns  how many were not looked after
-- A write that can't grow comes first, as in `settle`: what is stored goes on its way when memory is full, too.
redis.call('ZREM', KEYS[1], '')
local forgotten = 0
for i = 1, #ARGV, 2 do
  if not redis.call('ZSCORE', KEYS[2], ARGV[i]) and not redis.call('ZSCORE', KEYS[3], ARGV[i]) then
    forgotten = forgotten + redis.call('ZADD', KEYS[1], 'LT', ARGV[i + 1], ARGV[i])
  end
end
if forgotten > 0 then redis.call('XADD', KEYS[4], 'MAXLEN', 1, '*', 'reminded', forgotten) end
return forgotten
