//! Measures the log by itself, without a network: validation, append, read, recovery.
//!
//! ```text
//! cargo run --release --example log_speed -- [DIR] [GIGABYTES]
//! ```
//!
//! CPU seconds per gigabyte (10^9 bytes, user and system) are the steadier figure on a machine that others
//! share. Pages of a growing file are fresh ones, which costs more in a virtual machine.

#![expect(
    clippy::disallowed_methods,
    clippy::cast_precision_loss,
    reason = "a benchmark reads the real clock, and rounds"
)]

use bytes::Bytes;
use ottla::log::{
    FirstBatch, Log, LogConfig, LogManager, ManagerOptions, Opening, Unformatted, Wanted,
};
use ottla::record::{BatchBuilder, BatchOptions, NewRecord, ValidBatch, ZstdUse};
use ottla::runtime::{Runtime, os};
use ottla::types::{LeaderEpoch, NodeId, Offset, Timestamp, TopicName, TopicPartition, Uuid};
use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::Instant;

const NOW: Timestamp = Timestamp(1_700_000_000_000);
const MIB: usize = 1 << 20;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let dir = PathBuf::from(
        arguments
            .next()
            .unwrap_or_else(|| "/tmp/ottla-log-speed".into()),
    );
    let gigabytes: f64 = arguments.next().as_deref().unwrap_or("2").parse()?;
    let runtime = os::runtime();
    validation(100)?;
    validation(1024)?;
    append(&runtime, &dir, 1024, MIB, gigabytes)?;
    append(&runtime, &dir, 1024, 16 * 1024, gigabytes / 2.0)?;
    append(&runtime, &dir, 1024, 1200, gigabytes / 8.0)?;
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?
        .block_on(recovery(&runtime, &dir, gigabytes))?;
    std::fs::remove_dir_all(&dir)?;
    Ok(())
}

/// A produced batch of about `size` bytes.
fn batch(record_bytes: usize, size: usize) -> Result<(Bytes, usize), Box<dyn Error>> {
    let value = vec![b'x'; record_bytes];
    let mut builder = BatchBuilder::new(BatchOptions::default());
    let mut count = 0;
    while builder.size_uncompressed() + record_bytes < size {
        let record = NewRecord {
            value: Some(&value),
            ..NewRecord::default()
        };
        builder.push(NOW, record);
        count += 1;
    }
    Ok((builder.build()?.to_bytes(), count))
}

fn validation(record_bytes: usize) -> Result<(), Box<dyn Error>> {
    // 128 KiB stays in the cache, as a frame that was just received does.
    let (bytes, count) = batch(record_bytes, 128 * 1024)?;
    let rules = LogConfig::default().produce_rules(NOW, ZstdUse::Allowed);
    let rounds = 50_000;
    let start = cpu_seconds()?;
    for _ in 0..rounds {
        std::hint::black_box(ValidBatch::parse(std::hint::black_box(&bytes), &rules)?);
    }
    let all = cpu_seconds()? - start;
    let start = cpu_seconds()?;
    for _ in 0..rounds {
        std::hint::black_box(crc32c::crc32c(std::hint::black_box(&bytes)));
    }
    let crc = cpu_seconds()? - start;
    let records = f64::from(rounds) * count as f64;
    let gigabytes = f64::from(rounds) * bytes.len() as f64 / 1e9;
    println!(
        "validate {record_bytes} B records: {:.1} CPU ns/record ({:.1} without the CRC), {:.3} s/GB, CRC alone {:.3} s/GB",
        all * 1e9 / records,
        (all - crc) * 1e9 / records,
        all / gigabytes,
        crc / gigabytes,
    );
    Ok(())
}

fn open(runtime: &Runtime, dir: &Path, number: i32) -> Result<Log, Box<dyn Error>> {
    let partition = TopicPartition::new(TopicName::parse("speed")?, number);
    let path = dir.join(partition.to_string());
    let opening = Opening::new(partition, LogConfig::default(), NOW);
    Ok(Log::open(runtime, &path, opening)?.0)
}

