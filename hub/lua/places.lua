-- Who stands where, counted by place: is held against every change, or is a client's. For others to include.
--
-- A name has a place as long as its record says so, or a write of it that is under way, by its token:
-- {"record": {"at": ms, "places": [...]}, "<token>": {...}}. A write that is older than a minute is what a crash left.
local ABANDONED = 60000

local function taken(by)
  local places = {}
  for _, each in pairs(by) do
    for _, place in ipairs(each.places) do places[place] = true end
  end
  return places
end

-- Let a name have, by `who`, these places (JSON, '[]' for none) and none that it had by that; nor what it had by
-- `finished`. Returns nil; or a place that as many others have as `most` (JSON, for each of the places; '[]' or 0: as
-- many as there are) has it, and nothing is done.
local function stand(counts, names, name, who, places, finished, most)
  local held = redis.call('HGET', names, name)
  if not held and places == '[]' then return nil end
  local by = held and cjson.decode(held) or {}
  local before = taken(by)
  local time = redis.call('TIME')
  local now = time[1] * 1000 + math.floor(time[2] / 1000)
  for each, had in pairs(by) do
    if each == who or each == finished or (each ~= 'record' and had.at < now - ABANDONED) then by[each] = nil end
  end
  if places ~= '[]' then by[who] = {at = now, places = cjson.decode(places)} end
  local after, limits, wanted = taken(by), {}, cjson.decode(places)
  for i, limit in ipairs(cjson.decode(most)) do limits[wanted[i]] = limit end
  for place in pairs(after) do
    local limit = limits[place] or 0
    if limit > 0 and not before[place] and tonumber(redis.call('HGET', counts, place) or '0') >= limit then return place end
  end
  for place in pairs(after) do
    if not before[place] then redis.call('HINCRBY', counts, place, 1) end
  end
  for place in pairs(before) do
    if not after[place] and redis.call('HINCRBY', counts, place, -1) < 1 then redis.call('HDEL', counts, place) end
  end
  if next(by) == nil then
    redis.call('HDEL', names, name)
  else
    redis.call('HSET', names, name, cjson.encode(by))
  end
  return nil
end
