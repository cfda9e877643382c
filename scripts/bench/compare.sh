#!/usr/bin/env bash
# compare.sh [options of `ottla-bench compare`]: Ottla beside Apache Kafka, and the table in
# docs/performance.md. Builds what it needs under target/bench. Needs a JDK and Maven for Kafka,
# gcc and make for librdkafka's load program. Without options it takes about 45 minutes.
set -euo pipefail
cd "$(dirname "$0")/../.."
cargo build --release -p ottla -p ottla-bench
compat/kafka/setup.sh target/compat/kafka
perf=$(scripts/bench/rdkafka.sh target/bench/librdkafka)
mkdir -p target/bench/runs
exec target/release/ottla-bench compare \
  --broker "Kafka=scripts/bench/kafka.sh target/compat/kafka %d %p" \
  --broker "Ottla=target/release/ottla run --listen 127.0.0.1:%p --data %d" \
  --produce-only "floor=target/release/ottla-bench null --listen 127.0.0.1:%p --store %d" \
  --produce-only "null=target/release/ottla-bench null --listen 127.0.0.1:%p" \
  --perf "$perf" --binary Ottla=target/release/ottla --touch-mib 3072 \
  --scratch target/bench/runs --out target/bench/figures.json --document docs/performance.md "$@"
