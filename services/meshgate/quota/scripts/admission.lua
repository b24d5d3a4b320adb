-- Whether something may be granted, and what is left afterwards.

-- Every rule of some subjects with what counts under it now.
local function views_of(prefix, subject_list)
  local views = {}
  for _, subject in ipairs(subject_list) do
    local reference = prefix .. subject[1]
    local counters = subject_at(reference).counters
    for _, rule in ipairs(subject[2]) do
      redate(reference, rule)
      local total, held = counted(counters[rule[ID]] or EMPTY, rule)
      views[#views + 1] = {
        name = subject[1], rule = rule, reference = reference, total = total, held = held
      }
    end
  end
  return views
end

-- The rule that is free last of those that refuse, or nothing.
local function refusal_of(views, amounts)
  local worst, longest
  for _, view in ipairs(views) do
    local rule = view.rule
    local need = amount_of(amounts, rule[KIND])
    if need > 0 and rule[HARD] >= 0 and view.total + need > rule[HARD] then
      local counter = counter_at(view.reference, rule[ID])
      local wait = wait_for(counter, rule, view.total, view.held, need)
      if not worst or wait > longest then
        local remaining = math.max(rule[HARD] - view.total, 0)
        worst = { 'refused', view.name, rule[ID], rule[HARD], rule[STRICT], remaining, wait, need }
        longest = wait
      end
    end
  end
  return worst
end

local function is_tighter(remaining, rule, than)
  if not than then return true end
  local ratio = rule[HARD] > 0 and remaining / rule[HARD] or 0
  local other = than.rule[HARD] > 0 and than.remaining / than.rule[HARD] or 0
  return ratio < other
end

-- The tightest limit on requests and the tightest on tokens.
local function states_of(views)
  local requests, tokens
  for _, view in ipairs(views) do
    local rule = view.rule
    local kind = rule[KIND]
    if rule[HARD] >= 0 then
      view.remaining = math.max(rule[HARD] - view.total, 0)
      if kind == REQUESTS then
        if is_tighter(view.remaining, rule, requests) then requests = view end
      elseif kind <= OUTPUT_TOKENS or kind == TOKENS then
        if is_tighter(view.remaining, rule, tokens) then tokens = view end
      end
    end
  end
  local states = {}
  for _, view in ipairs({ requests or tokens, requests and tokens }) do
    local rule = view.rule
    local reset = reset_of(counter_at(view.reference, rule[ID]), rule)
    states[#states + 1] =
      { view.name, rule[ID], rule[HARD], rule[STRICT], view.remaining, reset }
  end
  return states
end

local function granted(record, views, was_there)
  return { 'granted', record.amounts, record.granted_at, record.lease, states_of(views), was_there }
end
