-- Create, change or delete a topic, and say so in the log that every matcher follows.
--
-- KEYS  1 topics  2 canonicals  3 users  4 joins  5 log
-- ARGV  1 tenant   2 id   3 the record without its number, or '' to delete   4 its canonical
--       5 the number of the version that must be there: '' any, '*' none
--       6 joins of the canonical when its users' filters were judged, or '' when they weren't
-- Returns  {'defined', number} | {'deleted', number} | {'missing'} | {'conflict', number or 0}
--        | {'taken', id}    another topic has this canonical
--        | {'used', users}  it can't be deleted, or get another canonical | {'joined'} there are new users to be judged
local field = ARGV[1] .. '/' .. ARGV[2]
local held = redis.call('HGET', KEYS[1], field) or ''
local number = tonumber(string.match(held, '^%d+')) or 0
local url = string.match(held, '^%d+ %S+ %S+ (%S+) ')
if ARGV[5] == '*' and url then return {'conflict', number} end
if ARGV[5] ~= '' and ARGV[5] ~= '*' and (not url or tonumber(ARGV[5]) ~= number) then
  return {'conflict', url and number or 0}
end
if not url and ARGV[3] == '' then return {'missing'} end

local function place(of) return ARGV[1] .. '/' .. of end
local function users() return redis.call('ZLEXCOUNT', KEYS[3], '[' .. place(url) .. '\0', '[' .. place(url) .. '\0\255') end

if url and url ~= ARGV[4] then
  local using = users()
  if using > 0 then return {'used', using} end
end
number = number + 1
if ARGV[3] == '' then
  -- The number stays, so that no two versions of one id ever have the same.
  redis.call('HSET', KEYS[1], field, tostring(number))
else
  local owner = redis.call('HGET', KEYS[2], place(ARGV[4]))
  if owner and owner ~= ARGV[2] then return {'taken', owner} end
  if ARGV[6] ~= '' and (redis.call('HGET', KEYS[4], place(ARGV[4])) or '0') ~= ARGV[6] then return {'joined'} end
  redis.call('HSET', KEYS[1], field, number .. ' ' .. ARGV[3])
end
if url then redis.call('HDEL', KEYS[2], place(url)) end
if ARGV[3] ~= '' then redis.call('HSET', KEYS[2], place(ARGV[4]), ARGV[2]) end
redis.call('HINCRBY', KEYS[1], '', 1)
redis.call('XADD', KEYS[5], 'MAXLEN', '~', 10000, '*', 'name', 'topic:' .. place(url or ARGV[4]))
if url and ARGV[3] ~= '' and url ~= ARGV[4] then
  redis.call('XADD', KEYS[5], 'MAXLEN', '~', 10000, '*', 'name', 'topic:' .. place(ARGV[4]))
end
return {ARGV[3] == '' and 'deleted' or 'defined', number}
