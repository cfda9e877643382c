#!/bin/sh
# kafka-server-start.sh [-daemon] server.properties [--override key=value]...
set -eu
if [ "${1:-}" = -daemon ]; then
    shift
    nohup ottla run "$@" </dev/null >"${LOG_DIR:-.}/kafkaServer.out" 2>&1 &
    exit 0
fi
exec ottla run "$@"
