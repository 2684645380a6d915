-- Take or renew a lease on something of which one holder is wanted (a partition's matcher, the clock).
--
-- KEYS  1 lease
-- ARGV  1 holder   2 ms until it runs out
-- Returns  1 if the holder has it now, else 0
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
-- A write that can't grow comes first, as in `settle`: what is stored goes on its way when memory is full, too.
if redis.call('PEXPIRE', KEYS[1], ARGV[2]) == 0 then redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2]) end
return 1
