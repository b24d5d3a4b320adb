-- Raises counters to what the books say, each only if it still holds what it was found to hold.

local function raise(item)
  local rule, reference = item.rule, item.reference
  if not is_current(rule) then return 0 end
  local total, held = counted(counter_at(reference, rule[ID]), rule)
  if total - held ~= item.spent then return 0 end
  local bucket = buckets_now(rule)
  book(changed_counter_at(reference, rule[ID]), rule, bucket, item.more, 0)
  counts_since(reference, rule[ID], item.since)
  return 1
end

local results = {}
for i, item in ipairs(CALL.items) do results[i] = raise(item) end
return answer(DONE, results)
