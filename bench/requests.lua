-- Replays `path address` lines, each thread from a place of its own.
-- wrk -s requests.lua URL -- FILE
local requests, at = {}, 0

function init(args)
  for line in io.lines(args[1]) do
    local path, address = line:match("^(%S+) (%S+)$")
    requests[#requests + 1] = wrk.format("GET", path, {
      ["Host"] = "registry.example.org",
      ["X-Forwarded-For"] = address,
      ["User-Agent"] = "containerd/1.7.20",
      ["Accept"] = "*/*",
    })
  end
end

function request()
  at = at % #requests + 1
  return requests[at]
end

-- "requests errors other-than-2xx-or-3xx": what the caller reads.
function done(summary, latency)
  local e = summary.errors
  io.write(string.format("RESULT %d %d\n", summary.requests, e.connect + e.read + e.write + e.timeout + e.status))
end
