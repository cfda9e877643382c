//! What is done to the log: a seed decides.

use super::check::{self, Found, Point};
use super::model::{Entry, Model};
use crate::common::crash::{new_disk, observe};
use ottla::log::{Appended, Log, LogConfig, Opening, Shutdown};
use ottla::record::{BatchBuilder, BatchOptions, NewRecord, ProducerStamp, ValidBatch, ZstdUse};
use ottla::runtime::{Clock, Runtime};
use ottla::sim::{self, Operation, SimClock, SimDisk, SimRng};
use ottla::types::{
    LeaderEpoch, Offset, ProducerEpoch, ProducerId, Timestamp, TopicName, TopicPartition,
};
use parking_lot::Mutex;
use std::path::Path;
use std::sync::Arc;

pub(crate) const DIR: &str = "/data/orders-0";

const STEPS: u32 = 150;

/// One run and the moments at which it could have been stopped.
pub(crate) struct Run {
    pub points: Vec<Point>,
    pub trace: u64,
}

/// Small segments and indexes, so that a few hundred batches roll often.
pub(crate) fn config() -> LogConfig {
    LogConfig {
        segment_bytes: 6_000,
        index_interval_bytes: 700,
        segment_index_bytes: 10 * 12,
        retention_bytes: 30_000,
        file_delete_delay_ms: 1_000,
        ..LogConfig::default()
    }
}

pub(crate) fn partition() -> TopicPartition {
    TopicPartition::new(TopicName::parse("orders").unwrap(), 0)
}

pub(crate) fn runtime(disk: &SimDisk) -> Runtime {
    sim::runtime(1, disk, &SimClock::manual())
}

pub(crate) fn opening(model: &Model, now: Timestamp) -> Opening {
    Opening {
        shutdown: model.shutdown,
        recovery_point: model.recovery_point,
        log_start: model.log_start,
        high_watermark: model.high_watermark,
        ..Opening::new(partition(), config(), now)
    }
}

struct Writer {
    disk: SimDisk,
    clock: Arc<SimClock>,
    rng: SimRng,
    model: Arc<Mutex<Model>>,
    /// `None` after an error that ends the log's service.
    log: Option<Log>,
    opening: Opening,
    written: u32,
    /// Next sequence number of each producer.
    sequences: [i32; 2],
}

/// Runs a workload to its end; `prepare` may break the disk first.
pub(crate) fn run(seed: u64, prepare: impl Fn(&SimDisk)) -> Run {
    let mut writer = Writer::new(seed);
    prepare(&writer.disk);
    let points = observe(&writer.disk, &writer.model);
    for _ in 0..STEPS {
        writer.step();
        if writer.log.is_none() {
            break;
        }
    }
    // The state after everything is a point too.
    let end = writer.disk.operations();
    points.lock().push(Point {
        record: sim::disk::Record {
            number: end,
            operation: Operation::Open,
            path: "after the end".to_owned(),
            position: 0,
            len: 0,
        },
        disk: writer.disk.snapshot(),
        known: writer.model.lock().clone(),
    });
    let trace = writer.disk.trace();
    drop(writer);
    let points = std::mem::take(&mut *points.lock());
    Run { points, trace }
}

/// Runs the disk full and gives it space again, several times; what was wrong.
pub(crate) fn fill_the_disk(seed: u64) -> Vec<String> {
    let mut writer = Writer::new(seed);
    let mut violations = Vec::new();
    for round in 0..4u64 {
        writer
            .disk
            .set_capacity(Some(writer.disk.used() + 3 * 4096 * (round + 1)));
        let mut refused = 0;
        for _ in 0..60 {
            let before = writer.model.lock().entries.len();
            writer.append();
            refused += usize::from(writer.model.lock().entries.len() == before);
            let log = writer
                .log
                .as_ref()
                .expect("a full disk does not end the service");
            let model = writer.model.lock().clone();
            violations.extend(check::reads(log, &model));
        }
        if refused == 0 {
            violations.push("the disk never ran full".to_owned());
        }
        writer.disk.set_capacity(None);
        let before = writer.model.lock().entries.len();
        writer.append();
        if writer.model.lock().entries.len() == before {
            violations.push("appends do not resume by themselves".to_owned());
        }
    }
    let model = writer.model.lock().clone();
    let disk = writer.disk.crash(sim::Keep::Written, seed);
    violations.extend(check::all(
        &Found::open(&disk, &model),
        &model,
        Offset(i64::MAX),
    ));
    violations
}

