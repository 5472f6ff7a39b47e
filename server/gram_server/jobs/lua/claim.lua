-- Gives a worker its next jobs.

local MAX_ASIDE = 200
-- The same as in queued_job.py.
local LENT_PART, AGEING_S = 8, 10

-- Request and result so far of one claim; set by `claim`.
local worker, lease, room, width, classes, has_any, has, taken, num_aside

local function route_of(job) return job.route or job.model end

local function has_room() return room > 0 and width > 0 and num_aside < MAX_ASIDE end

-- Moves a job to the stream of its model. Its workers need no wake-up: the job's arrival woke them.
local function set_aside(job)
  local class = (is_last_chance(job.stream) and LAST_CHANCE or ASIDE .. ':') .. job.priority
  local stream = class .. ':' .. route_of(job)
  drop_entry(job.stream, job.entry)
  local entry = redis.call('XADD', stream, '*', 'job', job.id)
  redis.call('HSET', job_key(job.id), 'stream', stream, 'entry', entry)
  redis.call('SADD', ASIDES, stream)
  num_aside = num_aside + 1
end

local function hold(job)
  leave_queue(job)
  redis.call('HSET', job_key(job.id), 'state', 'running', 'worker', worker, 'started', now_text,
    'lease', lease)
  redis.call('ZADD', LEASES, seconds(now + lease), job.id)
  if job.batch then
    local name = job_key(job.batch)
    if redis.call('HGET', name, 'state') == 'queued' then
      redis.call('HSET', name, 'state', 'running', 'started', now_text)
    end
  end
  taken[#taken + 1] = {job.id, claim_of(job), job.payload, job.attempt, job.submitted,
    job.deadline or ''}
  room, width = room - 1, width - job.width
end

local function take(stream, entry, id)
  local job = read_job(id, true)
  if not job or job.stream ~= stream or job.entry ~= entry or not is_open(job) then
    drop_entry(stream, entry)
  elseif job.state == 'running' then
    -- The group was lost and created again: the entry still belongs to the worker that holds it.
    redis.call('XCLAIM', stream, GROUP, job.worker, 0, entry, 'JUSTID')
  elseif job.deadline and tonumber(job.deadline) <= now then
    stop(job, 'expired')
  elseif not has_any and not has[route_of(job)] then
    set_aside(job)
  else
    hold(job)
  end
end

-- Takes the next entries of a stream; returns their number, and the id of the last one's job.
local function read(stream, num)
  local reply = on_group(stream, 'XREADGROUP', 'GROUP', GROUP, worker, 'COUNT', whole(num),
    'STREAMS', stream, '>')
  if not reply then return 0 end
  local entries = reply[1][2]
  for _, entry in ipairs(entries) do take(stream, entry[1], entry[2][2]) end
  return #entries, entries[#entries][2][2]
end

local function take_from(stream)
  while has_room() do
    -- Entries read in excess would have to go back: with a bounded width, read one at a time.
    local wanted = width == math.huge and room or 1
    if read(stream, wanted) < wanted then return end
  end
end

