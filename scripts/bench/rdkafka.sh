#!/usr/bin/env bash
# rdkafka.sh DIR: builds librdkafka's rdkafka_performance into DIR from the sources in crate rdkafka-sys,
# and prints its path. Needs cargo, gcc, make and zlib's headers; a second run only prints.
set -euo pipefail
version=4.10.0
dir=${1:?usage: rdkafka.sh DIR}
mkdir -p "$dir"
dir=$(cd "$dir" && pwd)
perf=$dir/examples/rdkafka_performance
if [ ! -x "$perf" ]; then
  fetch=$(mktemp -d)
  trap 'rm -rf "$fetch"' EXIT
  (cd "$fetch" && cargo init -q --name fetch && cargo add -q "rdkafka-sys@=$version" && cargo vendor -q vendor > /dev/null)
  cp -r "$fetch"/vendor/rdkafka-sys/librdkafka/. "$dir/"
  (cd "$dir" && ./configure --disable-gssapi && make -j"$(nproc)" -C src && make -C examples rdkafka_performance) > "$dir/build.log" 2>&1
fi
echo "$perf"
