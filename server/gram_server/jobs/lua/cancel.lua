-- Gives up an open job: ARGV[2] its id. Returns 0 when there is no such job.

local job = read_job(ARGV[2])
if not job then return 0 end
if is_open(job) then stop(job, 'cancelled') end
return 1
