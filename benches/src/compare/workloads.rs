//! What is measured, and how good it must be.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use super::{Bench, rdkafka};
use crate::client::Client;
use crate::life::{self, Scratch, local};
use crate::process::{Broker, cpu_seconds, memory_mib, round};
use crate::wire::Fail;
use crate::{consume, produce, tail};

type Figures = BTreeMap<&'static str, f64>;

/// A figure of a workload: its unit, and its target as people read it.
pub(crate) struct Figure {
    pub(crate) name: &'static str,
    pub(crate) target: &'static str,
}

pub(crate) struct Workload {
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    pub(crate) wants_librdkafka: bool,
    pub(crate) figures: &'static [Figure],
    pub(crate) run: fn(&Bench<'_>) -> Result<Figures, Fail>,
}

const fn figure(name: &'static str, target: &'static str) -> Figure {
    Figure { name, target }
}

/// In the order in which they run and are shown.
pub(crate) const WORKLOADS: &[Workload] = &[
    Workload {
        name: "start",
        title: "process start to first acknowledged record, empty directory",
        wants_librdkafka: false,
        figures: &[figure("ms", "≤ 50 ms")],
        run: start,
    },
    Workload {
        name: "idle",
        title: "idle, one empty broker",
        wants_librdkafka: false,
        figures: &[
            figure("% of a core", "≤ 0.3 %"),
            figure("resident MiB", "≤ 24 MiB"),
        ],
        run: idle,
    },
    Workload {
        name: "produce-1k",
        title: "produce 1 KiB records, one librdkafka producer",
        wants_librdkafka: true,
        figures: &[
            figure("MB/s", "≥ 4×"),
            figure("broker s/GB", "≤ 0.16×"),
            figure("peak resident MiB", "≤ 64 MiB"),
        ],
        run: |bench| bench.librdkafka_produce(1_500_000, 1024, &["-X", "linger.ms=5"]),
    },
    Workload {
        name: "produce-100b",
        title: "produce 100 B records, one librdkafka producer",
        wants_librdkafka: true,
        figures: &[
            figure("records/s", "≥ 2×"),
            figure("broker µs/record", "≤ 0.15×"),
        ],
        run: |bench| {
            let batching = ["-X", "linger.ms=5", "-X", "batch.num.messages=10000"];
            bench.librdkafka_produce(4_000_000, 100, &batching)
        },
    },
    Workload {
        name: "produce-100k",
        title: "produce 100 KB records, one librdkafka producer",
        wants_librdkafka: true,
        figures: &[figure("MB/s", "≥ 5×"), figure("broker s/GB", "≤ 0.15×")],
        run: |bench| {
            let large = ["-X", "linger.ms=5", "-X", "message.max.bytes=4000000", "-X"];
            let queue = ["queue.buffering.max.kbytes=262144"];
            bench.librdkafka_produce(15_000, 100_000, &[&large[..], &queue[..]].concat())
        },
    },
    Workload {
        name: "single",
        title: "one 1 KiB record a request, one librdkafka producer",
        wants_librdkafka: true,
        figures: &[
            figure("records/s", "≥ 5×"),
            figure("broker µs/record", "≤ 0.10×"),
        ],
        run: |bench| {
            let single = [
                "-X",
                "linger.ms=0",
                "-X",
                "batch.num.messages=1",
                "-X",
                "max.in.flight=5",
            ];
            bench.librdkafka_produce(60_000, 1024, &single)
        },
    },
    Workload {
        name: "consume-1k",
        title: "consume 1 KiB records from the start, one librdkafka consumer",
        wants_librdkafka: true,
        figures: &[figure("MB/s", "≥ 1×"), figure("broker s/GB", "≤ 0.8×")],
        run: consume_1k,
    },
    Workload {
        name: "tail",
        title: "1,000 records/s with one consumer at the end, own generator",
        wants_librdkafka: false,
        figures: &[
            figure("broker µs/record", "≤ 0.06×"),
            figure("acknowledgement p50 µs", ""),
            figure("acknowledgement p99 µs", "≤ 0.33×"),
            figure("arrival p50 µs", "≤ 0.5×"),
            figure("arrival p99 µs", "≤ 0.33×"),
        ],
        run: tail_1k,
    },
    Workload {
        name: "raw-1k",
        title: "produce 1 KiB records in 60 KiB batches, own generator, 5 requests in flight",
        wants_librdkafka: false,
        figures: &[
            figure("MB/s", ""),
            figure("broker s/GB", ""),
            figure("answer p99 µs", ""),
        ],
        run: |bench| bench.raw(|_| {}),
    },
    Workload {
        name: "raw-100-partitions",
        title: "the same over 100 partitions, 4 connections",
        wants_librdkafka: false,
        figures: &[
            figure("MB/s", ""),
            figure("broker s/GB", ""),
            figure("answer p99 µs", ""),
        ],
        run: |bench| {
            bench.raw(|options| {
                options.partitions = 100;
                options.connections = 4;
            })
        },
    },
    Workload {
        name: "raw-single",
        title: "one 1 KiB record a request, own generator, 10 connections",
        wants_librdkafka: false,
        figures: &[
            figure("requests/s", ""),
            figure("broker µs/request", ""),
            figure("answer p99 µs", ""),
        ],
        run: |bench| {
            bench.raw(|options| {
                options.batch_records = 1;
                options.connections = 10;
                options.depth = 1;
                options.records = 100_000;
            })
        },
    },
    Workload {
        name: "fixed-rate",
        title: "100 MB/s of 1 KiB records in 60 KiB batches, own generator, planned times",
        wants_librdkafka: false,
        figures: &[
            figure("broker s/GB", "≤ 0.16×"),
            figure("from planned p99 µs", "≤ 0.33×"),
        ],
        run: |bench| {
            bench.raw(|options| {
                options.rate = 100_000;
                options.records = 500_000;
            })
        },
    },
    Workload {
        name: "raw-consume",
        title: "consume 1 KiB records from the start, own client, offsets and contents verified",
        wants_librdkafka: false,
        figures: &[figure("MB/s", ""), figure("broker s/GB", "≤ 0.8×")],
        run: raw_consume,
    },
    Workload {
        name: "recover",
        title: "start after kill −9 to first acknowledged record, 100 partitions, 1 GB",
        wants_librdkafka: false,
        figures: &[figure("ms", "≤ 300 ms"), figure("all partitions ms", "")],
        run: recover,
    },
    Workload {
        name: "size",
        title: "stripped release binary",
        wants_librdkafka: false,
        figures: &[figure("MB", "≤ 20 MB")],
        run: |_| Ok(Figures::new()),
    },
];

fn start(bench: &Bench<'_>) -> Result<Figures, Fail> {
    let found = life::start(&bench.life())?;
    Ok(Figures::from([(
        "ms",
        number(&found["first_ack_ms"]["median"]),
    )]))
}

fn recover(bench: &Bench<'_>) -> Result<Figures, Fail> {
    let found = life::recover(&life::RecoverOptions {
        life: bench.life(),
        partitions: 100,
        bytes: 1_000_000_000,
    })?;
    Ok(Figures::from([
        ("ms", number(&found["first_ack_ms"]["median"])),
        (
            "all partitions ms",
            number(&found["all_partitions_ms"]["median"]),
        ),
    ]))
}

fn idle(bench: &Bench<'_>) -> Result<Figures, Fail> {
    let (_scratch, broker) = bench.broker()?;
    std::thread::sleep(Duration::from_secs(3));
    let before = cpu_seconds(broker.pid());
    std::thread::sleep(Duration::from_secs(10));
    let used = cpu_seconds(broker.pid()) - before;
    Ok(Figures::from([
        ("% of a core", round(used * 10.0)),
        ("resident MiB", round(memory_mib(broker.pid(), "VmRSS"))),
    ]))
}

fn consume_1k(bench: &Bench<'_>) -> Result<Figures, Fail> {
    let (_scratch, broker) = bench.warm()?;
    let records = 1_000_000;
    let perf = bench.perf()?;
    rdkafka::produce(perf, bench.port, records, 1024, &QUEUE)?;
    let before = cpu_seconds(broker.pid());
    let told = rdkafka::consume(perf, bench.port, records)?;
    let used = cpu_seconds(broker.pid()) - before;
    // A rate counts only if nothing was missing: our own client looks at every offset.
    consume::run(&bench.consumer(&broker, None))?;
    Ok(Figures::from([
        ("MB/s", round(float(told.bytes) / 1e6 / told.seconds)),
        ("broker s/GB", round(used / (float(told.bytes) / 1e9))),
    ]))
}

fn raw_consume(bench: &Bench<'_>) -> Result<Figures, Fail> {
    let (_scratch, broker) = bench.warm()?;
    let mut load = bench.load(&broker);
    load.records = 1_500_000;
    produce::run(&load)?;
    let contents = Some(format!("{}x{}", load.batch_records, load.record_size));
    let found = consume::run(&bench.consumer(&broker, contents))?;
    Ok(Figures::from([
        ("MB/s", number(&found["mb_per_s"])),
        ("broker s/GB", number(&found["broker_s_per_gb"])),
    ]))
}

fn tail_1k(bench: &Bench<'_>) -> Result<Figures, Fail> {
    let (_scratch, broker) = bench.warm()?;
    let mut load = bench.load(&broker);
    load.batch_records = 1;
    load.rate = 1000;
    load.records = 10_000;
    let found = tail::run(&load)?;
    Ok(Figures::from([
        ("broker µs/record", number(&found["broker_us_per_record"])),
        ("acknowledgement p50 µs", number(&found["ack_p50_us"])),
        ("acknowledgement p99 µs", number(&found["ack_p99_us"])),
        ("arrival p50 µs", number(&found["arrival_p50_us"])),
        ("arrival p99 µs", number(&found["arrival_p99_us"])),
    ]))
}

/// Enough room that the client's own queue is not the limit.
const QUEUE: [&str; 2] = ["-X", "queue.buffering.max.messages=500000"];

impl Bench<'_> {
    fn perf(&self) -> Result<&Path, Fail> {
        self.options
            .perf
            .as_deref()
            .ok_or_else(|| "this workload wants --perf".to_owned())
    }

