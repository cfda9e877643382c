//! Reading a partition beside its writer: ranges of the log, and offsets by time, by name and by epoch.

use super::partition::{Partition, StorageFailed};
use crate::log::{self, AbortedTransaction, FirstBatch, LogView, SegmentStart, TimestampOffset};
use crate::record::DecodeLimits;
use crate::runtime::FileSlice;
use crate::types::{LeaderEpoch, Offset, Timestamp};
use tracing::error;

/// What a consumer may see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isolation {
    /// All that is committed: below the high watermark.
    ReadUncommitted,
    /// Below the first open transaction.
    ReadCommitted,
    /// All that is written: replicas and tools.
    LogEnd,
}

/// One read.
#[derive(Clone, Copy, Debug)]
pub struct Read {
    pub from: Offset,
    pub bytes_max: u64,
    pub isolation: Isolation,
    pub first: FirstBatch,
    /// The epoch of the last record that the reader has; −1 does not check for divergence.
    pub last_fetched_epoch: i32,
}

/// What a read gives.
#[derive(Debug)]
pub enum ReadOutcome {
    Records {
        /// `None`: nothing that the reader may see, for now.
        slice: Option<FileSlice>,
        /// For [`Isolation::ReadCommitted`]: transactions in the range whose records are to be skipped.
        aborted: Option<Vec<AbortedTransaction>>,
    },
    /// The reader's log and this one part ways: this epoch is the last they share at most, and it ends there.
    Diverging { epoch: LeaderEpoch, end: Offset },
}

/// Where a log begins, and how far it may be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    pub log_start: Offset,
    /// The first offset of an open transaction, or the high watermark.
    pub last_stable: Offset,
    /// The offset below which every record is committed.
    pub high_watermark: Offset,
}

/// Why nothing can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    #[error("the offset is outside of the log")]
    OutOfRange,
    #[error("the log is offline")]
    Offline,
}

/// Which offset to find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lookup {
    Earliest,
    Latest,
    MaxTimestamp,
    AtOrAfter(Timestamp),
    /// Something that this broker never has, such as a tiered segment.
    Nothing,
}

/// An offset that was looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    pub offset: Offset,
    pub timestamp: Timestamp,
    pub epoch: LeaderEpoch,
}

impl Found {
    /// "There is none" on the wire.
    pub const NONE: Found = Found {
        offset: Offset(-1),
        timestamp: Timestamp::NONE,
        epoch: LeaderEpoch::NONE,
    };
}

impl From<TimestampOffset> for Found {
    fn from(found: TimestampOffset) -> Found {
        Found {
            offset: found.offset,
            timestamp: found.timestamp,
            epoch: found.epoch,
        }
    }
}

impl Partition {
    /// Reads a range of the log, beside the writer.
    pub fn read(&self, read: &Read) -> Result<ReadOutcome, ReadError> {
        if self.is_closed() {
            return Err(ReadError::Offline);
        }
        let view = self.view();
        let visible = visible_end(&view, read.isolation);
        if read.from < view.log_start() || read.from > view.log_end() {
            return Err(ReadError::OutOfRange);
        }
        if let Some(diverging) = diverging(&view, read)? {
            return Ok(diverging);
        }
        let slice = if read.from < visible {
            let bytes_max = usize::try_from(read.bytes_max).unwrap_or(usize::MAX);
            match view.read(read.from, bytes_max, visible, read.first) {
                Ok(slice) => Some(slice).filter(|slice| !slice.is_empty()),
                Err(log::ReadError::OutOfRange { .. }) => return Err(ReadError::OutOfRange),
                Err(log::ReadError::Storage(error)) => {
                    error!(partition = %self.name(), from = %read.from, %error, "could not read");
                    return Err(ReadError::Offline);
                }
            }
        } else {
            None
        };
        let aborted = match (read.isolation, &slice) {
            (Isolation::ReadCommitted, Some(slice)) => {
                let aborted = view.aborted_transactions(read.from, slice.upper);
                Some(aborted.map_err(|error| {
                    error!(partition = %self.name(), %error, "could not read a transaction index");
                    ReadError::Offline
                })?)
            }
            (Isolation::ReadCommitted, None) => Some(Vec::new()),
            (Isolation::ReadUncommitted | Isolation::LogEnd, _) => None,
        };
        Ok(ReadOutcome::Records {
            slice: slice.map(|slice| slice.bytes),
            aborted,
        })
    }

