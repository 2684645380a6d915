-- Decide a transaction, once: the first decision stands.
--
-- KEYS  1 transaction
-- ARGV  1 attempt   2 committed | undone   3 committed: the answer that the client gets
-- Returns  the state that stands, or '' when this attempt is not the transaction's (any more)
local held = redis.call('HMGET', KEYS[1], 'attempt', 'state')
if held[1] ~= ARGV[1] then return '' end
if held[2] ~= 'open' then return held[2] end
redis.call('HSET', KEYS[1], 'state', ARGV[2])
if ARGV[2] == 'committed' then
  redis.call('HSET', KEYS[1], 'answer', ARGV[3])
  redis.call('PERSIST', KEYS[1])
end
return ARGV[2]
