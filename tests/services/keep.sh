#!/bin/sh
# Runs a service for as long as the tests live: keep.sh FOLDER SIGNAL COMMAND…
#
# Our standard input is a pipe that only the test process holds. However that process ends, SIGKILL included, the
# pipe closes; then the service gets SIGNAL and FOLDER, which is all it ever wrote to, is removed.
folder=$1 signal=$2
shift 2
exec 3<&0
"$@" </dev/null >>"$folder/log" 2>&1 &
service=$!
{
    cat <&3 >/dev/null
    kill -"$signal" "$service" 2>/dev/null
} &
wait "$service"
touch "$folder/ended" # read by the tests: no use in waiting for it any longer
wait
rm -rf "$folder"