    /// Bytes from `from` on that a reader may see.
    pub fn readable_bytes(&self, from: Offset, isolation: Isolation) -> u64 {
        let view = self.view();
        let visible = visible_end(&view, isolation);
        // What cannot be counted is read at once, and the read says what is wrong.
        view.bytes_available(from, visible).unwrap_or(u64::MAX)
    }

    /// What a reader is told beside the records.
    pub fn bounds(&self) -> Bounds {
        let view = self.view();
        Bounds {
            log_start: view.log_start(),
            last_stable: view.last_stable_offset(),
            high_watermark: view.high_watermark(),
        }
    }

    /// Where `epoch` ends in this log, and the epoch that is meant by that: rule of
    /// `LeaderEpochFileCache.endOffsetFor`. `None`: not known here.
    pub fn epoch_end(&self, epoch: LeaderEpoch) -> Option<(LeaderEpoch, Offset)> {
        epoch_end(&self.view(), epoch)
    }

    /// The offset that a consumer asks for by time or by name.
    pub fn find_offset(
        &self,
        lookup: Lookup,
        isolation: Isolation,
    ) -> Result<Option<Found>, StorageFailed> {
        let view = self.view();
        let visible = visible_end(&view, isolation);
        let at = |offset| Found {
            offset,
            timestamp: Timestamp::NONE,
            epoch: view.epoch_of(offset).unwrap_or(LeaderEpoch::NONE),
        };
        let found = match lookup {
            Lookup::Nothing => None,
            Lookup::Earliest => Some(at(view.log_start())),
            Lookup::Latest => Some(Found {
                epoch: self.leader_epoch(),
                ..at(visible)
            }),
            Lookup::MaxTimestamp => {
                let found = view.offset_of_max_timestamp(DecodeLimits::default());
                found.map_err(|error| self.failed(&error))?.map(Found::from)
            }
            Lookup::AtOrAfter(time) => {
                let found = view.offset_for_timestamp(time, DecodeLimits::default());
                found.map_err(|error| self.failed(&error))?.map(Found::from)
            }
        };
        // What is not visible yet is not there.
        let is_end = matches!(lookup, Lookup::Latest | Lookup::Earliest);
        Ok(found.filter(|found| is_end || found.offset < visible))
    }

    /// Where the log's segments begin, and its end: what ListOffsets of version 0 chooses from.
    pub fn segment_starts(&self, now: Timestamp) -> Result<Vec<SegmentStart>, StorageFailed> {
        // Under the lock, so that no segment goes while its file is looked at.
        let starts = self.with_log(|log| log.segment_starts(now));
        let starts = starts.ok_or(StorageFailed::Storage)?;
        starts.map_err(|error| self.failed(&error))
    }
}

fn visible_end(view: &LogView, isolation: Isolation) -> Offset {
    match isolation {
        Isolation::ReadUncommitted => view.high_watermark(),
        Isolation::ReadCommitted => view.last_stable_offset(),
        Isolation::LogEnd => view.log_end(),
    }
}

fn epoch_end(view: &LogView, epoch: LeaderEpoch) -> Option<(LeaderEpoch, Offset)> {
    let end = view.end_offset_for_epoch(epoch)?;
    Some((end.epoch, end.end))
}

/// Where the reader's log and this one part ways, if they do. An epoch that this log cannot place, as
/// one that is later than all it knows, is out of range (`Partition.readRecords`).
fn diverging(view: &LogView, read: &Read) -> Result<Option<ReadOutcome>, ReadError> {
    if read.last_fetched_epoch < 0 {
        return Ok(None);
    }
    let asked = LeaderEpoch(read.last_fetched_epoch);
    let (epoch, end) = epoch_end(view, asked).ok_or(ReadError::OutOfRange)?;
    let parts = epoch < asked || end < read.from;
    Ok(parts.then_some(ReadOutcome::Diverging { epoch, end }))
}
