//! Random histories, compacted by the cleaner and by the simplest possible compactor.

use super::{LIMITS, clean, cleanable};
use crate::log::tests::{Bed, NOW, read_all};
use crate::log::*;
use crate::record::control::{self, ControlRecord, EndMarker, TransactionResult};
use crate::record::{
    BatchBuilder, BatchOptions, Codec, Compression, DecodeLimits, NewRecord, ProducerStamp,
    TransactionVersion, ValidBatch,
};
use crate::types::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Timestamp};
use proptest::prelude::*;
use std::collections::{BTreeMap, HashMap, HashSet};

/// Clean batches keep tombstones for so long.
const RETENTION_MS: i64 = 1_000;

#[derive(Clone, Debug)]
enum Step {
    Append {
        /// Keys, and whether each is a tombstone.
        records: Vec<(u8, bool)>,
        codec: Codec,
        by: By,
    },
    End {
        by: By,
        result: TransactionResult,
    },
    Roll,
    Wait {
        ms: i64,
    },
    Clean {
        keys_max: u64,
    },
    Crash,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum By {
    Nobody,
    Idempotent(u8),
    Transactional(u8),
}

impl By {
    fn id(self) -> ProducerId {
        match self {
            By::Nobody => ProducerId::NONE,
            By::Idempotent(n) => ProducerId(i64::from(n)),
            By::Transactional(n) => ProducerId(100 + i64::from(n)),
        }
    }
}

fn step() -> impl Strategy<Value = Step> {
    let codecs = prop::sample::select(vec![
        Codec::None,
        Codec::None,
        Codec::Gzip,
        Codec::Snappy,
        Codec::Lz4,
        Codec::Zstd,
    ]);
    let transactional = (0u8..2).prop_map(By::Transactional);
    let by = prop_oneof![
        3 => Just(By::Nobody),
        2 => (0u8..2).prop_map(By::Idempotent),
        2 => transactional.clone(),
    ];
    let records = prop::collection::vec((0u8..8, prop::bool::weighted(0.25)), 1..5);
    let results = prop::sample::select(vec![TransactionResult::Commit, TransactionResult::Abort]);
    prop_oneof![
        12 => (records, codecs, by)
            .prop_map(|(records, codec, by)| Step::Append { records, codec, by }),
        3 => (transactional, results).prop_map(|(by, result)| Step::End { by, result }),
        2 => Just(Step::Roll),
        2 => (1i64..900).prop_map(|ms| Step::Wait { ms }),
        3 => prop::sample::select(vec![2, 5, 1_000]).prop_map(|keys_max| Step::Clean { keys_max }),
        1 => Just(Step::Crash),
    ]
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Survivor {
    offset: i64,
    key: u8,
    /// `None` for a tombstone.
    value: Option<Vec<u8>>,
    timestamp: i64,
}

#[derive(Clone, Debug)]
struct ModelBatch {
    records: Vec<Survivor>,
    horizon: Option<i64>,
    aborted: bool,
}

struct World {
    bed: Bed,
    now: Timestamp,
    written: u32,
    /// By base offset.
    batches: BTreeMap<i64, ModelBatch>,
    /// Batches of open transactions.
    open: HashMap<By, Vec<i64>>,
    sequences: HashMap<By, i32>,
}

impl World {
    fn new() -> World {
        World {
            bed: Bed::new(LogConfig {
                segment_bytes: 700,
                index_interval_bytes: 100,
                cleanup: CleanupPolicy {
                    delete: false,
                    compact: true,
                },
                delete_retention_ms: RETENTION_MS,
                ..LogConfig::default()
            }),
            now: NOW,
            written: 0,
            batches: BTreeMap::new(),
            open: HashMap::new(),
            sequences: HashMap::new(),
        }
    }

    fn take(mut self, step: &Step) -> World {
        self.now = self.now.plus_ms(1);
        match step {
            Step::Append { records, codec, by } => self.append(records, *codec, *by),
            Step::End { by, result } => self.end(*by, *result),
            Step::Roll => self.bed.log.roll(self.now).unwrap(),
            Step::Wait { ms } => self.now = self.now.plus_ms(*ms),
            Step::Clean { keys_max } => self.clean(*keys_max),
            Step::Crash => return self.crash(),
        }
        self
    }

    fn append(&mut self, records: &[(u8, bool)], codec: Codec, by: By) {
        let base = self.bed.log.log_end().0;
        let sequence = self.sequences.entry(by).or_default();
        let mut builder = BatchBuilder::new(BatchOptions {
            compression: Compression::of(codec),
            producer: match by {
                By::Nobody => ProducerStamp::NONE,
                _ => ProducerStamp {
                    id: by.id(),
                    epoch: ProducerEpoch(0),
                    base_sequence: *sequence,
                },
            },
            transactional: matches!(by, By::Transactional(_)),
            ..BatchOptions::default()
        });
        let mut survivors = Vec::new();
        for (index, (key, is_tombstone)) in records.iter().enumerate() {
            let at = i64::try_from(index).unwrap();
            self.written += 1;
            let value = (!is_tombstone).then(|| format!("value {}", self.written).into_bytes());
            let timestamp = self.now.plus_ms(at * 3);
            builder.push(
                timestamp,
                NewRecord {
                    key: Some(&[*key]),
                    value: value.as_deref(),
                    headers: &[(b"header", Some(&[*key]))],
                },
            );
            survivors.push(Survivor {
                offset: base + at,
                key: *key,
                value,
                timestamp: timestamp.0,
            });
        }
        *sequence += builder.count();
        self.write(builder.build().unwrap());
        let batch = ModelBatch {
            records: survivors,
            horizon: None,
            aborted: false,
        };
        self.batches.insert(base, batch);
        if matches!(by, By::Transactional(_)) {
            self.open.entry(by).or_default().push(base);
        }
    }

    fn end(&mut self, by: By, result: TransactionResult) {
        let Some(batches) = self.open.remove(&by) else {
            return;
        };
        for base in batches {
            let batch = self.batches.get_mut(&base).unwrap();
            batch.aborted = result == TransactionResult::Abort;
        }
        let marker = EndMarker {
            result,
            coordinator_epoch: 0,
        };
        let (id, epoch) = (by.id(), ProducerEpoch(0));
        let version = TransactionVersion::V1;
        self.write(control::end_transaction(
            id, epoch, marker, version, self.now,
        ));
    }

    fn write(&mut self, batch: ValidBatch) {
        let log = &mut self.bed.log;
        log.append_as_leader(batch, LeaderEpoch(0), self.now)
            .unwrap();
        log.advance_high_watermark(log.log_end());
    }

    fn clean(&mut self, keys_max: u64) {
        let mut limits = LIMITS;
        limits.map.bytes = (keys_max + 1) * 24;
        limits.map.load_factor = 0.99;
        let planned = cleanable(&self.bed, self.now);
        let bases = self.bed.bases();
        let Some(done) = clean(&mut self.bed, limits, self.now) else {
            return;
        };
        assert!(done.end() > planned.first_dirty, "every cleaning gets on");
        if keys_max == 1_000 {
            assert_eq!(done.end(), planned.first_uncleanable);
        }
        assert_eq!(self.bed.log.view().cleaned_end(), Some(done.end()));
        // Whole segments are rewritten.
        let rewritten = (bases.into_iter()).find(|base| *base >= done.end().0);
        self.compact(planned.first_dirty.0, done.end().0, rewritten.unwrap());
    }

    /// The simplest possible compactor.
    fn compact(&mut self, dirty: i64, end: i64, rewritten: i64) {
        let mut newest: HashMap<u8, i64> = HashMap::new();
        for batch in self.batches.values().filter(|batch| !batch.aborted) {
            for record in &batch.records {
                if (dirty..end).contains(&record.offset) {
                    newest.insert(record.key, record.offset);
                }
            }
        }
        for batch in self.batches.range_mut(..rewritten).map(|(_, batch)| batch) {
            let is_due = batch.horizon.is_some_and(|at| at <= self.now.0);
            let aborted = batch.aborted;
            batch.records.retain(|record| {
                let is_older = newest
                    .get(&record.key)
                    .is_some_and(|at| *at > record.offset);
                let expired = record.value.is_none() && is_due;
                !aborted && (record.offset >= end || !(is_older || expired))
            });
            let has_tombstone = batch.records.iter().any(|record| record.value.is_none());
            if has_tombstone && batch.horizon.is_none() {
                batch.horizon = Some(self.now.0 + RETENTION_MS);
            }
        }
    }

    /// Kill −9; recovery reads everything again, without the snapshots of producers.
    fn crash(mut self) -> World {
        let before = self.producers();
        for name in self.bed.named(".snapshot") {
            std::fs::remove_file(self.bed.dir().join(name)).unwrap();
        }
        let cleaned_end = self.bed.log.view().cleaned_end();
        let end = self.bed.log.log_end();
        self.bed = self.bed.reopen_with(Shutdown::Unclean, |opening| {
            opening.cleaned_end = cleaned_end;
            opening.high_watermark = end;
        });
        assert_eq!(
            self.producers(),
            before,
            "producers are known by their batches"
        );
        self
    }

    fn producers(&self) -> BTreeMap<ProducerId, (i32, Option<Offset>)> {
        let producers = self.bed.log.active_producers().into_iter();
        producers
            .map(|p| (p.id, (p.last_sequence, p.transaction_start)))
            .collect()
    }

    /// What a reader sees who begins at the front.
    fn read(&self, committed_only: bool) -> Vec<Survivor> {
        let view = self.bed.log.view();
        let upper = view.last_stable_offset();
        let mut aborted = view.aborted_transactions(Offset(0), upper).unwrap();
        aborted.sort_by_key(|transaction| std::cmp::Reverse(transaction.first));
        let mut skipped = HashSet::new();
        let mut seen = Vec::new();
        for batch in read_all(&view, 0) {
            let header = batch.header();
            if committed_only && header.base_offset >= upper {
                break;
            }
            while aborted
                .last()
                .is_some_and(|next| next.first <= header.last_offset())
            {
                skipped.insert(aborted.pop().unwrap().producer);
            }
            if let Some(ControlRecord::EndTransaction(marker)) = control::read(&batch) {
                if marker.result == TransactionResult::Abort {
                    skipped.remove(&header.producer_id);
                }
                continue;
            }
            let is_hidden =
                header.attributes.is_transactional() && skipped.contains(&header.producer_id);
            if header.attributes.is_control() || (committed_only && is_hidden) {
                continue;
            }
            for record in batch.records(DecodeLimits::default()) {
                let record = record.unwrap();
                let key = record.key.unwrap()[0];
                assert_eq!(record.headers[0].value.as_deref(), Some(&[key][..]));
                seen.push(Survivor {
                    offset: record.offset.0,
                    key,
                    value: record.value.map(|value| value.to_vec()),
                    timestamp: record.timestamp.0,
                });
            }
        }
        seen
    }

    fn check(&self) {
        let all = self
            .batches
            .values()
            .flat_map(|batch| batch.records.clone());
        assert_eq!(self.read(false), all.collect::<Vec<_>>());
        let stable = self.bed.log.view().last_stable_offset().0;
        let committed = (self.batches.values())
            .filter(|batch| !batch.aborted)
            .flat_map(|batch| batch.records.clone())
            .filter(|record| record.offset < stable);
        assert_eq!(self.read(true), committed.collect::<Vec<_>>());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 30, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_cleaner_leaves_what_the_simplest_compactor_leaves(
        steps in prop::collection::vec(step(), 1..120)
    ) {
        let mut world = World::new();
        for step in &steps {
            world = world.take(step);
            if matches!(step, Step::Clean { .. } | Step::Crash) {
                world.check();
            }
        }
        world.bed.log.roll(world.now).unwrap();
        world.clean(1_000);
        world.check();
        world = world.crash();
        world.check();
    }
}
