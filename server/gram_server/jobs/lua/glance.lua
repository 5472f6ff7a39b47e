-- Returns how a job stands, for those who wait: ARGV id, number of the last event they know.
-- {time, state, deadline, events}; an empty list when there is no such job.

local state = redis.call('HMGET', job_key(ARGV[2]), 'state', 'deadline')
if not state[1] then return {} end
local events = redis.call('XRANGE', key('events:' .. ARGV[2]), '(' .. ARGV[3] .. '-0', '+')
return {seconds(now), state[1], state[2] or '', events}
