#!/usr/bin/env bash
# How many events a second a collector takes: wrk (https://github.com/wg/wrk) posts batches of 100 for 20 seconds.
#
#   KAFKA_BOOTSTRAP_SERVERS=localhost:9092 benches/collector/run.sh [CONNECTIONS]
#
# The topic `bench-events` has to be there (kafka-topics.sh --create --topic bench-events --partitions 4).
# Figures of different machines do not compare; wrk, collector and broker share this one.
set -euo pipefail
cd "$(dirname "$0")/../.."
command -v wrk >/dev/null || { echo "wrk is missing: apt-get install wrk" >&2; exit 3; }

connections=${1:-32}
address=127.0.0.1:8188
cargo build --release
work=$(mktemp -d)
trap 'kill "$collector" 2>/dev/null || true; rm -rf "$work"' EXIT
cp -r schemas "$work/schemas"
cat >"$work/routes.toml" <<TOML
version = 1
app = "bench"
[kafka]
bootstrap_servers = "${KAFKA_BOOTSTRAP_SERVERS:-localhost:9092}"
[http]
listen = "127.0.0.1:8189"
[validators.event]
schema = "shop.Event"
[validators.event.rules]
known-user = "user_id > 0"
positive-quantity = "!has(quantity) || quantity > 0"
[collectors.events]
listen = "$address"
topic = "bench-events"
validator = "event"
record_key = ["user_id"]
TOML

binary=$(cargo metadata --format-version 1 --no-deps | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')/release/pointsman
"$binary" collect -f "$work/routes.toml" 2>"$work/log" &
collector=$!
for _ in $(seq 100); do
    curl --silent --fail --output /dev/null http://127.0.0.1:8189/ready && break
    kill -0 "$collector" || { cat "$work/log" >&2; exit 3; }
    sleep 0.2
done
wrk --threads 2 --connections "$connections" --duration 20s --latency \
    --script benches/collector/batches.lua "http://$address/events" | tail -n 1
curl --silent http://127.0.0.1:8189/metrics | grep '^pointsman_collector_events_total'
awk '/VmHWM/ { printf "peak memory %.0f MB\n", $2 / 1024 }' "/proc/$collector/status"
