//! Many partitions, each of them written to.

use std::fs;
use std::time::Instant;

use serde_json::{Value, json};

use super::Stress;
use super::connections::{kib_each, per};
use crate::batch::{self, Contents};
use crate::client::Client;
use crate::process::round;
use crate::wire::Fail;

const TOPIC_PARTITIONS: usize = 1000;

/// Topics of a thousand partitions, and a record in every partition.
pub(super) fn many(stress: &Stress, topics: usize) -> Result<Value, Fail> {
    let before = stress.rss_mib();
    let partitions = topics * TOPIC_PARTITIONS;
    let mut client = Client::connect(stress.address)?;
    let names: Vec<String> = (0..topics).map(|n| format!("many-{n}")).collect();
    let created = Instant::now();
    for topic in &names {
        client.ensure_topic(topic, TOPIC_PARTITIONS, &[])?;
    }
    let created = created.elapsed().as_secs_f64();
    let record = batch::build(&Contents::plain(1, 100, 0));
    let written = Instant::now();
    for topic in &names {
        for partition in crate::client::partition_ids(TOPIC_PARTITIONS) {
            let answer = client.produce_one(topic, partition, &record)?;
            answer.map_err(|error| format!("{topic}-{partition} answered error {error}"))?;
        }
    }
    let written = written.elapsed().as_secs_f64();
    let open = fs::read_dir(format!("/proc/{}/fd", stress.pid)).map_err(|e| e.to_string())?;
    Ok(json!({
        "partitions": partitions,
        "created_per_s": round(per(partitions, created)),
        "first_records_per_s": round(per(partitions, written)),
        "kib_per_partition": round(kib_each(stress.rss_mib() - before, partitions)),
        "open_files": open.count(),
    }))
}
