-- Takes back the jobs of workers that gave no sign of life within the lease of their claim: ARGV worker,
-- max attempts. Returns {how many came back, id and claim of each of the worker's own that has run out}.

local looked = tonumber(redis.call('GET', key('looked')) or now)
redis.call('SET', key('looked'), seconds(now), 'EX', 3600)

-- Lets a lease run once more where nobody looked for long: Redis was gone then, and the worker could not
-- renew it, or all workers were.
local function spare(job)
  local fields = redis.call('HMGET', job_key(job.id), 'lease', 'spared')
  local lease = tonumber(fields[1] or 0)
  if now - looked <= lease / 2 or fields[2] == claim_of(job) then return false end
  redis.call('HSET', job_key(job.id), 'spared', claim_of(job))
  redis.call('ZADD', LEASES, now + lease, job.id)
  return true
end

local found, own = 0, {}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', LEASES, '-inf', seconds(now), 'LIMIT', 0, 1000)) do
  local job = read_job(id)
  if not job or job.state ~= 'running' then
    redis.call('ZREM', LEASES, id)
  elseif spare(job) then
    -- Its own too: the next who looks is another, and finds that somebody has just looked.
  elseif job.worker == ARGV[2] then
    own[#own + 1] = id
    own[#own + 1] = claim_of(job)
  else
    lose(job, tonumber(ARGV[3]))
    found = found + 1
  end
end
return {found, own}
