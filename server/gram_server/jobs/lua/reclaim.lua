-- Takes back the jobs of workers that gave no sign of life: ARGV worker, lease in ms, max attempts.
-- Returns how many came back.

local found = 0
for _, stream in ipairs(streams()) do
  local cursor = '0-0'
  repeat
    local reply = on_group(stream, 'XAUTOCLAIM', stream, GROUP, ARGV[2], ARGV[3], cursor,
      'COUNT', 100)
    cursor = reply[1]
    for _, entry in ipairs(reply[2]) do
      local job = read_job(entry[2][2])
      if job and job.state == 'running' and job.entry == entry[1] then
        lose(job, tonumber(ARGV[4]))
        found = found + 1
      else
        drop_entry(stream, entry[1])
      end
    end
  until cursor == '0-0'
end
return found
