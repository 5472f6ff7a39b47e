-- Gives a worker the jobs that are next: ARGV[2] the worker, ARGV[3] how many it has room for.
-- Returns {time, last ids of the streams, jobs}, each job as {payload, attempt, submitted, deadline}.

local worker, room = ARGV[2], tonumber(ARGV[3])
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
    room = room - 1
  end
end

local function take_from(stream)
  while room > 0 do
    local reply = on_group(stream, 'XREADGROUP', 'GROUP', GROUP, worker, 'COUNT', room,
      'STREAMS', stream, '>')
    if not reply then return end
    for _, entry in ipairs(reply[1][2]) do take(stream, entry[1], entry[2][2]) end
  end
end

local last = {}
for index, stream in ipairs(streams()) do
  take_from(stream)
  local facts = redis.pcall('XINFO', 'STREAM', stream)
  last[index] = '0-0'
  if not facts.err then
    for place = 1, #facts, 2 do
      if facts[place] == 'last-generated-id' then last[index] = facts[place + 1] end
    end
  end
end
return {seconds(now), last, taken}
