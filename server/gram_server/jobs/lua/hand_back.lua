-- Returns jobs to the front of the queue: ARGV worker, how ('kept' or 'lost'), max attempts, ids ...
-- Jobs that the worker does not hold stay as they are.

for index = 5, #ARGV do
  local job = read_job(ARGV[index])
  if job and job.state == 'running' and job.worker == ARGV[2] then
    if ARGV[3] == 'lost' then lose(job, tonumber(ARGV[4])) else give_back(job) end
  end
end
return 0
