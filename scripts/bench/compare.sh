#!/usr/bin/env bash
# compare.sh [options of `ottla-bench compare`]: Ottla beside Apache Kafka, and the table in
# docs/performance.md. Builds what it needs under target/bench. Needs a JDK and Maven for Kafka,
# gcc and make for librdkafka's load program. Without options, three rounds of every workload, it takes
# about an hour and a half on two cores after the builds; `--rounds 1` takes about half an hour. The table
# and target/bench/figures.json are written after each workload, so a run that is ended keeps what it has.
# `recover-10g` needs 12 GB of disk for a while.
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
