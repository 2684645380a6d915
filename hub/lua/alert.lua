-- Shared: note in a subscription's hash what its owner and the operator are to be told of it. `alerts` is JSON, one of
-- each kind: the latest, how many there were since one was told, and whom it is still to be told (`to`). Numbers are written as texts, since cjson rounds.
local function alert(key, kind, now, status, code, said, first, last)
  local noted = cjson.decode(redis.call('HGET', key, 'alerts') or '{}')
  local before = noted[kind]
  noted[kind] = {
    at = string.format('%.0f', now), status = status, code = code, text = said,
    first = first and string.format('%.0f', first) or '', last = last and string.format('%.0f', last) or '',
    times = before and before.times + 1 or 1, to = {owner = {tries = 0}, operator = {tries = 0}},
  }
  redis.call('HSET', key, 'alerts', cjson.encode(noted))
end

