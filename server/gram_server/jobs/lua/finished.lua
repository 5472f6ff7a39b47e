-- How many ended jobs are kept, and for how long.
--
-- The hash `kept` holds the number and bytes of each owner's jobs; a sorted set of each owner holds
-- 'jobs:bytes:id' by expiry, where a batch and its parts are one member. Ended parts of open batches are
-- counted in the totals, and in the batch. Jobs without an owner have the owner ''.

local KEYS_OF_JOB = {'job:', 'events:', 'answers:', 'parts:'}

local function forget_later(job, id)
  local keep_ms = whole(math.max(1, job.keep * 1000))
  for index = 1, job.parts and 4 or 3 do
    redis.call('PEXPIRE', key(KEYS_OF_JOB[index] .. id), keep_ms)
  end
end

local function drop_keys(id)
  for _, name in ipairs(KEYS_OF_JOB) do redis.call('DEL', key(name .. id)) end
end

local function ended_key(owner) return key('ended:' .. owner) end

-- Adds to an owner's sums; returns whether that is all that is kept of the owner.
local function add_to_kept(owner, jobs, bytes)
  redis.call('HINCRBY', KEPT, 'bytes:' .. owner, bytes)
  local sum = redis.call('HINCRBY', KEPT, 'jobs:' .. owner, jobs)
  if sum <= 0 then redis.call('HDEL', KEPT, 'jobs:' .. owner, 'bytes:' .. owner) end
  return sum == tonumber(jobs)
end

-- Keeps an ended job, or a batch with its parts, until it expires.
local function keep(job, jobs, bytes)
  local owner = job.owner or ''
  bytes = whole(bytes)
  forget_later(job, job.id)
  redis.call('ZADD', ended_key(owner), seconds(now + job.keep), jobs .. ':' .. bytes .. ':' .. job.id)
  if add_to_kept(owner, jobs, bytes) then
    -- The sums expire after the jobs they count, in case no process is left to update them.
    redis.call('EXPIRE', KEPT, LIST_KEPT_S + math.ceil(job.keep))
    redis.call('EXPIRE', ended_key(owner), LIST_KEPT_S + math.ceil(job.keep))
  end
end

-- Removes an ended job from those that will expire.
local function stop_keeping(job)
  local owner = job.owner or ''
  local ended, finished = ended_key(owner), redis.call('HGET', job_key(job.id), 'finished')
  local until_s = finished + job.keep
  for _, entry in ipairs(redis.call('ZRANGEBYSCORE', ended, until_s - 0.001, until_s + 0.001)) do
    local jobs, bytes, id = string.match(entry, '^(%d+):(%d+):(.*)$')
    if id == job.id then
      redis.call('ZREM', ended, entry)
      add_to_kept(owner, -jobs, -bytes)
    end
  end
end

-- Counts the ended parts that an open batch keeps.
local function count_kept(batch_id, jobs, bytes)
  count('open_jobs', jobs)
  count('open_bytes', bytes)
  redis.call('HINCRBY', job_key(batch_id), 'kept_jobs', jobs)
  redis.call('HINCRBY', job_key(batch_id), 'kept_bytes', bytes)
end

-- Returns number and bytes of the ended parts of a batch.
local function kept_of(batch_id)
  local sums = redis.call('HMGET', job_key(batch_id), 'kept_jobs', 'kept_bytes')
  return tonumber(sums[1] or 0), tonumber(sums[2] or 0)
end

local function keep_batch(batch)
  local jobs, bytes = kept_of(batch.id)
  count('open_jobs', -jobs)
  count('open_bytes', -bytes)
  for _, id in ipairs(redis.call('LRANGE', key('parts:' .. batch.id), 0, -1)) do
    forget_later(batch, id)
  end
  keep(batch, jobs + 1, bytes + bytes_of(batch))
end

-- Subtracts expired jobs from the sums.
local function sweep()
  for _, field in ipairs(redis.call('HKEYS', KEPT)) do
    local owner = string.match(field, '^jobs:(.*)$')
    if owner then
      local jobs, bytes = 0, 0
      for _, entry in ipairs(redis.call('ZRANGEBYSCORE', ended_key(owner), '-inf', now_text,
          'LIMIT', 0, 1000)) do
        local of_jobs, of_bytes = string.match(entry, '^(%d+):(%d+):')
        jobs, bytes = jobs + of_jobs, bytes + of_bytes
        redis.call('ZREM', ended_key(owner), entry)
      end
      if jobs > 0 then add_to_kept(owner, -jobs, -bytes) end
    end
  end
end

-- Returns number and bytes of the ended jobs, and the owners with most of each.
local function read_kept(open_jobs, open_bytes)
  local sums = {jobs = tonumber(open_jobs or 0), bytes = tonumber(open_bytes or 0)}
  local most, owners = {jobs = 0, bytes = 0}, {}
  local fields = redis.call('HGETALL', KEPT)
  for index = 1, #fields, 2 do
    local what, owner = string.match(fields[index], '^(%a+):(.*)$')
    local value = tonumber(fields[index + 1])
    sums[what] = sums[what] + value
    if value > most[what] then most[what], owners[what] = value, owner end
  end
  return sums, owners
end

-- Deletes an owner's job or batch that expires first. Returns the number of jobs.
local function forget_next(owner)
  local entry = redis.call('ZPOPMIN', ended_key(owner))[1]
  if not entry then return 0 end
  local jobs, bytes, id = string.match(entry, '^(%d+):(%d+):(.*)$')
  add_to_kept(owner, -jobs, -bytes)
  for _, part in ipairs(redis.call('LRANGE', key('parts:' .. id), 0, -1)) do drop_keys(part) end
  drop_keys(id)
  return tonumber(jobs)
end

-- Deletes ended jobs early until they are within bounds. Returns nothing, or number and bytes left
-- where the ended parts of open batches fill the bounds.
local function make_room(limits, open_jobs, open_bytes)
  while true do
    local sums, owners = read_kept(open_jobs, open_bytes)
    local what = sums.jobs > limits.max_finished_jobs and 'jobs'
      or sums.bytes > limits.max_finished_bytes and 'bytes'
    if not what then return nil end
    local dropped = owners[what] and forget_next(owners[what]) or 0
    if dropped == 0 then return sums.jobs, sums.bytes end
    count('forgotten', dropped)
  end
end
