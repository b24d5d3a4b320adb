-- What every script ends with: it writes what has changed.

-- Counters that nobody will ask for any more lie around for a while, in case that the clock is set back.
local LINGER_MS = 60000

local function write_subjects()
  for reference, subject in pairs(subjects) do
    if subject.changed then
      local key = TAG .. 'subject:' .. reference
      local last, for_ever = 0, false
      for id, counter in pairs(subject.counters) do
        local buckets = counter[BUCKETS]
        if id == 'concurrency' then
          local is_idle = (buckets[2] or 0) == 0
          counter[EXPIRES] = is_idle and NOW + (#counter[ALERTED] > 0 and AT_ONCE_ALERT_MS or 0) or 0
        end
        if counter[EXPIRES] > 0 and counter[EXPIRES] <= NOW then
          subject.counters[id] = nil
        elseif counter[EXPIRES] == 0 then
          for_ever = true
        else
          last = math.max(last, counter[EXPIRES])
        end
      end
      if not next(subject.counters) then
        redis.call('DEL', key)
      elseif for_ever then
        redis.call('SET', key, cmsgpack.pack(subject.counters))
      else
        redis.call('SET', key, cmsgpack.pack(subject.counters), 'PX', digits(last - NOW + LINGER_MS))
      end
    end
  end
end

local function write_grants()
  for reference, found in pairs(records) do
    if found.changed then
      local key, record = TAG .. 'grant:' .. reference, found.record
      if record.state == LIVE then
        -- For as long as it lives: whatever it holds must be found when its time has come.
        redis.call('SET', key, cmsgpack.pack(record))
        if found.expires ~= record.expires then
          redis.call('ZADD', INDEX, digits(record.expires), reference)
        end
      else
        -- What was given up may be settled late for as long as anything may be settled again: were it
        -- forgotten before, it would count beside the settlement.
        local retention = record.state == ABANDONED and CALL.settled_retention or CALL.retention
        local rest = math.max(record.expires - NOW, 0) + math.max(retention, CALL.retention)
        redis.call('SET', key, cmsgpack.pack(record), 'PX', digits(rest))
        if found.expires then redis.call('ZREM', INDEX, reference) end
      end
    end
  end
  for _, reference in ipairs(strays) do redis.call('ZREM', INDEX, reference) end
end

local function write_streams()
  for _, fields in ipairs(usage) do
    if CALL.ledger == 1 then
      -- The ledger drops what it has; nothing else may.
      redis.call('XADD', USAGE, '*', unpack(fields))
    else
      redis.call('XADD', USAGE, 'MAXLEN', '~', CALL.usage_entries, '*', unpack(fields))
    end
  end
  for _, alert in ipairs(alerts) do
    local partition = string.sub(alert[1], string.find(alert[1], ':') + 1, -2)
    redis.call('XADD', ALERTS, 'MAXLEN', '~', CALL.alert_entries, '*', 'partition', partition,
      'subject', alert[2], 'limit', alert[3], 'amount', digits(alert[4]), 'total', digits(alert[5]),
      'time', digits(NOW))
  end
end

local function answer(status, results, more)
  if status == DONE then
    if lost_at then redis.call('SET', TAG .. 'books', lost_at) end
    write_subjects()
    write_grants()
    write_streams()
  end
  return cmsgpack.pack({ status, NOW, results, alerts, abandoned, more and 1 or 0 })
end
