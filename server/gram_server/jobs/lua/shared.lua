-- What the scripts share: the streams, events, the backlog, and how jobs end or come back.

-- What tells one claim of a job from every other one, also of the same worker.
local function claim_of(job) return job.stream .. '/' .. job.entry end

-- Whether a job is running under a claim.
local function is_held(job, claim)
  return job and job.state == 'running' and claim_of(job) == claim
end

-- Running jobs by when the lease of their claim ends.
local LEASES = key('leases')

-- Streams of the jobs whose next attempt is their last, one for each class: each is worked on beside no other of them,
-- so that one that kills its workers takes none with it that it was lost with before.
local LAST_CHANCE = key('last:')

local function is_last_chance(stream) return string.sub(stream, 1, #LAST_CHANCE) == LAST_CHANCE end

-- The streams of jobs that were set aside, each of one class and model: who found them in the queue
-- has not loaded that model.
local ASIDE = key('aside')
local ASIDES = key('asides')

-- The streams in which every worker looks for jobs.
local function streams()
  local names = {}
  for class = 0, CLASSES - 1 do
    names[#names + 1] = LAST_CHANCE .. class
    names[#names + 1] = key('back:' .. class)
    names[#names + 1] = key('queue:' .. class)
  end
  return names
end

local function all_streams()
  local names = streams()
  for _, name in ipairs(redis.call('SMEMBERS', ASIDES)) do names[#names + 1] = name end
  return names
end

-- Runs a command on a consumer group, and makes the group where the stream was lost or is new.
local function on_group(stream, ...)
  local reply = redis.pcall(...)
  if type(reply) == 'table' and reply.err then
    if not string.find(reply.err, 'NOGROUP') then error(reply) end
    redis.call('XGROUP', 'CREATE', stream, GROUP, '0', 'MKSTREAM')
    reply = redis.call(...)
  end
  return reply
end

-- The record of a job that has just ended, where it is small: whoever waits for it need not ask.
local function told(id)
  local events = key('events:' .. id)
  local result, body = redis.call('HSTRLEN', job_key(id), 'result'), redis.call('HSTRLEN', job_key(id), 'job')
  if redis.call('XLEN', events) > TOLD_EVENTS or result + body > TOLD_BYTES
    or redis.call('HEXISTS', job_key(id), 'parts') == 1 then return '' end
  local text = cjson.encode({seconds(now), redis.call('HGETALL', job_key(id)),
    redis.call('XRANGE', events, '-', '+')})
  return #text <= TOLD_BYTES and text or ''
end

local function notify(id, is_end)
  redis.call('XADD', key('notes'), 'MAXLEN', '~', NOTES_KEPT, '*', 'job', id, 'end', is_end,
    'record', is_end == 1 and told(id) or '')
  redis.call('EXPIRE', key('notes'), NOTES_KEPT_S)
end

local function add_event(id, kind, data)
  local number = redis.call('HINCRBY', job_key(id), 'events', 1)
  redis.call('XADD', key('events:' .. id), number .. '-0', 'kind', kind, 'data', data)
  -- Nobody can wait for a job that is only now accepted.
  if kind ~= 'accepted' then notify(id, (kind == 'done' or kind == 'error') and 1 or 0) end
  return number
end

local function enqueue(job, stream)
  local entry = redis.call('XADD', stream, '*', 'job', job.id)
  redis.call('HSET', job_key(job.id), 'state', 'queued', 'stream', stream, 'entry', entry)
  redis.call('HDEL', job_key(job.id), 'worker', 'started')
  redis.call('ZADD', key('waiting:' .. job.priority), job.submitted, job.id)
  count('trajectories:' .. job.priority, job.width)
end

local function leave_queue(job)
  redis.call('ZREM', key('waiting:' .. job.priority), job.id)
  count('trajectories:' .. job.priority, -job.width)
end

local function leave_worker(job)
  redis.call('ZREM', LEASES, job.id)
  count('running', -1)
end

local function drop_entry(stream, entry)
  redis.pcall('XACK', stream, GROUP, entry)
  redis.call('XDEL', stream, entry)
end

local function add_rate(width)
  local rate = key('rate')
  -- Old seconds are swept out when a new one begins.
  if redis.call('HINCRBY', rate, math.floor(now), width) > width + 0 then return end
  redis.call('EXPIRE', rate, 2 * RATE_WINDOW_S)
  for _, second in ipairs(redis.call('HKEYS', rate)) do
    if tonumber(second) < now - RATE_WINDOW_S then redis.call('HDEL', rate, second) end
  end
end

-- Returns trajectories finished per second of late; 0 when none were.
local function read_rate()
  local pairs_of = redis.call('HGETALL', key('rate'))
  local total, first = 0, now
  for index = 1, #pairs_of, 2 do
    local second = tonumber(pairs_of[index])
    if second >= now - RATE_WINDOW_S then
      total, first = total + tonumber(pairs_of[index + 1]), math.min(first, second)
    end
  end
  return total / math.max(now - first, 1)
end

-- The unfinished jobs of each model and their pace, as backlog.py has them: jobs, and weight by class;
-- when the last job ended that left a crowd behind, and seconds and weight of what ended since then.
local BACKLOG = key('backlog')

local function backlog_of(model, name)
  return tonumber(redis.call('HGET', BACKLOG, name .. ':' .. model) or 0)
end

local function add_to_backlog(model, priority, weight, jobs)
  redis.call('HINCRBY', BACKLOG, 'weight' .. priority .. ':' .. model, weight)
  return redis.call('HINCRBY', BACKLOG, 'jobs:' .. model, jobs)
end

local function end_in_backlog(job, is_served)
  local model, weight = job.model, tonumber(job.weight or 0)
  -- One that came before there was a backlog is not in it.
  if weight == 0 then return end
  local jobs = add_to_backlog(model, job.priority, -weight, -1)
  local since = backlog_of(model, 'since')
  if is_served and since > 0 then
    local kept = 1 - 1 / NUM_RECENT
    local busy = backlog_of(model, 'busy') * kept + now - since
    local done = backlog_of(model, 'done') * kept + weight
    redis.call('HSET', BACKLOG, 'busy:' .. model, seconds(busy), 'done:' .. model, seconds(done))
  end
  if jobs >= CROWD then
    if is_served then redis.call('HSET', BACKLOG, 'since:' .. model, seconds(now)) end
  elseif since > 0 then
    redis.call('HDEL', BACKLOG, 'since:' .. model)
  end
end

-- Returns the seconds until all jobs of a model have ended that come before one of a class.
local function expected_s(model, priority)
  local done = backlog_of(model, 'done')
  if backlog_of(model, 'jobs') < CROWD or done == 0 then return 0 end
  local weight = 0
  for class = 0, priority do weight = weight + backlog_of(model, 'weight' .. class) end
  return weight * backlog_of(model, 'busy') / done
end

local function write_end(job, state, result, problem)
  local name = job_key(job.id)
  redis.call('HSET', name, 'state', state, 'finished', seconds(now))
  redis.call('HDEL', name, 'worker')
  if result then redis.call('HSET', name, 'result', result) end
  if problem then redis.call('HSET', name, 'error', problem) end
  redis.call('ZREM', key('open'), job.id)
  if state == 'done' or state == 'expired' then
    add_event(job.id, 'done', '')
  else
    add_event(job.id, 'error', problem or '')
  end
end

-- Tells an open batch that a part has ended, which may be its end.
local function tell_batch(batch, part, state)
  add_event(batch.id, 'progress', cjson.encode({id = part.id, state = state}))
  if redis.call('HINCRBY', job_key(batch.id), 'open', -1) > 0 then return end
  write_end(batch, 'done')
  keep_batch(batch)
end

-- What a job counts as that nobody gave a result to.
local function outcome_without(job, state)
  if state ~= 'expired' then return state end
  return redis.call('EXISTS', key('answers:' .. job.id)) == 1 and 'partial' or 'deadline'
end

-- Makes an open job final: the one place where that happens.
local function finish(job, state, result, problem, outcome)
  if job.parts then return write_end(job, state, result, problem) end
  if job.state == 'queued' then leave_queue(job) else leave_worker(job) end
  end_in_backlog(job, job.state == 'running' and state ~= 'cancelled')
  drop_entry(job.stream, job.entry)
  write_end(job, state, result, problem)
  redis.call('ZREM', key('deadlines'), job.id)
  count_job(job, outcome or outcome_without(job, state))
  count('reserved', -job.width)
  add_rate(job.width)
  local batch = job.batch and read_job(job.batch)
  if not batch then return keep(job, 1, bytes_of(job.id)) end
  count_kept(job.batch, 1, bytes_of(job.id))
  if is_open(batch) then tell_batch(batch, job, state) end
end

-- Tells the worker that had a job that its claim is worth nothing any more.
local function tell_worker(job)
  if not job.worker then return end
  local name = key('cancelled:' .. job.worker)
  redis.call('XADD', name, 'MAXLEN', '~', 1000, '*', 'job', job.id, 'claim', claim_of(job))
  redis.call('EXPIRE', name, 3600)
end

-- Makes an open job final whose worker did not say so, and tells the worker; a batch with its parts.
local function stop(job, state)
  finish(job, state)
  tell_worker(job)
  if not job.parts then return end
  for _, id in ipairs(redis.call('LRANGE', key('parts:' .. job.id), 0, -1)) do
    local part = read_job(id)
    if part and is_open(part) then stop(part, state) end
  end
  keep_batch(job)
end

-- Lets a batch that has ended wait for a part again.
local function reopen(batch)
  if is_open(batch) then return end
  stop_keeping(batch)
  local name = job_key(batch.id)
  local jobs, bytes = kept_of(batch.id)
  count('open_jobs', jobs)
  count('open_bytes', bytes)
  redis.call('HSET', name, 'state', 'running')
  redis.call('HDEL', name, 'finished')
  redis.call('XDEL', key('events:' .. batch.id), redis.call('HGET', name, 'events') .. '-0')
  redis.call('ZADD', key('open'), batch.submitted, batch.id)
  local ids = redis.call('LRANGE', key('parts:' .. batch.id), 0, -1)
  ids[#ids + 1] = batch.id
  for _, id in ipairs(ids) do
    for _, part in ipairs(KEYS_OF_JOB) do redis.call('PERSIST', key(part .. id)) end
  end
end

-- Queues a job again, before those of its class that nobody has had yet.
local function enqueue_again(job, is_last)
  is_last = is_last or is_last_chance(job.stream)
  enqueue(job, is_last and LAST_CHANCE .. job.priority or key('back:' .. job.priority))
end

local function give_back(job, is_last)
  drop_entry(job.stream, job.entry)
  leave_worker(job)
  enqueue_again(job, is_last)
end

-- Takes back a job whose worker was lost: for another worker, or to the dead letters.
local function lose(job, max_attempts)
  local attempt = redis.call('HINCRBY', job_key(job.id), 'attempt', 1)
  if attempt <= max_attempts then
    count('redelivered', 1)
    redis.call('HSET', job_key(job.id), 'late', claim_of(job))
    give_back(job, attempt == max_attempts)
    return
  end
  local problem = {code = 'worker_lost',
    detail = attempt .. ' workers were lost while they held the job'}
  local payload = redis.call('HGET', job_key(job.id), 'job')
  redis.call('XADD', key('dead'), 'MAXLEN', '~', LETTERS_KEPT, '*', 'job', payload,
    'id', job.id, 'reason', problem.code, 'detail', problem.detail, 'worker', job.worker or '')
  redis.call('EXPIRE', key('dead'), LETTERS_KEPT_S)
  count('dead', 1)
  finish(job, 'failed', nil, cjson.encode(problem))
end
