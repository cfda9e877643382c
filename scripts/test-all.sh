#!/usr/bin/env bash
# test-all.sh: proves the whole. The Rust part, the instructions of a request, a short fuzz run, real clients
# against the broker, the same requests to Apache Kafka, and the fast part of the clients' own test suites
# (whole: scripts/test-suites.sh).
# Installs what is missing (scripts/install-tools.sh). Ends with one line: N passed, N failed.
set -euo pipefail
. "$(dirname "$0")/sections.sh"
section "tools" scripts/install-tools.sh
rust_sections
section "compatibility" cargo run --quiet --package ottla-compat
section_beside "instructions" scripts/instructions.sh
section_beside "fuzz" scripts/fuzz.sh "${FUZZ_SECONDS:-10}"
section "swap with Apache Kafka" cargo run --quiet --package ottla-compat -- --swap
section "differential" cargo run --quiet --package ottla-compat -- --differential
section "client suites" cargo run --quiet --package ottla-compat -- --suite all --fast
together
finish
