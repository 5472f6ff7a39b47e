-- Returns {time, fields, solution events, fields of each part}: ARGV[2] the id; empty when unknown.
-- Of a job that has not ended, where ARGV[3] is 'end': {time, state, deadline}.

if ARGV[3] == 'end' then
  local state = redis.call('HMGET', job_key(ARGV[2]), 'state', 'deadline')
  if is_open({state = state[1]}) then return {seconds(now), state[1], state[2] or ''} end
end
local fields = redis.call('HGETALL', job_key(ARGV[2]))
if #fields == 0 then return {} end
local parts = {}
for index, id in ipairs(redis.call('LRANGE', key('parts:' .. ARGV[2]), 0, -1)) do
  parts[index] = redis.call('HGETALL', job_key(id))
end
return {seconds(now), fields, redis.call('XRANGE', key('events:' .. ARGV[2]), '-', '+'), parts}
