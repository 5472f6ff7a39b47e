-- Puts right what a loss of data left behind: open jobs without an entry are queued again, and
-- workers that left without a word are forgotten. ARGV max attempts, place to go on from.
-- Returns {how many were queued, the next place; 0 at the end}.

local CHUNK = 500
local OLD_LEASE_MS = 60000

-- Whether a job is held by a worker of a version that keeps no lease, and has not been heard of.
local function is_left_behind(job)
  if job.state ~= 'running' or redis.call('ZSCORE', LEASES, job.id) then return false end
  local pending = on_group(job.stream, 'XPENDING', job.stream, GROUP, job.entry, job.entry, 1)
  return not pending[1] or pending[1][3] > OLD_LEASE_MS
end

local from = tonumber(ARGV[3])
local queued = 0
local ids = redis.call('ZRANGE', key('open'), from, from + CHUNK - 1)
for _, id in ipairs(ids) do
  local job = read_job(id)
  if not job then
    redis.call('ZREM', key('open'), id)
  elseif not job.parts and #redis.call('XRANGE', job.stream, job.entry, job.entry) == 0 then
    if job.state == 'running' then
      lose(job, tonumber(ARGV[2]))
    else
      leave_queue(job)
      enqueue_again(job)
    end
    queued = queued + 1
  elseif not job.parts and is_left_behind(job) then
    lose(job, tonumber(ARGV[2]))
    queued = queued + 1
  end
end
local names = redis.call('ZRANGEBYSCORE', key('fleet'), '-inf', seconds(now), 'LIMIT', 0, 100)
for _, worker in ipairs(names) do
  local is_idle = true
  for _, stream in ipairs(all_streams()) do
    local pending = on_group(stream, 'XPENDING', stream, GROUP, '-', '+', 1, worker)
    if #pending > 0 then
      is_idle = false
    else
      redis.call('XGROUP', 'DELCONSUMER', stream, GROUP, worker)
    end
  end
  if is_idle then redis.call('ZREM', key('fleet'), worker) end
end
for _, stream in ipairs(redis.call('SMEMBERS', ASIDES)) do
  if redis.call('XLEN', stream) == 0 then
    redis.call('DEL', stream)
    redis.call('SREM', ASIDES, stream)
  end
end
return {queued, #ids == CHUNK and from + CHUNK or 0}
