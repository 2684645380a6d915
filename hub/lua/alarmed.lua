-- Say when something is next to be told of a subscription, unless it was marked since it was claimed.
--
-- KEYS  1 due alerts
-- ARGV  1 subscription   2 ms at which it would be claimed again   3 ms, or '' for never
-- Returns  1, or 0 when it was marked meanwhile
local score = redis.call('ZSCORE', KEYS[1], ARGV[1])
if not score or tonumber(score) ~= tonumber(ARGV[2]) then return 0 end
if ARGV[3] == '' then redis.call('ZREM', KEYS[1], ARGV[1]) else redis.call('ZADD', KEYS[1], ARGV[3], ARGV[1]) end
return 1
