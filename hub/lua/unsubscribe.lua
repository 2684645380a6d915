-- Delete a Subscription, its outbox and what is known of attempts.
--
-- KEYS  1 subscription  2 outbox  3 attempts
-- ARGV  1 '*', or the revision in force
-- Returns  {'deleted', revision} | {'conflict', revision} | {'missing'}
local revision = redis.call('HGET', KEYS[1], 'revision')
if not revision then return {'missing'} end
if ARGV[1] ~= '*' and ARGV[1] ~= revision then return {'conflict', tonumber(revision)} end
redis.call('UNLINK', KEYS[1], KEYS[2], KEYS[3])
return {'deleted', tonumber(revision)}
