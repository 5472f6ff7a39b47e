-- Queues jobs, or refuses all of them: one step, so that the bound is never passed.
-- ARGV[2]: JSON {jobs, batch, ticket, max, max_backlog, max_finished_jobs, max_finished_bytes}.
-- Returns {verdict, id or number, rate or number}.

local asked = cjson.decode(ARGV[2])
local batch, ticket = asked.batch, asked.ticket
local id = batch and batch.id or asked.jobs[1].id

if ticket then
  local verdict, known = read_ticket(ticket.key, ticket.fingerprint)
  if verdict ~= 'new' then return {verdict, known, '0'} end
end
-- The same call once more, because the answer to the first was lost.
if redis.call('EXISTS', job_key(id)) == 1 then return {'accepted', id, '0'} end
-- The caller gave it up before it came.
if redis.call('EXISTS', key('withdrawn:' .. id)) == 1 then return {'withdrawn', id, '0'} end

if asked.max_backlog then
  local expected = expected_s(asked.jobs[1].model, asked.jobs[1].priority)
  if expected > asked.max_backlog then return {'late', seconds(expected), '0'} end
end
local width = 0
for _, job in ipairs(asked.jobs) do width = width + job.width end
local reserved = tonumber(redis.call('HGET', key('totals'), 'reserved') or 0)
if reserved + width > asked.max then return {'full', tostring(reserved), seconds(read_rate())} end
local jobs, bytes = make_room(asked.max_finished_jobs, asked.max_finished_bytes)
if jobs then return {'crowded', tostring(jobs), tostring(bytes)} end

local function skew_of(job) return asked.skew and now - job.submitted or 0 end

-- Lets a key stand for the job; of each owner only the newest keys are known.
local function keep_ticket()
  local name, all = 'ticket:' .. ticket.key, key('tickets:' .. ticket.owner)
  redis.call('HSET', key(name), 'fingerprint', ticket.fingerprint, 'job', id)
  redis.call('PEXPIRE', key(name), math.floor(ticket.keep * 1000))
  redis.call('ZREMRANGEBYSCORE', all, '-inf', seconds(now - ticket.keep))
  redis.call('ZADD', all, seconds(now), ticket.key)
  redis.call('PEXPIRE', all, math.floor(ticket.keep * 1000))
  while redis.call('ZCARD', all) > ticket.max do
    redis.call('DEL', key('ticket:' .. redis.call('ZPOPMIN', all)[1]))
  end
end

if batch then write(batch, skew_of(batch)) end
for _, job in ipairs(asked.jobs) do
  accept(job, skew_of(job))
  if batch then redis.call('RPUSH', key('parts:' .. batch.id), job.id) end
end
count('reserved', width)
if ticket then keep_ticket() end
return {'accepted', id, '0'}
