-- Say what became of telling one alert. If there is a newer one of its kind by now, that one stays to be told.
--
-- KEYS  1 subscription
-- ARGV  1 kind   2 its ms   3 who is still to be told, or '' for nobody   4 tries so far   5 ms of the next try
--       6 ms in which no other of this kind is told
-- Returns  1 if anything is still to be told, else 0
local text = redis.call('HGET', KEYS[1], 'alerts')
if not text then return 0 end
local noted = cjson.decode(text)
local one = noted[ARGV[1]]
if ARGV[3] == '' then redis.call('HSET', KEYS[1], 'quiet:' .. ARGV[1], ARGV[6]) end
if one and one.at == ARGV[2] then
  if ARGV[3] == '' then
    noted[ARGV[1]] = nil
  else
    one.left, one.tries, one.next = ARGV[3], tonumber(ARGV[4]), ARGV[5]
  end
end
if next(noted) == nil then
  redis.call('HDEL', KEYS[1], 'alerts')
  return 0
end
redis.call('HSET', KEYS[1], 'alerts', cjson.encode(noted))
return 1
