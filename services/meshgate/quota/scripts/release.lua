-- BatchRelease.

local function give(item, record)
  local reference = item.prefix .. item.id
  local was_live = record.state == LIVE
  -- Of what was ever admitted, the settled part is no longer held.
  local unsettled = each(without, item.used, record.settled)
  unsettled[CONCURRENCY] = item.used[CONCURRENCY]
  local rest = each(math.min, record.remaining, unsettled)
  local back = each(without, record.remaining, rest)
  every_rule(item.prefix, record.subjects, function(counters, rule)
    give_back(counters, rule, amount_of(back, rule[KIND]), was_live)
  end)
  if not was_live and not is_nothing(back) then
    local cause = 'released/' .. table.concat(each(digits, item.used, item.used), ',')
    tell_books(reference, 'returned', record, back, cause)
  end
  record.remaining, record.given_back = rest, 1
  if is_nothing(rest) then finish(record) end
  keep(reference, record)
end

local results = {}
for i, item in ipairs(CALL.items) do
  local reference = item.prefix .. item.id
  local record = record_now(reference)
  if not record then
    local nothing = { 0, 0, 0, 0, 0 }
    keep(reference, {
      kind = NONE, state = ENDED, granted_at = NOW, expires = NOW, lease = 0, amounts = nothing,
      remaining = nothing, settled = nothing, given_back = 1, subjects = {}
    })
  elseif record.state == LIVE or record.state == ABANDONED then
    give(item, record)
  end
  results[i] = 1
end
return answer(DONE, results)
