//! Compaction under the simulated disk: it is stopped at every write, sync and rename of a workload in turn,
//! keeps what a disk may keep, and is opened again. A reader who begins at the front must find the newest
//! value of every key, and no key that was deleted.
//!
//! `OTTLA_SEEDS=FIRST..END` tries other workloads than the default ones.

use crate::common::crash::{self, enumerate, new_disk, observe, seeds, shown};
use ottla::log::{
    Cleaning, CleaningLimits, CleanupPolicy, FirstBatch, Log, LogConfig, MapLimits, Opening,
    Progress, Replaced, Shutdown,
};
use ottla::record::{Batch, BatchBuilder, BatchOptions, Batches, DecodeLimits, NewRecord};
use ottla::record::{Codec, Compression};
use ottla::runtime::{Clock, Runtime};
use ottla::sim::{self, Keep, Operation, SimClock, SimDisk, SimRng};
use ottla::types::{LeaderEpoch, Offset, Timestamp, TopicName, TopicPartition};
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

const DIR: &str = "/data/prices-0";
const DEFAULT_SEEDS: std::ops::Range<u64> = 1..4;
const STEPS: u32 = 60;
const KEYS: u64 = 6;
const DELETE_RETENTION_MS: i64 = 500;

/// A key's values in the order of their offsets; `None` is a tombstone.
type History = BTreeMap<Vec<u8>, Vec<(i64, Option<Vec<u8>>)>>;

/// What the writer knows.
#[derive(Clone, Default)]
struct Model {
    /// Everything that was appended, compacted or not.
    history: History,
    log_end: i64,
    /// Everything below was synced.
    flushed: i64,
    /// What the checkpoint of recovery points says.
    recovery_point: i64,
    /// What the cleaner's checkpoint says.
    cleaned_end: Option<i64>,
    /// Tombstones with these offsets may be gone: their time has come.
    expired: BTreeSet<i64>,
    is_cleaning: bool,
}

/// With what the writer knew.
type Point = crash::Point<Model>;

fn config() -> LogConfig {
    LogConfig {
        segment_bytes: 1_500,
        index_interval_bytes: 200,
        file_delete_delay_ms: 300,
        cleanup: CleanupPolicy {
            delete: false,
            compact: true,
        },
        delete_retention_ms: DELETE_RETENTION_MS,
        ..LogConfig::default()
    }
}

fn runtime(disk: &SimDisk) -> Runtime {
    sim::runtime(1, disk, &SimClock::manual())
}

fn opening(model: &Model) -> Opening {
    let partition = TopicPartition::new(TopicName::parse("prices").unwrap(), 0);
    Opening {
        shutdown: Shutdown::Unclean,
        recovery_point: Offset(model.recovery_point),
        cleaned_end: model.cleaned_end.map(Offset),
        ..Opening::new(partition, config(), Timestamp(0))
    }
}

fn limits(map_bytes: u64) -> CleaningLimits {
    CleaningLimits {
        map: MapLimits {
            bytes: map_bytes,
            load_factor: 0.9,
        },
        chunk_bytes: 400,
    }
}

/// Does all of a cleaning.
fn finish(log: &mut Log, cleaning: &mut Cleaning, now: Timestamp) {
    loop {
        match cleaning.step().unwrap() {
            Progress::Moved { .. } => {}
            Progress::Done => break,
            Progress::Complete(replacement) => {
                match log.replace_segments(replacement, now).unwrap() {
                    Replaced::Yes(sync) => drop(sync.run().unwrap()),
                    Replaced::Outdated => panic!("nobody else changes the log"),
                }
            }
        }
    }
    log.finish_cleaning(cleaning);
}

struct Writer {
    disk: SimDisk,
    clock: Arc<SimClock>,
    rng: SimRng,
    model: Arc<Mutex<Model>>,
    log: Log,
    opening: Opening,
    /// When each tombstone's batch was cleaned first.
    met: BTreeMap<i64, Timestamp>,
}

impl Writer {
    fn new(seed: u64) -> Writer {
        let clock = SimClock::manual();
        let disk = new_disk(&clock);
        let opening = opening(&Model::default());
        let (log, _) = Log::open(&runtime(&disk), Path::new(DIR), opening.clone()).unwrap();
        Writer {
            disk,
            clock,
            rng: SimRng::new(seed),
            model: Arc::default(),
            log,
            opening,
            met: BTreeMap::new(),
        }
    }

