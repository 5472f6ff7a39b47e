-- Returns the ids of the jobs whose entries a worker has: ARGV[2] the worker.

local held = {}
for _, stream in ipairs(streams()) do
  for _, entry in ipairs(on_group(stream, 'XPENDING', stream, GROUP, '-', '+', 10000, ARGV[2])) do
    local found = redis.call('XRANGE', stream, entry[1], entry[1])
    if found[1] then held[#held + 1] = found[1][2][2] end
  end
end
return held
