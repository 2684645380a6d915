-- Put what was sealed anew in the place of what it was, if nothing of it has been changed meanwhile. Safe to repeat.
--
-- KEYS  1 hash
-- ARGV  for each field: its name, what is there, what is to be there; '' for nothing, which stays
-- Returns  1, or 0 when something else is there: nothing was done
for i = 1, #ARGV, 3 do
  local held = redis.call('HGET', KEYS[1], ARGV[i]) or ''
  if held ~= ARGV[i + 1] and held ~= ARGV[i + 2] then return 0 end
end
for i = 1, #ARGV, 3 do
  if ARGV[i + 2] ~= '' then redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 2]) end
end
return 1
