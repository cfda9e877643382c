//! DeleteRecords: the start of a log moves forward, and what is below it is gone for readers.

use super::manager::{LookupError, Replicas};
use super::partition::Partition;
use crate::types::Offset;
use std::sync::Arc;

/// Where a log is to start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NewStart {
    At(Offset),
    /// Everything that is committed goes.
    HighWatermark,
}

/// Why a log keeps its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeleteRecordsError {
    #[error("{0}")]
    Lookup(#[from] LookupError),
    #[error("the topic is only compacted: the newest record of each key stays")]
    Compacted,
    #[error("the offset is above the high watermark, or negative")]
    OutOfRange,
    #[error("the new start could not be written")]
    Storage,
}

impl Partition {
    /// Moves the log's start up to `to`, never back. Gives the start that the log has now.
    fn delete_records(&self, to: NewStart) -> Result<Offset, DeleteRecordsError> {
        if !self.view().is_online() {
            return Err(LookupError::Offline.into());
        }
        let moved = self.with_log(|log| {
            let cleanup = &log.config().cleanup;
            if cleanup.compact && !cleanup.delete {
                return Err(DeleteRecordsError::Compacted);
            }
            let to = match to {
                NewStart::At(offset) => offset,
                NewStart::HighWatermark => log.high_watermark(),
            };
            if to < Offset::ZERO {
                return Err(DeleteRecordsError::OutOfRange);
            }
            log.set_log_start(to)
                .map_err(|_| DeleteRecordsError::OutOfRange)?;
            Ok(log.log_start())
        });
        moved.unwrap_or(Err(LookupError::NotLeader.into()))
    }
}

impl Replicas {
    /// Moves the starts of these logs; the answers are in the order of `wanted`, each the start that the
    /// log has now. A start that is answered survives a crash. The bytes below go with the next retention
    /// check. Blocks.
    pub fn delete_records(
        &self,
        wanted: &[(Arc<Partition>, NewStart)],
    ) -> Vec<Result<Offset, DeleteRecordsError>> {
        let moved: Vec<Result<Offset, DeleteRecordsError>> = wanted
            .iter()
            .map(|(partition, to)| partition.delete_records(*to))
            .collect();
        if moved.iter().all(Result::is_err) || self.write_log_starts().is_ok() {
            return moved;
        }
        // The starts have moved for readers; whoever asks again has them written.
        moved
            .into_iter()
            .map(|moved| moved.and(Err(DeleteRecordsError::Storage)))
            .collect()
    }
}
