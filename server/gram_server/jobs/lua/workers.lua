-- Calls of a worker about its jobs, and the recovery of jobs from silent workers.

-- Ends a job that the worker holds: takes id, claim, state, result ('' for none), error (''), outcome.
-- The first end wins. A worker that lost the job changes nothing, unless it has a whole result and was
-- only assumed lost: the new holder would find the same.
register('complete', 'allow-oom', function(arguments)
  local id, claim, state, result, problem, outcome = unpack(arguments)
  local job = read_job(id)
  if not job or not is_open(job) then return 0 end
  local is_mine = is_held(job, claim)
  if not is_mine then
    if state ~= 'done' or redis.call('HGET', job_key(id), 'late') ~= claim then return 0 end
  end
  finish(job, state, result ~= '' and result or nil, problem ~= '' and problem or nil, outcome)
  if not is_mine then notify_worker(job) end
  return 1
end)

-- Adds an event to a job that the worker holds: takes id, claim, kind, data, answer ('' for none),
-- '1' where the next event of its kind replaces it.
-- A solution published before a worker was lost is not repeated.
register('publish', 'allow-oom', function(arguments)
  local id, claim, kind, data, answer, is_passing = unpack(arguments)
  local job = read_job(id)
  if not is_held(job, claim) then return 0 end
  if answer ~= '' and redis.call('SADD', key('answers:' .. id), answer) == 0 then return 0 end
  if is_passing ~= '1' then
    add_event(job, kind, data)
    return 1
  end
  local old = redis.call('HMGET', job_key(id), 'passing', 'passing_bytes')
  if old[1] then
    redis.call('XDEL', key('events:' .. id), old[1] .. '-0')
    add_bytes(job, -(old[2] or 0))
  end
  add_event(job, kind, data, 'passing', job.events + 1, 'passing_bytes', EVENT_BYTES + #data)
  return 1
end)

-- Renews the lease of the jobs that the worker still holds: takes worker, seconds, then id and claim of
-- each. Returns id and claim of those that it no longer holds.
register('renew', 'allow-oom', function(arguments)
  local lost = {}
  for index = 3, #arguments, 2 do
    local id, claim = arguments[index], arguments[index + 1]
    local job = read_job(id)
    if is_held(job, claim) then
      on_group(job.stream, 'XCLAIM', job.stream, GROUP, arguments[1], 0, job.entry, 'FORCE', 'JUSTID')
      redis.call('ZADD', LEASES, now + tonumber(arguments[2]), id)
      redis.call('HDEL', job_key(id), 'spared')
    else
      lost[#lost + 1] = id
      lost[#lost + 1] = claim
    end
  end
  return lost
end)

-- Returns jobs to the front of the queue: takes how ('kept' or 'lost'), max attempts, then id and
-- claim of each. Skips jobs that the worker does not hold.
register('hand_back', 'allow-oom', function(arguments)
  for index = 3, #arguments, 2 do
    local job = read_job(arguments[index])
    if is_held(job, arguments[index + 1]) then
      if arguments[1] == 'lost' then lose(job, tonumber(arguments[2])) else give_back(job) end
    end
  end
  return 0
end)

-- Returns id and claim of each job that a worker holds: takes the worker.
register('held', 'no-writes', function(arguments)
  local held = {}
  for _, id in ipairs(redis.call('ZRANGE', LEASES, 0, -1)) do
    local job = read_job(id)
    if job and job.state == 'running' and job.worker == arguments[1] then
      held[#held + 1] = id
      held[#held + 1] = claim_of(job)
    end
  end
  return held
end)

-- Stores a worker's report for a while: takes worker, report, seconds.
register('report', 'allow-oom', function(arguments)
  local worker, report, kept_s = unpack(arguments)
  redis.call('SET', key('report:' .. worker), report, 'PX', math.floor(kept_s * 1000))
  redis.call('ZADD', key('fleet'), seconds(now + kept_s), worker)
  redis.call('EXPIRE', key('fleet'), 86400)
  return 0
end)

-- Deletes a worker from every stream where it has no entries; returns whether it has none at all.
local function forget_consumer(worker)
  local is_idle = true
  for _, stream in ipairs(all_streams()) do
    -- A stream that does not exist has no group either.
    local pending = redis.pcall('XPENDING', stream, GROUP, '-', '+', 1, worker)
    if #pending > 0 then
      is_idle = false
    elseif not pending.err then
      redis.call('XGROUP', 'DELCONSUMER', stream, GROUP, worker)
    end
  end
  return is_idle
end

-- Deletes a worker that leaves: takes the worker.
register('leave', 'allow-oom', function(arguments)
  local worker = arguments[1]
  forget_consumer(worker)
  redis.call('ZREM', key('fleet'), worker)
  redis.call('DEL', key('report:' .. worker), key('cancelled:' .. worker))
  return 0
end)

-- Extends a lease once after a long time without a look: Redis was gone then, so that the worker could not
-- renew it, or all workers were.
local function spare(job, looked)
  local fields = redis.call('HMGET', job_key(job.id), 'lease', 'spared')
  local lease = tonumber(fields[1] or 0)
  if now - looked <= lease / 2 or fields[2] == claim_of(job) then return false end
  redis.call('HSET', job_key(job.id), 'spared', claim_of(job))
  redis.call('ZADD', LEASES, now + lease, job.id)
  return true
end

-- Takes back the jobs whose lease has run out: takes worker, max attempts.
-- Returns {number taken back, id and claim of each of the worker's own}.
register('reclaim', 'allow-oom', function(arguments)
  local looked = tonumber(redis.call('GET', key('looked')) or now)
  redis.call('SET', key('looked'), now_text, 'EX', 3600)
  local found, own = 0, {}
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', LEASES, '-inf', now_text, 'LIMIT', 0, 1000)) do
    local job = read_job(id)
    if not job or job.state ~= 'running' then
      redis.call('ZREM', LEASES, id)
    elseif spare(job, looked) then
      -- Also its own: the next look comes from another worker, soon after this one.
    elseif job.worker == arguments[1] then
      own[#own + 1] = id
      own[#own + 1] = claim_of(job)
    else
      lose(job, tonumber(arguments[2]))
      found = found + 1
    end
  end
  return {found, own}
end)

local CHUNK = 500

-- Queues an open job again whose entry is lost; returns whether it did.
local function put_right(job, max_attempts)
  if job.parts or #redis.call('XRANGE', job.stream, job.entry, job.entry) > 0 then return false end
  if job.state == 'running' then
    lose(job, max_attempts)
  else
    drop_entry(job.stream, job.entry)
    leave_queue(job)
    enqueue_again(job)
  end
  return true
end

-- Repairs a loss of data: queues open jobs without an entry again, and deletes workers that left without
-- notice. Takes max attempts, index to go on from.
-- Returns {number queued, the next index; 0 at the end}.
register('reconcile', 'allow-oom', function(arguments)
  local max_attempts, from = tonumber(arguments[1]), tonumber(arguments[2])
  local queued = 0
  local ids = redis.call('ZRANGE', key('open'), from, from + CHUNK - 1)
  for _, id in ipairs(ids) do
    local job = read_job(id)
    if not job then
      redis.call('ZREM', key('open'), id)
    elseif put_right(job, max_attempts) then
      queued = queued + 1
    end
  end
  for _, worker in ipairs(redis.call('ZRANGEBYSCORE', key('fleet'), '-inf', now_text, 'LIMIT', 0, 100)) do
    if forget_consumer(worker) then redis.call('ZREM', key('fleet'), worker) end
  end
  -- Empty streams would slow down every claim; those of new jobs stay.
  for _, stream in ipairs(all_streams()) do
    if not is_queue(stream) and redis.call('XLEN', stream) == 0 then
      redis.call('DEL', stream)
      redis.call('SREM', ASIDES, stream)
    end
  end
  return {queued, #ids == CHUNK and from + CHUNK or 0}
end)
