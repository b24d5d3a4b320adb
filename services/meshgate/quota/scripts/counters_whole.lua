#!lua
-- Whether the counters of a shard are whole: whether they have been there since they were last made from the
-- books. A store that was emptied does not say so any more.
--
-- KEYS: as all scripts have them; none is looked at.
-- ARGV: the tag of the shard, and what it said before, to say that it is whole now; empty to ask.
--
-- It answers `whole`, or when it was first seen that it is not, in milliseconds by the server's clock.

local KEY = ARGV[1] .. 'books'
local said = redis.call('GET', KEY)
if not said then
  local time = redis.call('TIME')
  said = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
  redis.call('SET', KEY, said)
end
-- Only if it is still the loss that was made good.
if ARGV[2] ~= '' and said == ARGV[2] then
  said = 'whole'
  redis.call('SET', KEY, said)
end
return said
