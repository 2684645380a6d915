-- include: places
-- Change the registry, and say so in the log that every matcher follows.
--
-- KEYS  1 registry  2 log  3 topics  4 users  5 joins  6 joined  7 scanned  8 places
-- ARGV  1 tenant/version/id   2 the record, or '' to remove it   3 the incarnation that must be there, or '' for none
--       4 the stored topic that it is on, `tenant/canonical`; '-' none, '' as before
--       5, 6 that topic's field, and the number of the version that its filters were judged by
--       7 '1' when it may be on the topic of before too, until it is put again
--       8 the places where it stands, as JSON: now, or with ARGV 7 when it is put again
--       9 token of that write, or ''; without ARGV 7 the write is over in any case
--       10 how many may stand at each of these places, as JSON; 0, or '[]', for no limit
-- Returns  1 if the registry is now as wanted, or what is there of the same life is newer; else 0
--          -1 if the topic isn't there any more as it was judged: nothing was done
--          the place that is full: nothing was done
local name, record, topic = ARGV[1], ARGV[2], ARGV[4]
local joins = ARGV[7] == '1'
local function standing()
  if joins then return stand(KEYS[7], KEYS[8], name, ARGV[9], ARGV[8], '', ARGV[10]) end
  return stand(KEYS[7], KEYS[8], name, 'record', ARGV[8], ARGV[9], ARGV[10])
end
local function over()
  if not joins then stand(KEYS[7], KEYS[8], name, ARGV[9], '[]', '', '[]') end
end
local function life(of) return string.match(of, '^(%S+) %S+ (%d+) ') end

local held = redis.call('HGET', KEYS[1], name) or ''
local incarnation, revision = life(held)
if (incarnation or '') ~= ARGV[3] then
  over()
  return 0
end
local older = false
if record ~= '' then
  local new_incarnation, new_revision = life(record)
  older = new_incarnation == incarnation and tonumber(new_revision) < tonumber(revision)
end
if older and not joins then
  over()
  return 1
end

if ARGV[5] ~= '' then
  local found = redis.call('HGET', KEYS[3], ARGV[5]) or ''
  if string.match(found, '^(%d+) ') ~= ARGV[6] then return -1 end
end
-- Whoever is registered may change and go when memory is full, too: see `settle`. Nobody new comes.
if held ~= '' then redis.call('HDEL', KEYS[1], '') end
local full = standing()
if full then return full end
if record == '' or topic ~= '' then
  local on = redis.call('HGET', KEYS[6], name) or ''
  local stays = ''
  for each in string.gmatch(on, '%S+') do
    if each == topic or joins then
      stays = stays .. each .. ' '
    else
      redis.call('ZREM', KEYS[4], each .. '\0' .. name)
    end
  end
  if record ~= '' and topic ~= '-' and not string.find(' ' .. stays, ' ' .. topic .. ' ', 1, true) then
    redis.call('ZADD', KEYS[4], 0, topic .. '\0' .. name)
    redis.call('HINCRBY', KEYS[5], topic, 1)
    stays = stays .. topic .. ' '
  end
  if stays == '' then redis.call('HDEL', KEYS[6], name) else redis.call('HSET', KEYS[6], name, stays) end
end

if older or held == record then return 1 end
if record == '' then redis.call('HDEL', KEYS[1], name) else redis.call('HSET', KEYS[1], name, record) end
redis.call('XADD', KEYS[2], 'MAXLEN', '~', 10000, '*', 'name', name)
return 1
