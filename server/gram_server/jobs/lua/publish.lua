-- Adds an event to a job that the worker holds: ARGV worker, id, kind, data, answer ('' for none).
-- A solution that was told before a worker was lost is not told again.

local job = read_job(ARGV[3])
if not job or job.state ~= 'running' or job.worker ~= ARGV[2] then return 0 end
if ARGV[6] ~= '' and redis.call('SADD', key('answers:' .. job.id), ARGV[6]) == 0 then return 0 end
add_event(job.id, ARGV[4], ARGV[5])
return 1
