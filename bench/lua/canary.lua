-- Sticky percentage by user: a hash of rollout and user picks the side, a header tells the router.
local PERCENT, ROLLOUT = 5, "checkout-v2"

local function bucket(key)
  local hash = 5381
  for index = 1, #key do
    hash = (hash * 33 + string.byte(key, index)) % 4294967296
  end
  return hash % 100
end

function envoy_on_request(handle)
  local headers = handle:headers()
  headers:remove("x-launchgate-variant")
  local forced = headers:get("x-canary")
  local user = headers:get("x-user-id")
  local canary = false
  if forced == "always" then
    canary = true
  elseif forced ~= "never" and user then
    canary = bucket(ROLLOUT .. user) < PERCENT
  end
  headers:add("x-launchgate-variant", canary and "canary" or "stable")
end
