-- Renews the lease of the jobs that the worker still holds: ARGV worker, ids ...
-- Returns the ids that it holds no more.

local lost = {}
for index = 3, #ARGV do
  local job = read_job(ARGV[index])
  if job and job.state == 'running' and job.worker == ARGV[2] then
    on_group(job.stream, 'XCLAIM', job.stream, GROUP, ARGV[2], 0, job.entry, 'FORCE', 'JUSTID')
  else
    lost[#lost + 1] = ARGV[index]
  end
end
return lost
