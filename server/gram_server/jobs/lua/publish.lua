-- Adds an event to a job that the worker holds: ARGV id, claim, kind, data, answer ('' for none),
-- '1' where the event passes: the next of its sort takes its place.
-- A solution that was told before a worker was lost is not told again.

local job = read_job(ARGV[2])
if not is_held(job, ARGV[3]) then return 0 end
if ARGV[6] ~= '' and redis.call('SADD', key('answers:' .. job.id), ARGV[6]) == 0 then return 0 end
local number = add_event(job.id, ARGV[4], ARGV[5])
if ARGV[7] == '1' then
  local old = redis.call('HGET', job_key(job.id), 'passing')
  if old then redis.call('XDEL', key('events:' .. job.id), old .. '-0') end
  redis.call('HSET', job_key(job.id), 'passing', number)
end
return 1
