-- Gives a worker the jobs that are next: ARGV worker, how many it has room for, and for how many
-- trajectories ('inf' for any): no job more once their widths fill that.
-- Returns {time, last ids of the streams where there is no job, jobs}, each job as {payload, attempt, submitted, deadline}.

local worker, room = ARGV[2], tonumber(ARGV[3])
local width = ARGV[4] == 'inf' and math.huge or tonumber(ARGV[4])
local lone = key('lone:' .. worker)
local taken = {}

local function take(stream, entry, id)
  local job = read_job(id)
  if not job or job.entry ~= entry or not is_open(job) then
    drop_entry(stream, entry)
  elseif job.state == 'running' then
    -- The group was lost and made anew: the entry still belongs to who works on it.
    redis.call('XCLAIM', stream, GROUP, job.worker, 0, entry, 'JUSTID')
  elseif job.deadline and tonumber(job.deadline) <= now then
    stop(job, 'expired')
  else
    leave_queue(job)
    count('running', 1)
    redis.call('HSET', job_key(id), 'state', 'running', 'worker', worker, 'started', seconds(now))
    if job.batch then
      local name = job_key(job.batch)
      if redis.call('HGET', name, 'state') == 'queued' then
        redis.call('HSET', name, 'state', 'running', 'started', seconds(now))
      end
    end
    local payload = redis.call('HGET', job_key(id), 'job')
    taken[#taken + 1] = {payload, job.attempt, job.submitted, job.deadline or ''}
    room, width = room - 1, width - job.width
  end
end

local function take_from(stream)
  while room > 0 and width > 0 do
    -- What was read would have to be given back: where the width is bounded, one after the other.
    local reply = on_group(stream, 'XREADGROUP', 'GROUP', GROUP, worker, 'COUNT',
      width == math.huge and room or 1, 'STREAMS', stream, '>')
    if not reply then return end
    for _, entry in ipairs(reply[1][2]) do take(stream, entry[1], entry[2][2]) end
  end
end

-- Whether the worker is busy with somebody's last attempt.
local function holds_last_chance()
  local id = redis.call('GET', lone)
  local job = id and read_job(id)
  return job and job.state == 'running' and job.worker == worker and job.stream == LAST_CHANCE
end

local function take_last_chance()
  local reply = on_group(LAST_CHANCE, 'XREADGROUP', 'GROUP', GROUP, worker, 'COUNT', 1,
    'STREAMS', LAST_CHANCE, '>')
  if not reply then return false end
  local entry = reply[1][2][1]
  take(LAST_CHANCE, entry[1], entry[2][2])
  redis.call('SET', lone, entry[2][2], 'EX', 86400)
  return true
end

if redis.call('EXISTS', LAST_CHANCE) == 1 then
  while room > 0 and width > 0 and not holds_last_chance() and take_last_chance() do end
end
local last = {}
for _, stream in ipairs(streams()) do
  if stream ~= LAST_CHANCE then take_from(stream) end
end
-- Only who got nothing waits for what comes after.
if #taken > 0 then return {seconds(now), last, taken} end
for index, stream in ipairs(streams()) do
  local facts = redis.pcall('XINFO', 'STREAM', stream)
  last[index] = '0-0'
  if not facts.err then
    for place = 1, #facts, 2 do
      if facts[place] == 'last-generated-id' then last[index] = facts[place + 1] end
    end
  end
end
return {seconds(now), last, taken}
