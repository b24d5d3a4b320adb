-- Grants: what was set aside, and in which buckets.

local HOLD, LEASE, NONE = 'hold', 'lease', 'none'
local LIVE, ENDED, ABANDONED = 'live', 'ended', 'abandoned'

local records = {}
local usage = {}
local abandoned = 0

local function record_at(reference)
  local found = records[reference]
  if not found then
    local blob = redis.call('GET', TAG .. 'grant:' .. reference)
    found = { record = blob and cmsgpack.unpack(blob) or nil, changed = false }
    found.expires = found.record and found.record.state == LIVE and found.record.expires or nil
    records[reference] = found
  end
  return found.record
end

local function keep(reference, record)
  local found = records[reference]
  found.record, found.changed = record, true
end

-- The grant holds nothing any more: only what was answered is remembered.
local function finish(record)
  record.state, record.subjects = ENDED, {}
end

-- Whether so much waits for the ledger that nothing more may be used. What was used is written always.
local is_behind_now
local function is_behind()
  if CALL.ledger ~= 1 then return false end
  if is_behind_now == nil then is_behind_now = redis.call('XLEN', USAGE) >= CALL.usage_entries end
  return is_behind_now
end

-- Whether the store was emptied, and its counters are not made again from the ledger yet; see
-- counters_whole.lua. That lasts no longer than `CALL.rebuild`.
local lost_at
local is_lost_now
local function is_lost()
  if is_lost_now == nil then
    local said = redis.call('GET', TAG .. 'books')
    if not said then
      said = digits(NOW)
      lost_at = said
    end
    is_lost_now = said ~= 'whole' and math.abs(NOW - (tonumber(said) or 0)) < CALL.rebuild
  end
  return is_lost_now
end

-- Limits on money whose windows are so long that the ledger can say what is spent.
local function has_budget(subject_list)
  for _, subject in ipairs(subject_list) do
    for _, rule in ipairs(subject[2]) do
      local is_long = rule[MODE] == TOTAL or (rule[MODE] == CALENDAR and rule[TO] - rule[FROM] > LONG_MS)
      if rule[KIND] == COST and rule[HARD] >= 0 and is_long then return true end
    end
  end
  return false
end

