-- Reports failed exchanges to Sentry, at most five a minute and fingerprint.
local seen, window = {}, 0

function envoy_on_request(handle)
  local headers = handle:headers()
  local metadata = handle:streamInfo():dynamicMetadata()
  metadata:set("errors", "method", headers:get(":method"))
  metadata:set("errors", "path", string.match(headers:get(":path"), "^[^?]*"))
end

function envoy_on_response(handle)
  local status = tonumber(handle:headers():get(":status"))
  if status < 500 then
    return
  end
  local errors = handle:streamInfo():dynamicMetadata():get("errors") or {}
  local minute = math.floor(handle:timestamp() / 60000)
  if minute ~= window then
    seen, window = {}, minute
  end
  local fingerprint = status .. " " .. (errors["method"] or "") .. " " .. (errors["path"] or "")
  seen[fingerprint] = (seen[fingerprint] or 0) + 1
  if seen[fingerprint] <= 5 then
    local event = '{"message":"' .. fingerprint .. '","level":"error"}'
    handle:httpCall("sentry", { [":method"] = "POST", [":path"] = "/api/7/envelope/", [":authority"] = "sentry" },
      "{}\n{\"type\":\"event\"}\n" .. event, 2000, true)
  end
end
