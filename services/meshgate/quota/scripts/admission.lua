-- Whether something may be granted, and what is left afterwards.

-- The rule that is free last of those that refuse, or nothing.
local function refusal_of(prefix, subject_list, amounts)
  local worst
  every_rule(subject_list, function(name, rule)
    local need = amount_of(amounts, rule[KIND])
    if need == 0 or rule[HARD] < 0 then return end
    local counter = counter_at(prefix .. name, rule[ID])
    local total, held = counted(counter, rule)
    if total + need <= rule[HARD] then return end
    local wait = wait_for(counter, rule, total, held, need)
    if not worst or wait > worst[7] then
      local remaining = math.max(rule[HARD] - total, 0)
      worst = { 'refused', name, rule[ID], rule[HARD], rule[STRICT], remaining, wait, need }
    end
  end)
  return worst
end

-- The tightest limit on requests and the tightest on tokens, after what was granted.
local function states_of(prefix, subject_list)
  local tightest = {}
  every_rule(subject_list, function(name, rule)
    local kind = rule[KIND]
    if rule[HARD] < 0 or not (kind <= 3 or kind == TOKENS) then return end
    local counter = counter_at(prefix .. name, rule[ID])
    local remaining = math.max(rule[HARD] - counted(counter, rule), 0)
    local ratio = rule[HARD] > 0 and remaining / rule[HARD] or 0
    local place = kind == 1 and 1 or 2
    if not tightest[place] or ratio < tightest[place][1] then
      tightest[place] = { ratio, name, rule, remaining, counter }
    end
  end)
  local states = {}
  for place = 1, 2 do
    local found = tightest[place]
    if found then
      local rule = found[3]
      states[#states + 1] =
        { found[2], rule[ID], rule[HARD], rule[STRICT], found[4], reset_of(found[5], rule) }
    end
  end
  return states
end

local function granted(prefix, record, subject_list, was_there)
  return {
    'granted', record.amounts, record.granted_at, record.lease, states_of(prefix, subject_list), was_there
  }
end
