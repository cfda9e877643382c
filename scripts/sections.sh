# Sourced by test-rust.sh and test-all.sh: runs named sections, shows how long each took, and sums
# up what passed and failed. Every section runs, also after one has failed.
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export PATH="$PWD/.cache/tools/bin:$PWD/.cache/tools/go/bin:$PATH"
mkdir -p target
logs=$(mktemp -d target/sections.XXXXXX)
trap 'rm -rf "$logs"' EXIT
summary=()
passed=0
failed=0
beside=()

section() { # NAME COMMAND...
  local name=$1 began=$SECONDS status=0
  shift
  printf '\n=== %s\n' "$name"
  "$@" 2>&1 | tee "$logs/section" || status=$?
  tally "$name" "$logs/section" "$status" $((SECONDS - began))
}

# For a section that keeps the processor busy, beside others that mostly wait and are not to be disturbed. What
# it says is shown by together, as if it had run then.
section_beside() { # NAME COMMAND...
  local name=$1 log=$logs/beside.${#beside[@]}
  shift
  (
    began=$SECONDS status=0
    nice -n 19 "$@" > "$log" 2>&1 || status=$?
    echo "$status $((SECONDS - began))" > "$log.end"
  ) &
  beside+=("$name")
}

together() {
  wait
  local at status took
  for at in "${!beside[@]}"; do
    printf '\n=== %s\n' "${beside[at]}"
    cat "$logs/beside.$at"
    read -r status took < "$logs/beside.$at.end"
    tally "${beside[at]}" "$logs/beside.$at" "$status" "$took"
  done
  beside=()
}

tally() { # NAME LOG STATUS SECONDS
  local name=$1 log=$2 status=$3 took=$4 ok bad
  # What cargo test and the compatibility suite count; any other section counts as one.
  ok=$(awk '/^test result:/ {n += $4} /^[0-9]+ passed, [0-9]+ failed/ {n += $1} END {print n + 0}' "$log")
  bad=$(awk '/^test result:/ {n += $6} /^(SHORT OF KAFKA|DIFFERS)/ {n++} END {print n + 0}' "$log")
  if [ "$status" != 0 ]; then
    [ "$bad" -gt 0 ] || bad=1
  elif [ $((ok + bad)) = 0 ]; then
    ok=1
  fi
  passed=$((passed + ok))
  failed=$((failed + bad))
  local word=passed
  [ "$status" = 0 ] || word=FAILED
  summary+=("$(printf '%-7s %4d s  %s' "$word" "$took" "$name")")
  printf -- '--- %s: %s in %d s\n' "$name" "$word" "$took"
}

finish() {
  printf '\n'
  printf '%s\n' "${summary[@]}"
  printf '%d passed, %d failed\n' "$passed" "$failed"
  [ "$failed" = 0 ]
}

format_check() {
  cargo fmt --all --check &&
    cargo fmt --check --manifest-path compat/clients/rdkafka/Cargo.toml
}

deny_check() {
  cargo deny --all-features check --hide-inclusion-graph licenses bans sources || return
  # The advisory database is a git repository of its own, which is not always in reach.
  if timeout 20 git ls-remote --quiet https://github.com/RustSec/advisory-db HEAD > /dev/null 2>&1; then
    cargo deny --all-features check --hide-inclusion-graph advisories
  else
    echo "advisories: NOT CHECKED, their database is out of reach"
  fi
}

rust_sections() {
  section "format" format_check
  section "clippy" cargo clippy --quiet --workspace --all-targets -- -D warnings
  section "dependencies" deny_check
  section "generated code" cargo run --quiet --package ottla-codegen -- check
  section "tests" cargo test --quiet --workspace --no-fail-fast
}
