-- BatchHold and BatchLease.

-- What one lease may take of what is left: the rest is for other callers.
local SHARE, CONCURRENCY_SHARE = 64, 16

local function stale()
  for _, item in ipairs(CALL.items) do
    for _, subject in ipairs(item.subjects) do
      for _, rule in ipairs(subject[2]) do
        if not is_current(rule) then return true end
      end
    end
  end
  return false
end

-- How many units fit beside the least that is needed.
local function units_of(item, views)
  local count = item.count
  for i = 1, CONCURRENCY do
    if item.unit[i] > 0 then
      count = math.min(count, math.floor((MOST / 2 - item.least[i]) / item.unit[i]))
    end
  end
  for _, view in ipairs(views) do
    local rule = view.rule
    local unit = amount_of(item.unit, rule[KIND])
    if unit > 0 and rule[HARD] >= 0 then
      local left = rule[HARD] - view.total - amount_of(item.least, rule[KIND])
      local share = rule[KIND] == CONCURRENCY and CONCURRENCY_SHARE or SHARE
      count = math.min(count, math.floor(left / share / unit))
    end
  end
  return math.max(count, 0)
end

-- No longer than the shortest bucket lasts; concurrency belongs to no window.
local function lease_of(item, views, amounts)
  if item.kind ~= LEASE then return 0 end
  if is_for_places(amounts) then return item.ttl end
  local length = CALL.lease
  for _, view in ipairs(views) do
    length = math.min(length, left_of_bucket(view.rule) or length)
  end
  return length
end

local function answer_of(item)
  local reference = item.prefix .. item.id
  local record = record_now(reference)
  if record then
    if record.given_back == 1 then return { 'released' } end
    return granted(record, views_of(item.prefix, item.subjects), 1)
  end
  if is_behind() then return { 'behind' } end
  if CALL.rebuild > 0 and has_budget(item.subjects) and is_lost() then return { 'lost' } end
  local views = views_of(item.prefix, item.subjects)
  local refusal = refusal_of(views, item.least)
  if refusal then return refusal end
  local amounts = item.least
  if item.count > 0 then
    local count = units_of(item, views)
    amounts = each(function(least, unit) return least + count * unit end, item.least, item.unit)
  end
  record = {
    kind = item.kind, state = LIVE, granted_at = NOW, expires = NOW + item.ttl, lease = lease_of(item, views, amounts),
    amounts = amounts, remaining = each(plus, amounts, { 0, 0, 0, 0, 0 }), settled = { 0, 0, 0, 0, 0 },
    given_back = 0, subjects = item.subjects
  }
  take(item.prefix, item.subjects, amounts)
  keep(reference, record)
  for _, view in ipairs(views) do
    view.total = plus(view.total, amount_of(amounts, view.rule[KIND]))
  end
  return granted(record, views, 0)
end

if stale() then return answer(STALE, {}) end
local more = abandon_due(CALL.due)
local results = {}
for i, item in ipairs(CALL.items) do results[i] = answer_of(item) end
return answer(DONE, results, more)
