//! Tests of the log as a whole, on the machine's disk.
#![expect(
    clippy::disallowed_methods,
    reason = "tests look at the files behind the seam"
)]

mod append;
mod flips;
mod loading;
mod manager;
mod model;
mod producers;
mod read;
mod recovery;
mod retention;

use super::*;
use crate::record::control::{EndMarker, TransactionResult, end_transaction};
use crate::record::{
    Batch, BatchBuilder, BatchOptions, Batches, NewRecord, ProducerStamp, TransactionVersion,
    ValidBatch, ZstdUse,
};
use crate::runtime::{Open, Runtime, os, read_exact_at};
use crate::types::{
    LeaderEpoch, Offset, ProducerEpoch, ProducerId, Timestamp, TopicName, TopicPartition,
};
use bytes::Bytes;
use std::path::{Path, PathBuf};

pub(super) const NOW: Timestamp = Timestamp(1_700_000_000_000);

/// A log in a directory of its own, which it outlives on purpose: see [`Bed::reopen`].
pub(super) struct Bed {
    pub(super) log: Log,
    pub(super) recovered: Recovered,
    pub(super) config: LogConfig,
    runtime: Runtime,
    home: tempfile::TempDir,
}

pub(super) fn partition() -> TopicPartition {
    TopicPartition::new(TopicName::parse("orders").unwrap(), 0)
}

impl Bed {
    pub(super) fn new(config: LogConfig) -> Bed {
        Bed::open_in(tempfile::tempdir().unwrap(), config, |_| {})
    }

    fn open_in(
        home: tempfile::TempDir,
        config: LogConfig,
        change: impl FnOnce(&mut Opening),
    ) -> Bed {
        let runtime = os::runtime();
        let mut opening = Opening::new(partition(), config.clone(), NOW);
        change(&mut opening);
        let (log, recovered) = Log::open(&runtime, &home.path().join("orders-0"), opening).unwrap();
        Bed {
            log,
            recovered,
            config,
            runtime,
            home,
        }
    }

    /// Small segments and a dense index, so that little data shows much.
    pub(super) fn small() -> Bed {
        Bed::new(LogConfig {
            segment_bytes: 1_000,
            index_interval_bytes: 100,
            ..LogConfig::default()
        })
    }

    pub(super) fn dir(&self) -> PathBuf {
        self.home.path().join("orders-0")
    }

    /// Opens the same directory again, as a new process would.
    pub(super) fn reopen(self, shutdown: Shutdown, recovery_point: i64) -> Bed {
        self.reopen_with(shutdown, |opening| {
            opening.recovery_point = Offset(recovery_point);
        })
    }

    pub(super) fn reopen_with(self, shutdown: Shutdown, change: impl FnOnce(&mut Opening)) -> Bed {
        let Bed {
            log, config, home, ..
        } = self;
        drop(log);
        Bed::open_in(home, config, |opening| {
            opening.shutdown = shutdown;
            change(opening);
        })
    }

    pub(super) fn append(&mut self, batch: ValidBatch) -> Appended {
        self.log
            .append_as_leader(batch, LeaderEpoch(0), NOW)
            .unwrap()
    }

    /// Appends batches as a leader stamped them, whatever their epochs.
    pub(super) fn follow(&mut self, batches: &Bytes) {
        let epoch = LeaderEpoch(i32::MAX);
        self.log.append_as_follower(batches, epoch, NOW).unwrap();
    }

    /// Appends `count` batches of `records` records each.
    pub(super) fn fill(&mut self, count: i64, records: i64) {
        for _ in 0..count {
            let at = self.log.log_end().0;
            self.append(plain(records, NOW.plus_ms(at)));
        }
    }

