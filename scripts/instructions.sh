#!/usr/bin/env bash
# instructions.sh: counts the instructions of a request under callgrind and holds them against
# benches/instructions/counts.txt; UPDATE=1 writes that file. Needs valgrind.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo build --quiet --profile quick --package ottla-instructions
exec target/quick/ottla-instructions
