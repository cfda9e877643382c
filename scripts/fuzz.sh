#!/bin/sh
# Fuzzes every decoder for SECONDS each (60 if not said): scripts/fuzz.sh [SECONDS]
# What a run finds stays in fuzz/corpus and fuzz/artifacts. A crash ends the script with an error.
# FUZZ_SANITIZER=address also watches the C code of codecs; it takes many minutes to build, and our own code
# has no unsafe block that it could find a fault in.
set -eu
cd "$(dirname "$0")/.."
seconds=${1:-60}

version=0.13.1
tools=$PWD/.cache/tools
export PATH="$tools/bin:$PATH"
if [ "$(cargo-fuzz --version 2>/dev/null || true)" != "cargo-fuzz $version" ]; then
  cargo install --quiet cargo-fuzz --version "$version" --locked --root "$tools"
fi

cargo run --quiet -p ottla-protocol-tests --bin fuzz-seeds -- fuzz/corpus
# Sanitizers are nightly options; the pinned compiler has them, too, and is the one in use.
export RUSTC_BOOTSTRAP=1
for target in $(cargo fuzz list); do
  echo "fuzzing $target for $seconds s"
  mkdir -p "fuzz/corpus/$target" "fuzz/seeds/$target"
  cargo fuzz run --sanitizer "${FUZZ_SANITIZER:-none}" "$target" "fuzz/corpus/$target" "fuzz/seeds/$target" -- \
    -max_total_time="$seconds" -rss_limit_mb=512 -malloc_limit_mb=64 -timeout=10 -verbosity=0 -print_final_stats=1
done
