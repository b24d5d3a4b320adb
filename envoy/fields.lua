-- Tells a service of the admin API which fields the JSON of a request names.
--
-- The transcoder passes over fields that the contract does not have: what is misspelled would have
-- no effect and no one would know. The service compares the names with the contract and refuses:
--   x-meshgate-internal-fields  name,limits.amount,tags.cost%2dcenter: each path once, whatever
--                               arrays lie between; what is no letter, digit or _ is escaped
-- JSON that is none is the transcoder's to refuse.

-- No request of the admin API comes near this.
local MOST_BYTES = 1048576
local MOST_PATH_BYTES = 16384
local MOST_NAME_BYTES = 256
local MOST_DEPTH = 64

local function escaped(name)
  return (string.gsub(name, "[^%w_]", function(character)
    return string.format("%%%02x", string.byte(character))
  end))
end

-- The position of the quote that ends the string which begins at a position.
local function end_of_string(json, start)
  local at = start + 1
  while true do
    local found = string.find(json, '["\\]', at)
    if found == nil then
      return nil
    end
    if string.byte(json, found) == 34 then
      return found
    end
    at = found + 2
  end
end

local function field_paths(json)
  local seen, paths, bytes = {}, {}, 0
  -- Where objects begin and arrays, what they are the value of; `key` is the last one that was
  -- read and has no value yet.
  local outer, here, key = {}, nil, nil
  local at = 1
  while #outer <= MOST_DEPTH and bytes <= MOST_PATH_BYTES do
    local found = string.find(json, '["{}%[%]]', at)
    if found == nil then
      break
    end
    local token = string.sub(json, found, found)
    at = found + 1
    if token == '"' then
      local last = end_of_string(json, found)
      if last == nil then
        break
      end
      at = last + 1
      if string.find(json, "^%s*:", at) then
        local name = escaped(string.sub(json, found + 1, math.min(last - 1, found + MOST_NAME_BYTES)))
        key = here and (here .. "." .. name) or name
        if not seen[key] then
          seen[key] = true
          paths[#paths + 1] = key
          bytes = bytes + #key + 1
        end
      end
    elseif token == "{" or token == "[" then
      outer[#outer + 1] = here or false
      here, key = key or here, nil
    else
      here, key = table.remove(outer) or nil, nil
    end
  end
  return table.concat(paths, ",")
end

function envoy_on_request(handle)
  local body = handle:body()
  if body == nil then
    return
  end
  if body:length() > MOST_BYTES then
    handle:respond({[":status"] = "413"}, "")
    return
  end
  local paths = field_paths(body:getBytes(0, body:length()))
  if paths ~= "" then
    handle:headers():replace("x-meshgate-internal-fields", paths)
  end
end
