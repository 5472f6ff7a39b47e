-- Gives up jobs that may not have come yet: ARGV ids ... One that comes later is refused.

for index = 2, #ARGV do
  local job = read_job(ARGV[index])
  if not job then
    redis.call('SET', key('withdrawn:' .. ARGV[index]), 1, 'EX', WITHDRAWN_KEPT_S)
  elseif is_open(job) then
    stop(job, 'cancelled')
  end
end
return 0
