//! A partition of an internal topic as the log of a coordinator's shard.

use crate::coordinator::{Appended, Committed, ShardLog, WriteError};
use crate::record::ValidBatch;
use crate::replica::{
    self, AppendError, FirstBatch, Isolation, LogAppendError, Partition, Read, ReadOutcome,
};
use crate::types::{LeaderEpoch, Offset};
use bytes::Bytes;
use std::sync::Arc;

/// A partition while this broker leads it in one epoch.
pub struct PartitionShard {
    partition: Arc<Partition>,
    epoch: LeaderEpoch,
}

impl PartitionShard {
    pub fn new(partition: Arc<Partition>) -> PartitionShard {
        let epoch = partition.leader_epoch();
        PartitionShard { partition, epoch }
    }

    pub fn epoch(&self) -> LeaderEpoch {
        self.epoch
    }
}

impl ShardLog for PartitionShard {
    fn start(&self) -> Offset {
        self.partition.log_start()
    }

    fn end(&self) -> Offset {
        self.partition.log_end()
    }

    fn read(&self, from: Offset, bytes_max: usize) -> Result<Bytes, WriteError> {
        let read = Read {
            from,
            bytes_max: bytes_max as u64,
            isolation: Isolation::LogEnd,
            first: FirstBatch::Whole,
            last_fetched_epoch: -1,
        };
        let outcome = self
            .partition
            .read(&read)
            .map_err(|_| WriteError::Storage)?;
        let ReadOutcome::Records {
            slice: Some(slice), ..
        } = outcome
        else {
            return Ok(Bytes::new());
        };
        slice.read().map_err(|_| WriteError::Storage)
    }

    fn append(&self, batch: ValidBatch) -> Result<Appended, WriteError> {
        match self.partition.append_in_epoch(batch, self.epoch) {
            Ok(
                replica::Appended::Fresh { base, .. } | replica::Appended::Duplicate { base, .. },
            ) => Ok(Appended { base }),
            Err(AppendError::NotLeader) => Err(WriteError::NotLeader),
            Err(AppendError::Log(error)) => Err(match error {
                LogAppendError::Offline | LogAppendError::Storage(_) => WriteError::Storage,
                LogAppendError::LargerThanSegment { .. } => WriteError::TooLarge,
                LogAppendError::StaleLeaderEpoch { .. } => WriteError::NotLeader,
                // The broker's own batches carry no sequence, so no producer can be at fault.
                LogAppendError::Producer(_) => WriteError::NotLeader,
            }),
        }
    }

    fn committed(&self, end: Offset) -> Committed {
        if end <= self.partition.high_watermark() {
            return Committed::Already;
        }
        // With one replica, only a sync that is due holds the watermark back.
        let partition = self.partition.clone();
        Committed::Later(Box::pin(async move {
            let synced = partition.synced(end).await;
            synced.map_err(|_| WriteError::Storage)
        }))
    }
}
