-- Change the registry, and say so in the log that every matcher follows.
--
-- KEYS  1 registry  2 log
-- ARGV  1 tenant/version/id   2 the record, or '' to remove it   3 the incarnation that must be there, or '' for none
-- Returns  1 if the registry is now as wanted, or what is there of the same life is newer; else 0
local function life(record) return string.match(record, '^(%S+) %S+ (%d+) ') end

local held = redis.call('HGET', KEYS[1], ARGV[1]) or ''
local incarnation, revision = life(held)
if (incarnation or '') ~= ARGV[3] then return 0 end
if held == ARGV[2] then return 1 end
if ARGV[2] == '' then
  redis.call('HDEL', KEYS[1], ARGV[1])
else
  local new_incarnation, new_revision = life(ARGV[2])
  if new_incarnation == incarnation and tonumber(new_revision) < tonumber(revision) then return 1 end
  redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
end
redis.call('XADD', KEYS[2], 'MAXLEN', '~', 10000, '*', 'name', ARGV[1])
return 1
