-- Gives a worker the jobs that are next: ARGV worker, how many it has room for, for how many
-- trajectories ('inf' for any): no job more once their widths fill that, seconds of the lease,
-- the lowest class to take from, and the models that it has, by name and by name@fingerprint; none for any.
-- Returns {time, last ids of the streams where there is no job, jobs}, each job as {id, claim, payload,
-- attempt, submitted, deadline}. Without jobs and last ids there is more to look at.

local MAX_ASIDE = 200
-- As turns.py has them.
local LENT_PART, AGEING_S = 8, 10
local worker, room, lease, lowest = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[5]), tonumber(ARGV[6])
local width = ARGV[4] == 'inf' and math.huge or tonumber(ARGV[4])
local lone = key('lone:' .. worker)
local taken, num_aside = {}, 0
local has_any, has = #ARGV < 7, {}
for index = 7, #ARGV do has[ARGV[index]] = true end

local function route_of(job) return job.route or job.model end

-- Moves a job to where those look who have its model. They need not be waked: what it came with did.
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
  count('running', 1)
  redis.call('HSET', job_key(job.id), 'state', 'running', 'worker', worker, 'started', seconds(now),
    'lease', lease)
  redis.call('ZADD', LEASES, now + lease, job.id)
  if job.batch then
    local name = job_key(job.batch)
    if redis.call('HGET', name, 'state') == 'queued' then
      redis.call('HSET', name, 'state', 'running', 'started', seconds(now))
    end
  end
  local payload = redis.call('HGET', job_key(job.id), 'job')
  taken[#taken + 1] = {job.id, claim_of(job), payload, job.attempt, job.submitted,
    job.deadline or ''}
  room, width = room - 1, width - job.width
end

local function take(stream, entry, id)
  local job = read_job(id)
  if not job or job.stream ~= stream or job.entry ~= entry or not is_open(job) then
    drop_entry(stream, entry)
  elseif job.state == 'running' then
    -- The group was lost and made anew: the entry still belongs to who works on it.
    redis.call('XCLAIM', stream, GROUP, job.worker, 0, entry, 'JUSTID')
  elseif job.deadline and tonumber(job.deadline) <= now then
    stop(job, 'expired')
  elseif not has_any and not has[route_of(job)] then
    set_aside(job)
  else
    hold(job)
  end
end

-- Takes the next entries of a stream; returns the id of the last one, nil where there is none.
local function read(stream, num)
  local reply = on_group(stream, 'XREADGROUP', 'GROUP', GROUP, worker, 'COUNT', num,
    'STREAMS', stream, '>')
  if not reply then return nil end
  local last
  for _, entry in ipairs(reply[1][2]) do
    last = entry[2][2]
    take(stream, entry[1], last)
  end
  return last
end

local function has_room() return room > 0 and width > 0 and num_aside < MAX_ASIDE end

local function take_from(stream)
  -- What was read would have to be given back: where the width is bounded, one after the other.
  while has_room() and read(stream, width == math.huge and room or 1) do end
end

-- Takes one job of each stream after the other; whose turn is first changes with the time.
local function take_in_turn(names)
  local first, found = math.floor(now * 1000) % math.max(#names, 1), #names > 0
  while found do
    found = false
    for place = 1, #names do
      local stream = names[(first + place) % #names + 1]
      if has_room() and read(stream, 1) then found = true end
    end
  end
end

-- Whether the worker is busy with somebody's last attempt.
local function holds_last_chance()
  local id = redis.call('GET', lone)
  local job = id and read_job(id)
  return job and job.state == 'running' and job.worker == worker and is_last_chance(job.stream)
end

local function take_last_chance(stream)
  while has_room() and not holds_last_chance() do
    local id = read(stream, 1)
    if not id then return end
    redis.call('SET', lone, id, 'EX', 86400)
  end
end

-- Where somebody waits, which is mostly nowhere.
local waits, is_idle = {}, true
for class = 0, CLASSES - 1 do
  waits[class] = redis.call('ZCARD', key('waiting:' .. class)) > 0
  is_idle = is_idle and not waits[class]
end

-- The streams of what was set aside for such a worker, by class.
local asides, last_chances = {}, {}
for class = 0, CLASSES - 1 do
  asides[ASIDE .. ':' .. class], asides[LAST_CHANCE .. class] = {}, {}
  last_chances[class + 1] = LAST_CHANCE .. class
end
for _, stream in ipairs(is_idle and {} or redis.call('SMEMBERS', ASIDES)) do
  for class, names in pairs(asides) do
    local route = string.sub(stream, #class + 2)
    local is_of = string.sub(stream, 1, #class + 1) == class .. ':'
    if is_of and (has_any or has[route]) then names[#names + 1] = stream end
  end
end

local has_last_chances = not is_idle and redis.call('EXISTS', unpack(last_chances)) > 0

-- Takes what is next of a class: first those whose attempt is the last, then what came back.
local function serve(class)
  if not waits[class] then return end
  if has_last_chances then take_last_chance(LAST_CHANCE .. class) end
  for _, stream in ipairs(asides[LAST_CHANCE .. class]) do take_last_chance(stream) end
  take_from(key('back:' .. class))
  take_in_turn(asides[ASIDE .. ':' .. class])
  take_from(key('queue:' .. class))
end

-- Returns the classes in which somebody has waited for long, those who wait for longest first.
local function aged_classes()
  local aged, since = {}, {}
  for class = 0, lowest do
    local oldest = redis.call('ZRANGE', key('waiting:' .. class), 0, 0, 'WITHSCORES')
    if oldest[2] and tonumber(oldest[2]) <= now - AGEING_S then
      aged[#aged + 1], since[class] = class, tonumber(oldest[2])
    end
  end
  table.sort(aged, function(one, other) return since[one] < since[other] end)
  return aged
end

-- One job in so many is of a class that higher ones shut out, if it has waited long.
local function lend()
  local turns = redis.call('HINCRBY', key('totals'), 'turns', room)
  for _ = 1, math.floor(turns / LENT_PART) - math.floor((turns - room) / LENT_PART) do
    local num_taken, rest = #taken, room - 1
    room = 1
    for _, class in ipairs(aged_classes()) do
      -- Who waits there may want a model that this worker lacks: then the next class has the turn.
      if #taken == num_taken then serve(class) end
    end
    room = room + rest
    if #taken == num_taken then return end
  end
end

if room > 0 and not is_idle then lend() end
for class = 0, lowest do serve(class) end
-- Only who got nothing waits for what comes after.
if #taken > 0 or num_aside >= MAX_ASIDE then return {seconds(now), {}, taken} end
local last = {}
for index, stream in ipairs(streams()) do
  -- Of what is left in a stream: an entry that comes later has a greater id in any case.
  local newest = redis.call('XREVRANGE', stream, '+', '-', 'COUNT', 1)
  last[index] = newest[1] and newest[1][1] or '0-0'
end
return {seconds(now), last, taken}
