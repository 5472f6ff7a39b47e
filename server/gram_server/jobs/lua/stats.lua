-- Returns {time, reserved, running, redelivered, dead, rate, classes, reports, counts, backlog,
-- finished}: backlog as model, seconds, model, seconds ...; finished as jobs, bytes, forgotten early.

local function total(name) return tonumber(redis.call('HGET', key('totals'), name) or 0) end
local classes = {}
for class = 0, CLASSES - 1 do
  local waiting = key('waiting:' .. class)
  local oldest = redis.call('ZRANGE', waiting, 0, 0, 'WITHSCORES')
  classes[class + 1] = {redis.call('ZCARD', waiting), total('trajectories:' .. class),
    oldest[2] and seconds(math.max(0, now - oldest[2])) or '0'}
end
local reports = {}
for _, worker in ipairs(redis.call('ZRANGEBYSCORE', key('fleet'), seconds(now), '+inf')) do
  local report = redis.call('GET', key('report:' .. worker))
  if report then reports[#reports + 1] = report end
end
local backlog = {}
for _, name in ipairs(redis.call('HKEYS', BACKLOG)) do
  local model = string.match(name, '^jobs:(.*)$')
  if model then
    backlog[#backlog + 1] = model
    backlog[#backlog + 1] = seconds(expected_s(model, CLASSES - 1))
  end
end
local kept = read_kept()
return {seconds(now), total('reserved'), total('running'), total('redelivered'), total('dead'),
  seconds(read_rate()), classes, reports, redis.call('HGETALL', key('counts')), backlog,
  {kept.jobs, kept.bytes, total('forgotten')}}