impl Writer {
    fn new(seed: u64) -> Writer {
        let clock = SimClock::manual();
        let disk = new_disk(&clock);
        let model = Model::new();
        let opening = opening(&model, clock.wall());
        let (log, _) = Log::open(&runtime(&disk), Path::new(DIR), opening.clone()).unwrap();
        Writer {
            disk,
            clock,
            rng: SimRng::new(seed),
            model: Arc::new(Mutex::new(model)),
            log: Some(log),
            opening,
            written: 0,
            sequences: [0, 0],
        }
    }

    fn step(&mut self) {
        self.clock
            .advance(i64::try_from(self.rng.below(200)).unwrap());
        match self.rng.below(100) {
            0..64 => self.append(),
            64..76 => self.flush(),
            76..80 => self.roll(),
            80..84 => self.delete_old(),
            84..87 => self.raise_log_start(),
            87..91 => {
                let now = self.clock.wall();
                self.opening.trash.empty(&self.disk, now);
            }
            91..94 => self.truncate(),
            94..97 => self.close_and_open(),
            _ => self.next_epoch(),
        }
    }

    fn now(&self) -> Timestamp {
        self.clock.wall()
    }

    /// Appends a batch, of an idempotent producer in half of the cases.
    fn append(&mut self) {
        let now = self.now();
        let epoch = self.model.lock().epoch();
        let producer = self
            .rng
            .chance(1, 2)
            .then(|| self.rng.index(self.sequences.len()));
        let stamp = match producer {
            None => ProducerStamp::NONE,
            Some(which) => ProducerStamp {
                id: ProducerId(100 + i64::try_from(which).unwrap()),
                epoch: ProducerEpoch(0),
                base_sequence: self.sequences[which],
            },
        };
        let value = format!("{}/{}", self.written, "v".repeat(self.rng.index(900)));
        self.written += 1;
        let count = i64::try_from(1 + self.rng.below(3)).unwrap();
        let mut builder = BatchBuilder::new(BatchOptions {
            producer: stamp,
            ..BatchOptions::default()
        });
        for _ in 0..count {
            builder.push(
                now,
                NewRecord {
                    value: Some(value.as_bytes()),
                    ..NewRecord::default()
                },
            );
        }
        let bytes = builder.build().unwrap().to_bytes();
        let batch =
            ValidBatch::parse(&bytes, &config().produce_rules(now, ZstdUse::Allowed)).unwrap();
        let base = self.model.lock().log_end();
        let entry = Entry {
            base,
            last: base.plus(count - 1),
            epoch,
            timestamp: now,
            bytes: bytes[..].into(),
            value: value.as_bytes().into(),
            producer: producer.map(|_| (stamp.id, stamp.base_sequence)),
        };
        self.model.lock().appending = Some(entry.clone());
        let log = self.log.as_mut().expect("the log is open");
        let appended = log.append_as_leader(batch, epoch, now);
        let mut model = self.model.lock();
        model.appending = None;
        if let Ok(Appended::Fresh { base, last, .. }) = appended {
            assert_eq!(
                (base, last),
                (entry.base, entry.last),
                "offsets are contiguous"
            );
            model.entries.push_back(entry);
            if let Some(which) = producer {
                self.sequences[which] += i32::try_from(count).unwrap();
            }
            log.advance_high_watermark(last.next());
            model.high_watermark = last.next();
        }
    }

    fn flush(&mut self) {
        let log = self.log.as_mut().expect("the log is open");
        match log.flush() {
            Ok(()) => {
                let mut model = self.model.lock();
                assert_eq!(log.recovery_point(), model.log_end());
                model.flushed = log.recovery_point();
                // The checkpoint of recovery points is written now and then, after the sync.
                if self.rng.chance(1, 2) {
                    model.recovery_point = model.flushed;
                }
            }
            Err(_) => self.log = None,
        }
    }

