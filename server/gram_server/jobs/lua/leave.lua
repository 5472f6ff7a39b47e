-- Forgets a worker that has no entries left: ARGV[2] the worker.

for _, stream in ipairs(all_streams()) do
  local pending = on_group(stream, 'XPENDING', stream, GROUP, '-', '+', 1, ARGV[2])
  if #pending == 0 then redis.call('XGROUP', 'DELCONSUMER', stream, GROUP, ARGV[2]) end
end
redis.call('ZREM', key('fleet'), ARGV[2])
redis.call('DEL', key('report:' .. ARGV[2]), key('cancelled:' .. ARGV[2]))
return 0
