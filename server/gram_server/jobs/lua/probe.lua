-- Returns the kind of error with which Redis takes nothing new, such as OOM; '' where it does.

local reply = redis.pcall('SET', key('probe'), '1', 'PX', 1000)
return reply.err and string.match(reply.err, '%S+') or ''
