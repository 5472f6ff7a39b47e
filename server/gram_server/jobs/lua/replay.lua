-- Queues a job again that is among the dead letters, and drops its letter: ARGV number of the letter,
-- JSON {job, skew, max}. Its batch, where it is a part, is open again until the job has ended.
-- Returns {verdict, number, rate}: 'queued', or why not: 'gone', 'open', 'cancelled' or 'full'.

local letter, asked = ARGV[2], cjson.decode(ARGV[3])
local job = asked.job
if #redis.call('XRANGE', key('dead'), letter, letter) == 0 then return {'gone', '0', '0'} end
local known = read_job(job.id)
if known and is_open(known) then return {'open', '0', '0'} end
local batch = job.batch and read_job(job.batch)
if batch and batch.state ~= 'done' and not is_open(batch) then return {'cancelled', '0', '0'} end
local reserved = tonumber(redis.call('HGET', key('totals'), 'reserved') or 0)
if reserved + job.width > asked.max then return {'full', tostring(reserved), seconds(read_rate())} end

if batch then
  reopen(batch)
  if known then count_kept(batch.id, -1, -bytes_of(job.id)) end
  redis.call('HINCRBY', job_key(batch.id), 'open', 1)
else
  if known then stop_keeping(known) end
  job.batch = nil
end
-- Whoever follows it knows its events by number: those to come have greater ones.
local last = redis.call('HGET', job_key(job.id), 'events') or 0
drop_keys(job.id)
redis.call('HSET', job_key(job.id), 'events', last)
count('reserved', job.width)
accept(job, asked.skew and now - job.submitted or 0)
redis.call('XDEL', key('dead'), letter)
return {'queued', '0', '0'}