-- Takes one job of each stream in rotation; the first stream changes with the time.
local function take_in_turn(names)
  local first, found = math.floor(now * 1000) % math.max(#names, 1), #names > 0
  while found do
    found = false
    for place = 1, #names do
      local stream = names[(first + place) % #names + 1]
      if has_room() and read(stream, 1) > 0 then found = true end
    end
  end
end

-- Takes jobs on their last attempt, while the worker holds no other such job.
local function take_last_chances(stream)
  local lone = key('lone:' .. worker)
  while has_room() do
    local id = redis.call('GET', lone)
    local job = id and read_job(id)
    if job and job.state == 'running' and job.worker == worker and is_last_chance(job.stream) then
      return
    end
    local num, taken_id = read(stream, 1)
    if num == 0 then return end
    redis.call('SET', lone, taken_id, 'EX', 86400)
  end
end

-- The streams of jobs set aside that this worker can run, by prefix.
local function streams_aside(have_come_back)
  local found = {}
  for _, class in ipairs(CLASSES) do found[ASIDE .. ':' .. class], found[LAST_CHANCE .. class] = {}, {} end
  for _, stream in ipairs(have_come_back and redis.call('SMEMBERS', ASIDES) or {}) do
    for class, names in pairs(found) do
      local route = string.sub(stream, #class + 2)
      local is_of = string.sub(stream, 1, #class + 1) == class .. ':'
      if is_of and (has_any or has[route]) then names[#names + 1] = stream end
    end
  end
  return found
end

-- Whether there may be jobs that came back or were set aside; mostly there are none.
local function has_come_back()
  local names = {ASIDES}
  for _, class in ipairs(CLASSES) do
    names[#names + 1], names[#names + 2] = LAST_CHANCE .. class, key('back:' .. class)
  end
  return redis.call('EXISTS', unpack(names)) > 0
end

-- Takes the next jobs of a class: first those on their last attempt, then those that came back.
local function serve(class, asides, have_come_back)
  if have_come_back then take_last_chances(LAST_CHANCE .. class) end
  for _, stream in ipairs(asides[LAST_CHANCE .. class]) do take_last_chances(stream) end
  if have_come_back then take_from(key('back:' .. class)) end
  take_in_turn(asides[ASIDE .. ':' .. class])
  take_from(key('queue:' .. class))
end

-- Returns the start of the longest wait in a class, or nil.
local function waits_since(class)
  return tonumber(redis.call('ZRANGE', key('waiting:' .. class), '0', '0', 'WITHSCORES')[2])
end

-- Returns the classes with a long wait, longest first.
local function aged_classes(since)
  local aged = {}
  for _, class in ipairs(classes) do
    if since[class] and since[class] <= now - AGEING_S then aged[#aged + 1] = class end
  end
  table.sort(aged, function(one, other) return since[one] < since[other] end)
  return aged
end

-- One job in LENT_PART is of a class that higher ones shut out, if it has waited long.
local function lend(since, ...)
  local turns = redis.call('HINCRBY', key('totals'), 'turns', whole(room))
  for _ = 1, math.floor(turns / LENT_PART) - math.floor((turns - room) / LENT_PART) do
    local num_taken, rest = #taken, room - 1
    room = 1
    for _, class in ipairs(aged_classes(since)) do
      -- The waiting job may want a model that this worker lacks: then try the next class.
      if #taken == num_taken then
        serve(class, ...)
        since[class] = waits_since(class)
      end
    end
    room = room + rest
    if #taken == num_taken then return end
  end
end

local function is_queue(stream) return string.find(stream, 'queue:', #prefix, true) == #prefix + 1 end

-- Returns the last ids of all streams; entries after them are new.
local function last_ids(have_come_back)
  local last = {}
  for index, stream in ipairs(streams()) do
    local newest
    if have_come_back or is_queue(stream) then
      -- The last entry still there: a later one has a greater id in any case.
      newest = redis.call('XREVRANGE', stream, '+', '-', 'COUNT', '1')[1]
    end
    last[index] = newest and newest[1] or '0-0'
  end
  return last
end

-- Takes worker, most jobs, most trajectories ('inf' for any; no more jobs once their widths reach it),
-- seconds of the lease, the lowest class to take from, and the models that the worker has, by name and by
-- name@fingerprint; none for any.
-- Returns {time, last ids of the streams where there is no job, jobs}, each job as {id, claim, payload,
-- attempt, submitted, deadline}. Without jobs and last ids there is more to look at.
register('claim', 'allow-oom', function(arguments)
  worker, room, lease = arguments[1], tonumber(arguments[2]), arguments[4]
  classes = {unpack(CLASSES, 1, arguments[5] + 1)}
  width = arguments[3] == 'inf' and math.huge or tonumber(arguments[3])
  taken, num_aside, has_any, has = {}, 0, #arguments < 6, {}
  for index = 6, #arguments do has[arguments[index]] = true end
  local since, is_idle = {}, true
  for _, class in ipairs(CLASSES) do
    since[class] = waits_since(class)
    is_idle = is_idle and not since[class]
  end
  local have_come_back = has_come_back()
  if not is_idle then
    local asides = streams_aside(have_come_back)
    if room > 0 then lend(since, asides, have_come_back) end
    for _, class in ipairs(classes) do
      if since[class] then serve(class, asides, have_come_back) end
    end
  end
  -- Only a worker that got nothing waits for new entries.
  local has_more = #taken > 0 or num_aside >= MAX_ASIDE
  return {now_text, has_more and {} or last_ids(have_come_back), taken}
end)