    fn roll(&mut self) {
        let now = self.now();
        let _ = self.log.as_mut().expect("the log is open").roll(now);
    }

    fn delete_old(&mut self) {
        let now = self.now();
        let log = self.log.as_mut().expect("the log is open");
        self.model.lock().starting_at = Some(log.high_watermark());
        let _ = log.delete_old_segments(now);
        let mut model = self.model.lock();
        model.starting_at = None;
        model.start_at(log.log_start());
    }

    /// DeleteRecords: the start may then lie in the middle of a batch; it is checkpointed.
    fn raise_log_start(&mut self) {
        let mut model = self.model.lock();
        let log = self.log.as_mut().expect("the log is open");
        let span = log.high_watermark().0 - log.log_start().0;
        let to = log.log_start().plus(span / 8);
        log.set_log_start(to).unwrap();
        model.start_at(to);
    }

    /// What a follower does after a change of leaders; the new leader has a new epoch.
    fn truncate(&mut self) {
        let now = self.now();
        let (start, end, epoch) = {
            let model = self.model.lock();
            (model.log_start, model.log_end(), model.epoch())
        };
        let back = i64::try_from(self.rng.below(12)).unwrap();
        let to = Offset((end.0 - back).max(start.0));
        let log = self.log.as_mut().expect("the log is open");
        self.model.lock().cutting_to = Some(to);
        let done = log.truncate_to(to, now);
        let model = {
            let mut model = self.model.lock();
            model.cutting_to = None;
            if done.is_err() {
                self.log = None;
                return;
            }
            model.cut_to(log.log_end());
            model.begin_epoch(LeaderEpoch(epoch.0 + 1));
            model.clone()
        };
        log.assign_epoch_start(LeaderEpoch(epoch.0 + 1));
        self.learn_sequences(&model);
    }

    fn next_epoch(&mut self) {
        let epoch = LeaderEpoch(self.model.lock().epoch().0 + 1);
        let log = self.log.as_mut().expect("the log is open");
        log.assign_epoch_start(epoch);
        self.model.lock().begin_epoch(epoch);
    }

    /// The producers go on from what is in the log.
    fn learn_sequences(&mut self, model: &Model) {
        for (which, next) in self.sequences.iter_mut().enumerate() {
            let id = ProducerId(100 + i64::try_from(which).unwrap());
            let of_producer = |entry: &&Entry| entry.producer.is_some_and(|(its, _)| its == id);
            let last = model.entries.iter().rev().find(of_producer);
            let known = self.log.as_ref().and_then(|log| {
                log.active_producers()
                    .into_iter()
                    .find(|known| known.id == id)
            });
            *next = match (last, known) {
                (Some(last), _) => {
                    let (_, sequence) = last.producer.expect("just checked");
                    sequence + i32::try_from(last.last.0 - last.base.0 + 1).unwrap()
                }
                (None, Some(known)) => known.last_sequence + 1,
                (None, None) => 0,
            };
        }
    }

    fn close_and_open(&mut self) {
        let mut log = self.log.take().expect("the log is open");
        let end = log.log_end();
        if log.close().is_err() {
            return;
        }
        {
            let mut model = self.model.lock();
            model.flushed = end;
            model.recovery_point = end;
            model.shutdown = Shutdown::Clean;
            self.opening = Opening {
                trash: self.opening.trash.clone(),
                health: self.opening.health.clone(),
                ..opening(&model, self.clock.wall())
            };
        }
        // While the broker is stopped the log can lose nothing; once it runs, the mark is gone.
        self.model.lock().shutdown = Shutdown::Unclean;
        let opened = Log::open(&runtime(&self.disk), Path::new(DIR), self.opening.clone());
        let (log, _) = opened.expect("a log that was closed cleanly opens");
        let model = self.model.lock().clone();
        assert_eq!(log.log_end(), model.log_end(), "a clean stop loses nothing");
        self.log = Some(log);
    }
}
