#!/bin/sh
# kafka-storage.sh format -t ID -c FILE ... | random-uuid
set -eu
exec ottla "$@"
