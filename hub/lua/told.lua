-- Say what became of telling somebody one alert. If there is a newer one of its kind by now, that stays to be told.
--
-- KEYS  1 subscription
-- ARGV  1 kind   2 its ms   3 who was told   4 tries so far   5 ms of the next try, or '' when there is none
--       6 ms before which he is told no other of this kind
-- Returns  1
local text = redis.call('HGET', KEYS[1], 'alerts')
if not text then return 1 end
local noted = cjson.decode(text)
local one = noted[ARGV[1]]
if ARGV[5] == '' then redis.call('HSET', KEYS[1], 'quiet:' .. ARGV[1] .. ':' .. ARGV[3], ARGV[6]) end
if not one or one.at ~= ARGV[2] or not one.to[ARGV[3]] then return 1 end
if ARGV[5] == '' then
  one.to[ARGV[3]] = nil
  if next(one.to) == nil then noted[ARGV[1]] = nil end
else
  one.to[ARGV[3]] = {tries = tonumber(ARGV[4]), next = ARGV[5]}
end
if next(noted) == nil then
  redis.call('HDEL', KEYS[1], 'alerts')
else
  redis.call('HSET', KEYS[1], 'alerts', cjson.encode(noted))
end
return 1
