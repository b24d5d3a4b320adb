-- Once a second, for every shard.

local more = abandon_due(CALL.due)

-- The clock has been turned back: nothing may wait longer than any ttl.
local latest = NOW + CALL.longest_ttl
local far = redis.call('ZRANGEBYSCORE', INDEX, '(' .. digits(latest), '+inf', 'LIMIT', 0, CALL.due)
for _, reference in ipairs(far) do
  local record = record_at(reference)
  if record and record.state == LIVE then
    record.expires = latest
    keep(reference, record)
  else
    strays[#strays + 1] = reference
  end
end
return answer(DONE, {}, more)
