//! What the crash tests share.

use ottla::record::Batches;
use std::ops::Range;

/// The seeds to try: those of `OTTLA_SEEDS=FIRST..END`, or `default`.
pub(crate) fn seeds(default: Range<u64>) -> Range<u64> {
    let Ok(text) = std::env::var("OTTLA_SEEDS") else {
        return default;
    };
    let (first, end) = text.split_once("..").expect("OTTLA_SEEDS=FIRST..END");
    first.parse().unwrap()..end.parse().unwrap()
}

/// The first of `violations`, and how many there are.
pub(crate) fn shown(violations: &[String]) -> String {
    let first: Vec<&str> = violations.iter().take(20).map(String::as_str).collect();
    format!("{} violations:\n{}", violations.len(), first.join("\n"))
}

/// Where the leader epochs of a log file's batches lie. The leader stamps them after the producer has
/// made the checksum, so nothing guards them; Kafka's format has no more to offer.
pub(crate) fn leader_epochs(bytes: &[u8]) -> Vec<Range<u64>> {
    let epoch = |position| position + 12..position + 16;
    positions(bytes).into_iter().map(epoch).collect()
}

/// Where the base offsets and leader epochs lie: the base offset is seen to be wrong only where every batch
/// is read.
pub(crate) fn unguarded(bytes: &[u8]) -> Vec<Range<u64>> {
    let offset = |position| position..position + 8;
    let offsets = positions(bytes).into_iter().map(offset);
    offsets.chain(leader_epochs(bytes)).collect()
}

fn positions(bytes: &[u8]) -> Vec<u64> {
    let mut next = 0;
    Batches::of(bytes.to_vec().into())
        .map(|batch| {
            let position = next;
            next += batch.unwrap().bytes().len() as u64;
            position
        })
        .collect()
}
