//! Producer ids: the cluster hands them to brokers in blocks, a broker hands them to producers.

use super::{BrokerEpoch, Controller};
use crate::metadata::{MetadataImage, MetadataRecord};
use crate::protocol::messages::ProducerIdsRecord;
use crate::quorum::QuorumError;
use crate::types::{NodeId, ProducerId};
use std::ops::Range;

/// Ids in one block (`ProducerIdsBlock.PRODUCER_ID_BLOCK_SIZE`).
pub const PRODUCER_ID_BLOCK: i64 = 1000;

/// Why there is no producer id.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ProducerIdsError {
    #[error("all producer ids have been handed out")]
    Exhausted,
    #[error("{0}")]
    Quorum(QuorumError),
}

/// The block of ids that this broker hands out. An id is never handed out twice: what is left of a
/// block at a restart is lost, as in Kafka.
pub struct ProducerIds {
    controller: Controller,
    node: NodeId,
    epoch: BrokerEpoch,
    /// Held across the allocation of a block, so that one is asked for at a time.
    block: tokio::sync::Mutex<Range<i64>>,
}

impl ProducerIds {
    pub fn new(controller: Controller, node: NodeId, epoch: BrokerEpoch) -> ProducerIds {
        ProducerIds {
            controller,
            node,
            epoch,
            block: tokio::sync::Mutex::new(0..0),
        }
    }

    /// An id that nobody has had.
    pub async fn next(&self) -> Result<ProducerId, ProducerIdsError> {
        let mut block = self.block.lock().await;
        if block.is_empty() {
            let first = self
                .controller
                .allocate_producer_ids(self.node, self.epoch)
                .await?;
            *block = first..first + PRODUCER_ID_BLOCK;
        }
        let id = block.start;
        block.start += 1;
        Ok(ProducerId(id))
    }
}

pub(super) fn plan_block(
    image: &MetadataImage,
    node: NodeId,
    epoch: BrokerEpoch,
) -> Result<(i64, MetadataRecord), ProducerIdsError> {
    let first = image.producer_id_next;
    let next = first
        .checked_add(PRODUCER_ID_BLOCK)
        .ok_or(ProducerIdsError::Exhausted)?;
    let record = ProducerIdsRecord {
        broker_id: node.get(),
        broker_epoch: epoch.0,
        next_producer_id: next,
    };
    Ok((first, record.into()))
}
