-- One JSON record an exchange with the usual redactions, left in dynamic metadata for Envoy's access logger.
local SECRET = { authorization = true, cookie = true, ["x-api-key"] = true }

local function escaped(text)
  return (string.gsub(text, '[%c"\\]', function(letter)
    return string.format("\\u%04x", string.byte(letter))
  end))
end

local function redacted(path)
  return (string.gsub(path, "([?&])(token)=[^&]*", "%1%2=[redacted]"))
end

function envoy_on_request(handle)
  local headers = handle:headers()
  local record = {
    '"method":"' .. escaped(headers:get(":method")) .. '"',
    '"path":"' .. escaped(redacted(headers:get(":path"))) .. '"',
    '"host":"' .. escaped(headers:get(":authority") or "") .. '"',
    '"user_agent":"' .. escaped(headers:get("user-agent") or "") .. '"',
    '"request_id":"' .. escaped(headers:get("x-request-id") or "") .. '"',
    '"trace":"' .. escaped(headers:get("traceparent") or "") .. '"',
  }
  for name in pairs(SECRET) do
    if headers:get(name) then
      record[#record + 1] = '"' .. name .. '":"[redacted]"'
    end
  end
  local metadata = handle:streamInfo():dynamicMetadata()
  metadata:set("access", "request", table.concat(record, ","))
  metadata:set("access", "start", handle:timestamp())
end

function envoy_on_response(handle)
  local metadata = handle:streamInfo():dynamicMetadata()
  local access = metadata:get("access") or {}
  local line = '{"timestamp":"' .. os.date("!%Y-%m-%dT%H:%M:%SZ") .. '",' .. (access["request"] or "")
    .. ',"status":' .. handle:headers():get(":status")
    .. ',"duration_ms":' .. (handle:timestamp() - (access["start"] or handle:timestamp())) .. "}"
  metadata:set("access", "record", line)
end
