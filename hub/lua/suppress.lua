-- Have something be kept from somebody, or not any more, and say so in the log that every matcher follows.
--
-- KEYS  1 suppressions  2 their order  3 log
-- ARGV  1 name   2 what is kept from whom; '' for nothing any more
--       3 a Consent: the number of its version, of which something stays, so that no earlier one comes back; else ''
-- Returns  1 if it is new; 0 if it was so, or a later version was there
local held = redis.call('HGET', KEYS[1], ARGV[1])
local wanted = ARGV[2]
if ARGV[3] ~= '' then
  if held and tonumber(string.match(held, '^%d+')) >= tonumber(ARGV[3]) then return 0 end
  wanted = ARGV[3] .. ' ' .. wanted
elseif (held or '') == wanted then
  return 0
end
-- A write that can't grow comes first, as in `settle`: what is stored goes on its way when memory is full, too.
redis.call('ZREM', KEYS[2], '')
if wanted == '' then redis.call('HDEL', KEYS[1], ARGV[1]) else redis.call('HSET', KEYS[1], ARGV[1], wanted) end
redis.call('ZADD', KEYS[2], redis.call('HINCRBY', KEYS[1], '', 1), ARGV[1])
redis.call('XADD', KEYS[3], 'MAXLEN', '~', 10000, '*', 'name', 'suppression:' .. ARGV[1])
return 1
