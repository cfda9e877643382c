#!/bin/sh
# kafka-server-stop.sh: stops every broker that this user runs on this machine, cleanly.
set -u
found=
for process in /proc/[0-9]*; do
    name=$(cat "$process/comm" 2>/dev/null) || continue
    if [ "$name" = ottla ] && [ -O "$process" ]; then
        kill -s "${SIGNAL:-TERM}" "${process#/proc/}" && found=yes
    fi
done
if [ -z "$found" ]; then
    echo "No kafka server to stop" >&2
    exit 1
fi
