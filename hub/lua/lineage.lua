-- Read a version of a resource along with those that it may give away: the one before it, and the one in force.
--
-- KEYS  1 resource
-- ARGV  1 number of the version
-- Returns  {its body, the body of the one before it, number of the one in force, the body of that if it is later; of
--           a delete that of the one before the delete}; '' for each that is not there
local number = tonumber(ARGV[1])
local now = redis.call('HGET', KEYS[1], 'version') or '0'
local found = redis.call('HMGET', KEYS[1], 'b' .. ARGV[1], string.format('b%.0f', number - 1))
local latest = ''
if tonumber(now) > number then
  latest = redis.call('HGET', KEYS[1], 'b' .. now)
  if not latest then latest = redis.call('HGET', KEYS[1], string.format('b%.0f', tonumber(now) - 1)) end
end
return {found[1] or '', found[2] or '', now, latest or ''}
