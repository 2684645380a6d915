-- Leave out of the log of a subscription's attempts what its endpoint has answered. The log is written anew: what is
-- only deleted from a stream stays in memory, and in Redis' files.
--
-- KEYS  1 attempts
-- Returns  in how many attempts there was an answer
local rows, answers = redis.call('XRANGE', KEYS[1], '-', '+'), 0
for _, row in ipairs(rows) do
  for n = 1, #row[2], 2 do
    if row[2][n] == 'answer' then
      answers = answers + 1
      table.remove(row[2], n + 1)
      table.remove(row[2], n)
      break
    end
  end
end
if answers == 0 then return 0 end
redis.call('DEL', KEYS[1])
for _, row in ipairs(rows) do redis.call('XADD', KEYS[1], row[1], unpack(row[2])) end
return answers
