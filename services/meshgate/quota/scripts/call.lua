-- What every script begins with: what it was asked, and when it is.
--
-- KEYS: the shard's index of live grants, its usage stream, its stream of alerts.
-- ARGV: the moment in milliseconds (empty in production: then it is the server's own), the call as
-- msgpack, and the usage records that it refers to by number, as bytes.
--
-- A script reads and computes first, in Lua tables, and writes at its very end (write.lua): an error
-- on the way leaves nothing half done. Every key that is written was read before, or stands in KEYS, so
-- that a shard which is just moving to another node of a cluster is refused before the first write.

local INDEX, USAGE, ALERTS = KEYS[1], KEYS[2], KEYS[3]
local CALL = cmsgpack.unpack(ARGV[2])
local TAG = CALL.tag

local NOW = tonumber(ARGV[1])
if not NOW then
  local time = redis.call('TIME')
  NOW = time[1] * 1000 + math.floor(time[2] / 1000)
end

-- Status of a reply.
local DONE, STALE = 0, 1

-- Lua counts in doubles, exactly up to here. What gets here stays: a sum that was not counted exactly
-- must never look smaller than it is.
local MOST = 9007199254740991

local function plus(a, b)
  if a >= MOST then return MOST end
  return math.min(math.max(a + b, 0), MOST)
end

local function digits(number)
  return string.format('%.0f', number)
end

-- Amounts: requests, input tokens, output tokens, nano-dollars, concurrency.
local REQUESTS, OUTPUT_TOKENS, COST, CONCURRENCY = 1, 3, 4, 5
-- The kind that is no amount of its own: input and output tokens together.
local TOKENS = 6

local function amount_of(amounts, kind)
  if kind == TOKENS then return plus(amounts[2], amounts[3]) end
  return amounts[kind]
end

local function each(compute, a, b)
  local result = {}
  for i = 1, CONCURRENCY do result[i] = compute(a[i], b[i]) end
  return result
end

-- What is left of `a` without `b`, each at least 0.
local function without(a, b)
  return math.max(a - b, 0)
end

local function is_nothing(amounts)
  for i = 1, CONCURRENCY do
    if amounts[i] > 0 then return false end
  end
  return true
end

-- `8:acme-inc:key/k_1` is something named `key/k_1` in the partition `acme-inc`, 8 bytes long.
local function parted(reference)
  local length = string.match(reference, '^(%d+):')
  local prefix = string.sub(reference, 1, #length + tonumber(length) + 2)
  return prefix, string.sub(reference, #prefix + 1)
end
