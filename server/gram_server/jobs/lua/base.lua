-- What every function begins with: the names of keys, the time, and jobs as their hashes have them.

local GROUP = 'workers'
local CLASSES = 3
local NOTES_KEPT = 2000
local NOTES_KEPT_S = 60
local NOTICE_BYTES = 4096
local NOTICE_EVENTS = 16
local LETTERS_KEPT = 10000
local LETTERS_KEPT_S = 30 * 86400
local WITHDRAWN_KEPT_S = 600
-- Beyond the time for which an ended job is kept: one may wait for long before it runs.
local LIST_KEPT_S = 30 * 86400
local RATE_WINDOW_S = 30
local GRACE_S = 1
-- Kept the same as in backlog.py.
local MIN_BACKLOG_JOBS = 8
local NUM_RECENT = 64
-- What a job and an event take beside their texts, about (MEMORY USAGE of a small job).
local JOB_BYTES = 6000
local EVENT_BYTES = 64

-- Redis keeps the library loaded: `begin` sets these for each call.
local prefix, now
-- Running jobs by when the lease of their claim ends.
local LEASES
-- Streams of the jobs whose next attempt is their last, one for each class: each is worked on beside
-- no other of them, so that one that kills its workers takes none with it that it was lost with before.
local LAST_CHANCE
-- The streams of jobs that were set aside, each of one class and model: who found them in the queue
-- has not loaded that model.
local ASIDE, ASIDES
-- The unfinished jobs of each model and their pace, see backlog.lua.
local BACKLOG
-- What is kept of ended jobs, see finished.lua.
local KEPT

local function key(name) return prefix .. name end
local function job_key(id) return prefix .. 'job:' .. id end
local function seconds(value) return string.format('%.6f', value) end
local function count(name, by) redis.call('HINCRBY', key('totals'), name, by) end

-- Takes the prefix of every key, which holds the hash tag that keeps them in one slot, and the time in
-- seconds; 0 takes the time of the server, the one clock that all hosts share.
local function begin(new_prefix, time)
  if new_prefix ~= prefix then
    prefix = new_prefix
    LEASES, LAST_CHANCE, ASIDE, ASIDES = key('leases'), key('last:'), key('aside'), key('asides')
    BACKLOG, KEPT = key('backlog'), key('kept')
  end
  now = tonumber(time)
  if now == 0 then
    local parts = redis.call('TIME')
    now = tonumber(parts[1]) + tonumber(parts[2]) / 1e6
  end
end

-- What Python may call, by name. Redis refuses those without the flag allow-oom when its memory is full:
-- they take more than they free. Those that only read have the flag no-writes, which allows as much.
local functions, names = {}, {}
local function register(name, flag, run)
  names[#names + 1] = name
  functions[name] = {flag = flag, run = run}
end

-- Arguments are the time, and those of the function.
local function call(name, keys, arguments)
  begin(keys[1], table.remove(arguments, 1))
  return functions[name].run(arguments)
end

-- Returns what an idempotency key stands for: 'new', or 'accepted', 'gone' or 'conflict' and a job.
local function read_idempotency_key(name, fingerprint)
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
  'submitted', 'keep', 'batch', 'owner', 'parts', 'model', 'weight', 'route', 'events', 'bytes'}

-- Returns the fields of a job that decide what may happen to it, or nil; with what its worker needs
-- where that is wanted.
local function read_job(id, has_payload)
  local values = redis.call('HMGET', job_key(id), has_payload and 'job' or 'state', unpack(FIELDS))
  local job = {id = id, payload = values[1]}
  for index, name in ipairs(FIELDS) do job[name] = values[index + 1] or nil end
  if not job.state then return nil end
  if job.worker == '' then job.worker = nil end
  return job
end

local function is_open(job) return job.state == 'queued' or job.state == 'running' end

-- What tells one claim of a job from every other one, also of the same worker.
local function claim_of(job) return job.stream .. '/' .. job.entry end

-- Whether a job is running under a claim.
local function is_held(job, claim)
  return job and job.state == 'running' and claim_of(job) == claim
end

local function is_last_chance(stream) return string.sub(stream, 1, #LAST_CHANCE) == LAST_CHANCE end

-- What a job takes, about: its record and its events. A job of an older version has not added it up.
local function bytes_of(job) return tonumber(job.bytes or JOB_BYTES) end

local function add_bytes(job, number) job.bytes = bytes_of(job) + number end
