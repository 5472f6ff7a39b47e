-- What every script begins with. KEYS[1] is the prefix of every key, and holds the hash tag that keeps
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
-- Beyond the time for which an ended job is kept: one may wait for long before it runs.
local LIST_KEPT_S = 30 * 86400
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