local function add_usage(reference, kind, fields)
  local _, id = parted(reference)
  usage[#usage + 1] = { 'id', id, 'kind', kind }
  for _, field in ipairs(fields) do table.insert(usage[#usage], field) end
end

local function described(amounts)
  return {
    'requests', digits(amounts[1]), 'input_tokens', digits(amounts[2]), 'output_tokens', digits(amounts[3]),
    'cost_nanos', digits(amounts[4]), 'concurrency', digits(amounts[5])
  }
end

-- Nothing but concurrency.
local function is_for_places(amounts)
  for i = 1, CONCURRENCY - 1 do
    if amounts[i] > 0 then return false end
  end
  return amounts[CONCURRENCY] > 0
end

-- For every rule of some subjects: what its counters are found by, and the rule.
local function every_rule(prefix, subject_list, call)
  for _, subject in ipairs(subject_list) do
    local reference = prefix .. subject[1]
    for _, rule in ipairs(subject[2]) do call(reference, rule) end
  end
end

-- Where a grant's amounts are noted that were booked in buckets which count no more.
local GONE = -1

-- The entry of this moment's bucket is the last one; those that count no more become one.
local function open_entry(rule, current)
  local entries = rule[ENTRIES]
  if entries[#entries - 1] == current then return entries end
  local kept, gone = {}, nil
  for i = 1, #entries, 2 do
    if counts(rule, entries[i]) then
      kept[#kept + 1] = entries[i]
      kept[#kept + 1] = entries[i + 1]
    else
      gone = plus(gone or 0, entries[i + 1])
    end
  end
  if gone then
    table.insert(kept, 1, gone)
    table.insert(kept, 1, GONE)
  end
  kept[#kept + 1] = current
  kept[#kept + 1] = 0
  rule[ENTRIES] = kept
  return kept
end

-- Book an amount that is held from now on in this moment's buckets, and note that in the grant.
local function take(prefix, subject_list, amounts)
  every_rule(prefix, subject_list, function(reference, rule)
    local amount = amount_of(amounts, rule[KIND])
    local current = buckets_now(rule)
    local entries = open_entry(rule, current)
    entries[#entries] = plus(entries[#entries], amount)
    if amount > 0 then
      book(changed_counter_at(reference, rule[ID]), rule, current, amount, amount)
      alert(reference, rule)
    end
  end)
end

-- Put `spent` in the place of `held`, oldest bucket first; what is more goes to the newest.
local function spend(reference, rule, held, spent, was_live)
  local entries = rule[ENTRIES]
  for i = 1, #entries, 2 do
    local taken = math.min(entries[i + 1], held)
    local used = math.min(taken, spent)
    if i + 1 == #entries then used = spent end
    if taken > 0 or used > 0 then
      rebook(reference, rule, entries[i], used - taken, was_live and taken or 0)
      entries[i + 1] = entries[i + 1] - taken
    end
    held, spent = held - taken, spent - used
  end
end

-- Give back what was never used, newest bucket first.
local function give_back(reference, rule, amount, was_live)
  local entries = rule[ENTRIES]
  for i = #entries - 1, 1, -2 do
    local given = math.min(entries[i + 1], amount)
    if given > 0 then
      rebook(reference, rule, entries[i], -given, was_live and given or 0)
      entries[i + 1] = entries[i + 1] - given
      amount = amount - given
    end
  end
end

-- What counts as spent from now on, or no longer, of a grant whose owner is gone. `cause` is the same when
-- it is told again, by a store that has lost its last second.
local function tell_books(reference, kind, record, amounts, cause)
  local prefix = parted(reference)
  local names = {}
  for _, subject in ipairs(record.subjects) do names[#names + 1] = subject[1] end
  local fields = described(amounts)
  for _, field in ipairs({
    'partition', string.sub(prefix, string.find(prefix, ':') + 1, -2),
    'subjects', cjson.encode(names), 'grant_time', digits(record.granted_at), 'cause', cause
  }) do fields[#fields + 1] = field end
  add_usage(reference, kind, fields)
end

-- The owner is gone: what the grant held stays counted as if it had been spent, and its concurrency
-- comes free.
local function abandon(reference, record)
  keep(reference, record)
  if is_nothing(record.remaining) then return finish(record) end
  local prefix = parted(reference)
  if not is_for_places(record.remaining) then tell_books(reference, 'abandoned', record, record.remaining, 'ttl') end
  every_rule(prefix, record.subjects, function(counters, rule)
    local entries = rule[ENTRIES]
    for i = 1, #entries, 2 do
      local amount = entries[i + 1]
      if rule[KIND] == CONCURRENCY then
        rebook(counters, rule, entries[i], -amount, amount)
        entries[i + 1] = 0
      else
        rebook(counters, rule, entries[i], 0, amount)
        if amount > 0 then counts_since(counters, rule[ID], record.granted_at) end
      end
    end
  end)
  record.remaining[CONCURRENCY] = 0
  record.state, record.given_back = ABANDONED, 1
  abandoned = abandoned + 1
end

-- The record of a grant, which is abandoned if its time has come.
local function record_now(reference)
  local record = record_at(reference)
  if record and record.state == LIVE and record.expires <= NOW then abandon(reference, record) end
  return record
end

-- Abandon the grants whose time has come, those that have waited longest first. Says whether there are more.
local strays = {}

local function abandon_due(most)
  local due = redis.call('ZRANGEBYSCORE', INDEX, '-inf', digits(NOW), 'LIMIT', 0, most)
  for _, reference in ipairs(due) do
    local record = record_now(reference)
    if not record or record.state ~= LIVE and not records[reference].changed then
      strays[#strays + 1] = reference
    end
  end
  return #due == most
end