    fn life(&self) -> life::Options {
        life::Options {
            command: self.entry.command.clone(),
            port: self.port,
            scratch: self.options.scratch.clone(),
            rounds: 1,
        }
    }

    /// A broker that has seen some load.
    fn warm(&self) -> Result<(Scratch, Broker), Fail> {
        let (scratch, broker) = self.broker()?;
        let mut load = self.load(&broker);
        load.topic = "warm-up".to_owned();
        load.records = self.entry.warm_up;
        produce::run(&load)?;
        // Small requests take other paths than large ones.
        load.batch_records = 1;
        load.records = self.entry.warm_up / 50;
        produce::run(&load)?;
        Ok((scratch, broker))
    }

    fn load(&self, broker: &Broker) -> produce::Options {
        produce::Options {
            bootstrap: local(self.port),
            pid: Some(broker.pid()),
            topic: "bench".to_owned(),
            partitions: 1,
            partitions_per_request: 1,
            connections: 1,
            threads: 1,
            record_size: 1024,
            batch_records: 60,
            records: 1_500_000,
            acks: 1,
            depth: 5,
            rate: 0,
        }
    }

    fn consumer(&self, broker: &Broker, contents: Option<String>) -> consume::Options {
        consume::Options {
            bootstrap: local(self.port),
            pid: Some(broker.pid()),
            topic: "bench".to_owned(),
            partitions: 1,
            connections: 1,
            records: 0,
            partition_bytes: 1_048_576,
            verify_every: 16,
            verify_contents: contents,
        }
    }

