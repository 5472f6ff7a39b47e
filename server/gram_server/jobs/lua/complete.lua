-- Ends a job that the worker holds: ARGV worker, id, state, result ('' for none), error (''), what
-- it counts as.
-- The first end wins; a worker that lost the job changes nothing.

local job = read_job(ARGV[3])
if not job or job.state ~= 'running' or job.worker ~= ARGV[2] then return 0 end
finish(job, ARGV[4], ARGV[5] ~= '' and ARGV[5] or nil, ARGV[6] ~= '' and ARGV[6] or nil, ARGV[7])
return 1
