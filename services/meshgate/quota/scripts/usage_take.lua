#!lua flags=allow-oom
-- Takes entries of a shard's usage stream for the ledger, and tells how many wait.
--
-- KEYS: as all scripts have them; only the usage stream is looked at.
-- ARGV: the consumer, how many entries at most, and after how many idle milliseconds what others took
-- is taken from them (0 for not at all), and those who owe nothing are forgotten.
--
-- It answers the entries, how many the stream has, the first one's id, and the time.

local STREAM, GROUP = KEYS[2], 'ledger'
local CONSUMER, COUNT = ARGV[1], tonumber(ARGV[2])
local IDLE_MS, GONE_MS = tonumber(ARGV[3]), tonumber(ARGV[4])

local function is_there()
  local created = redis.pcall('XGROUP', 'CREATE', STREAM, GROUP, '0')
  return not created.err or string.find(created.err, 'BUSYGROUP') ~= nil
end

local function claimed()
  local answered = redis.call('XAUTOCLAIM', STREAM, GROUP, CONSUMER, IDLE_MS, '0-0', 'COUNT', COUNT)
  return answered[2]
end

-- Those who are gone and owe nothing.
local function forget()
  for _, about in ipairs(redis.call('XINFO', 'CONSUMERS', STREAM, GROUP)) do
    local found = {}
    for i = 1, #about, 2 do found[about[i]] = about[i + 1] end
    if found.pending == 0 and found.idle > GONE_MS then
      redis.call('XGROUP', 'DELCONSUMER', STREAM, GROUP, found.name)
    end
  end
end

local function taken()
  local entries = {}
  if IDLE_MS > 0 then
    entries = claimed()
    forget()
  end
  if #entries >= COUNT then return entries end
  local answered = redis.call(
    'XREADGROUP', 'GROUP', GROUP, CONSUMER, 'COUNT', COUNT - #entries, 'STREAMS', STREAM, '>')
  for _, entry in ipairs(answered and answered[1][2] or {}) do entries[#entries + 1] = entry end
  return entries
end

local time = redis.call('TIME')
local now = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
local length = redis.call('XLEN', STREAM)
-- What was acknowledged is gone from the stream: an empty one has nothing for anybody.
if length == 0 then return { {}, 0, '', now } end
local entries = {}
if COUNT > 0 and is_there() then entries = taken() end
local first = redis.call('XRANGE', STREAM, '-', '+', 'COUNT', 1)
return { entries, length, first[1] and first[1][1] or '', now }
