-- Say when a subscription next needs work, whatever was said before.
--
-- KEYS  1 due  2 wait  3 wake  4 end
-- ARGV  1 subscription   2 ms, or '' for never   3 ms at which the subscription ends, or ''
-- Returns  1
redis.call('ZREM', KEYS[2], ARGV[1])
if ARGV[2] == '' then
  redis.call('ZREM', KEYS[1], ARGV[1])
else
  redis.call('ZADD', KEYS[1], ARGV[2], ARGV[1])
  redis.call('XADD', KEYS[3], 'MAXLEN', 1, '*', 'at', ARGV[2])
end
if ARGV[3] == '' then redis.call('ZREM', KEYS[4], ARGV[1]) else redis.call('ZADD', KEYS[4], ARGV[3], ARGV[1]) end
return 1
