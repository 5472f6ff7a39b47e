-- The life of a job: how it is queued, changes, ends or comes back.

-- The streams that every worker reads.
local function streams()
  local names = {}
  for _, class in ipairs(CLASSES) do
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

-- Runs a command on a consumer group; creates the group where the stream was lost or is new.
local function on_group(stream, ...)
  local reply = redis.pcall(...)
  if type(reply) == 'table' and reply.err then
    if not string.find(reply.err, 'NOGROUP') then error(reply) end
    redis.call('XGROUP', 'CREATE', stream, GROUP, '0', 'MKSTREAM')
    reply = redis.call(...)
  end
  return reply
end

-- Returns the record of a job that just ended, if small: its waiters then need not ask for it.
local function record_for_notice(job)
  if job.parts or bytes_of(job) > JOB_BYTES + NOTICE_BYTES or tonumber(job.events) > NOTICE_EVENTS then
    return ''
  end
  local text = cjson.encode({now_text, redis.call('HGETALL', job_key(job.id)),
    redis.call('XRANGE', key('events:' .. job.id), '-', '+')})
  return #text <= NOTICE_BYTES and text or ''
end

-- Notifies the waiters of a job.
local function notify(job, is_end)
  redis.call('XADD', key('notes'), 'MAXLEN', '~', NOTES_KEPT, '*', 'job', job.id,
    'end', is_end and '1' or '0', 'record', is_end and record_for_notice(job) or '')
  redis.call('EXPIRE', key('notes'), NOTES_KEPT_S)
end

