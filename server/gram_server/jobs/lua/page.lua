-- Returns a part of an owner's jobs, newest first: ARGV owner, cursor ('' for the start), limit.
-- {time, cursor of the rest or '', fields of each job}.

local list, limit = key('list:' .. ARGV[2]), tonumber(ARGV[4])
local from = ARGV[3] == '' and '+' or '(' .. ARGV[3]
local found, last = {}, ''
while #found < limit do
  local places = redis.call('ZREVRANGEBYLEX', list, from, '-', 'LIMIT', 0, limit - #found)
  if #places == 0 then return {seconds(now), '', found} end
  for _, place in ipairs(places) do
    local fields = redis.call('HGETALL', job_key(string.match(place, '-(.*)$')))
    if #fields > 0 then
      found[#found + 1], last = fields, place
    else
      redis.call('ZREM', list, place)
    end
  end
  from = '(' .. places[#places]
end
local more = redis.call('ZREVRANGEBYLEX', list, '(' .. last, '-', 'LIMIT', 0, 1)
return {seconds(now), #more > 0 and last or '', found}
