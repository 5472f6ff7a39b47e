-- Returns {time, fields, solution events, {fields, solution events} of each part}: ARGV[2] the id; empty
-- when unknown. Of a part the events come only where no result has what they tell.
-- Of a job that has not ended, where ARGV[3] is 'end': {time, state, deadline}.

if ARGV[3] == 'end' then
  local state = redis.call('HMGET', job_key(ARGV[2]), 'state', 'deadline')
  if is_open({state = state[1]}) then return {seconds(now), state[1], state[2] or ''} end
end
local fields = redis.call('HGETALL', job_key(ARGV[2]))
if #fields == 0 then return {} end
local parts = {}
for index, id in ipairs(redis.call('LRANGE', key('parts:' .. ARGV[2]), 0, -1)) do
  local ended = redis.call('HMGET', job_key(id), 'state', 'result')
  local has_more = ended[1] == 'expired' and not ended[2]
  parts[index] = {redis.call('HGETALL', job_key(id)),
    has_more and redis.call('XRANGE', key('events:' .. id), '-', '+') or {}}
end
return {seconds(now), fields, redis.call('XRANGE', key('events:' .. ARGV[2]), '-', '+'), parts}
