//! What the crash tests share.

use ottla::record::Batches;
use ottla::runtime::Disk;
use ottla::sim::disk::Record;
use ottla::sim::{Keep, SimClock, SimDisk};
use parking_lot::Mutex;
use std::fmt;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

/// A moment at which the process may die, just before an operation, and what was known then.
#[derive(Clone)]
pub(crate) struct Point<K> {
    pub record: Record,
    pub disk: SimDisk,
    pub known: K,
}

impl<K> fmt::Display for Point<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let record = &self.record;
        let (number, operation, path) = (record.number, record.operation, &record.path);
        write!(f, "stopped at {number} ({operation:?} {path})")
    }
}

/// Keeps every moment from now on at which `disk` changes, each with what is `known` then.
pub(crate) fn observe<K: Clone + Send + 'static>(
    disk: &SimDisk,
    known: &Arc<Mutex<K>>,
) -> Arc<Mutex<Vec<Point<K>>>> {
    let points: Arc<Mutex<Vec<Point<K>>>> = Arc::default();
    let (kept, known) = (points.clone(), known.clone());
    disk.observe(move |record, disk| {
        kept.lock().push(Point {
            record: record.clone(),
            disk,
            known: known.lock().clone(),
        });
    });
    points
}

/// Draws of what is kept, for each way that draws.
pub(crate) const DRAWS: u64 = 2;

/// Crashes at every point in every way; what `violations` finds each time.
pub(crate) fn enumerate<K>(
    points: &[Point<K>],
    keeps: &[Keep],
    violations: impl Fn(&Point<K>, Keep, u64) -> Vec<String> + Copy,
) -> impl Iterator<Item = Vec<String>> {
    let draws = |keep: Keep| if keep == Keep::Synced { 1 } else { DRAWS };
    let ways = keeps.iter().map(|keep| (*keep, draws(*keep)));
    let ways = ways.flat_map(|(keep, draws)| (0..draws).map(move |draw| (keep, draw)));
    let ways: Vec<(Keep, u64)> = ways.collect();
    points.iter().flat_map(move |point| {
        let crash = move |(keep, draw)| {
            let found = violations(point, keep, draw).into_iter();
            let described = found.map(|it| format!("{point}, {keep:?} {draw}: {it}"));
            described.collect::<Vec<String>>()
        };
        ways.clone().into_iter().map(crash)
    })
}

/// Whether every point is tried instead of a sample: `OTTLA_POINTS=ALL`.
pub(crate) fn all_points() -> bool {
    std::env::var("OTTLA_POINTS").is_ok_and(|which| which == "ALL")
}

/// A disk with nothing but the directory `/data`, which a power loss does not take.
pub(crate) fn new_disk(clock: &Arc<SimClock>) -> SimDisk {
    let disk = SimDisk::new(clock.clone());
    disk.create_dir_all(Path::new("/data")).unwrap();
    disk.sync_dir(Path::new("/")).unwrap();
    disk
}

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