    fn step(&mut self) {
        self.clock
            .advance(i64::try_from(self.rng.below(100)).unwrap());
        match self.rng.below(100) {
            0..70 => self.append(),
            70..80 => self.flush(),
            80..92 => self.clean(),
            _ => {
                let now = self.clock.wall();
                self.opening.trash.empty(&self.disk, now);
            }
        }
    }

    fn append(&mut self) {
        let now = self.clock.wall();
        let codecs = [Codec::None, Codec::None, Codec::Lz4, Codec::Zstd];
        let mut builder = BatchBuilder::new(BatchOptions {
            compression: Compression::of(codecs[self.rng.index(codecs.len())]),
            ..BatchOptions::default()
        });
        let mut model = self.model.lock();
        let mut next = model.log_end;
        for _ in 0..=self.rng.below(3) {
            let key = format!("key {}", self.rng.below(KEYS)).into_bytes();
            let text = || format!("{next} {}", "v".repeat(self.rng.index(200)));
            let value = (!self.rng.chance(1, 4)).then(|| text().into_bytes());
            builder.push(
                now,
                NewRecord {
                    key: Some(&key),
                    value: value.as_deref(),
                    headers: &[],
                },
            );
            model.history.entry(key).or_default().push((next, value));
            next += 1;
        }
        // Of an append that does not return, a reader may find all or nothing: see `violations`.
        drop(model);
        let batch = builder.build().unwrap();
        self.log
            .append_as_leader(batch, LeaderEpoch(0), now)
            .unwrap();
        self.log.advance_high_watermark(self.log.log_end());
        self.model.lock().log_end = next;
    }

    fn flush(&mut self) {
        self.log.flush().unwrap();
        let mut model = self.model.lock();
        model.flushed = self.log.recovery_point().0;
        if self.rng.chance(1, 2) {
            model.recovery_point = model.flushed;
        }
    }

    fn clean(&mut self) {
        let now = self.clock.wall();
        self.log.roll(now).unwrap();
        let view = self.log.view();
        let cleanable = view.cleanable(&self.disk, &config(), now).unwrap();
        if cleanable.cleanable_bytes == 0 {
            return;
        }
        let limits = limits(if self.rng.chance(1, 3) { 120 } else { 10_000 });
        self.log.flush().unwrap();
        self.model.lock().flushed = self.log.recovery_point().0;
        let begun = self.log.begin_cleaning(&cleanable, limits, [3, 4], now);
        let mut cleaning = begun.expect("everything is on disk");
        {
            let mut model = self.model.lock();
            model.is_cleaning = true;
            model.cleaned_end = view.cleaned_end().map(|end| end.0);
            let due = |met: &&Timestamp| now.ms_since(**met) >= DELETE_RETENTION_MS;
            let expired = self.met.iter().filter(|(_, met)| due(met));
            model.expired.extend(expired.map(|(offset, _)| *offset));
        }
        finish(&mut self.log, &mut cleaning, now);
        let mut model = self.model.lock();
        model.is_cleaning = false;
        // The checkpoint is written after the cleaning, or a crash comes first.
        if self.rng.chance(3, 4) {
            model.cleaned_end = Some(cleaning.end().0);
        }
        for values in model.history.values() {
            for (offset, value) in values {
                if value.is_none() && *offset < cleanable.first_uncleanable.0 {
                    self.met.entry(*offset).or_insert(now);
                }
            }
        }
    }
}

/// Every moment of the workload at which it could be stopped; `prepare` may break the disk first.
fn run(seed: u64, prepare: impl Fn(&SimDisk)) -> Vec<Point> {
    let mut writer = Writer::new(seed);
    prepare(&writer.disk);
    let points = observe(&writer.disk, &writer.model);
    for _ in 0..STEPS {
        writer.step();
    }
    drop(writer);
    std::mem::take(&mut *points.lock())
}

/// Opens what a crash at `point` leaves, and gives every promise that is broken.
fn violations(point: &Point, keep: Keep, draw: u64) -> Vec<String> {
    let model = &point.known;
    let disk = point.disk.crash(keep, point.record.number * 31 + draw);
    let survives = match keep {
        Keep::Written => model.log_end,
        Keep::Synced | Keep::Names | Keep::Torn => model.flushed,
    };
    let found = match Found::open(&disk, model, survives) {
        Ok(found) => found,
        Err(error) => return vec![error],
    };
    let mut violations = found.check(model, survives);
    if violations.is_empty() && draw == 0 {
        match Found::open(&found.disk.crash(Keep::Written, draw), model, survives) {
            Ok(again) if again.records == found.records => {}
            Ok(_) => violations.push("a second opening differs".to_owned()),
            Err(error) => violations.push(error),
        }
    }
    violations
}

