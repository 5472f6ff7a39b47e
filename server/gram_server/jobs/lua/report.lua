-- Keeps what a worker says of itself for a while: ARGV worker, report, seconds.

redis.call('SET', key('report:' .. ARGV[2]), ARGV[3], 'PX', math.floor(ARGV[4] * 1000))
redis.call('ZADD', key('fleet'), seconds(now + ARGV[4]), ARGV[2])
redis.call('EXPIRE', key('fleet'), 86400)
return 0
