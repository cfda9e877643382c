//! A log that becomes the copy of another one in the same process, to take its place in another log
//! directory (Kafka's future replica, KIP-113).
//!
//! The copy holds the batches as they are in the original, from the original's start on. What batches do not
//! tell (where readers may begin, which producers are known, epochs without records) it takes over at the end.

use super::errors::{ReadError, ReplicaAppendError, StorageError};
use super::log::{FlushDue, Log};
use super::view::{FirstBatch, LogView, NEVER_CLEANED};
use crate::types::{LeaderEpoch, Offset, Timestamp};
use std::io;
use std::sync::atomic::Ordering;

/// Why a copy does not go on. It can be tried again.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    #[error("could not read the original: {0}")]
    Read(#[from] ReadError),
    #[error("could not write the copy: {0}")]
    Append(#[from] ReplicaAppendError),
    #[error("could not write the copy: {0}")]
    Storage(#[from] StorageError),
}

impl From<io::Error> for CopyError {
    fn from(error: io::Error) -> CopyError {
        ReadError::from(error).into()
    }
}

impl CopyError {
    /// Whether there was only no room for the copy.
    pub fn is_full(&self) -> bool {
        let (CopyError::Append(ReplicaAppendError::Storage(error))
        | CopyError::Storage(StorageError::Io(error))) = self
        else {
            return false;
        };
        super::health::is_full(error)
    }
}

impl Log {
    /// Drops what the original does not have. After a crash either may have lost its end, and the original
    /// may have been written on since, in a later epoch.
    pub fn align_with(&mut self, original: &LogView, now: Timestamp) -> Result<(), StorageError> {
        if self.log_start() <= original.log_start() {
            for own in self.view().epochs().into_iter().rev() {
                match original.end_offset_for_epoch(own.epoch) {
                    Some(shared) if shared.epoch == own.epoch => {
                        return self.truncate_to(shared.end, now);
                    }
                    _ => self.truncate_to(own.start, now)?,
                }
            }
        }
        self.begin_copy_at(original.log_start(), original, now)
    }

    fn begin_copy_at(
        &mut self,
        at: Offset,
        original: &LogView,
        now: Timestamp,
    ) -> Result<(), StorageError> {
        self.restart_at(at, now)?;
        self.note_cleaned(original);
        Ok(())
    }

    /// What was compacted in the original has the same gaps here.
    fn note_cleaned(&self, original: &LogView) {
        let end = original.cleaned_end().map_or(NEVER_CLEANED, |end| end.0);
        self.shared.cleaned_end.store(end, Ordering::Release);
    }

    /// Copies about `bytes_max` bytes, whole batches, at least one. Gives how many; 0 once there are no more.
    pub fn copy_from(
        &mut self,
        original: &LogView,
        bytes_max: usize,
        now: Timestamp,
    ) -> Result<u64, CopyError> {
        let start = original.log_start();
        if self.log_end() < start {
            self.begin_copy_at(start, original, now)?;
        }
        let from = self.log_end();
        let slice = original.read(from, bytes_max, original.log_end(), FirstBatch::Whole)?;
        if slice.is_empty() {
            return Ok(0);
        }
        if slice.base < from {
            // The original begins inside a batch.
            self.begin_copy_at(slice.base, original, now)?;
        }
        let any_epoch = LeaderEpoch(i32::MAX);
        let appended = self.append_as_follower(&slice.bytes.read()?, any_epoch, now)?;
        if appended.flush != FlushDue::No {
            self.flush()?;
        }
        Ok(slice.bytes.len as u64)
    }

    /// Takes over what the batches do not tell, from an original that is not written meanwhile and has no
    /// batch that this log lacks. Once this log is closed, it can take the original's place.
    pub fn take_over(&mut self, original: &Log, now: Timestamp) -> Result<(), StorageError> {
        if self.log_end() < original.log_end() {
            // Compaction has removed the last batches; their offsets are not given again.
            self.roll_at(original.log_end(), now)?;
            self.publish_end(original.log_end());
        }
        let (own, end) = (self.log_end(), original.log_end());
        assert!(own == end, "the copy ends at {own}, the original at {end}");
        *self.shared.epochs.write() = original.shared.epochs.read().for_another();
        self.note_cleaned(&original.view());
        self.producers = original.producers.clone();
        self.snapshot_at = None;
        self.advance_high_watermark(original.high_watermark());
        self.set_log_start(original.log_start())
            .expect("a log's start is not above its high watermark");
        self.publish_unstable();
        Ok(())
    }
}
