-- The rate at which trajectories finish, and the expected time of each model's jobs.
--
-- The hash `backlog` has the fields of queued_job.py for each model: jobs, weight by class, when the last served
-- job ended that left a backlog, and seconds and weight of what ended since then.

local function add_rate(width)
  local rate = key('rate')
  -- Old seconds are deleted when a new one begins.
  if redis.call('HINCRBY', rate, whole(now), width) > tonumber(width) then return end
  redis.call('EXPIRE', rate, 2 * RATE_WINDOW_S)
  for _, second in ipairs(redis.call('HKEYS', rate)) do
    if tonumber(second) < now - RATE_WINDOW_S then redis.call('HDEL', rate, second) end
  end
end

-- Returns the recent number of trajectories finished per second; 0 when none were.
local function read_rate()
  local pairs_of = redis.call('HGETALL', key('rate'))
  local total, first = 0, now
  for index = 1, #pairs_of, 2 do
    local second = tonumber(pairs_of[index])
    if second >= now - RATE_WINDOW_S then
      total, first = total + tonumber(pairs_of[index + 1]), math.min(first, second)
    end
  end
  return total / math.max(now - first, 1)
end

local function add_to_backlog(model, priority, weight, jobs)
  redis.call('HINCRBY', BACKLOG, 'weight' .. priority .. ':' .. model, weight)
  return redis.call('HINCRBY', BACKLOG, 'jobs:' .. model, jobs)
end

local function end_in_backlog(job, is_served)
  local model, weight = job.model, tonumber(job.weight)
  local jobs = add_to_backlog(model, job.priority, '-' .. job.weight, '-1')
  local pace = redis.call('HMGET', BACKLOG, 'since:' .. model, 'busy:' .. model, 'done:' .. model)
  local since = tonumber(pace[1] or 0)
  if is_served and since > 0 then
    local kept = 1 - 1 / NUM_RECENT
    redis.call('HSET', BACKLOG, 'busy:' .. model, seconds((pace[2] or 0) * kept + now - since),
      'done:' .. model, seconds((pace[3] or 0) * kept + weight))
  end
  if jobs >= MIN_BACKLOG_JOBS then
    if is_served then redis.call('HSET', BACKLOG, 'since:' .. model, now_text) end
  elseif since > 0 then
    redis.call('HDEL', BACKLOG, 'since:' .. model)
  end
end

-- Returns the seconds until a model's jobs of a class and of higher ones have ended; 0 is the highest.
local function expected_s(model, priority)
  local names = {'jobs:' .. model, 'busy:' .. model, 'done:' .. model}
  for index = 1, priority + 1 do names[#names + 1] = 'weight' .. CLASSES[index] .. ':' .. model end
  local values = redis.call('HMGET', BACKLOG, unpack(names))
  local done, weight = tonumber(values[3] or 0), 0
  if tonumber(values[1] or 0) < MIN_BACKLOG_JOBS or done == 0 then return 0 end
  for index = 4, #names do weight = weight + (values[index] or 0) end
  return weight * (values[2] or 0) / done
end
