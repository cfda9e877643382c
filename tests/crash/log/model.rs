//! What the writer of a log knows about it.

use imbl::Vector;
use ottla::log::Shutdown;
use ottla::types::{LeaderEpoch, Offset, ProducerId, Timestamp};
use std::sync::Arc;

/// One batch that was appended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub base: Offset,
    pub last: Offset,
    pub epoch: LeaderEpoch,
    pub timestamp: Timestamp,
    /// As a client sent it.
    pub bytes: Arc<[u8]>,
    /// Value of its first record, different for every batch.
    pub value: Arc<[u8]>,
    /// Of an idempotent producer: its id and the sequence number of the first record.
    pub producer: Option<(ProducerId, i32)>,
}

/// The state of the log as its writer was told; cloning costs nothing.
#[derive(Clone, Debug)]
pub(crate) struct Model {
    /// Batches in the log, in order.
    pub entries: Vector<Entry>,
    /// The epoch of the leader that appends now.
    pub leading: LeaderEpoch,
    /// Batches that were cut off again: a power loss may bring them back.
    pub dropped: Vector<Entry>,
    pub log_start: Offset,
    pub high_watermark: Offset,
    /// Everything below was synced.
    pub flushed: Offset,
    /// What a checkpoint says of it.
    pub recovery_point: Offset,
    pub shutdown: Shutdown,
    /// An append that has not returned.
    pub appending: Option<Entry>,
    /// A change of the log's ends that has not returned.
    pub cutting_to: Option<Offset>,
    pub starting_at: Option<Offset>,
}

impl Model {
    pub(crate) fn new() -> Model {
        Model {
            entries: Vector::new(),
            leading: LeaderEpoch(0),
            dropped: Vector::new(),
            log_start: Offset::ZERO,
            high_watermark: Offset::ZERO,
            flushed: Offset::ZERO,
            recovery_point: Offset::ZERO,
            shutdown: Shutdown::Unclean,
            appending: None,
            cutting_to: None,
            starting_at: None,
        }
    }

    pub(crate) fn log_end(&self) -> Offset {
        self.entries
            .last()
            .map_or(self.log_start, |last| last.last.next())
    }

    pub(crate) fn epoch(&self) -> LeaderEpoch {
        self.leading
    }

    pub(crate) fn begin_epoch(&mut self, epoch: LeaderEpoch) {
        self.leading = epoch;
    }

    pub(crate) fn cut_to(&mut self, end: Offset) {
        while self.entries.last().is_some_and(|last| last.base >= end) {
            let last = self.entries.pop_back().expect("just seen");
            self.dropped.push_back(last);
        }
        let end = self.log_end();
        self.flushed = self.flushed.min(end);
        self.recovery_point = self.recovery_point.min(end);
        self.high_watermark = self.high_watermark.min(end);
    }

    pub(crate) fn start_at(&mut self, start: Offset) {
        self.log_start = start;
        while self.entries.front().is_some_and(|first| first.last < start) {
            self.entries.pop_front();
        }
    }
}
