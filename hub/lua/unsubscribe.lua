-- Delete a Subscription and its outbox.
--
-- KEYS  1 subscription  2 outbox
-- ARGV  1 '*', or the revision in force
-- Returns  {'deleted', revision} | {'conflict', revision} | {'missing'}
local revision = redis.call('HGET', KEYS[1], 'revision')
if not revision then return {'missing'} end
if ARGV[1] ~= '*' and ARGV[1] ~= revision then return {'conflict', tonumber(revision)} end
redis.call('UNLINK', KEYS[1], KEYS[2])
return {'deleted', tonumber(revision)}
