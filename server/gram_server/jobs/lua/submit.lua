-- How jobs arrive: from their callers, and from the dead letters.

-- Records the job of an idempotency key; of each owner only the newest keys are kept.
local function keep_idempotency_key(ticket, id)
  local name, all = 'ticket:' .. ticket.key, key('tickets:' .. ticket.owner)
  redis.call('HSET', key(name), 'fingerprint', ticket.fingerprint, 'job', id)
  redis.call('PEXPIRE', key(name), math.floor(ticket.keep * 1000))
  redis.call('ZREMRANGEBYSCORE', all, '-inf', seconds(now - ticket.keep))
  redis.call('ZADD', all, now_text, ticket.key)
  redis.call('PEXPIRE', all, math.floor(ticket.keep * 1000))
  while redis.call('ZCARD', all) > ticket.max do
    redis.call('DEL', key('ticket:' .. redis.call('ZPOPMIN', all)[1]))
  end
end

-- Returns the reason to refuse jobs, in the form of 'submit', or nil.
local function refusal_of(asked, id, width)
  if redis.call('EXISTS', job_key(id), key('withdrawn:' .. id)) > 0 then
    -- The call was repeated because its answer was lost, or the caller withdrew the job before it arrived.
    local is_known = redis.call('EXISTS', job_key(id)) == 1
    return {is_known and 'accepted' or 'withdrawn', id, '0'}
  end
  if asked.max_backlog then
    local expected = expected_s(asked.jobs[1].model, asked.jobs[1].priority)
    if expected > asked.max_backlog then return {'late', seconds(expected), '0'} end
  end
  local totals = redis.call('HMGET', key('totals'), 'reserved', 'open_jobs', 'open_bytes')
  local reserved = tonumber(totals[1] or 0)
  if reserved + width > asked.max then return {'full', tostring(reserved), seconds(read_rate())} end
  local jobs, bytes = make_room(asked, totals[2], totals[3])
  if jobs then return {'crowded', tostring(jobs), tostring(bytes)} end
end

-- Queues all jobs or none: one step, so that the bound is never passed.
-- Takes JSON {jobs, batch, ticket, max, max_backlog, max_finished_jobs, max_finished_bytes, skew}.
-- Returns {verdict, id or number, rate or number}.
register('submit', nil, function(arguments)
  local asked = cjson.decode(arguments[1])
  local batch, ticket = asked.batch, asked.ticket
  local id = batch and batch.id or asked.jobs[1].id
  if ticket then
    local verdict, known = read_idempotency_key(ticket.key, ticket.fingerprint)
    if verdict ~= 'new' then return {verdict, known, '0'} end
  end
  local width = 0
  for _, job in ipairs(asked.jobs) do width = width + job.width end
  local refusal = refusal_of(asked, id, width)
  if refusal then return refusal end
  if batch then
    correct_times(batch, asked.skew)
    write_job(batch)
  end
  for _, job in ipairs(asked.jobs) do
    correct_times(job, asked.skew)
    accept(job)
    if batch then redis.call('RPUSH', key('parts:' .. batch.id), job.id) end
  end
  count('reserved', whole(width))
  if ticket then keep_idempotency_key(ticket, id) end
  return {'accepted', id, '0'}
end)

-- Looks up an idempotency key: takes its owner and name, and the fingerprint of the request.
-- Returns {'new', ''}, or {'accepted', 'gone' or 'conflict', id of its job}.
register('known', 'no-writes', function(arguments)
  return {read_idempotency_key(arguments[1], arguments[2])}
end)

-- Takes tokens from an owner's bucket: owner, amount, rate per second, most that can be saved up.
-- Returns the seconds to wait; 0 when granted. A negative amount is given back. The tokens may go
-- negative once.
register('take_tokens', 'allow-oom', function(arguments)
  local name = key('share:' .. arguments[1])
  local amount, rate, burst = tonumber(arguments[2]), tonumber(arguments[3]), tonumber(arguments[4])
  local saved = redis.call('HMGET', name, 'left', 'at')
  local left = burst
  if saved[1] then
    left = math.min(burst, tonumber(saved[1]) + math.max(0, now - tonumber(saved[2])) * rate)
  end
  local wait = 0
  if left > 0 or amount < 0 then left = math.min(burst, left - amount)
  else wait = -left / rate + 0.001 end
  redis.call('HSET', name, 'left', tostring(left), 'at', now_text)
  redis.call('PEXPIRE', name, math.ceil((burst - left) / rate * 1000) + 1000)
  return seconds(wait)
end)

-- Queues a dead job again and drops its letter: takes the number of the letter, JSON {job, skew, max}.
-- A batch that the job is part of is open again until the job has ended.
-- Returns {verdict, number, rate}: 'queued', or the reason: 'gone', 'open', 'cancelled' or 'full'.
register('replay', nil, function(arguments)
  local letter, asked = arguments[1], cjson.decode(arguments[2])
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
    if known then count_kept(batch.id, -1, -bytes_of(known)) end
    redis.call('HINCRBY', job_key(batch.id), 'open', 1)
  else
    if known then stop_keeping(known) end
    job.batch = nil
  end
  -- Followers of the job know its events by number: later ones must have greater numbers.
  job.events = known and known.events
  drop_keys(job.id)
  count('reserved', job.width)
  correct_times(job, asked.skew)
  accept(job)
  redis.call('XDEL', key('dead'), letter)
  return {'queued', '0', '0'}
end)