    pub(super) fn files(&self) -> Vec<String> {
        let mut names: Vec<String> = std::fs::read_dir(self.dir())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    /// The files whose name ends with `suffix`, in the order of their offsets.
    pub(super) fn named(&self, suffix: &str) -> Vec<String> {
        let mut names = self.files();
        names.retain(|name| name.ends_with(suffix));
        names
    }

    /// The base offsets of the segments.
    pub(super) fn bases(&self) -> Vec<i64> {
        let base = |name: &String| name.trim_end_matches(".log").parse().unwrap();
        self.named(".log").iter().map(base).collect()
    }

    /// Every batch that a consumer would get, from `from` on.
    pub(super) fn batches(&self, from: i64) -> Vec<Batch> {
        read_all(&self.log.view(), from)
    }

    pub(super) fn values(&self, from: i64) -> Vec<(i64, String)> {
        let mut values = Vec::new();
        for batch in self.batches(from) {
            for record in batch.records(crate::record::DecodeLimits::default()) {
                let record = record.unwrap();
                let value = String::from_utf8(record.value.unwrap().to_vec()).unwrap();
                values.push((record.offset.0, value));
            }
        }
        values
    }

    /// Changes one byte of a file.
    pub(super) fn flip(&self, name: &str, position: u64) {
        let file = self.open(name);
        let mut byte = [0];
        read_exact_at(&*file, &mut byte, position).unwrap();
        byte[0] ^= 0x40;
        file.write_at(&mut [std::io::IoSlice::new(&byte)], position)
            .unwrap();
    }

    pub(super) fn open(&self, name: &str) -> std::sync::Arc<dyn crate::runtime::File> {
        self.runtime
            .disk
            .open(&self.dir().join(name), Open::Write)
            .unwrap()
    }
}

/// `count` records "0", "1" …, a millisecond apart.
pub(super) fn plain(count: i64, first: Timestamp) -> ValidBatch {
    built(BatchOptions::default(), count, first)
}

pub(super) fn built(options: BatchOptions, count: i64, first: Timestamp) -> ValidBatch {
    let mut builder = BatchBuilder::new(options);
    for index in 0..count {
        builder.push(
            first.plus_ms(index),
            NewRecord {
                key: Some(b"key"),
                value: Some(index.to_string().as_bytes()),
                headers: &[],
            },
        );
    }
    builder.build().unwrap()
}

/// A batch as a producer with an id sends it.
pub(super) fn produced(id: i64, epoch: i16, sequence: i32, count: i64) -> ValidBatch {
    from_client(&built(stamped(id, epoch, sequence, false), count, NOW))
}

pub(super) fn transactional(id: i64, epoch: i16, sequence: i32, count: i64) -> ValidBatch {
    from_client(&built(stamped(id, epoch, sequence, true), count, NOW))
}

/// The end of a producer's transaction, as a coordinator of transactions of version 1 writes it.
pub(super) fn marker(
    id: i64,
    epoch: i16,
    result: TransactionResult,
    coordinator_epoch: i32,
) -> ValidBatch {
    end_transaction(
        ProducerId(id),
        ProducerEpoch(epoch),
        EndMarker {
            result,
            coordinator_epoch,
        },
        TransactionVersion::V1,
        NOW,
    )
}

pub(super) fn stamped(
    id: i64,
    epoch: i16,
    base_sequence: i32,
    transactional: bool,
) -> BatchOptions {
    BatchOptions {
        producer: ProducerStamp {
            id: ProducerId(id),
            epoch: ProducerEpoch(epoch),
            base_sequence,
        },
        transactional,
        ..BatchOptions::default()
    }
}

pub(super) fn from_client(batch: &ValidBatch) -> ValidBatch {
    let rules = LogConfig::default().produce_rules(NOW, ZstdUse::Allowed);
    ValidBatch::parse(&batch.to_bytes(), &rules).unwrap()
}

pub(super) fn read_all(view: &LogView, from: i64) -> Vec<Batch> {
    let mut next = Offset(from);
    let mut batches = Vec::new();
    while next < view.log_end() {
        let slice = view
            .read(next, 200, view.log_end(), FirstBatch::Whole)
            .unwrap();
        assert!(!slice.is_empty(), "nothing at {next}");
        let whole = Batches::of(bytes_of(&slice));
        for batch in whole {
            let batch = batch.unwrap();
            batch.check_crc().unwrap();
            next = batch.header().next_offset();
            batches.push(batch);
        }
    }
    batches
}

pub(super) fn bytes_of(slice: &LogSlice) -> Bytes {
    slice.bytes.read().unwrap()
}

pub(super) fn len_of(path: &Path) -> u64 {
    std::fs::metadata(path).unwrap().len()
}
