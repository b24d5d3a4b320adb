#!lua flags=no-writes
-- Reads counters of a shard together with all that waits for the ledger, so that the two agree.
--
-- KEYS: as all scripts have them; of these only the usage stream is looked at.
-- ARGV: the moment in milliseconds (empty in production: then it is the server's own), as msgpack the tag of
-- the shard, whose counters (`8:acme-inc:key/k_1`), and how many entries of the stream at most.
--
-- It answers the moment, the server's time, the counters of each as they are stored, and the entries; none
-- where there are more than that.

local CALL = cmsgpack.unpack(ARGV[2])
local time = redis.call('TIME')
local now = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
local blobs = {}
for i, reference in ipairs(CALL.references) do
  blobs[i] = redis.call('GET', CALL.tag .. 'subject:' .. reference) or ''
end
local length = redis.call('XLEN', KEYS[2])
local entries = {}
if length > 0 and length <= CALL.most then entries = redis.call('XRANGE', KEYS[2], '-', '+') end
return { ARGV[1] ~= '' and ARGV[1] or now, now, blobs, length, entries }
