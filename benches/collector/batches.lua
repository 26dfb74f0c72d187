-- wrk: posts batches of 100 events, each with an id of its own, and counts the answers that are not 202.

local BATCH = 100
local thread = 0

function setup(t)
    t:set("number", thread)
    thread = thread + 1
end

function init()
    next_id = number * 1000000000
    wrk.method = "POST"
    wrk.headers["Content-Type"] = "application/json"
end

function request()
    local events = {}
    for i = 1, BATCH do
        next_id = next_id + 1
        events[i] = string.format(
            '{"event_id":"%08x-0000-4000-8000-%012x","event_type":"add_to_cart","user_id":%d,"session_id":"s%d",'
                .. '"occurred_at":"2024-06-30T20:40:35.123Z","page":"/products/%d","product_id":%d,"quantity":%d,'
                .. '"unit_price":"%d.99","currency":"EUR"}',
            number, next_id, next_id % 9973 + 1, next_id % 997, next_id % 499, next_id % 499, next_id % 7 + 1, next_id % 89)
    end
    return wrk.format(nil, nil, nil, "[" .. table.concat(events, ",") .. "]")
end

function done(summary, latency)
    local e = summary.errors
    io.write(string.format(
        "%.0f events/s  p50 %.1f ms  p99 %.1f ms  (%d requests of %d events in %.1f s, %d not 2xx, %d broken)\n",
        summary.requests * BATCH / summary.duration * 1e6,
        latency:percentile(50) / 1000,
        latency:percentile(99) / 1000,
        summary.requests, BATCH, summary.duration / 1e6,
        e.status, e.connect + e.read + e.write + e.timeout))
end
