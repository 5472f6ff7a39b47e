-- Returns jobs to the front of the queue: ARGV how ('kept' or 'lost'), max attempts, then id and
-- claim of each. Jobs that the worker does not hold stay as they are.

for index = 4, #ARGV, 2 do
  local job = read_job(ARGV[index])
  if is_held(job, ARGV[index + 1]) then
    if ARGV[2] == 'lost' then lose(job, tonumber(ARGV[3])) else give_back(job) end
  end
end
return 0
