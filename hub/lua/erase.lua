-- include: indexed
-- Erase versions of one resource: their bodies and all that was noted of them. Their numbers are not given again. What
-- was in force, if it is among them, is found by nothing any more. Idempotent.
--
-- KEYS  1 resource  2 types  3... the indexes, in the order of their numbers; the last of all: superseded
-- ARGV  1 id   2 the number of the last version that is erased
-- Returns  how many versions were erased now
local held = redis.call('HMGET', KEYS[1], 'version', 'erased', 'indexed')
local version = tonumber(held[1]) or 0
local last = math.min(tonumber(ARGV[2]), version)
if last == 0 then return 0 end
local gone, versions, superseded = {}, 0, 0
for _, field in ipairs(redis.call('HKEYS', KEYS[1])) do
  local kind, number = string.match(field, '^([mbe])(%d+)$')
  if kind and tonumber(number) <= last then
    table.insert(gone, field)
    if kind == 'm' then versions = versions + 1 end
    -- As in `put`: the version in force is not counted, and a delete has no body.
    if kind == 'b' and tonumber(number) < version then superseded = superseded + redis.call('HSTRLEN', KEYS[1], field) end
  end
end
-- Not all at once: `unpack` has its limit.
for n = 1, #gone, 2000 do redis.call('HDEL', KEYS[1], unpack(gone, n, math.min(n + 1999, #gone))) end
-- The fingerprint is one of the first version's content.
redis.call('HDEL', KEYS[1], 'key')
if last > (tonumber(held[2]) or 0) then redis.call('HSET', KEYS[1], 'erased', string.format('%.0f', last)) end
if last == version then
  redis.call('HSET', KEYS[1], 'deleted', '1')
  redis.call('ZREM', KEYS[2], ARGV[1])
  index(held[3], ARGV[1], 2, 3)
end
if superseded > 0 and redis.call('DECRBY', KEYS[#KEYS], string.format('%.0f', superseded)) < 0 then
  redis.call('SET', KEYS[#KEYS], '0')
end
return versions
