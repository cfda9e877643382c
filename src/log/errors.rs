//! One small error per operation. `api` gives each its Kafka code.

use super::producers::ProducerError;
use crate::types::{LeaderEpoch, Offset};
use std::io;
use std::path::PathBuf;

/// Why a batch was not appended. Nothing of it can be read.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// KAFKA_STORAGE_ERROR.
    #[error("the log directory is offline")]
    Offline,
    /// KAFKA_STORAGE_ERROR. The next append may succeed: the disk may have been full.
    #[error("could not write: {0}")]
    Storage(#[from] io::Error),
    /// RECORD_LIST_TOO_LARGE.
    #[error("the batch has {size} bytes, more than a segment's {segment_bytes}")]
    LargerThanSegment { size: u64, segment_bytes: u64 },
    /// NOT_LEADER_OR_FOLLOWER: the log has batches of a later leader.
    #[error("leader epoch {found} is below {latest}, the latest in the log")]
    StaleLeaderEpoch {
        found: LeaderEpoch,
        latest: LeaderEpoch,
    },
    #[error(transparent)]
    Producer(#[from] ProducerError),
}

/// Why batches that another log has stamped were not appended. If the disk failed, those before the one
/// that failed stay; otherwise none was written.
#[derive(Debug, thiserror::Error)]
pub enum ReplicaAppendError {
    #[error("the log directory is offline")]
    Offline,
    #[error("could not write: {0}")]
    Storage(#[from] io::Error),
    #[error("a batch is broken: {0}")]
    Corrupt(#[from] crate::record::BatchError),
    #[error("a batch begins at offset {found}, the log ends at {end}")]
    OutOfOrder { found: Offset, end: Offset },
    #[error("a batch has {size} bytes, more than a segment's {segment_bytes}")]
    LargerThanSegment { size: u64, segment_bytes: u64 },
}

/// Why a read gave nothing.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// OFFSET_OUT_OF_RANGE.
    #[error("offset {offset} is not within [{start}, {end}]")]
    OutOfRange {
        offset: Offset,
        start: Offset,
        end: Offset,
    },
    /// KAFKA_STORAGE_ERROR. `InvalidData` means that the log is broken where it was read.
    #[error("could not read: {0}")]
    Storage(#[from] io::Error),
}

/// Why a log could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("could not open the log in {}: {source}", dir.display())]
pub struct OpenError {
    pub dir: PathBuf,
    pub source: io::Error,
}

/// A sync failed. That is final for the log directory, which is now offline: after a failed sync the
/// kernel may drop the dirty pages and report success the next time.
#[derive(Debug, thiserror::Error)]
#[error("could not sync the log in {}: {source}", dir.display())]
pub struct FlushError {
    pub dir: PathBuf,
    pub source: io::Error,
}

/// Why a log could not be cut, rolled, cleaned or closed. What was done before the error stays done.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    #[error("the log directory is offline")]
    Offline,
    #[error("could not change the log's files: {0}")]
    Io(#[from] io::Error),
    #[error(transparent)]
    Flush(#[from] FlushError),
}

/// Why the log start was not moved.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("offset {wanted} is above the high watermark {high_watermark}")]
pub struct AboveHighWatermark {
    pub wanted: Offset,
    pub high_watermark: Offset,
}
