-- End a decided transaction: all is applied, or all that was reserved is given back. Safe to repeat.
--
-- KEYS  1 transaction
-- ARGV  1 attempt   2 ms to keep the answer
-- Returns  1, or 0 when this attempt is not the transaction's, or not decided
local held = redis.call('HMGET', KEYS[1], 'attempt', 'state', 'writes')
if held[1] ~= ARGV[1] or held[2] == 'open' then return 0 end
if held[2] == 'committed' then redis.call('HSET', KEYS[1], 'state', 'done') end
if held[3] then
  redis.call('HDEL', KEYS[1], 'writes')
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
return 1
