//! Catch-up reads from the start of a topic; a figure counts only if every offset came once, in order.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Instant;

use crate::batch::{self, Contents};
use crate::client::{Client, partition_ids};
use crate::process::{Meter, Work};
use crate::produce::CONTENTS_SEED;
use crate::wire::{self, Fail, FetchLimits};

#[derive(clap::Args, Clone)]
pub(crate) struct Options {
    #[arg(long, default_value = "127.0.0.1:9092")]
    pub(crate) bootstrap: SocketAddr,
    /// The broker's process, for its CPU and memory
    #[arg(long)]
    pub(crate) pid: Option<u32>,
    #[arg(long, default_value = "bench")]
    pub(crate) topic: String,
    #[arg(long, default_value_t = 1)]
    pub(crate) partitions: usize,
    /// Consumers; each reads every partition
    #[arg(long, default_value_t = 1)]
    pub(crate) connections: usize,
    /// Records each consumer must find; 0 = up to the end as it is now
    #[arg(long, default_value_t = 0)]
    pub(crate) records: u64,
    #[arg(long, default_value_t = 1_048_576)]
    pub(crate) partition_bytes: i32,
    /// The CRC of every Nth batch is checked; 0 = none
    #[arg(long, default_value_t = 16)]
    pub(crate) verify_every: u64,
    /// Every checked batch must be the one `produce` sends with these sizes: RECORDSxBYTES
    #[arg(long)]
    pub(crate) verify_contents: Option<String>,
}

#[derive(Default)]
struct Seen {
    fetches: u64,
    records: u64,
    bytes: u64,
    batches: u64,
}

pub(crate) fn run(options: &Options) -> Result<serde_json::Value, Fail> {
    let mut client = Client::connect(options.bootstrap)?;
    let ends = client.offsets(&options.topic, options.partitions, -1)?;
    let starts = client.offsets(&options.topic, options.partitions, -2)?;
    let expected = match options.records {
        0 => total(&ends)? - total(&starts)?,
        records => records,
    };
    let contents = options
        .verify_contents
        .as_deref()
        .map(contents)
        .transpose()?;
    let meter = Meter::start(options.pid);
    let start = Instant::now();
    let mut work = Work {
        requests: 0,
        records: 0,
        bytes: 0,
        seconds: 0.0,
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..options.connections)
            .map(|_| scope.spawn(|| read(options, &starts, expected, contents.as_deref())))
            .collect();
        for worker in workers {
            let seen = worker.join().map_err(|_| "a consumer panicked")??;
            work.requests += seen.fetches;
            work.records += seen.records;
            work.bytes += seen.bytes;
        }
        Ok::<(), Fail>(())
    })?;
    work.seconds = start.elapsed().as_secs_f64();
    Ok(meter.json("consume", &work))
}

fn total(offsets: &BTreeMap<i32, i64>) -> Result<u64, Fail> {
    u64::try_from(offsets.values().sum::<i64>()).map_err(|error| error.to_string())
}

fn contents(sizes: &str) -> Result<Vec<u8>, Fail> {
    let parsed = sizes
        .split_once('x')
        .and_then(|(records, bytes)| Some((records.parse().ok()?, bytes.parse().ok()?)));
    let (records, bytes) = parsed.ok_or("--verify-contents wants RECORDSxBYTES")?;
    Ok(batch::build(&Contents::plain(
        records,
        bytes,
        CONTENTS_SEED,
    )))
}

fn read(
    options: &Options,
    starts: &BTreeMap<i32, i64>,
    expected: u64,
    contents: Option<&[u8]>,
) -> Result<Seen, Fail> {
    let mut client = Client::connect(options.bootstrap)?;
    let mut positions: Vec<(i32, i64)> = partition_ids(options.partitions)
        .iter()
        .map(|id| (*id, starts[id]))
        .collect();
    let limits = FetchLimits {
        partition_bytes_max: options.partition_bytes,
        ..FetchLimits::default()
    };
    let mut seen = Seen::default();
    let mut empty = 0;
    while seen.records < expected {
        let before = seen.records;
        let body = client.call(wire::fetch(&options.topic, &positions, limits))?;
        wire::fetched(body, |partition, records| {
            let position = positions.iter_mut().find(|(id, _)| *id == partition);
            let (_, next) = position.ok_or("void: a partition that was not asked for")?;
            for batch in batch::split(records) {
                // Brokers send whole batches: the first may begin before the offset asked for only
                // when a fetch starts inside a batch, and ours never does.
                if batch.base_offset != *next {
                    return Err(format!(
                        "void: offset {} came instead of {next}",
                        batch.base_offset
                    ));
                }
                if options.verify_every > 0 && seen.batches.is_multiple_of(options.verify_every) {
                    batch.check_crc()?;
                    if let Some(sent) = contents {
                        batch.check_records(sent)?;
                    }
                }
                seen.batches += 1;
                seen.records += batch.records.cast_unsigned();
                *next = batch.next_offset();
            }
            seen.bytes += records.len() as u64;
            Ok(())
        })?;
        seen.fetches += 1;
        empty = if seen.records == before { empty + 1 } else { 0 };
        if empty > 20 {
            return Err(format!("void: only {} of {expected} records", seen.records));
        }
        // Whoever is furthest behind is asked for first, as clients do.
        positions.rotate_left(1);
    }
    if options.records == 0 && seen.records != expected {
        return Err(format!(
            "void: {} records instead of {expected}",
            seen.records
        ));
    }
    Ok(seen)
}
