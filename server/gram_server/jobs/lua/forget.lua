-- Drops the record of a job that is final: ARGV[2] its id.

local job = read_job(ARGV[2])
if job and not is_open(job) then
  redis.call('DEL', job_key(job.id), key('events:' .. job.id), key('answers:' .. job.id))
end
return 0
