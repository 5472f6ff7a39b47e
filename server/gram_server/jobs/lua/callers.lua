-- Functions for the callers of jobs: status, record, cancellation, stats.

-- Returns a job's status for a waiter: takes id, number of the last event it knows.
-- {time, state, deadline, events}; an empty list when there is no such job.
register('status', 'no-writes', function(arguments)
  local state = redis.call('HMGET', job_key(arguments[1]), 'state', 'deadline')
  if not state[1] then return {} end
  local events = redis.call('XRANGE', key('events:' .. arguments[1]), '(' .. arguments[2] .. '-0', '+')
  return {now_text, state[1], state[2] or '', events}
end)

-- Returns {time, fields, events, {fields, events} of each part}: takes the id; empty when unknown.
-- Events of a part are included only where no result contains them.
-- For an unfinished job, where the second argument is 'end': {time, state, deadline}.
register('record', 'no-writes', function(arguments)
  local id = arguments[1]
  if arguments[2] == 'end' then
    local state = redis.call('HMGET', job_key(id), 'state', 'deadline')
    if is_open({state = state[1]}) then return {now_text, state[1], state[2] or ''} end
  end
  local fields = redis.call('HGETALL', job_key(id))
  if #fields == 0 then return {} end
  local parts = {}
  for index, part in ipairs(redis.call('LRANGE', key('parts:' .. id), 0, -1)) do
    local ended = redis.call('HMGET', job_key(part), 'state', 'result')
    local has_more = ended[1] == 'expired' and not ended[2]
    parts[index] = {redis.call('HGETALL', job_key(part)),
      has_more and redis.call('XRANGE', key('events:' .. part), '-', '+') or {}}
  end
  return {now_text, fields, redis.call('XRANGE', key('events:' .. id), '-', '+'), parts}
end)

-- Returns a page of an owner's jobs, newest first: takes owner, cursor ('' for the start), limit.
-- {time, cursor of the next page or '', fields of each job}.
register('page', 'allow-oom', function(arguments)
  local list, limit = key('list:' .. arguments[1]), tonumber(arguments[3])
  local from = arguments[2] == '' and '+' or '(' .. arguments[2]
  local found, last = {}, ''
  while #found < limit do
    local places = redis.call('ZREVRANGEBYLEX', list, from, '-', 'LIMIT', 0, limit - #found)
    if #places == 0 then return {now_text, '', found} end
    for _, place in ipairs(places) do
      local fields = redis.call('HGETALL', job_key(string.match(place, '-(.*)$')))
      if #fields > 0 then
        found[#found + 1], last = fields, place
      else
        redis.call('ZREM', list, place)
      end
    end
    from = '(' .. places[#places]
  end
  local more = redis.call('ZREVRANGEBYLEX', list, '(' .. last, '-', 'LIMIT', 0, 1)
  return {now_text, #more > 0 and last or '', found}
end)

-- Cancels an open job: takes its id. Returns 0 when there is no such job.
register('cancel', 'allow-oom', function(arguments)
  local job = read_job(arguments[1])
  if not job then return 0 end
  if is_open(job) then stop(job, 'cancelled') end
  return 1
end)

-- Cancels jobs that may not have arrived: takes their ids. One that arrives later is refused.
register('withdraw', 'allow-oom', function(arguments)
  for _, id in ipairs(arguments) do
    local job = read_job(id)
    if not job then
      redis.call('SET', key('withdrawn:' .. id), 1, 'EX', WITHDRAWN_KEPT_S)
    elseif is_open(job) then
      stop(job, 'cancelled')
    end
  end
  return 0
end)

-- Ends jobs whose deadline has passed: waiting ones at once, running ones after a grace in which
-- their worker may deliver what it found. Subtracts expired jobs from the sums, and drops old notices;
-- their ids are the time of Redis, whatever time the functions are given.
register('expire', 'allow-oom', function()
  local time = redis.call('TIME')
  redis.call('XTRIM', key('notes'), 'MINID', '=', string.format('%d', (time[1] - NOTES_KEPT_S) * 1000))
  sweep()
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', key('deadlines'), '-inf', now_text,
      'LIMIT', 0, 1000)) do
    local job = read_job(id)
    if not job or not is_open(job) then
      redis.call('ZREM', key('deadlines'), id)
    elseif job.state == 'queued' or tonumber(job.deadline) + GRACE_S <= now then
      stop(job, 'expired')
    end
  end
  return 0
end)

-- Returns {time, reserved, running, redelivered, dead, classes, reports, counts, backlog, finished}:
-- backlog as model, seconds, model, seconds ...; finished as jobs, bytes, forgotten early.
register('stats', 'no-writes', function()
  local totals, flat = {}, redis.call('HGETALL', key('totals'))
  for index = 1, #flat, 2 do totals[flat[index]] = tonumber(flat[index + 1]) end
  local function total(name) return totals[name] or 0 end
  local classes = {}
  for index, class in ipairs(CLASSES) do
    local waiting = key('waiting:' .. class)
    local oldest = redis.call('ZRANGE', waiting, '0', '0', 'WITHSCORES')
    classes[index] = {redis.call('ZCARD', waiting), total('trajectories:' .. class),
      oldest[2] and seconds(math.max(0, now - oldest[2])) or '0'}
  end
  local reports = {}
  for _, worker in ipairs(redis.call('ZRANGEBYSCORE', key('fleet'), now_text, '+inf')) do
    local report = redis.call('GET', key('report:' .. worker))
    if report then reports[#reports + 1] = report end
  end
  local backlog = {}
  for _, name in ipairs(redis.call('HKEYS', BACKLOG)) do
    local model = string.match(name, '^jobs:(.*)$')
    if model then
      backlog[#backlog + 1] = model
      backlog[#backlog + 1] = seconds(expected_s(model, #CLASSES - 1))
    end
  end
  local kept = read_kept(totals.open_jobs, totals.open_bytes)
  return {now_text, total('reserved'), redis.call('ZCARD', LEASES), total('redelivered'), total('dead'),
    classes, reports, redis.call('HGETALL', key('counts')), backlog,
    {kept.jobs, kept.bytes, total('forgotten')}}
end)
