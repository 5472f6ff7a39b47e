-- Returns id and claim of each job that a worker has: ARGV[2] the worker.

local held = {}
for _, id in ipairs(redis.call('ZRANGE', LEASES, 0, -1)) do
  local job = read_job(id)
  if job and job.state == 'running' and job.worker == ARGV[2] then
    held[#held + 1] = id
    held[#held + 1] = claim_of(job)
  end
end
return held
