-- Read one version of a resource, the one in force by default.
--
-- KEYS  1 resource
-- ARGV  1 version number, or '' for the one in force
-- Returns  {} when there is no such version, else {version, 'interaction ms', body or '' for a delete, events or ''}
local number = ARGV[1]
if number == '' then number = redis.call('HGET', KEYS[1], 'version') end
if not number then return {} end
local found = redis.call('HMGET', KEYS[1], 'm' .. number, 'b' .. number, 'e' .. number)
if not found[1] then return {} end
return {number, found[1], found[2] or '', found[3] or ''}
