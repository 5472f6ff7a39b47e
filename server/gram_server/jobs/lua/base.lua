-- Shared by all functions: names of keys, the time, and jobs as their hashes hold them.

local GROUP = 'workers'
-- Highest first. Numbers for Redis are texts where they can be: it prints a number with 17 digits, which takes
-- longer than a small command.
local CLASSES = {'0', '1', '2'}
local NOTES_KEPT = '2000'
local NOTES_KEPT_S = '60'
local NOTICE_BYTES = 4096
local NOTICE_EVENTS = 16
local LETTERS_KEPT = 10000
local LETTERS_KEPT_S = 30 * 86400
local WITHDRAWN_KEPT_S = 600
-- Longer than an ended job is kept: a job may wait for long before it runs.
local LIST_KEPT_S = 30 * 86400
local RATE_WINDOW_S = 30
local GRACE_S = 1
-- The same as in queued_job.py.
local MIN_BACKLOG_JOBS = 8
local NUM_RECENT = 64
-- Approximate memory of a job and an event besides their texts (MEMORY USAGE of a small job).
local JOB_BYTES = 6000
local EVENT_BYTES = 64

-- The library stays loaded between calls: `begin` sets these for each call.
local prefix, now
-- The time as the text that is stored.
local now_text
-- Running jobs, scored by the end of their claim's lease.
local LEASES
-- Prefix of the streams, one per class, of jobs on their last attempt. A worker holds at most one such job,
-- so that a job that kills its workers does not end another one that was lost with it before.
local LAST_CHANCE
-- Streams, by class and model, of jobs set aside by workers that had not loaded the model.
local ASIDE, ASIDES
-- See backlog.lua.
local BACKLOG
-- See finished.lua.
local KEPT

local function key(name) return prefix .. name end
local function job_key(id) return prefix .. 'job:' .. id end
local function seconds(value) return string.format('%.6f', value) end
local function whole(value) return string.format('%d', value) end
local function count(name, by) redis.call('HINCRBY', key('totals'), name, by) end

-- Takes the prefix of every key, which holds the hash tag that keeps them in one slot, and the time in
-- seconds; 0 takes the server's time, the one clock that all hosts share.
local function begin(new_prefix, time)
  if new_prefix ~= prefix then
    prefix = new_prefix
    LEASES, LAST_CHANCE, ASIDE, ASIDES = key('leases'), key('last:'), key('aside'), key('asides')
    BACKLOG, KEPT = key('backlog'), key('kept')
  end
  now = tonumber(time)
  if now == 0 then
    local parts = redis.call('TIME')
    now, now_text = parts[1] + parts[2] / 1e6, parts[1] .. string.format('.%06d', parts[2])
  else
    now_text = seconds(now)
  end
end

-- The functions that Python may call. A full Redis refuses those without the flag allow-oom: they take more
-- memory than they free. Functions that only read have the flag no-writes, which implies it.
local functions, names = {}, {}
local function register(name, flag, run)
  names[#names + 1] = name
  functions[name] = {flag = flag, run = run}
end

-- Arguments are the time, then those of the function.
local function call(name, keys, arguments)
  begin(keys[1], table.remove(arguments, 1))
  return functions[name].run(arguments)
end

-- Returns the state of an idempotency key: 'new', or 'accepted', 'gone' or 'conflict' and a job.
local function read_idempotency_key(name, fingerprint)
  local known = redis.call('HMGET', key('ticket:' .. name), 'fingerprint', 'job')
  if not known[1] then return 'new', '' end
  if known[1] ~= fingerprint then return 'conflict', known[2] end
  return redis.call('EXISTS', job_key(known[2])) == 1 and 'accepted' or 'gone', known[2]
end

-- Counts a job as accepted, or by its outcome; never reset.
local function count_job(job, what)
  redis.call('HINCRBY', key('counts'), what .. ':' .. job.priority .. ':' .. (job.model or ''), '1')
end

local FIELDS = {'state', 'priority', 'width', 'worker', 'entry', 'stream', 'attempt', 'deadline',
  'submitted', 'keep', 'batch', 'owner', 'parts', 'model', 'weight', 'route', 'events', 'bytes'}

-- Returns the fields of a job that decide its transitions, or nil; with `has_payload` also the worker's
-- payload.
local function read_job(id, has_payload)
  local values = redis.call('HMGET', job_key(id), has_payload and 'job' or 'state', unpack(FIELDS))
  local job = {id = id, payload = values[1]}
  for index, name in ipairs(FIELDS) do job[name] = values[index + 1] or nil end
  if not job.state then return nil end
  if job.worker == '' then job.worker = nil end
  return job
end

local function is_open(job) return job.state == 'queued' or job.state == 'running' end

-- Identifies one claim of a job among all its claims, also by the same worker.
local function claim_of(job) return job.stream .. '/' .. job.entry end

local function is_held(job, claim)
  return job and job.state == 'running' and claim_of(job) == claim
end

local function is_last_chance(stream) return string.sub(stream, 1, #LAST_CHANCE) == LAST_CHANCE end

-- Approximate bytes of a job: its record and its events.
local function bytes_of(job) return tonumber(job.bytes) end

local function add_bytes(job, number) job.bytes = bytes_of(job) + number end
