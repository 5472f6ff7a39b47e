-- What the scripts share. KEYS[1] is the prefix of every key, and holds the hash tag that keeps
-- them in one slot. ARGV[1] is the time in seconds; 0 takes the time of the server, the one clock
-- that all hosts share.

local prefix = KEYS[1]
local now = tonumber(ARGV[1])
if now == 0 then
  local time = redis.call('TIME')
  now = tonumber(time[1]) + tonumber(time[2]) / 1e6
end

local GROUP = 'workers'
local CLASSES = 3
local NOTES_KEPT = 2000
local NOTES_KEPT_S = 60
local TOLD_BYTES = 4096
local TOLD_EVENTS = 16
local LETTERS_KEPT = 10000
local WITHDRAWN_KEPT_S = 600
local LETTERS_KEPT_S = 30 * 86400
local RATE_WINDOW_S = 30
local GRACE_S = 1
local CROWD = 8
local NUM_RECENT = 64

local function key(name) return prefix .. name end
local function job_key(id) return prefix .. 'job:' .. id end
local function seconds(value) return string.format('%.6f', value) end
local function count(name, by) redis.call('HINCRBY', key('totals'), name, by) end

-- Returns what an idempotency key stands for: 'new', or 'accepted', 'gone' or 'conflict' and a job.
local function read_ticket(name, fingerprint)
  local known = redis.call('HMGET', key('ticket:' .. name), 'fingerprint', 'job')
  if not known[1] then return 'new', '' end
  if known[1] ~= fingerprint then return 'conflict', known[2] end
  return redis.call('EXISTS', job_key(known[2])) == 1 and 'accepted' or 'gone', known[2]
end

-- Counts a job that was accepted, or how it ended, for ever.
local function count_job(job, what)
  redis.call('HINCRBY', key('counts'), what .. ':' .. job.priority .. ':' .. (job.model or ''), 1)
end

local FIELDS = {'state', 'priority', 'width', 'worker', 'entry', 'stream', 'attempt', 'deadline',
  'submitted', 'keep', 'batch', 'owner', 'parts', 'model', 'weight', 'route'}

-- Returns the fields of a job that decide what may happen to it, or nil.
local function read_job(id)
  local values = redis.call('HMGET', job_key(id), unpack(FIELDS))
  if not values[1] then return nil end
  local job = {id = id}
  for index, name in ipairs(FIELDS) do job[name] = values[index] or nil end
  return job
end

local function is_open(job) return job.state == 'queued' or job.state == 'running' end

-- What tells one claim of a job from every other one, also of the same worker.
local function claim_of(job) return job.stream .. '/' .. job.entry end

-- Whether a job is running under a claim.
local function is_held(job, claim)
  return job and job.state == 'running' and claim_of(job) == claim
end

-- Running jobs by when the lease of their claim ends.
local LEASES = key('leases')

-- Stream of the jobs whose next attempt is their last: each is worked on beside no other of them,
-- so that one that kills its workers takes none with it that it was lost with before.
local LAST_CHANCE = key('last')

local function is_last_chance(stream) return string.sub(stream, 1, #LAST_CHANCE) == LAST_CHANCE end

-- The streams of jobs that were set aside, each of one class and model: who found them in the queue
-- has not loaded that model. The stream of this name wakes who has.
local ASIDE = key('aside')
local ASIDES = key('asides')

-- The streams in which every worker looks for jobs, and those to be waked by.
local function streams()
  local names = {LAST_CHANCE}
  for class = 0, CLASSES - 1 do
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

local function forget_later(id, keep_s)
  for _, name in ipairs({'job:', 'events:', 'answers:', 'parts:'}) do
    redis.call('PEXPIRE', key(name .. id), math.max(1, math.floor(keep_s * 1000)))
  end
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
  redis.call('HINCRBY', BACKLOG, 'jobs:' .. model, jobs)
  redis.call('HINCRBY', BACKLOG, 'weight' .. priority .. ':' .. model, weight)
end

local function end_in_backlog(job, is_served)
  local model, weight = job.model, tonumber(job.weight or 0)
  -- One that came before there was a backlog is not in it.
  if weight == 0 then return end
  add_to_backlog(model, job.priority, -weight, -1)
  local since = backlog_of(model, 'since')
  if is_served and since > 0 then
    local kept = 1 - 1 / NUM_RECENT
    local busy = backlog_of(model, 'busy') * kept + now - since
    local done = backlog_of(model, 'done') * kept + weight
    redis.call('HSET', BACKLOG, 'busy:' .. model, seconds(busy), 'done:' .. model, seconds(done))
  end
  if is_served then redis.call('HSET', BACKLOG, 'since:' .. model, seconds(now)) end
  if backlog_of(model, 'jobs') < CROWD then redis.call('HDEL', BACKLOG, 'since:' .. model) end
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

local function tell_batch(part, state)
  local batch = read_job(part.batch)
  if not batch or not is_open(batch) then
    forget_later(part.id, part.keep)
    return
  end
  add_event(batch.id, 'progress', cjson.encode({id = part.id, state = state}))
  if redis.call('HINCRBY', job_key(batch.id), 'open', -1) > 0 then return end
  write_end(batch, 'done')
  forget_later(batch.id, batch.keep)
  for _, id in ipairs(redis.call('LRANGE', key('parts:' .. batch.id), 0, -1)) do
    forget_later(id, batch.keep)
  end
end

-- What a job counts as that nobody gave a result to.
local function outcome_without(job, state)
  if state ~= 'expired' then return state end
  return redis.call('EXISTS', key('answers:' .. job.id)) == 1 and 'partial' or 'deadline'
end

-- Makes an open job final: the one place where that happens.
local function finish(job, state, result, problem, outcome)
  if job.parts then
    write_end(job, state, result, problem)
    forget_later(job.id, job.keep)
    return
  end
  if job.state == 'queued' then leave_queue(job) else leave_worker(job) end
  end_in_backlog(job, job.state == 'running' and state ~= 'cancelled')
  drop_entry(job.stream, job.entry)
  write_end(job, state, result, problem)
  redis.call('ZREM', key('deadlines'), job.id)
  count_job(job, outcome or outcome_without(job, state))
  count('reserved', -job.width)
  add_rate(job.width)
  if job.batch then tell_batch(job, state) else forget_later(job.id, job.keep) end
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
end

-- Queues a job again, before those of its class that nobody has had yet.
local function enqueue_again(job, is_last)
  is_last = is_last or is_last_chance(job.stream)
  enqueue(job, is_last and LAST_CHANCE or key('back:' .. job.priority))
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