-- Adds an event to a job, and writes the fields in `...` with it.
local function add_event(job, kind, data, ...)
  job.events = whole((job.events or 0) + 1)
  add_bytes(job, EVENT_BYTES + #data)
  redis.call('HSET', job_key(job.id), 'events', job.events, 'bytes', whole(job.bytes), ...)
  redis.call('XADD', key('events:' .. job.id), job.events .. '-0', 'kind', kind, 'data', data)
  -- A job that is only now accepted has no waiters.
  if kind ~= 'accepted' then notify(job, kind == 'done' or kind == 'error') end
end

-- Adds a job to a stream and to the waiting jobs; returns its entry.
local function enqueue(job, stream)
  redis.call('ZADD', key('waiting:' .. job.priority), job.submitted, job.id)
  count('trajectories:' .. job.priority, job.width)
  return redis.call('XADD', stream, '*', 'job', job.id)
end

-- Takes now for the arrival, and moves the deadline with it, where the caller's clock may be wrong.
local function correct_times(job, is_skewed)
  if job.deadline then
    job.deadline = seconds(job.deadline + (is_skewed and now - job.submitted or 0))
  end
  job.submitted = is_skewed and now_text or seconds(job.submitted)
end

local function add_to_list(job)
  local list = key('list:' .. job.owner)
  redis.call('ZADD', list, '0', job.place)
  redis.call('EXPIRE', list, whole(LIST_KEPT_S + math.ceil(job.keep)))
  -- Checking the two oldest each time bounds the list without a scan.
  local oldest, names = redis.call('ZRANGE', list, '0', '1'), {}
  for index, place in ipairs(oldest) do names[index] = job_key(string.match(place, '-(.*)$')) end
  if redis.call('EXISTS', unpack(names)) == #names then return end
  for index, place in ipairs(oldest) do
    if place ~= job.place and redis.call('EXISTS', names[index]) == 0 then
      redis.call('ZREM', list, place)
    end
  end
end

local WRITTEN = {'priority', 'model', 'width', 'weight', 'submitted', 'attempt', 'keep', 'deadline', 'batch',
  'route'}

-- Writes a new job: `stream` and `entry` say where it is queued, if it is.
local function write_job(job, stream, entry)
  job.bytes = JOB_BYTES + #job.job
  local fields = {'job', job.job, 'state', 'queued'}
  local function add(name, value)
    if value then fields[#fields + 1], fields[#fields + 2] = name, value end
  end
  for _, name in ipairs(WRITTEN) do add(name, job[name]) end
  add('stream', stream)
  add('entry', entry)
  add('parts', job.size)
  add('open', job.size)
  local is_listed = job.place and not job.batch
  if is_listed then add('owner', job.owner) end
  -- Of a replayed part too: it is listed if it is replayed again without its batch.
  add('place', job.place)
  redis.call('ZADD', key('open'), job.submitted, job.id)
  if job.deadline and not job.size then redis.call('ZADD', key('deadlines'), job.deadline, job.id) end
  add_event(job, 'accepted', job.accepted, unpack(fields))
  if is_listed then add_to_list(job) end
end

-- Writes and queues a job that workers may claim.
local function accept(job)
  local stream = key('queue:' .. job.priority)
  write_job(job, stream, enqueue(job, stream))
  count_job(job, 'accepted')
  add_to_backlog(job.model, job.priority, job.weight, '1')
end

local function leave_queue(job)
  redis.call('ZREM', key('waiting:' .. job.priority), job.id)
  count('trajectories:' .. job.priority, '-' .. job.width)
end

local function leave_worker(job) redis.call('ZREM', LEASES, job.id) end

local function drop_entry(stream, entry)
  redis.pcall('XACK', stream, GROUP, entry)
  redis.call('XDEL', stream, entry)
end

-- Writes how a job ended, and adds its last event.
local function write_end(job, state, result, problem)
  local fields = {'state', state, 'finished', now_text, 'worker', ''}
  for name, text in pairs({result = result, error = problem}) do
    fields[#fields + 1], fields[#fields + 2] = name, text
    add_bytes(job, #text)
  end
  redis.call('ZREM', key('open'), job.id)
  local is_done = state == 'done' or state == 'expired'
  add_event(job, is_done and 'done' or 'error', is_done and '' or problem or '', unpack(fields))
end

-- Counts an ended part in its open batch, and ends the batch after the last one.
local function end_part(batch, part, state)
  add_event(batch, 'progress', cjson.encode({id = part.id, state = state}))
  if redis.call('HINCRBY', job_key(batch.id), 'open', -1) > 0 then return end
  write_end(batch, 'done')
  keep_batch(batch)
end

-- Outcome of a job that ended without a result.
local function outcome_without(job, state)
  if state ~= 'expired' then return state end
  return redis.call('EXISTS', key('answers:' .. job.id)) == 1 and 'partial' or 'deadline'
end

-- Makes an open job final; nothing else does.
local function finish(job, state, result, problem, outcome)
  if job.parts then return write_end(job, state, result, problem) end
  if job.state == 'queued' then leave_queue(job) else leave_worker(job) end
  end_in_backlog(job, job.state == 'running' and state ~= 'cancelled')
  drop_entry(job.stream, job.entry)
  write_end(job, state, result, problem)
  if job.deadline then redis.call('ZREM', key('deadlines'), job.id) end
  count_job(job, outcome or outcome_without(job, state))
  count('reserved', '-' .. job.width)
  add_rate(job.width)
  local batch = job.batch and read_job(job.batch)
  if not batch then return keep(job, '1', bytes_of(job)) end
  count_kept(job.batch, 1, bytes_of(job))
  if is_open(batch) then end_part(batch, job, state) end
end

-- Notifies the worker that held a job that its claim has ended.
local function notify_worker(job)
  if not job.worker then return end
  local name = key('cancelled:' .. job.worker)
  redis.call('XADD', name, 'MAXLEN', '~', 1000, '*', 'job', job.id, 'claim', claim_of(job))
  redis.call('EXPIRE', name, 3600)
end

-- Ends an open job without its worker, or a batch with its parts, and notifies the workers.
local function stop(job, state)
  finish(job, state)
  notify_worker(job)
  if not job.parts then return end
  for _, id in ipairs(redis.call('LRANGE', key('parts:' .. job.id), 0, -1)) do
    local part = read_job(id)
    if part and is_open(part) then stop(part, state) end
  end
  keep_batch(job)
end

-- Makes an ended batch wait for a part again.
local function reopen(batch)
  if is_open(batch) then return end
  stop_keeping(batch)
  local name = job_key(batch.id)
  local jobs, bytes = kept_of(batch.id)
  count('open_jobs', jobs)
  count('open_bytes', bytes)
  redis.call('HSET', name, 'state', 'running')
  redis.call('HDEL', name, 'finished')
  redis.call('XDEL', key('events:' .. batch.id), batch.events .. '-0')
  redis.call('ZADD', key('open'), batch.submitted, batch.id)
  local ids = redis.call('LRANGE', key('parts:' .. batch.id), 0, -1)
  ids[#ids + 1] = batch.id
  for _, id in ipairs(ids) do
    for _, part in ipairs(KEYS_OF_JOB) do redis.call('PERSIST', key(part .. id)) end
  end
end

-- Queues a job again, before those of its class that no worker has had.
local function enqueue_again(job, is_last)
  is_last = is_last or is_last_chance(job.stream)
  local stream = is_last and LAST_CHANCE .. job.priority or key('back:' .. job.priority)
  local entry = enqueue(job, stream)
  redis.call('HSET', job_key(job.id), 'state', 'queued', 'stream', stream, 'entry', entry)
  redis.call('HDEL', job_key(job.id), 'worker', 'started')
end

local function give_back(job, is_last)
  drop_entry(job.stream, job.entry)
  leave_worker(job)
  enqueue_again(job, is_last)
end

-- Returns a job of a lost worker to the queue, or moves it to the dead letters.
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
  local payload, place = unpack(redis.call('HMGET', job_key(job.id), 'job', 'place'))
  redis.call('XADD', key('dead'), 'MAXLEN', '~', LETTERS_KEPT, '*', 'job', payload,
    'id', job.id, 'reason', problem.code, 'detail', problem.detail, 'worker', job.worker or '',
    'place', place or '')
  redis.call('EXPIRE', key('dead'), LETTERS_KEPT_S)
  count('dead', 1)
  finish(job, 'failed', nil, cjson.encode(problem))
end
