-- include: indexed
-- Store one version of one resource and append its change: the change exists exactly when the version does.
--
-- KEYS  1 resource  2 changes  3 types  4 lock of a conditional create (only read when ARGV 13 is set)
--       5... the indexes, in the order of their numbers; the last of all: superseded
-- ARGV  1 create | update | delete   2 tenant   3 FHIR version   4 type   5 id
--       6 what must be there: '' anything, '*' no live version, else the number of the version in force
--       7, 8 the JSON before and after its version number ('' for a delete)
--       9 now in ms   10 publisher   11 fingerprint of the idempotent request, or ''
--       12 transaction, or ''   13 token of the lock, or ''
--       14 events that the publisher names, or ''   15 trace that it belongs to, or ''
--       16... what it is found by: number of the index, text
-- Returns  {'stored', version, interaction}
--        | {'repeated', version}     the same idempotent request, or the same transaction, did it before
--        | {'absent', version or 0}  a delete of what isn't there: nothing to do
--        | {'differs'}               the idempotency key was used with another body
--        | {'erased'}                what the idempotent request had created was erased
--        | {'exists', version} | {'conflict', version in force or 0}
--        | {'reserved', transaction}  only to a write that is no transaction's | {'fenced'}
local what, id, expected = ARGV[1], ARGV[5], ARGV[6]
local now, fingerprint, transaction, token = ARGV[9], ARGV[11], ARGV[12], ARGV[13]
local held = redis.call('HMGET', KEYS[1], 'version', 'deleted', 'key', 'reserved', 'indexed', 'erased')
local version = tonumber(held[1]) or 0
local live = version > 0 and not held[2]

-- A committed transaction had reserved everything, and only what it has written is not reserved for it any more: by now
-- the resource may be free, or another transaction's.
if transaction ~= '' and held[4] ~= transaction then return {'repeated', version} end
if transaction == '' and held[4] then return {'reserved', held[4]} end
if fingerprint ~= '' and version > 0 then
  if held[3] == fingerprint then return {'repeated', 1} end
  if held[3] then return {'differs'} end
  if held[6] then return {'erased'} end
end
if token ~= '' and redis.call('GET', KEYS[4]) ~= token then return {'fenced'} end
if what == 'create' and version > 0 then return {'exists', version} end
if what == 'delete' and not live then
  if expected ~= '' then return {'conflict', 0} end
  if transaction ~= '' then redis.call('HDEL', KEYS[1], 'reserved') end
  return {'absent', version}
end
if expected == '*' and live then return {'conflict', version} end
if expected ~= '' and expected ~= '*' and (not live or expected ~= held[1]) then
  return {'conflict', live and version or 0}
end

if live then redis.call('INCRBY', KEYS[#KEYS], redis.call('HSTRLEN', KEYS[1], 'b' .. held[1])) end
version = version + 1
local number = string.format('%.0f', version)
local interaction = what == 'delete' and 'delete' or (live and 'update' or 'create')
redis.call('HSET', KEYS[1], 'version', number, 'm' .. number, interaction .. ' ' .. now)
if interaction == 'delete' then
  redis.call('HSET', KEYS[1], 'deleted', '1')
  redis.call('ZREM', KEYS[3], id)
else
  redis.call('HSET', KEYS[1], 'b' .. number, ARGV[7] .. number .. ARGV[8])
  redis.call('HDEL', KEYS[1], 'deleted')
  redis.call('ZADD', KEYS[3], now, id)
end
index(held[5], id, 4, 16)
if fingerprint ~= '' then redis.call('HSET', KEYS[1], 'key', fingerprint) end
if transaction ~= '' then
  redis.call('HDEL', KEYS[1], 'reserved')
  if redis.call('GET', KEYS[4]) == transaction then redis.call('DEL', KEYS[4]) end
end
local change = {'tenant', ARGV[2], 'version', ARGV[3], 'type', ARGV[4], 'id', id,
  'number', number, 'interaction', interaction, 'publisher', ARGV[10], 'at', now}
if ARGV[14] ~= '' then
  change[#change + 1] = 'events'
  change[#change + 1] = ARGV[14]
  redis.call('HSET', KEYS[1], 'e' .. number, ARGV[14])
end
if ARGV[15] ~= '' then
  change[#change + 1] = 'trace'
  change[#change + 1] = ARGV[15]
end
redis.call('XADD', KEYS[2], '*', unpack(change))
return {'stored', version, interaction}
