-- Takes from an owner's share: ARGV owner, amount, rate per second, most that can be saved up.
-- Returns the seconds to wait; 0 when it was granted. A negative amount is given back. A share may go below nothing, once.

local name = key('share:' .. ARGV[2])
local amount, rate, burst = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local saved = redis.call('HMGET', name, 'left', 'at')
local left = burst
if saved[1] then
  left = math.min(burst, tonumber(saved[1]) + math.max(0, now - tonumber(saved[2])) * rate)
end
local wait = 0
if left > 0 or amount < 0 then left = math.min(burst, left - amount)
else wait = -left / rate + 0.001 end
redis.call('HSET', name, 'left', tostring(left), 'at', seconds(now))
redis.call('PEXPIRE', name, math.ceil((burst - left) / rate * 1000) + 1000)
return seconds(wait)
