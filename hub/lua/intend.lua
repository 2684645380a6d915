-- Begin a transaction: write down what it is going to do, before it reserves anything.
--
-- KEYS  1 transaction
-- ARGV  1 attempt   2 fingerprint of the request   3 the writes   4 ms after which it may be undone   5 ms to keep it
-- Returns  {'open', attempt, fingerprint, '', deadline} with the attempt that was given: it has begun
--        | {state, attempt, fingerprint, answer, deadline}   an earlier request with the same key is there
local held = redis.call('HMGET', KEYS[1], 'state', 'attempt', 'fingerprint', 'answer', 'deadline', 'writes')
-- What was undone, and has given back all that it had reserved, never was.
if held[1] and not (held[1] == 'undone' and not held[6]) then
  return {held[1], held[2], held[3], held[4] or '', held[5]}
end
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'state', 'open', 'attempt', ARGV[1], 'fingerprint', ARGV[2], 'writes', ARGV[3],
  'deadline', ARGV[4])
redis.call('PEXPIRE', KEYS[1], ARGV[5])
return {'open', ARGV[1], ARGV[2], '', ARGV[4]}
