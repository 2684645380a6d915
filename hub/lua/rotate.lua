-- Give a subscription a new secret to sign with. The one in force signs for some time yet.
--
-- KEYS  1 subscription
-- ARGV  1 the new secret, sealed   2 ms for which the one in force signs yet   3 how many may sign at once
-- Returns  {'rotated', ms until which the one before signs, or ''}
--        | {'full', ms at which the first of them signs no more}
--        | {'missing'}
-- Safe to repeat. `secrets` is 'sealed ms' for each, joined by blanks, the newest first; its ms are 0.
local held = redis.call('HMGET', KEYS[1], 'revision', 'secrets')
if not held[1] then return {'missing'} end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local secrets, kept, before, first_end = held[2] or '', {ARGV[1] .. ' 0'}, '', nil
local newest, rest = string.match(secrets, '^(%S+) 0 ?(.*)$')
if newest == ARGV[1] then return {'rotated', string.match(rest, '^%S+ (%d+)') or ''} end
for sealed, ends in string.gmatch(secrets, '(%S+) (%d+)') do
  if ends == '0' then
    ends = string.format('%.0f', now + tonumber(ARGV[2]))
    before = ends
  end
  if tonumber(ends) > now then
    kept[#kept + 1] = sealed .. ' ' .. ends
    first_end = ends
  end
end
if #kept > tonumber(ARGV[3]) then return {'full', first_end} end
redis.call('HSET', KEYS[1], 'secrets', table.concat(kept, ' '),
  'revision', string.format('%.0f', tonumber(held[1]) + 1), 'updated', string.format('%.0f', now))
return {'rotated', before}
