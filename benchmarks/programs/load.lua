-- What wrk sends, and what it says in the end: one line of JSON behind "result ".
-- Arguments behind wrk's own "--": the file with the body, how many sessions to go through (0 for none), then header
-- lines. "{n}" in the body is the number of the session.

local requests = {}
local turn = 0

function init(args)
  local file = assert(io.open(args[1], "rb"))
  local body = file:read("*a")
  file:close()
  local headers = {["content-type"] = "application/json"}
  for i = 3, #args do
    local name, value = args[i]:match("^([^:]+): (.*)$")
    headers[name] = value
  end
  for n = 1, math.max(1, tonumber(args[2])) do
    local text = body:gsub("{n}", tostring(n))
    requests[n] = wrk.format("POST", nil, headers, text)
  end
end

function request()
  turn = turn % #requests + 1
  return requests[turn]
end

function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    'result {"requests": %d, "microseconds": %d, "p50": %.1f, "p99": %.1f, "errors": %d}\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
