-- Have events sent once more, before anything new. What waits to be tried again is tried now.
-- Idempotent: a range that is asked for twice before it is sent goes out once.
--
-- KEYS  1 subscription
-- ARGV  1 first   2 last   3 how many ranges there may be
-- Returns  {'asked', first, last}   what of it goes out again: what was not sent yet goes out anyway; 0, 0 for nothing
--        | {'status', status}       only an active one is sent anything
--        | {'full'}                 too many ranges wait already
--        | {'gone'}
local held = redis.call('HMGET', KEYS[1], 'status', 'delivered', 'resend', 'attempt')
if not held[1] then return {'gone'} end
if held[1] ~= 'active' then return {'status', held[1]} end
local first, last = tonumber(ARGV[1]), math.min(tonumber(ARGV[2]), tonumber(held[2]))
if tonumber(held[4] or '0') > 0 then redis.call('HDEL', KEYS[1], 'next') end
if first > last then return {'asked', '0', '0'} end

local ranges = {{first, last}}
for from, to in string.gmatch(held[3] or '', '(%d+)%-(%d+)') do ranges[#ranges + 1] = {tonumber(from), tonumber(to)} end
table.sort(ranges, function(a, b) return a[1] < b[1] end)
local merged = {}
for _, range in ipairs(ranges) do
  local before = merged[#merged]
  if before and range[1] <= before[2] + 1 then
    before[2] = math.max(before[2], range[2])
  else
    merged[#merged + 1] = range
  end
end
if #merged > tonumber(ARGV[3]) then return {'full'} end
local written = {}
for i, range in ipairs(merged) do written[i] = string.format('%.0f-%.0f', range[1], range[2]) end
redis.call('HSET', KEYS[1], 'resend', table.concat(written, ' '))
return {'asked', string.format('%.0f', first), string.format('%.0f', last)}
