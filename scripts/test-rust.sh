#!/usr/bin/env bash
# test-rust.sh: everything that needs only Rust: format, lints, dependencies, generated code, tests.
set -euo pipefail
. "$(dirname "$0")/sections.sh"
section "tools" scripts/install-tools.sh rust
rust_sections
finish
