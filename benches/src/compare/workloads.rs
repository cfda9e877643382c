//! What is measured, and how good it must be.

use std::collections::BTreeMap;

use super::Bench;
use super::measures::{self, Figures, setting};
use crate::batch::Compression;
use crate::produce;
use crate::wire::Fail;

/// A figure of a workload: its unit, and its target as people read it.
pub(crate) struct Figure {
    pub(crate) name: &'static str,
    pub(crate) target: &'static str,
}

pub(crate) struct Workload {
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    pub(crate) wants_librdkafka: bool,
    /// Whether a broker that knows nothing but Produce can take part.
    pub(crate) only_produces: bool,
    pub(crate) figures: &'static [Figure],
    pub(crate) run: fn(&Bench<'_>) -> Result<Figures, Fail>,
}

impl Workload {
    /// Without another request than Produce.
    const fn produce_only(self) -> Workload {
        Workload {
            only_produces: true,
            ..self
        }
    }
}

const fn figure(name: &'static str, target: &'static str) -> Figure {
    Figure { name, target }
}

/// With this program's own load.
const fn own(
    name: &'static str,
    title: &'static str,
    figures: &'static [Figure],
    run: fn(&Bench<'_>) -> Result<Figures, Fail>,
) -> Workload {
    Workload {
        name,
        title,
        wants_librdkafka: false,
        only_produces: false,
        figures,
        run,
    }
}

/// With librdkafka's load program.
const fn librdkafka(
    name: &'static str,
    title: &'static str,
    figures: &'static [Figure],
    run: fn(&Bench<'_>) -> Result<Figures, Fail>,
) -> Workload {
    Workload {
        wants_librdkafka: true,
        ..own(name, title, figures, run)
    }
}

const RATE_AND_CPU: &[Figure] = &[
    figure("MB/s", ""),
    figure("broker s/GB", ""),
    figure("answer p99 µs", ""),
];
const REQUESTS_AND_CPU: &[Figure] = &[
    figure("requests/s", "≥ 8×"),
    figure("broker µs/request", "≤ 0.06×"),
    figure("answer p99 µs", "≤ 0.2×"),
];
const COMPRESSED: &[Figure] = &[figure("MB/s", ""), figure("broker s/GB", "≤ 0.25×")];
const DURABLE: &[Figure] = &[
    figure("requests/s", "≥ 3×"),
    figure("answer p50 µs", ""),
    figure("answer p99 µs", "≤ 0.33×"),
];

/// In the order in which they run and are shown.
pub(crate) const WORKLOADS: &[Workload] = &[
    own(
        "start",
        "process start to first acknowledged record, empty directory",
        &[figure("ms", "≤ 0.02×, ≤ 20 ms")],
        measures::start,
    ),
    own(
        "start-1000",
        "clean start to first acknowledged record, 1,000 partitions",
        &[figure("ms", "≤ 0.05×, ≤ 200 ms")],
        measures::start_1000,
    ),
    own(
        "idle",
        "idle, one empty broker",
        &[
            figure("% of a core", "≤ 0.1 %"),
            figure("resident MiB", "≤ 12 MiB"),
        ],
        measures::idle,
    ),
    own(
        "idle-consumers",
        "idle, 100 consumers at the end of a topic that wait 500 ms at a time",
        &[figure("% of a core", "")],
        measures::idle_consumers,
    ),
    own(
        "memory",
        "peak memory under load: 500 connections, 1,000 partitions",
        &[figure("peak resident MiB", "≤ 48 MiB")],
        measures::memory,
    ),
    librdkafka(
        "produce-1k",
        "produce 1 KiB records, one librdkafka producer",
        &[
            figure("MB/s", "≥ 5×"),
            figure("broker s/GB", "≤ 0.13×"),
            figure("peak resident MiB", "≤ 48 MiB"),
        ],
        |bench| bench.librdkafka_produce(1_500_000, 1024, &["-X", "linger.ms=5"]),
    )
    .produce_only(),
    librdkafka(
        "produce-idempotent",
        "the same, idempotent and acks=all",
        &[figure("MB/s", "≥ 1.3×"), figure("broker s/GB", "")],
        |bench| {
            let safe = [
                "-X",
                "linger.ms=5",
                "-a",
                "-1",
                "-X",
                "enable.idempotence=true",
            ];
            bench.librdkafka_produce(1_500_000, 1024, &safe)
        },
    ),
    librdkafka(
        "produce-100b",
        "produce 100 B records, one librdkafka producer",
        &[
            figure("records/s", "≥ 2.5×"),
            figure("broker µs/record", "≤ 0.10×"),
        ],
        |bench| {
            let batching = ["-X", "linger.ms=5", "-X", "batch.num.messages=10000"];
            bench.librdkafka_produce(4_000_000, 100, &batching)
        },
    )
    .produce_only(),
    librdkafka(
        "produce-100k",
        "produce 100 KB records, one librdkafka producer",
        &[figure("MB/s", "≥ 5×"), figure("broker s/GB", "≤ 0.15×")],
        |bench| {
            let large = ["-X", "linger.ms=5", "-X", "message.max.bytes=4000000", "-X"];
            let queue = ["queue.buffering.max.kbytes=262144"];
            bench.librdkafka_produce(15_000, 100_000, &[&large[..], &queue[..]].concat())
        },
    )
    .produce_only(),
    librdkafka(
        "single",
        "one 1 KiB record a request, one librdkafka producer",
        &[
            figure("records/s", "≥ 8×"),
            figure("broker µs/record", "≤ 0.06×"),
        ],
        |bench| {
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
    )
    .produce_only(),
    librdkafka(
        "consume-1k",
        "consume 1 KiB records from the start, one librdkafka consumer",
        &[figure("MB/s", "≥ 1×"), figure("broker s/GB", "≤ 0.6×")],
        measures::consume_1k,
    ),
    own(
        "tail",
        "1,000 records/s with one consumer at the end, own generator",
        &[
            figure("broker µs/record", "≤ 0.06×"),
            figure("acknowledgement p50 µs", ""),
            figure("acknowledgement p99 µs", "≤ 0.33×"),
            figure("arrival p50 µs", "≤ 0.5×"),
            figure("arrival p99 µs", "≤ 0.33×"),
            figure("arrival p999 µs", "≤ 0.2×"),
        ],
        |bench| bench.tail(1_000, 1, 10_000),
    ),
    own(
        "tail-50k",
        "50,000 records/s, ten a request, with one consumer at the end, own generator",
        &[
            figure("broker µs/record", ""),
            figure("arrival p50 µs", "≤ 0.5×"),
            figure("arrival p99 µs", "≤ 0.33×"),
            figure("arrival p999 µs", "≤ 0.2×"),
        ],
        |bench| bench.tail(50_000, 10, 500_000),
    ),
    own(
        "raw-1k",
        "produce 1 KiB records in 60 KiB batches, own generator, 5 requests in flight",
        RATE_AND_CPU,
        |bench| bench.raw(|_| {}),
    )
    .produce_only(),
    own(
        "raw-acks-0",
        "the same without answers",
        &[figure("MB/s", ""), figure("broker s/GB", "")],
        |bench| bench.raw(|options| options.acks = 0),
    ),
    own(
        "raw-acks-all",
        "the same with acks=all",
        RATE_AND_CPU,
        |bench| bench.raw(|options| options.acks = -1),
    )
    .produce_only(),
    own(
        "raw-10-partitions",
        "the same over 10 partitions, 4 connections",
        RATE_AND_CPU,
        |bench| bench.raw(|options| spread(options, 10)),
    )
    .produce_only(),
    own(
        "raw-100-partitions",
        "the same over 100 partitions, 4 connections",
        RATE_AND_CPU,
        |bench| bench.raw(|options| spread(options, 100)),
    )
    .produce_only(),
    own(
        "raw-1000-partitions",
        "the same over 1,000 partitions, 4 connections",
        &[
            figure("MB/s", "≥ 4×, ≥ 70 % of `raw-1k`"),
            figure("broker s/GB", "≤ 0.15×"),
            figure("answer p99 µs", ""),
        ],
        |bench| bench.raw(|options| spread(options, 1000)),
    )
    .produce_only(),
    own(
        "raw-single-1",
        "one 1 KiB record a request, own generator, one connection",
        REQUESTS_AND_CPU,
        |bench| bench.raw(|options| single(options, 1)),
    )
    .produce_only(),
    own(
        "raw-single",
        "one 1 KiB record a request, own generator, 10 connections",
        REQUESTS_AND_CPU,
        |bench| bench.raw(|options| single(options, 10)),
    )
    .produce_only(),
    own(
        "raw-single-500",
        "one 1 KiB record a request, own generator, 500 connections",
        REQUESTS_AND_CPU,
        |bench| bench.raw(|options| single(options, 500)),
    )
    .produce_only(),
    own(
        "lz4",
        "produce lz4 batches of 600 records, own generator; MB and GB of values before compression",
        COMPRESSED,
        |bench| bench.raw(|options| compressed(options, Compression::Lz4)),
    )
    .produce_only(),
    own("zstd", "the same with zstd", COMPRESSED, |bench| {
        bench.raw(|options| compressed(options, Compression::Zstd))
    })
    .produce_only(),
    own("gzip", "the same with gzip", COMPRESSED, |bench| {
        bench.raw(|options| compressed(options, Compression::Gzip))
    })
    .produce_only(),
    own(
        "fixed-rate",
        "100 MB/s of 1 KiB records in 60 KiB batches, own generator, planned times",
        &[
            figure("broker s/GB", "≤ 0.13×"),
            figure("from planned p99 µs", "≤ 0.33×"),
        ],
        |bench| {
            bench.raw(|options| {
                options.rate = 100_000;
                options.records = 500_000;
            })
        },
    )
    .produce_only(),
    own(
        "durable",
        "`flush.messages=1`, one 1 KiB record a request, one connection",
        DURABLE,
        |bench| bench.raw(|options| durable(options, 1, 1)),
    ),
    own(
        "durable-50",
        "the same, 50 connections on one partition",
        DURABLE,
        |bench| bench.raw(|options| durable(options, 50, 1)),
    ),
    own(
        "durable-100-partitions",
        "the same, 50 connections on 100 partitions",
        DURABLE,
        |bench| bench.raw(|options| durable(options, 50, 100)),
    ),
    own(
        "raw-consume",
        "consume 1 KiB records from the start, own client, offsets and contents verified",
        &[figure("MB/s", ""), figure("broker s/GB", "≤ 0.6×")],
        |bench| bench.raw_consume(1),
    ),
    own(
        "raw-consume-4",
        "the same by four clients at once",
        &[figure("MB/s", ""), figure("broker s/GB", "≤ 0.6×")],
        |bench| bench.raw_consume(4),
    ),
    own(
        "cold-consume",
        "consume 1.5 GB that is on the disk alone, beside 1,000 records/s into another topic",
        &[
            figure("MB/s", "≥ 1.2×"),
            figure("acknowledgement p99 µs", "≤ 0.2×"),
        ],
        measures::cold_consume,
    ),
    own(
        "compacting",
        "20 MB/s into a topic, planned times, while another one of 1 GB is compacted",
        &[
            figure("p99 µs before", ""),
            figure("p99 µs meanwhile", ""),
            figure("meanwhile ÷ before", "≤ 2"),
        ],
        measures::compacting,
    ),
    own(
        "recover",
        "start after kill −9 to first acknowledged record, 100 partitions, 1 GB",
        &[figure("ms", "≤ 300 ms"), figure("all partitions ms", "")],
        |bench| bench.recover(1_000_000_000),
    ),
    own(
        "recover-10g",
        "the same, 10 GB",
        &[
            figure("ms", "≤ 0.1×, ≤ 1,000 ms"),
            figure("all partitions ms", "≤ 1,000 ms"),
        ],
        |bench| bench.recover(10_000_000_000),
    ),
    own(
        "size",
        "stripped release binary",
        &[figure("MB", "≤ 20 MB")],
        |_| Ok(BTreeMap::new()),
    ),
];

fn spread(options: &mut produce::Options, partitions: usize) {
    options.partitions = partitions;
    options.connections = 4;
}

fn single(options: &mut produce::Options, connections: usize) {
    options.batch_records = 1;
    options.connections = connections;
    options.depth = 1;
    options.records = 100_000;
}

fn compressed(options: &mut produce::Options, compression: Compression) {
    options.compression = compression;
    options.batch_records = 600;
}

fn durable(options: &mut produce::Options, connections: usize, partitions: usize) {
    single(options, connections);
    options.topic_configs = vec![setting("flush.messages", "1")];
    options.partitions = partitions;
    options.records = if connections == 1 { 3_000 } else { 20_000 };
}
