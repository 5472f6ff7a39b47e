-- Ends jobs whose deadline has passed: waiting ones at once, running ones after a grace in which
-- their worker may hand in what it found. Returns how many ended. Takes what was forgotten out of the
-- sums, and drops notes that nobody waits for any more; their numbers are the time of Redis, whatever the scripts are told.

local time = redis.call('TIME')
redis.call('XTRIM', key('notes'), 'MINID', '=', string.format('%d', (time[1] - NOTES_KEPT_S) * 1000))
sweep()
local ended = 0
for _, id in ipairs(redis.call('ZRANGEBYSCORE', key('deadlines'), '-inf', seconds(now),
    'LIMIT', 0, 1000)) do
  local job = read_job(id)
  if not job or not is_open(job) then
    redis.call('ZREM', key('deadlines'), id)
  elseif job.state == 'queued' or tonumber(job.deadline) + GRACE_S <= now then
    stop(job, 'expired')
    ended = ended + 1
  end
end
return ended
