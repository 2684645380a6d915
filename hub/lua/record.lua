-- Append acts to a tenant's audit.
--
-- KEYS  1 log  2 lost
-- ARGV  1 entries from which on those that may be left out are   2... `1` if it may be left out, kind, agent, entities,
--       FHIR version, outcome, text: for each act
-- Returns  how many were left out since there was room last, and how many of them now
-- When there is room again, an entry of kind `lost` comes first: its text is how many were left out, and since when (ms).
redis.call('HDEL', KEYS[2], '')  -- changes nothing, but has a full Redis take what follows
local most, now_lost = tonumber(ARGV[1]), 0
local lost = tonumber(redis.call('HGET', KEYS[2], 'count') or '0')
local kept = redis.call('XLEN', KEYS[1])
local function append(kind, agent, entities, version, outcome, text)
  redis.call('XADD', KEYS[1], '*', 'kind', kind, 'agent', agent, 'entities', entities, 'version', version,
    'outcome', outcome, 'text', text)
  kept = kept + 1
end
for i = 2, #ARGV, 7 do
  if ARGV[i] == '1' and kept >= most then
    now_lost = now_lost + 1
    if lost == 0 then
      local time = redis.call('TIME')
      redis.call('HSET', KEYS[2], 'since', time[1] * 1000 + math.floor(time[2] / 1000))
    end
    lost = redis.call('HINCRBY', KEYS[2], 'count', 1)
  else
    if lost > 0 and kept < most then
      append('lost', 'hub', '', '', '8', lost .. ' ' .. redis.call('HGET', KEYS[2], 'since'))
      redis.call('DEL', KEYS[2])
      lost = 0
    end
    append(ARGV[i + 1], ARGV[i + 2], ARGV[i + 3], ARGV[i + 4], ARGV[i + 5], ARGV[i + 6])
  end
end
return {lost, now_lost}
