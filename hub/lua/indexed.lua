-- Have the resource of KEYS[1] found by what its new version says, and by nothing else.
--
-- before: its field `indexed`, packed pairs of the number of an index and a text; false for none.
-- id: stands behind each text.  others: the KEYS before those of the indexes.  first: of the ARGV that are pairs now.
local function index(before, id, others, first)
  if not before and #ARGV < first then return end
  local old, new, had, has = before and cmsgpack.unpack(before) or {}, {}, {}, {}
  local gone, come = {}, {}
  for n = first, #ARGV, 2 do has[ARGV[n] .. ' ' .. ARGV[n + 1]] = true end
  for n = 1, #old, 2 do
    local pair, i = old[n] .. ' ' .. old[n + 1], others + old[n]
    had[pair] = true
    if not has[pair] then
      gone[i] = gone[i] or {}
      table.insert(gone[i], old[n + 1] .. '\0' .. id)
    end
  end
  for n = first, #ARGV, 2 do
    local number, text = tonumber(ARGV[n]), ARGV[n + 1]
    local i = others + number
    table.insert(new, number)
    table.insert(new, text)
    if not had[ARGV[n] .. ' ' .. text] then
      come[i] = come[i] or {}
      table.insert(come[i], 0)
      table.insert(come[i], text .. '\0' .. id)
    end
  end
  -- Not all at once: `unpack` has its limit.
  for i, members in pairs(gone) do
    for n = 1, #members, 2000 do redis.call('ZREM', KEYS[i], unpack(members, n, math.min(n + 1999, #members))) end
  end
  for i, members in pairs(come) do
    for n = 1, #members, 2000 do redis.call('ZADD', KEYS[i], unpack(members, n, math.min(n + 1999, #members))) end
  end
  if #new > 0 then
    redis.call('HSET', KEYS[1], 'indexed', cmsgpack.pack(new))
  else
    redis.call('HDEL', KEYS[1], 'indexed')
  end
end