/// What a reader finds in a log that was opened again.
struct Found {
    disk: SimDisk,
    log_end: i64,
    /// Offset, key, value.
    records: Vec<(i64, Vec<u8>, Option<Vec<u8>>)>,
}

impl Found {
    /// Everything below `survives` must be there.
    fn open(disk: &SimDisk, model: &Model, survives: i64) -> Result<Found, String> {
        let work = disk.snapshot();
        let (log, _) = Log::open(&runtime(&work), Path::new(DIR), opening(model))
            .map_err(|error| format!("the log does not open: {error}"))?;
        let mut records = Vec::new();
        for batch in batches(&log, survives)? {
            for record in batch.records(DecodeLimits::default()) {
                let record = record.map_err(|error| error.to_string())?;
                let key = record.key.unwrap_or_default().to_vec();
                let value = record.value.map(|value| value.to_vec());
                records.push((record.offset.0, key, value));
            }
        }
        for (name, _) in work.files() {
            let name = name.to_string_lossy().into_owned();
            if [".cleaned", ".swap", ".deleted"]
                .iter()
                .any(|end| name.ends_with(end))
            {
                return Err(format!("{name} is still there"));
            }
        }
        Ok(Found {
            disk: work.snapshot(),
            log_end: log.log_end().0,
            records,
        })
    }

    fn check(&self, model: &Model, survives: i64) -> Vec<String> {
        let mut violations = Vec::new();
        if self.log_end < survives {
            violations.push(format!("the log ends at {}, not {survives}", self.log_end));
        }
        if !self.records.is_sorted_by(|one, other| one.0 < other.0) {
            violations.push("offsets do not grow".to_owned());
        }
        for (offset, key, value) in &self.records {
            let known = model.history.get(key).into_iter().flatten();
            if !known
                .into_iter()
                .any(|(at, is)| at == offset && is == value)
            {
                violations.push(format!("nobody appended what is at {offset}"));
            }
        }
        for (key, values) in &model.history {
            violations.extend(self.check_key(key, values, model, survives));
        }
        violations
    }

    /// Does a reader end up with the newest value of the key, of those that must have survived, or with one
    /// that is newer still?
    fn check_key(
        &self,
        key: &[u8],
        values: &[(i64, Option<Vec<u8>>)],
        model: &Model,
        survives: i64,
    ) -> Option<String> {
        let newest = values.iter().rev().find(|(at, _)| *at < survives)?;
        let found = self.records.iter().rev().find(|(_, its, _)| its == key);
        let found = found.map(|(at, ..)| *at);
        let is_right = match found {
            Some(at) => at >= newest.0,
            None => newest.1.is_none() && model.expired.contains(&newest.0),
        };
        (!is_right).then(|| {
            let key = String::from_utf8_lossy(key);
            let at = newest.0;
            format!("{key}: its newest record is at {at}, a reader finds {found:?}")
        })
    }
}

/// Every batch, their checksums right, and every one to be found by its offsets. Nothing below `survives` may
/// be out of reach. Beyond, a power loss may leave a hole: in a compacted log nobody can tell.
fn batches(log: &Log, survives: i64) -> Result<Vec<Batch>, String> {
    let view = log.view();
    let mut all: Vec<Batch> = Vec::new();
    let mut next = view.log_start();
    while next < view.log_end() {
        let found = read(log, next)?;
        let Some(last) = found.last() else {
            if next.0 >= survives {
                break;
            }
            return Err(format!(
                "nothing at {next}, the log ends at {}",
                view.log_end()
            ));
        };
        next = last.header().next_offset();
        all.extend(found);
    }
    for batch in &all {
        for offset in [batch.header().base_offset, batch.header().last_offset()] {
            let found = read(log, offset)?;
            if found.first().map(Batch::bytes) != Some(batch.bytes()) {
                return Err(format!("offset {offset} does not lead to its batch"));
            }
        }
    }
    Ok(all)
}

fn read(log: &Log, from: Offset) -> Result<Vec<Batch>, String> {
    let view = log.view();
    let slice = view
        .read(from, 2_000, view.log_end(), FirstBatch::Whole)
        .map_err(|error| format!("cannot read {from}: {error}"))?;
    let bytes = (slice.bytes.read()).map_err(|error| format!("cannot read {from}: {error}"))?;
    let mut batches = Vec::new();
    for batch in Batches::of(bytes) {
        let batch = batch.map_err(|error| error.to_string())?;
        batch.check_crc().map_err(|error| error.to_string())?;
        batches.push(batch);
    }
    Ok(batches)
}

