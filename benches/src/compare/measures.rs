//! How each workload is run, and what comes out.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use super::{Bench, rdkafka};
use crate::client::{Client, Setting};
use crate::life::{self, Scratch, local};
use crate::process::{Broker, core_percent, cpu_seconds, memory_mib, round};
use crate::wire::{self, Fail, FetchLimits};
use crate::{consume, produce, tail};

pub(super) type Figures = BTreeMap<&'static str, f64>;

/// What a broker still has to do after its start, or when clients have come, is not idling.
const SETTLING: Duration = Duration::from_secs(3);
const IDLE_TIME: Duration = Duration::from_secs(10);

pub(super) fn start(bench: &Bench<'_>) -> Result<Figures, Fail> {
    let found = life::start(&bench.life())?;
    Ok(Figures::from([(
        "ms",
        number(&found["first_ack_ms"]["median"]),
    )]))
}

pub(super) fn idle(bench: &Bench<'_>) -> Result<Figures, Fail> {
    let (_scratch, broker) = bench.broker()?;
    thread::sleep(SETTLING);
    Ok(Figures::from([
        ("% of a core", core_percent(broker.pid(), IDLE_TIME)),
        ("resident MiB", round(memory_mib(broker.pid(), "VmRSS"))),
    ]))
}

pub(super) fn consume_1k(bench: &Bench<'_>) -> Result<Figures, Fail> {
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

/// Starts again on a directory of 1,000 partitions with a record in each that was shut down properly.
pub(super) fn start_1000(bench: &Bench<'_>) -> Result<Figures, Fail> {
    let (scratch, mut broker) = bench.broker()?;
    let mut load = bench.load(&broker);
    load.partitions = 1000;
    load.batch_records = 1;
    load.records = 1000;
    produce::run(&load)?;
    broker.stop()?;
    let begin = Instant::now();
    let _broker = bench.start_on(&scratch)?;
    life::first_acknowledgement(bench.port, "bench")?;
    Ok(Figures::from([("ms", life::millis(begin))]))
}

/// What a hundred consumers cost that have nothing to read.
pub(super) fn idle_consumers(bench: &Bench<'_>) -> Result<Figures, Fail> {
    const CONSUMERS: usize = 100;
    let (_scratch, broker) = bench.broker()?;
    Client::connect(local(bench.port))?.ensure_topic("bench", 1, &[])?;
    let address = local(bench.port);
    let end = Instant::now() + SETTLING + IDLE_TIME;
    thread::scope(|scope| {
        let consumers: Vec<_> = (0..CONSUMERS)
            .map(|_| {
                scope.spawn(move || {
                    let mut client = Client::connect(address)?;
                    while Instant::now() < end {
                        let waiting = wire::fetch("bench", &[(0, 0)], FetchLimits::default());
                        client.call(waiting)?;
                    }
                    Ok::<(), Fail>(())
                })
            })
            .collect();
        thread::sleep(SETTLING);
        let used = core_percent(broker.pid(), IDLE_TIME);
        for consumer in consumers {
            consumer.join().map_err(|_| "a consumer panicked")??;
        }
        Ok(Figures::from([("% of a core", used)]))
    })
}

/// Memory at most while five hundred connections write to a thousand partitions.
pub(super) fn memory(bench: &Bench<'_>) -> Result<Figures, Fail> {
    let (_scratch, broker) = bench.broker()?;
    let mut load = bench.load(&broker);
    load.partitions = 1000;
    load.connections = 500;
    load.depth = 1;
    load.records = 1_000_000;
    produce::run(&load)?;
    let peak = memory_mib(broker.pid(), "VmHWM");
    Ok(Figures::from([("peak resident MiB", round(peak))]))
}

/// Reads what only the disk has, while somebody else produces at a steady rate.
pub(super) fn cold_consume(bench: &Bench<'_>) -> Result<Figures, Fail> {
    let (scratch, broker) = bench.warm()?;
    produce::run(&bench.load(&broker))?;
    drop_from_cache(&scratch.data())?;
    let mut steady = bench.load(&broker);
    steady.topic = "steady".to_owned();
    steady.batch_records = 1;
    steady.rate = 1_000;
    steady.records = 5_000;
    thread::scope(|scope| {
        let producer = scope.spawn(|| produce::run(&steady));
        let found = consume::run(&bench.consumer(&broker, None))?;
        let steady = producer.join().map_err(|_| "the producer panicked")??;
        Ok(Figures::from([
            ("MB/s", number(&found["mb_per_s"])),
            (
                "acknowledgement p99 µs",
                number(&steady["from_planned_p99_us"]),
            ),
        ]))
    })
}

/// Has the kernel forget the contents of every file below `directory`, after they are on the disk.
fn drop_from_cache(directory: &Path) -> Result<(), Fail> {
    let failed = |error: std::io::Error| format!("{}: {error}", directory.display());
    for entry in fs::read_dir(directory).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.is_dir() {
            drop_from_cache(&path)?;
            continue;
        }
        let file = File::open(&path).map_err(failed)?;
        file.sync_all().map_err(failed)?;
        rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed)
            .map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(())
}

