-- Labels for RED metrics. Envoy's Lua has no metrics: the values go to dynamic metadata, for a logger or tracer to count.
local ROUTES = { { "^/users/[^/]+$", "/users/{id}" }, { "^/orders/[^/]+/items$", "/orders/{id}/items" } }
local METHODS = { GET = true, HEAD = true, POST = true, PUT = true, PATCH = true, DELETE = true, OPTIONS = true }

function envoy_on_request(handle)
  local headers = handle:headers()
  local method, path = headers:get(":method"), string.match(headers:get(":path"), "^[^?]*")
  local route = "other"
  for _, entry in ipairs(ROUTES) do
    if string.match(path, entry[1]) then
      route = entry[2]
      break
    end
  end
  local metadata = handle:streamInfo():dynamicMetadata()
  metadata:set("red", "method", METHODS[method] and method or "other")
  metadata:set("red", "route", route)
  metadata:set("red", "start", handle:timestamp())
end

function envoy_on_response(handle)
  local metadata = handle:streamInfo():dynamicMetadata()
  local red = metadata:get("red") or {}
  local status = handle:headers():get(":status")
  metadata:set("red", "status_class", string.sub(status, 1, 1) .. "xx")
  metadata:set("red", "duration", handle:timestamp() - (red["start"] or handle:timestamp()))
end
