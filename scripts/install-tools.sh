#!/usr/bin/env bash
# install-tools.sh [rust]: what the tests need beside the Rust toolchain, as far as it is missing;
# with `rust` only what the Rust part needs. Debian packages are installed with apt-get (with sudo
# where that is needed); everything else goes to .cache/tools, pinned.
set -euo pipefail
cd "$(dirname "$0")/.."
part=${1:-all}
tools=$PWD/.cache/tools
deny_version=0.20.2
go_version=1.26.8 # for machines whose own Go is too old to fetch what go.mod asks for
go_min_minor=21   # from 1.21 on, go fetches the toolchain that a go.mod asks for

missing=()
need() { # COMMAND PACKAGE...
  command -v "$1" > /dev/null || missing+=("${@:2}")
}
need cc build-essential
need git git
if [ "$part" != rust ]; then
  need javac default-jdk-headless
  need mvn maven
  need node nodejs
  need npm npm
  need valgrind valgrind
  need pkg-config pkg-config
  python3 -c 'import ensurepip, venv' 2> /dev/null || missing+=(python3 python3-venv)
  [ -e /usr/include/zlib.h ] || missing+=(zlib1g-dev)
  [ -e /usr/include/zstd.h ] || missing+=(libzstd-dev)
  command -v go > /dev/null || [ -x "$tools/go/bin/go" ] || missing+=(golang-go)
  # What reads librdkafka's statistics in its own tests.
  [ -e /usr/include/rapidjson/document.h ] || missing+=(rapidjson-dev)
fi
if [ ${#missing[@]} -gt 0 ]; then
  echo "installing ${missing[*]}"
  as_root=()
  [ "$(id -u)" = 0 ] || as_root=(sudo)
  "${as_root[@]}" apt-get update -q
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get install -q -y --no-install-recommends "${missing[@]}"
fi

if [ "$("$tools/bin/cargo-deny" --version 2> /dev/null || true)" != "cargo-deny $deny_version" ]; then
  echo "building cargo-deny $deny_version"
  # A debug build: it is made in a minute and runs for a second.
  cargo install --quiet cargo-deny --version "$deny_version" --locked --debug \
    --no-default-features --root "$tools"
fi

if [ "$part" != rust ] && [ ! -x "$tools/go/bin/go" ]; then
  minor=$(GOTOOLCHAIN=local go version | sed -E 's/^go version go1\.([0-9]+).*/\1/')
  if [ "$minor" -lt "$go_min_minor" ]; then
    echo "fetching Go $go_version as a Go module"
    module=golang.org/toolchain@v0.0.1-go$go_version.linux-$(go env GOARCH)
    (cd / && go mod download "$module")
    home=$(go env GOMODCACHE)/$module
    chmod -R u+w "$home"
    # Modules carry no file modes.
    chmod +x "$home"/bin/* "$home"/pkg/tool/*/*
    mkdir -p "$tools"
    ln -sfn "$home" "$tools/go"
  fi
fi
