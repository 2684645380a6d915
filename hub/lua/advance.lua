-- Move the mark behind the last change that fan-out has finished. Only forward, and not while another pump is the
-- partition's matcher. A lease that merely ran out doesn't matter: else a batch that takes longer would never be done.
--
-- KEYS  1 matched  2 matcher  3 changes  4 passed
-- ARGV  1 pump   2 stream id
-- Returns  1 unless another pump is the matcher, then 0
local matcher = redis.call('GET', KEYS[2])
if matcher and matcher ~= ARGV[1] then return 0 end
local function parts(id)
  local ms, seq = string.match(id, '^(%d+)-(%d+)$')
  return tonumber(ms), tonumber(seq)
end
local ms, seq = parts(ARGV[2])
local old = redis.call('GET', KEYS[1]) or '0-0'
local old_ms, old_seq = parts(old)
if ms > old_ms or (ms == old_ms and seq > old_seq) then
  -- A write that can't grow comes first, as in `settle`: what is stored goes on its way when memory is full, too.
  redis.call('PERSIST', KEYS[1])
  redis.call('SET', KEYS[1], ARGV[2])
  local last = redis.call('XREVRANGE', KEYS[3], '+', '-', 'COUNT', 1)[1]
  if last and last[1] ~= ARGV[2] then
    local passed = redis.call('XRANGE', KEYS[3], '(' .. old, ARGV[2])
    redis.call('INCRBY', KEYS[4], #passed)
  else
    -- All are: so what an earlier release of the hub didn't count is made good.
    redis.call('SET', KEYS[4], redis.call('XLEN', KEYS[3]))
  end
end
return 1