/// The same steady load before and while a large topic is compacted. The cleaner takes up to fifteen
/// seconds to notice; that it ran shows in the directory's size.
pub(super) fn compacting(bench: &Bench<'_>) -> Result<Figures, Fail> {
    let (scratch, broker) = bench.warm()?;
    let mut dirty = bench.load(&broker);
    dirty.topic = "compacted".to_owned();
    dirty.keys = true;
    dirty.records = 1_000_000;
    dirty.topic_configs = vec![
        setting("cleanup.policy", "compact"),
        setting("segment.bytes", "104857600"),
        // Not before the steady load is on its way.
        setting("min.compaction.lag.ms", "6000"),
        // What was compacted is gone at once, which shows that it was.
        setting("file.delete.delay.ms", "0"),
    ];
    let mut steady = bench.load(&broker);
    steady.rate = 20_000;
    steady.records = 200_000;
    let before = number(&produce::run(&steady)?["from_planned_p99_us"]);
    produce::run(&dirty)?;
    let filled = size(&scratch.data(), &dirty.topic, false)?;
    steady.records = 800_000;
    let meanwhile = number(&produce::run(&steady)?["from_planned_p99_us"]);
    if size(&scratch.data(), &dirty.topic, false)? > filled / 2 {
        return Err("void: nothing was compacted".to_owned());
    }
    Ok(Figures::from([
        ("p99 µs before", before),
        ("p99 µs meanwhile", meanwhile),
        ("meanwhile ÷ before", round(meanwhile / before)),
    ]))
}

/// Bytes that the partitions of `topic` take on the disk, wherever below `directory` they lie.
fn size(directory: &Path, topic: &str, is_partition: bool) -> Result<u64, Fail> {
    let mut bytes = 0;
    for entry in fs::read_dir(directory).map_err(|error| error.to_string())? {
        let path = entry.map_err(|error| error.to_string())?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let of_topic = name
            .strip_prefix(topic)
            .is_some_and(|rest| rest.starts_with('-'));
        bytes += match fs::metadata(&path) {
            Ok(found) if found.is_dir() => size(&path, topic, of_topic)?,
            Ok(found) if is_partition => std::os::unix::fs::MetadataExt::blocks(&found) * 512,
            // Another's file, or one that the broker removes meanwhile.
            _ => 0,
        };
    }
    Ok(bytes)
}

pub(super) fn setting(key: &str, value: &str) -> Setting {
    Setting {
        key: key.to_owned(),
        value: value.to_owned(),
    }
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
            pid: Some(broker.pid()),
            records: 1_500_000,
            ..produce::Options::new(local(self.port))
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

    pub(super) fn recover(&self, bytes: u64) -> Result<Figures, Fail> {
        let found = life::recover(&life::RecoverOptions {
            life: self.life(),
            partitions: 100,
            bytes,
        })?;
        Ok(Figures::from([
            ("ms", number(&found["first_ack_ms"]["median"])),
            (
                "all partitions ms",
                number(&found["all_partitions_ms"]["median"]),
            ),
        ]))
    }

    pub(super) fn raw_consume(&self, consumers: usize) -> Result<Figures, Fail> {
        let (_scratch, broker) = self.warm()?;
        let load = self.load(&broker);
        produce::run(&load)?;
        let contents = Some(format!("{}x{}", load.batch_records, load.record_size));
        let mut options = self.consumer(&broker, contents);
        options.connections = consumers;
        let found = consume::run(&options)?;
        Ok(Figures::from([
            ("MB/s", number(&found["mb_per_s"])),
            ("broker s/GB", number(&found["broker_s_per_gb"])),
        ]))
    }

    /// `rate` records a second, some of them a request, with a consumer at the end.
    pub(super) fn tail(&self, rate: u64, a_request: usize, records: u64) -> Result<Figures, Fail> {
        let (_scratch, broker) = self.warm()?;
        let mut load = self.load(&broker);
        load.batch_records = a_request;
        load.rate = rate;
        load.records = records;
        let found = tail::run(&load)?;
        Ok(Figures::from([
            ("broker µs/record", number(&found["broker_us_per_record"])),
            ("acknowledgement p50 µs", number(&found["ack_p50_us"])),
            ("acknowledgement p99 µs", number(&found["ack_p99_us"])),
            ("arrival p50 µs", number(&found["arrival_p50_us"])),
            ("arrival p99 µs", number(&found["arrival_p99_us"])),
            ("arrival p999 µs", number(&found["arrival_p999_us"])),
        ]))
    }

    pub(super) fn raw(&self, change: fn(&mut produce::Options)) -> Result<Figures, Fail> {
        let (_scratch, broker) = self.warm()?;
        let mut load = self.load(&broker);
        change(&mut load);
        let found = produce::run(&load)?;
        let names = [
            ("MB/s", "mb_per_s"),
            ("requests/s", "requests_per_s"),
            ("broker s/GB", "broker_s_per_gb"),
            ("broker µs/request", "broker_us_per_request"),
            ("answer p50 µs", "answer_p50_us"),
            ("answer p99 µs", "answer_p99_us"),
            ("from planned p99 µs", "from_planned_p99_us"),
        ];
        Ok(names
            .into_iter()
            .map(|(name, key)| (name, number(&found[key])))
            .collect())
    }

    pub(super) fn librdkafka_produce(
        &self,
        records: u64,
        size: u64,
        extra: &[&str],
    ) -> Result<Figures, Fail> {
        let (_scratch, broker) = self.warm()?;
        Client::connect(local(self.port))?.ensure_topic("bench", 1, &[])?;
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
