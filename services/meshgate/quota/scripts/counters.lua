-- Counters: one for each subject and identity of a limit. All counters of a subject are one value.

-- A rule: how a limit counts, and where it stops. Those of a subject that share a counter are one rule.
local ID, KIND, MODE = 1, 2, 3
local FROM, TO, BEFORE = 4, 5, 6  -- calendar: the window's bounds, and the beginning of the one before
local WIDTH = 4                   -- rolling: of a bucket
local HARD = 7                    -- the smallest limit that is not soft; -1 for none
local STRICT = 8                  -- whether that one is strict
local SOFTS = 9                   -- the amounts of soft limits
local ENTRIES = 10                -- in a grant: the buckets it is booked in, each with how much is held there

-- Modes.
local AT_ONCE, ROLLING, CALENDAR, TOTAL = 0, 1, 2, 3
local PARTS = 10

-- A counter.
local EXPIRES = 1                 -- when it may be forgotten; 0 for never
local ALERTED = 2                 -- soft amounts, each with when it was told that they were passed
local BUCKETS = 3                 -- bucket, total, held; in order
local SINCE = 4                   -- when the first grant that it counts was made; older versions do not say

-- Days are longer than this, even those that lack an hour.
local LONG_MS = 79200000
local HELD_RETRY_MS = 2000
local CONCURRENCY_RETRY_MS = 1000
local TOTAL_RETRY_MS = 86400000
local AT_ONCE_ALERT_MS = 60000

local subjects = {}
local EMPTY = { 0, {}, {} }

local function subject_at(reference)
  local subject = subjects[reference]
  if not subject then
    local blob = redis.call('GET', TAG .. 'subject:' .. reference)
    subject = { counters = blob and cmsgpack.unpack(blob) or {}, changed = false }
    subjects[reference] = subject
  end
  return subject
end

local function counter_at(reference, id)
  return subject_at(reference).counters[id] or EMPTY
end

local function changed_counter_at(reference, id)
  local subject = subject_at(reference)
  subject.changed = true
  local counter = subject.counters[id]
  if not counter then
    counter = { 0, {}, {}, NOW }
    subject.counters[id] = counter
  end
  return counter
end

-- The counter counts a grant of that moment: the limit was there then, so the books are compared from then on.
local function counts_since(reference, id, moment)
  local subject = subject_at(reference)
  local counter = subject.counters[id]
  if counter and counter[SINCE] and moment < counter[SINCE] then
    counter[SINCE] = moment
    subject.changed = true
  end
end

local function is_current(rule)
  return rule[MODE] ~= CALENDAR or (rule[FROM] <= NOW and NOW < rule[TO])
end

-- The bucket of this moment, and the oldest that still counts. Buckets after this moment's count too:
-- the clock has been turned back.
local function buckets_now(rule)
  if rule[MODE] == ROLLING then
    local current = math.floor(NOW / rule[WIDTH])
    return current, current - PARTS
  end
  if rule[MODE] == CALENDAR then return rule[FROM], rule[FROM] end
  return 0, 0
end

-- What counts: spent and held together, and held alone.
local function counted(counter, rule)
  local _, oldest = buckets_now(rule)
  local buckets = counter[BUCKETS]
  local total, held = 0, 0
  for i = #buckets - 2, 1, -3 do
    if buckets[i] < oldest then break end
    total = total + buckets[i + 1]
    held = held + buckets[i + 2]
  end
  if total > MOST then total = MOST end
  return total, held
end

-- How long a window is.
local function length_of(rule)
  if rule[MODE] == ROLLING then return PARTS * rule[WIDTH] end
  if rule[MODE] == CALENDAR then return rule[TO] - rule[FROM] end
  if rule[MODE] == TOTAL then return TOTAL_RETRY_MS end
  return CONCURRENCY_RETRY_MS
end

-- Until this moment's bucket ends; nothing for what has only one.
local function left_of_bucket(rule)
  if rule[MODE] == ROLLING then return (math.floor(NOW / rule[WIDTH]) + 1) * rule[WIDTH] - NOW end
  if rule[MODE] == CALENDAR then return rule[TO] - NOW end
  return nil
end

-- When a bucket of a rolling window no longer counts.
local function leaves_at(bucket, rule)
  return (bucket + PARTS + 1) * rule[WIDTH]
end

-- Until everything is free again if nothing more is used; -1 for never.
local function reset_of(counter, rule)
  if rule[MODE] == CALENDAR then return rule[TO] - NOW end
  if rule[MODE] ~= ROLLING then return -1 end
  local buckets = counter[BUCKETS]
  for i = #buckets - 2, 1, -3 do
    if buckets[i + 1] > 0 then return math.max(leaves_at(buckets[i], rule) - NOW, 0) end
  end
  return 0
end

-- Until enough of the oldest buckets have left.
local function rolling_wait(counter, rule, total, need)
  local _, oldest = buckets_now(rule)
  local buckets = counter[BUCKETS]
  for i = 1, #buckets, 3 do
    if buckets[i] >= oldest then
      total = total - buckets[i + 1]
      if total + need <= rule[HARD] then return leaves_at(buckets[i], rule) - NOW end
    end
  end
  return length_of(rule)
end

