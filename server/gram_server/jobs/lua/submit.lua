-- Queues jobs, or refuses all of them: one step, so that the bound is never passed.
-- ARGV[2]: JSON {jobs, batch, ticket, max, max_backlog}. Returns {verdict, id or number, rate}.

local asked = cjson.decode(ARGV[2])
local batch, ticket = asked.batch, asked.ticket
local id = batch and batch.id or asked.jobs[1].id

if ticket then
  local verdict, known = read_ticket(ticket.key, ticket.fingerprint)
  if verdict ~= 'new' then return {verdict, known, '0'} end
end
-- The same call once more, because the answer to the first was lost.
if redis.call('EXISTS', job_key(id)) == 1 then return {'accepted', id, '0'} end
-- The caller gave it up before it came.
if redis.call('EXISTS', key('withdrawn:' .. id)) == 1 then return {'withdrawn', id, '0'} end

if asked.max_backlog then
  local expected = expected_s(asked.jobs[1].model, asked.jobs[1].priority)
  if expected > asked.max_backlog then return {'late', seconds(expected), '0'} end
end
local width = 0
for _, job in ipairs(asked.jobs) do width = width + job.width end
local reserved = tonumber(redis.call('HGET', key('totals'), 'reserved') or 0)
if reserved + width > asked.max then return {'full', tostring(reserved), seconds(read_rate())} end

local function write(job)
  -- The caller's clock may be wrong: what counts is when the job came, and what time it has.
  local skew = asked.skew and now - job.submitted or 0
  job.submitted = seconds(job.submitted + skew)
  redis.call('HSET', job_key(job.id), 'job', job.job, 'state', 'queued', 'priority', job.priority,
    'model', job.model, 'width', job.width, 'weight', job.weight, 'submitted', job.submitted, 'attempt', job.attempt, 'keep', job.keep)
  if job.deadline then
    local deadline = seconds(job.deadline + skew)
    redis.call('HSET', job_key(job.id), 'deadline', deadline)
    if not job.size then redis.call('ZADD', key('deadlines'), deadline, job.id) end
  end
  if job.batch then redis.call('HSET', job_key(job.id), 'batch', job.batch) end
  if job.route then redis.call('HSET', job_key(job.id), 'route', job.route) end
  if job.size then redis.call('HSET', job_key(job.id), 'parts', job.size, 'open', job.size) end
  redis.call('ZADD', key('open'), job.submitted, job.id)
  add_event(job.id, 'accepted', job.accepted)
  if job.place then
    redis.call('HSET', job_key(job.id), 'owner', job.owner, 'place', job.place)
    local list = key('list:' .. job.owner)
    redis.call('ZADD', list, 0, job.place)
    redis.call('EXPIRE', list, math.ceil(2 * job.keep + 86400))
    -- Two in for one out keeps the list in bounds without a walk through it.
    for _, old in ipairs(redis.call('ZRANGE', list, 0, 1)) do
      if redis.call('EXISTS', job_key(string.match(old, '-(.*)$'))) == 0 then
        redis.call('ZREM', list, old)
      end
    end
  end
end

if batch then write(batch) end
for _, job in ipairs(asked.jobs) do
  write(job)
  enqueue(job, key('queue:' .. job.priority))
  count_job(job, 'accepted')
  add_to_backlog(job.model, job.priority, job.weight, 1)
  if batch then redis.call('RPUSH', key('parts:' .. batch.id), job.id) end
end
count('reserved', width)
if ticket then
  local name = key('ticket:' .. ticket.key)
  redis.call('HSET', name, 'fingerprint', ticket.fingerprint, 'job', id)
  redis.call('PEXPIRE', name, math.floor(ticket.keep * 1000))
end
return {'accepted', id, '0'}
