-- How old is the oldest change of a partition that is still to be matched, and how many are there?
--
-- KEYS  1 changes  2 matched  3 passed
-- Returns  {ms, changes}; 0 when all are matched
local mark = redis.call('GET', KEYS[2]) or '0-0'
local oldest = redis.call('XRANGE', KEYS[1], '(' .. mark, '+', 'COUNT', 1)[1]
if not oldest then return {0, 0} end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local changes = redis.call('XLEN', KEYS[1]) - tonumber(redis.call('GET', KEYS[3]) or '0')
return {math.max(0, now - tonumber(string.match(oldest[1], '^%d+'))), math.max(1, changes)}