#[test]
fn a_cleaning_stopped_at_any_operation_loses_no_key_and_brings_none_back() {
    let mut tried = 0;
    let mut cleaning: BTreeMap<Operation, usize> = BTreeMap::new();
    for seed in seeds(DEFAULT_SEEDS) {
        let points = run(seed, |_| {});
        for point in points.iter().filter(|point| point.known.is_cleaning) {
            *cleaning.entry(point.record.operation).or_default() += 1;
        }
        assert!(
            points.iter().any(|point| !point.known.expired.is_empty()),
            "seed {seed} never lets a tombstone go"
        );
        let states: Vec<_> = enumerate(&points, &Keep::ALL, violations).collect();
        tried += states.len();
        let found = states.concat();
        assert!(found.is_empty(), "seed {seed}: {}", shown(&found));
    }
    println!("{tried} crashed disks were opened; crash points in cleanings: {cleaning:?}");
    for kind in [
        Operation::Create,
        Operation::Write,
        Operation::Sync,
        Operation::Rename,
        Operation::SyncDir,
    ] {
        assert!(cleaning.contains_key(&kind), "no cleaning does {kind:?}");
    }
}

/// Runs workloads with a fault built in until the checker sees it.
fn is_found(break_it: impl Fn(&SimDisk) + Copy) -> bool {
    (1..6).any(|seed| {
        let keeps = [Keep::Synced, Keep::Names, Keep::Torn];
        let points = run(seed, break_it);
        enumerate(&points, &keeps, violations).any(|found| !found.is_empty())
    })
}

#[test]
fn a_segment_that_is_swapped_in_before_it_is_synced_is_found() {
    assert!(is_found(|disk| disk.lie(Operation::Sync, ".log.cleaned")));
}

/// A checkpoint that calls a log clean before it is lets deleted keys come back: their tombstones go in time,
/// the values before them stay.
#[test]
fn a_cleaner_checkpoint_written_too_early_is_found() {
    let found = (1..6).any(|seed| {
        let points = run(seed, |_| {});
        let cleaning = points.iter().filter(|point| point.known.is_cleaning);
        cleaning.step_by(10).any(|point| {
            let disk = point.disk.crash(Keep::Written, 0);
            let right = goes_on(&disk, &point.known);
            assert!(right.is_empty(), "{}", shown(&right));
            let mut early = point.known.clone();
            early.cleaned_end = Some(early.log_end);
            !goes_on(&disk, &early).is_empty()
        })
    });
    assert!(found);
}

/// What is wrong after the log was opened, and cleaned twice with so much time in between that all tombstones
/// go.
fn goes_on(disk: &SimDisk, model: &Model) -> Vec<String> {
    let mut model = model.clone();
    let work = disk.snapshot();
    let (mut log, _) = Log::open(&runtime(&work), Path::new(DIR), opening(&model)).unwrap();
    for round in 1..3 {
        let now = Timestamp(round * 1_000_000);
        let mut builder = BatchBuilder::new(BatchOptions::default());
        let record = NewRecord {
            key: Some(b"another"),
            value: Some(b"x"),
            headers: &[],
        };
        builder.push(now, record);
        log.append_as_leader(builder.build().unwrap(), LeaderEpoch(0), now)
            .unwrap();
        log.advance_high_watermark(log.log_end());
        log.roll(now).unwrap();
        let cleanable = log.view().cleanable(&work, &config(), now).unwrap();
        log.flush().unwrap();
        let begun = log.begin_cleaning(&cleanable, limits(10_000), [3, 4], now);
        let mut cleaning = begun.expect("everything is on disk");
        finish(&mut log, &mut cleaning, now);
        model.cleaned_end = Some(cleaning.end().0);
    }
    let tombstones = model.history.values().flatten();
    let tombstones = tombstones.filter(|(_, value)| value.is_none());
    let expired: Vec<i64> = tombstones.map(|(offset, _)| *offset).collect();
    model.expired.extend(expired);
    let found = match Found::open(&work, &model, 0) {
        Ok(found) => found,
        Err(error) => return vec![error],
    };
    (model.history.iter())
        .filter_map(|(key, values)| found.check_key(key, values, &model, model.log_end))
        .collect()
}
