-- Gives REST clients the errors of services in the dialect of the API that they called.
--
-- A service that fails says how in its trailing metadata:
--   x-meshgate-error        the JSON body, ASCII, in the caller's dialect
--   x-meshgate-http-status  the HTTP status, where the one of the gRPC code is not exact
--   retry-after             passed on as it is
-- The filter sees answers after the transcoder. It is not on the routes of native gRPC.

local TYPES = {
  ["400"] = "invalid_request_error",
  ["401"] = "authentication_error",
  ["403"] = "permission_error",
  ["404"] = "invalid_request_error",
  ["409"] = "conflict_error",
  ["429"] = "rate_limit_error",
}

local ANTHROPIC_TYPES = {
  ["400"] = "invalid_request_error",
  ["401"] = "authentication_error",
  ["402"] = "billing_error",
  ["403"] = "permission_error",
  ["404"] = "not_found_error",
  ["413"] = "request_too_large",
  ["422"] = "invalid_request_error",
  ["429"] = "rate_limit_error",
  ["504"] = "timeout_error",
  ["529"] = "overloaded_error",
}

local GOOGLE_STATUSES = {
  ["400"] = "INVALID_ARGUMENT",
  ["401"] = "UNAUTHENTICATED",
  ["403"] = "PERMISSION_DENIED",
  ["404"] = "NOT_FOUND",
  ["409"] = "ABORTED",
  ["413"] = "INVALID_ARGUMENT",
  ["422"] = "INVALID_ARGUMENT",
  ["429"] = "RESOURCE_EXHAUSTED",
  ["503"] = "UNAVAILABLE",
  ["504"] = "DEADLINE_EXCEEDED",
}

local HIDDEN = {
  "x-meshgate-error",
  "x-meshgate-http-status",
  "grpc-status",
  "grpc-message",
  "grpc-status-details-bin",
  "grpc-accept-encoding",
  "grpc-encoding",
}

local function hide(fields)
  for _, name in ipairs(HIDDEN) do
    fields:remove(name)
  end
end

local function percent_decoded(text)
  return (string.gsub(text, "%%(%x%x)", function(digits)
    return string.char(tonumber(digits, 16))
  end))
end

local function json_string(text)
  return '"' .. string.gsub(text, '[%c"\\]', function(character)
    return string.format("\\u%04x", string.byte(character))
  end) .. '"'
end

-- What is said of an error whose service did not write the JSON itself.
local function sentence(status, grpc_message)
  local message = percent_decoded(grpc_message or "")
  if status == "500" or message == "" then
    -- The text of an unexpected error may hold anything.
    message = "The server had an error while processing your request."
  end
  return json_string(message)
end

-- It, in the shape of each API that passes bytes.
local SHAPES = {
  openai = function(status, grpc_message)
    return '{"error":{"message":' .. sentence(status, grpc_message)
      .. ',"type":"' .. (TYPES[status] or "server_error") .. '","param":null,"code":null}}'
  end,
  anthropic = function(status, grpc_message)
    return '{"type":"error","error":{"type":"' .. (ANTHROPIC_TYPES[status] or "api_error")
      .. '","message":' .. sentence(status, grpc_message) .. '}}'
  end,
  gemini = function(status, grpc_message)
    return '{"error":{"code":' .. status .. ',"message":' .. sentence(status, grpc_message)
      .. ',"status":"' .. (GOOGLE_STATUSES[status] or "INTERNAL") .. '"}}'
  end,
}

local function is_error_status(text)
  return text ~= nil and string.match(text, "^[45]%d%d$") ~= nil
end

-- For the access log, which is written when the status is no longer there. A string, because it
-- may not be known: Envoy made the answer itself, or the transcoder has converted the status.
local function note(handle, grpc_status)
  handle:streamInfo():dynamicMetadata():set("meshgate", "grpc_status", grpc_status or "-")
end

-- Whoever is told to come back later is told when.
local function complete_retry_after(headers)
  local status = headers:get(":status")
  if (status == "429" or status == "503") and headers:get("retry-after") == nil then
    headers:add("retry-after", "1")
  end
end

function envoy_on_response(handle)
  local headers = handle:headers()
  local grpc_status = headers:get("grpc-status")
  if grpc_status == nil and headers:get(":status") == "200"
    and handle:streamInfo():protocol() == "HTTP/1.1" then
    -- It has begun well, and its trailers end here: the rest would do nothing, and take a tenth of
    -- what Envoy takes for a request. The access log finds gRPC's status where it came.
    headers:remove("grpc-accept-encoding")
    return
  end
  local failed = grpc_status ~= nil and grpc_status ~= "0"
  local exact_status = headers:get("x-meshgate-http-status")
  local body = headers:get("x-meshgate-error")
  local grpc_message = headers:get("grpc-message")

  note(handle, grpc_status)
  hide(headers)
  if failed and is_error_status(exact_status) then
    headers:replace(":status", exact_status)
  end
  complete_retry_after(headers)

  local shape = SHAPES[handle:filterContext():get("dialect")]
  if failed and shape ~= nil then
    body = body or shape(headers:get(":status"), grpc_message)
    headers:replace("content-type", "application/json")
    -- No header can be changed after this. Nil where the service sent its headers before it failed.
    local buffer = handle:body(true)
    if buffer ~= nil then
      buffer:setBytes(body)
      return
    end
  end

  -- Over HTTP/2, the end of a stream would carry gRPC's status to a client who knows of none.
  -- Waiting for it holds nothing back.
  local trailers = handle:trailers()
  if trailers ~= nil then
    note(handle, trailers:get("grpc-status"))
    hide(trailers)
  end
end