-- When it is worth coming back for what was refused.
local function wait_for(counter, rule, total, held, need)
  if need > rule[HARD] then return length_of(rule) end
  local wait = length_of(rule)
  if rule[MODE] == ROLLING then wait = rolling_wait(counter, rule, total, need) end
  if rule[MODE] == CALENDAR then wait = rule[TO] - NOW end
  -- Others hold it, and will give back what they do not use.
  if total - held + need <= rule[HARD] then wait = math.min(wait, HELD_RETRY_MS) end
  return math.max(wait, 1)
end

local function prune(counter, rule)
  local _, oldest = buckets_now(rule)
  -- Clocks are set back by moments: the window before is not forgotten at once.
  if rule[MODE] == CALENDAR then oldest = rule[BEFORE] end
  local buckets, kept = counter[BUCKETS], {}
  if not buckets[1] or buckets[1] >= oldest then return end
  for i = 1, #buckets, 3 do
    if buckets[i] >= oldest then
      for j = i, i + 2 do kept[#kept + 1] = buckets[j] end
    end
  end
  counter[BUCKETS] = kept
end

local function book(counter, rule, bucket, amount, held)
  prune(counter, rule)
  local buckets = counter[BUCKETS]
  local i = 1
  while buckets[i] and buckets[i] < bucket do i = i + 3 end
  if buckets[i] ~= bucket then
    for _ = 1, 3 do table.insert(buckets, i, 0) end
    buckets[i] = bucket
  end
  buckets[i + 1] = plus(buckets[i + 1], amount)
  buckets[i + 2] = plus(buckets[i + 2], held)
  if rule[MODE] == ROLLING then
    counter[EXPIRES] = leaves_at(buckets[#buckets - 2], rule)
  elseif rule[MODE] == CALENDAR then
    counter[EXPIRES] = 2 * rule[TO] - rule[FROM]
  end
end

-- The first bucket that no clock which was set back a little explains: more than a window ahead.
local function far_ahead(rule)
  if rule[MODE] == ROLLING then return math.floor(NOW / rule[WIDTH]) + PARTS + 1 end
  if rule[MODE] == CALENDAR then return 2 * rule[TO] - rule[FROM] end
  return MOST
end

-- The clock was far ahead and has been set right: what was counted meanwhile counts from now on, for a
-- window, and not until that day comes.
local function redate(reference, rule)
  local counter = counter_at(reference, rule[ID])
  local buckets, far = counter[BUCKETS], far_ahead(rule)
  if not buckets[1] or buckets[#buckets - 2] < far then return end
  local kept, total, held = {}, 0, 0
  for i = 1, #buckets, 3 do
    if buckets[i] < far then
      for j = i, i + 2 do kept[#kept + 1] = buckets[j] end
    else
      total, held = plus(total, buckets[i + 1]), plus(held, buckets[i + 2])
    end
  end
  counter[BUCKETS] = kept
  subject_at(reference).changed = true
  local current = buckets_now(rule)
  book(counter, rule, current, total, held)
end

-- Whether a bucket that was current once still counts.
local function counts(rule, bucket)
  local _, oldest = buckets_now(rule)
  return is_current(rule) and bucket >= oldest
end

-- Change a bucket that a grant was booked in. One that has left its window is not missed.
local function rebook(reference, rule, bucket, more, held_less)
  local buckets = counter_at(reference, rule[ID])[BUCKETS]
  for i = 1, #buckets, 3 do
    if buckets[i] == bucket then
      buckets[i + 1] = plus(buckets[i + 1], more)
      buckets[i + 2] = plus(buckets[i + 2], -held_less)
      subject_at(reference).changed = true
      return
    end
  end
  -- Nothing was held there, and something was spent all the same.
  if more > 0 and counts(rule, bucket) then
    book(changed_counter_at(reference, rule[ID]), rule, bucket, more, 0)
  end
end

-- Alerts: soft limits that were passed for the first time in their window.
local alerts = {}

local function was_told(rule, told_at)
  if rule[MODE] == CALENDAR then return told_at >= rule[FROM] end
  if rule[MODE] == TOTAL then return true end
  local span = rule[MODE] == ROLLING and length_of(rule) or AT_ONCE_ALERT_MS
  return math.abs(NOW - told_at) < span
end

local function tell(reference, rule, amount, total)
  local counter = changed_counter_at(reference, rule[ID])
  local told = { amount, NOW }
  local before = counter[ALERTED]
  for i = 1, #before, 2 do
    if before[i] ~= amount and was_told(rule, before[i + 1]) then
      told[#told + 1] = before[i]
      told[#told + 1] = before[i + 1]
    end
  end
  counter[ALERTED] = told
  local prefix, name = parted(reference)
  alerts[#alerts + 1] = { prefix, name, rule[ID], amount, total }
end

local function alert(reference, rule)
  if not rule[SOFTS][1] or not is_current(rule) then return end
  local counter = counter_at(reference, rule[ID])
  local total = counted(counter, rule)
  for _, amount in ipairs(rule[SOFTS]) do
    if total > amount then
      local told = false
      for i = 1, #counter[ALERTED], 2 do
        told = told or (counter[ALERTED][i] == amount and was_told(rule, counter[ALERTED][i + 1]))
      end
      if not told then tell(reference, rule, amount, total) end
    end
  end
end
