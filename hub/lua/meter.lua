-- Add what a process has counted to the totals, once.
--
-- KEYS  1 totals  2 flushed  3 criteria  4 tail  5 watched
-- ARGV  1 process   2 number of this, from 1: what has that number is what had it before
--       3 how many fields   4 how many costs
--       then each field and what is added; each subscription and microseconds; JSON of each step
-- Returns  1 if somebody watches what happens; else 0
local watched = redis.call('EXISTS', KEYS[5])
local number = string.match(redis.call('HGET', KEYS[2], ARGV[1]) or '0', '^%d+')
if #ARGV == 4 or tonumber(ARGV[2]) <= tonumber(number) then return watched end
-- A write that can't grow comes first, as in `settle`: there are as many fields as before, mostly.
redis.call('HDEL', KEYS[1], ' ')
local time = redis.call('TIME')
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2] .. ' ' .. time[1] .. '000')
local costs = 5 + 2 * tonumber(ARGV[3])
local steps = costs + 2 * tonumber(ARGV[4])
for i = 5, costs - 1, 2 do redis.call('HINCRBY', KEYS[1], ARGV[i], ARGV[i + 1]) end
for i = costs, steps - 1, 2 do redis.call('ZINCRBY', KEYS[3], ARGV[i + 1], ARGV[i]) end
for i = steps, #ARGV do redis.call('XADD', KEYS[4], 'MAXLEN', '~', 1000, '*', 'step', ARGV[i]) end
return watched
