-- BatchExtend.

-- The calendar windows of a grant as they are now, or the names of those that must be looked up.
local function stale()
  local missing, results = {}, {}
  for _, item in ipairs(CALL.items) do
    local record = record_at(item.prefix .. item.id)
    every_rule(item.prefix, record and record.subjects or {}, function(_, rule)
      local bounds = CALL.windows[rule[ID]]
      if bounds and not is_current(rule) then
        rule[FROM], rule[TO], rule[BEFORE] = bounds[1], bounds[2], bounds[3]
      end
      if not is_current(rule) then missing[rule[ID]] = true end
    end)
  end
  for id in pairs(missing) do results[#results + 1] = id end
  return results
end

local function answer_of(item)
  local reference = item.prefix .. item.id
  local record = record_now(reference)
  if not record or record.state ~= LIVE then return { 'unknown' } end
  local more = each(without, item.total, record.amounts)
  if not is_nothing(more) then
    if is_behind() then return { 'behind' } end
    local refusal = refusal_of(views_of(item.prefix, record.subjects), more)
    if refusal then return refusal end
    take(item.prefix, record.subjects, more)
    record.amounts = each(plus, record.amounts, more)
    record.remaining = each(plus, record.remaining, more)
  end
  record.expires = math.max(record.expires, NOW + item.ttl)
  if record.kind == LEASE and is_for_places(record.amounts) then
    record.lease = record.expires - record.granted_at
  end
  keep(reference, record)
  return granted(record, views_of(item.prefix, record.subjects), 0)
end

local missing = stale()
if #missing > 0 then return answer(STALE, missing) end
local more = abandon_due(CALL.due)
local results = {}
for i, item in ipairs(CALL.items) do results[i] = answer_of(item) end
return answer(DONE, results, more)
