#!/usr/bin/env bash
# test-suites.sh [SUITE...]: the clients' own test suites, whole, against the broker; all of them if
# none is named. Takes about 45 minutes on two cores.
set -euo pipefail
. "$(dirname "$0")/sections.sh"
section "tools" scripts/install-tools.sh
[ $# -gt 0 ] || set -- all
named=()
for suite in "$@"; do named+=(--suite "$suite"); done
section "client suites" cargo run --quiet --package ottla-compat -- "${named[@]}"
finish
