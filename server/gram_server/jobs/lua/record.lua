-- Returns {time, fields, solution events, fields of each part}: ARGV[2] the id; empty when unknown.

local fields = redis.call('HGETALL', job_key(ARGV[2]))
if #fields == 0 then return {} end
local parts = {}
for index, id in ipairs(redis.call('LRANGE', key('parts:' .. ARGV[2]), 0, -1)) do
  parts[index] = redis.call('HGETALL', job_key(id))
end
return {seconds(now), fields, redis.call('XRANGE', key('events:' .. ARGV[2]), '-', '+'), parts}