    fn raw(&self, change: fn(&mut produce::Options)) -> Result<Figures, Fail> {
        let (_scratch, broker) = self.warm()?;
        let mut load = self.load(&broker);
        change(&mut load);
        let found = produce::run(&load)?;
        let names = [
            ("MB/s", "mb_per_s"),
            ("requests/s", "requests_per_s"),
            ("broker s/GB", "broker_s_per_gb"),
            ("broker µs/request", "broker_us_per_request"),
            ("answer p99 µs", "answer_p99_us"),
            ("from planned p99 µs", "from_planned_p99_us"),
        ];
        Ok(names
            .into_iter()
            .map(|(name, key)| (name, number(&found[key])))
            .collect())
    }

    fn librdkafka_produce(&self, records: u64, size: u64, extra: &[&str]) -> Result<Figures, Fail> {
        let (_scratch, broker) = self.warm()?;
        Client::connect(local(self.port))?.ensure_topic("bench", 1)?;
        let before = cpu_seconds(broker.pid());
        let told = rdkafka::produce(
            self.perf()?,
            self.port,
            records,
            size,
            &[extra, &QUEUE].concat(),
        )?;
        let used = cpu_seconds(broker.pid()) - before;
        Ok(Figures::from([
            ("MB/s", round(float(told.bytes) / 1e6 / told.seconds)),
            ("records/s", round(float(told.records) / told.seconds)),
            ("broker s/GB", round(used / (float(told.bytes) / 1e9))),
            ("broker µs/record", round(used * 1e6 / float(told.records))),
            (
                "peak resident MiB",
                round(memory_mib(broker.pid(), "VmHWM")),
            ),
        ]))
    }
}

#[expect(clippy::cast_precision_loss, reason = "a figure for people")]
fn float(value: u64) -> f64 {
    value as f64
}

fn number(value: &serde_json::Value) -> f64 {
    value.as_f64().unwrap_or(0.0)
}
