-- How a job gets into the queue, for the scripts that hand one in.

-- Writes a job that is not there yet; `skew` is how far the caller's clock is behind.
local function write(job, skew)
  -- The caller's clock may be wrong: what counts is when the job came, and what time it has.
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
  if job.place and not job.batch then
    redis.call('HSET', job_key(job.id), 'owner', job.owner, 'place', job.place)
    local list = key('list:' .. job.owner)
    redis.call('ZADD', list, 0, job.place)
    redis.call('EXPIRE', list, LIST_KEPT_S + math.ceil(job.keep))
    -- Two in for one out keeps the list in bounds without a walk through it.
    for _, old in ipairs(redis.call('ZRANGE', list, 0, 1)) do
      if redis.call('EXISTS', job_key(string.match(old, '-(.*)$'))) == 0 then
        redis.call('ZREM', list, old)
      end
    end
  end
end

-- Writes a job that workers may claim, and queues it.
local function accept(job, skew)
  write(job, skew)
  enqueue(job, key('queue:' .. job.priority))
  count_job(job, 'accepted')
  add_to_backlog(job.model, job.priority, job.weight, 1)
end
