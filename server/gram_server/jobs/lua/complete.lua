-- Ends a job that the worker holds: ARGV id, claim, state, result ('' for none), error (''), what
-- it counts as.
-- The first end wins. A worker that lost the job changes nothing, unless it has a whole result of it
-- and was only taken for lost: whoever has the job since would find the same.

local job = read_job(ARGV[2])
if not job or not is_open(job) then return 0 end
local is_mine = is_held(job, ARGV[3])
if not is_mine then
  if ARGV[4] ~= 'done' or redis.call('HGET', job_key(job.id), 'late') ~= ARGV[3] then return 0 end
end
finish(job, ARGV[4], ARGV[5] ~= '' and ARGV[5] or nil, ARGV[6] ~= '' and ARGV[6] or nil, ARGV[7])
if not is_mine then tell_worker(job) end
return 1
