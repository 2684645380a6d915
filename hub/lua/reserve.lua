-- Reserve one resource for a transaction that is about to be decided, checking what it expects of it.
--
-- KEYS  1 resource  2 lock of a conditional create
-- ARGV  1 transaction   2 create | update | delete   3 what must be there (as in put)   4 token of the lock, or ''
-- Returns  {'reserved', version, 1 if there is a live version else 0} also when it was reserved before
--        | {'taken', the other transaction} | {'exists', version} | {'conflict', version in force or 0} | {'fenced'}
local transaction, what, expected, token = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local held = redis.call('HMGET', KEYS[1], 'version', 'deleted', 'reserved')
local version = tonumber(held[1]) or 0
local live = version > 0 and not held[2]
if held[3] and held[3] ~= transaction then return {'taken', held[3]} end
if not held[3] then
  if what == 'create' and version > 0 then return {'exists', version} end
  if expected == '*' and live then return {'conflict', version} end
  if expected ~= '' and expected ~= '*' and (not live or expected ~= held[1]) then
    return {'conflict', live and version or 0}
  end
  if token ~= '' then
    local holder = redis.call('GET', KEYS[2])
    -- It is the transaction's already when it had reserved the resource and gave it back for a while.
    if holder ~= token and holder ~= transaction then return {'fenced'} end
  end
  redis.call('HSET', KEYS[1], 'reserved', transaction)
  -- Until the transaction is decided nobody else may find the name free, however long that takes.
  if token ~= '' then redis.call('SET', KEYS[2], transaction) end
end
return {'reserved', version, live and 1 or 0}