fn append(
    runtime: &Runtime,
    dir: &Path,
    record_bytes: usize,
    size: usize,
    gigabytes: f64,
) -> Result<(), Box<dyn Error>> {
    let (bytes, _) = batch(record_bytes, size)?;
    let mut log = open(runtime, dir, 0)?;
    let rules = LogConfig::default().produce_rules(NOW, ZstdUse::Allowed);
    let (start, cpu) = (Instant::now(), cpu_seconds()?);
    let mut written = 0;
    let mut appends = 0;
    while (written as f64) < gigabytes * 1e9 {
        let valid = ValidBatch::parse(&bytes, &rules)?;
        log.append_as_leader(valid, LeaderEpoch(0), NOW)?;
        written += bytes.len();
        appends += 1;
    }
    let (wall, cpu) = (start.elapsed().as_secs_f64(), cpu_seconds()? - cpu);
    let done = written as f64 / 1e9;
    println!(
        "append {size:>7} B batches: {:.2} us each, {:.0} MB/s, {:.3} CPU s/GB (CRC, walk and write)",
        wall * 1e6 / f64::from(appends),
        done * 1e3 / wall,
        cpu / done,
    );
    reads(&log)?;
    log.restart_at(Offset(0), NOW)?;
    drop(log);
    std::fs::remove_dir_all(dir)?;
    Ok(())
}

/// Finding the bytes for a fetch; the bytes themselves leave by sendfile.
fn reads(log: &Log) -> Result<(), Box<dyn Error>> {
    let view = log.view();
    let end = view.log_end();
    let rounds = 100_000;
    let tail = Offset(end.0 - 1);
    let start = Instant::now();
    for _ in 0..rounds {
        std::hint::black_box(view.read(tail, MIB, end, FirstBatch::Whole)?);
    }
    let near = start.elapsed().as_secs_f64() * 1e9 / f64::from(rounds);
    let start = Instant::now();
    let rounds = 10_000i32;
    for round in 0..rounds {
        let from = Offset(end.0 / i64::from(rounds) * i64::from(round));
        std::hint::black_box(view.read(from, MIB, end, FirstBatch::Whole)?);
    }
    let far = start.elapsed().as_secs_f64() * 1e9 / f64::from(rounds);
    println!("  find at the tail {near:.0} ns, anywhere {far:.0} ns");
    Ok(())
}

async fn recovery(runtime: &Runtime, dir: &Path, gigabytes: f64) -> Result<(), Box<dyn Error>> {
    const PARTITIONS: i32 = 100;
    let options = || ManagerOptions {
        dirs: vec![dir.to_path_buf()],
        metadata_dir: None,
        node_id: NodeId(1),
        unformatted: Unformatted::FormatAs {
            cluster_id: "speed".into(),
        },
    };
    let manager = LogManager::open(runtime, options())?;
    let (bytes, _) = batch(1024, 64 * 1024)?;
    let rules = LogConfig::default().produce_rules(NOW, ZstdUse::Allowed);
    let each = gigabytes * 1e9 / 2.0 / f64::from(PARTITIONS);
    let mut total = 0;
    for number in 0..PARTITIONS {
        let partition = TopicPartition::new(TopicName::parse("speed")?, number);
        let id = Uuid::from_bytes([1; 16]);
        let mut log =
            manager.create(partition, id, LogConfig::default(), Wanted::default(), NOW)?;
        let mut written = 0;
        while (written as f64) < each {
            let valid = ValidBatch::parse(&bytes, &rules)?;
            log.append_as_leader(valid, LeaderEpoch(0), NOW)?;
            written += bytes.len();
        }
        total += written;
    }
    drop(manager);
    for round in ["first", "second"] {
        let (start, cpu) = (Instant::now(), cpu_seconds()?);
        let manager = LogManager::open(runtime, options())?;
        let opened = start.elapsed();
        let loaded = manager.load(NOW, 2, |_| LogConfig::default()).await?;
        let (wall, cpu) = (start.elapsed(), cpu_seconds()? - cpu);
        let checked: u64 = loaded
            .logs
            .iter()
            .map(|log| log.recovered.bytes_checked)
            .sum();
        println!(
            "recover {} partitions, {:.2} GB ({round}): {:.0} ms with 2 threads (directories {:.1} ms), {:.3} CPU s/GB, checked {:.2} GB",
            loaded.logs.len(),
            total as f64 / 1e9,
            wall.as_secs_f64() * 1e3,
            opened.as_secs_f64() * 1e3,
            cpu / (total as f64 / 1e9),
            checked as f64 / 1e9,
        );
    }
    Ok(())
}

/// User and system time of this process, to a hundredth of a second.
fn cpu_seconds() -> Result<f64, Box<dyn Error>> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let after_name = stat.rsplit_once(") ").ok_or("no stat")?.1;
    let mut fields = after_name.split(' ').skip(11);
    let user: f64 = fields.next().ok_or("no utime")?.parse()?;
    let system: f64 = fields.next().ok_or("no stime")?.parse()?;
    Ok((user + system) / 100.0)
}
