//! Produce at a rate with a consumer at the end: time from a record's planned sending to its arrival.

use std::time::Instant;

use crate::batch;
use crate::client::Client;
use crate::histogram::Histogram;
use crate::process::{Meter, round};
use crate::produce::{self, planned_after};
use crate::wire::{self, Fail, FetchLimits};

/// `options` name one connection and one partition, so that the kth record planned is the kth in the log.
pub(crate) fn run(options: &produce::Options) -> Result<serde_json::Value, Fail> {
    if options.partitions != 1 || options.connections != 1 || options.rate == 0 {
        return Err("tail wants one partition, one connection and a rate".to_owned());
    }
    let mut client = Client::connect(options.bootstrap)?;
    client.ensure_topic(&options.topic, 1, &options.topic_configs)?;
    let first = client.offsets(&options.topic, 1, -1)?[&0];
    let batch = i64::try_from(options.batch_records).map_err(|error| error.to_string())?;
    let end = first
        + i64::try_from(options.records.div_ceil(batch.cast_unsigned()))
            .map_err(|error| error.to_string())?
            * batch;
    // The consumer is waiting at the end before the first record leaves.
    let start = Instant::now() + std::time::Duration::from_millis(300);
    let consumer = std::thread::spawn({
        let options = options.clone();
        move || follow(client, &options, first, end, start)
    });
    std::thread::sleep(start.saturating_duration_since(Instant::now()));
    let meter = Meter::start(options.pid);
    let (acks, work) = produce::send(options, start)?;
    let mut out = meter.json("tail", &work);
    let arrivals = consumer.join().map_err(|_| "the consumer panicked")??;
    for (name, histogram) in [("ack", &acks), ("arrival", &arrivals)] {
        for (label, per_mille) in [("p50", 500), ("p99", 990), ("p999", 999), ("max", 1000)] {
            out[format!("{name}_{label}_us")] = round(histogram.micros(per_mille)).into();
        }
    }
    Ok(out)
}

fn follow(
    mut client: Client,
    options: &produce::Options,
    first: i64,
    end: i64,
    start: Instant,
) -> Result<Histogram, Fail> {
    let limits = FetchLimits::default();
    let mut arrivals = Histogram::new();
    let mut next = first;
    while next < end {
        let body = client.call(wire::fetch(&options.topic, &[(0, next)], limits))?;
        let now = Instant::now();
        wire::fetched(body, |_, records| {
            for batch in batch::split(records) {
                if batch.base_offset != next {
                    return Err(format!(
                        "void: offset {} came instead of {next}",
                        batch.base_offset
                    ));
                }
                batch.check_crc()?;
                let nth =
                    (batch.base_offset - first).cast_unsigned() / options.batch_records as u64;
                arrivals.add(now.saturating_duration_since(start + planned_after(options, nth)));
                next = batch.next_offset();
            }
            Ok(())
        })?;
    }
    Ok(arrivals)
}
