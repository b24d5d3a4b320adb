-- BatchSettle.

local BOOKED, REPEATED, LATE, UNHELD = 'booked', 'repeated', 'late', 'unheld'
local UNKNOWN = 'unknown'

-- The sequences that were settled, as bits: those of this call beside those that are stored.
local marks = {}

local function marks_of(reference)
  local found = marks[reference]
  if not found then
    found = { new = {}, seen = {}, expires = NOW }
    marks[reference] = found
  end
  return found
end

local function is_settled(reference, sequence)
  local seen = marks_of(reference).seen
  if seen[sequence] == nil then
    seen[sequence] = redis.call('GETBIT', TAG .. 'settled:' .. reference, sequence) == 1
  end
  return seen[sequence]
end

local function mark(reference, sequence)
  local found = marks_of(reference)
  found.seen[sequence] = true
  found.new[#found.new + 1] = sequence
end

-- A settlement: its sequence, what was held, what was spent, and which usage records it has; 0 for none.
local SEQUENCE, HELD, SPENT, RECORDS = 1, 2, 3, 4

local function note(reference, settlement, kind, granted_at)
  local number = settlement[RECORDS]
  if number == 0 then return end
  add_usage(reference, kind, {
    'sequence', digits(settlement[SEQUENCE]), 'grant_time', digits(granted_at or NOW),
    'records', ARGV[2 + number]
  })
end

-- Book under a grant that is there, or that was abandoned: then in the place of what was booked when its
-- ttl passed.
local function book_granted(item, reference, record, settlement)
  local was_live = record.state == LIVE
  local held = each(math.min, record.remaining, settlement[HELD])
  -- A hold is for one request: whatever it holds was held for this one.
  if record.kind == HOLD then held = record.remaining end
  local spent = settlement[SPENT]
  every_rule(item.prefix, record.subjects, function(counters, rule)
    local used = rule[KIND] == CONCURRENCY and 0 or amount_of(spent, rule[KIND])
    spend(counters, rule, amount_of(held, rule[KIND]), used, was_live)
    if used > 0 then counts_since(counters, rule[ID], record.granted_at) end
    alert(counters, rule)
  end)
  record.remaining = each(without, record.remaining, held)
  record.settled = each(plus, record.settled, held)
  keep(reference, record)
  note(reference, settlement, was_live and 'settled' or LATE, record.granted_at)
  if was_live then return BOOKED end
  -- Of what was booked when the ttl passed, so much is replaced.
  if not is_nothing(held) then
    tell_books(reference, 'returned', record, held, 'settled/' .. digits(settlement[SEQUENCE]))
  end
  return LATE
end

-- Book by what the caller says of a grant that is not known any more.
local function book_described(item, reference, settlement)
  local spent = settlement[SPENT]
  every_rule(item.prefix, item.subjects, function(counters, rule)
    local amount = rule[KIND] == CONCURRENCY and 0 or amount_of(spent, rule[KIND])
    local bucket = rule[ENTRIES][1]
    if rule[MODE] == ROLLING then bucket = math.floor(math.min(item.granted_at, NOW) / rule[WIDTH]) end
    local _, oldest = buckets_now(rule)
    if amount > 0 and bucket >= oldest then
      book(changed_counter_at(counters, rule[ID]), rule, bucket, amount, 0)
      counts_since(counters, rule[ID], math.min(item.granted_at, NOW))
      alert(counters, rule)
    end
  end)
  note(reference, settlement, UNHELD, item.granted_at and math.min(item.granted_at, NOW))
  return UNHELD
end

local function is_known(record)
  return record and record.state ~= ENDED
end

-- A grant that is not known, is not described, and has something new to be booked.
local function needs_description(item, reference, record)
  if is_known(record) or item.subjects then return false end
  for _, settlement in ipairs(item.settlements) do
    if not is_settled(reference, settlement[SEQUENCE]) then return true end
  end
  return false
end

local function answer_of(item)
  local reference = item.prefix .. item.id
  local record = record_now(reference)
  if needs_description(item, reference, record) then return UNKNOWN end
  local known = is_known(record)
  local results = {}
  for i, settlement in ipairs(item.settlements) do
    if is_settled(reference, settlement[SEQUENCE]) then
      results[i] = REPEATED
    else
      mark(reference, settlement[SEQUENCE])
      if known then
        results[i] = book_granted(item, reference, record, settlement)
      else
        results[i] = book_described(item, reference, settlement)
      end
    end
  end
  local found = marks_of(reference)
  found.expires = math.max(found.expires, record and record.expires or NOW)
  found.touched = true
  if known and is_nothing(record.remaining) and not is_nothing(record.amounts) then finish(record) end
  return results
end

local function write_marks()
  for reference, found in pairs(marks) do
    if found.touched then
      local key = TAG .. 'settled:' .. reference
      for _, sequence in ipairs(found.new) do redis.call('SETBIT', key, sequence, 1) end
      -- Also where nothing is new: an answer waits until what this connection wrote is on disk, and
      -- what another one wrote for the same settlement may not be yet.
      redis.call('PEXPIRE', key, digits(found.expires - NOW + CALL.settled_retention))
    end
  end
end

local function stale()
  for _, item in ipairs(CALL.items) do
    for _, subject in ipairs(item.subjects or {}) do
      for _, rule in ipairs(subject[2]) do
        if not is_current(rule) then return true end
      end
    end
  end
  return false
end

if stale() then return answer(STALE, {}) end
local results = {}
for i, item in ipairs(CALL.items) do results[i] = answer_of(item) end
write_marks()
return answer(DONE, results)
