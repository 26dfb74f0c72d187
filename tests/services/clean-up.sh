#!/bin/sh
# Ends a service and removes its folder when the tests are over: clean-up.sh FOLDER SIGNAL
#
# Our standard input is a pipe that only the test process holds: it closes however that process ends, SIGKILL included.
cat >/dev/null
[ -f "$1/pid" ] && kill -"$2" "$(cat "$1/pid")"
# What has not ended yet may still write: again, until nothing comes back.
for _ in 1 2 3 4 5 6 7 8 9 10; do
    rm -rf "$1"
    sleep 0.2
    [ -e "$1" ] || exit 0
done
