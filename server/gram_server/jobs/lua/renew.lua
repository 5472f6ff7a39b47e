-- Renews the lease of the jobs that the worker still holds: ARGV worker, seconds, then id and claim of
-- each. Returns id and claim of those that it holds no more.

local lost = {}
for index = 4, #ARGV, 2 do
  local job = read_job(ARGV[index])
  if is_held(job, ARGV[index + 1]) then
    on_group(job.stream, 'XCLAIM', job.stream, GROUP, ARGV[2], 0, job.entry, 'FORCE', 'JUSTID')
    redis.call('ZADD', LEASES, now + tonumber(ARGV[3]), job.id)
    redis.call('HDEL', job_key(job.id), 'spared')
  else
    lost[#lost + 1] = ARGV[index]
    lost[#lost + 1] = ARGV[index + 1]
  end
end
return lost
