-- Change the registry, and say so in the log that every matcher follows.
--
-- KEYS  1 registry  2 log
-- ARGV  1 tenant/version/id   2 the record, or '' to remove it
--       3 'new': only if there is none; else the incarnation that must be there
-- Returns  1 if the registry is now as wanted, else 0
local held = redis.call('HGET', KEYS[1], ARGV[1])
if ARGV[3] == 'new' then
  if held then return 0 end
elseif not held or string.match(held, '^%S+') ~= ARGV[3] then
  return 0
end
if held == ARGV[2] then return 1 end
if ARGV[2] == '' then redis.call('HDEL', KEYS[1], ARGV[1]) else redis.call('HSET', KEYS[1], ARGV[1], ARGV[2]) end
redis.call('XADD', KEYS[2], 'MAXLEN', '~', 10000, '*', 'name', ARGV[1])
return 1
