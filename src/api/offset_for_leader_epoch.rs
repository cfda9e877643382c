//! OffsetForLeaderEpoch, key 23, versions 0–4.
//!
//! Where a leader epoch ends in the log, so that a client finds out whether what it has read was
//! truncated: the current epoch ends at the log's end; an epoch the log never saw ends where the
//! next one begins, and is answered as the last one before it; a later one than ours is unknown.
//! v0, without the epoch in the answer, and v1 are of Kafka before 4.

use super::context::Staged;
use crate::metadata::ImageHandle;
use crate::protocol::ErrorCode;
use crate::protocol::messages::offset_for_leader_epoch_request::OffsetForLeaderPartition;
use crate::protocol::messages::offset_for_leader_epoch_response::{
    EpochEndOffset, OffsetForLeaderTopicResult,
};
use crate::protocol::messages::{OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse};
use crate::replica::Replicas;
use crate::types::LeaderEpoch;

pub(super) fn handle(
    request: OffsetForLeaderEpochRequest,
    replicas: &Replicas,
    image: &ImageHandle,
) -> Staged<OffsetForLeaderEpochResponse> {
    let topics = request.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|asked| {
            find(&topic.topic, asked, replicas, image).unwrap_or_else(|code| EpochEndOffset {
                error_code: code.code(),
                partition: asked.partition,
                ..EpochEndOffset::default()
            })
        });
        let partitions = partitions.collect();
        OffsetForLeaderTopicResult {
            topic: topic.topic,
            partitions,
        }
    });
    Staged::Ready(OffsetForLeaderEpochResponse {
        topics: topics.collect(),
        ..OffsetForLeaderEpochResponse::default()
    })
}

fn find(
    topic: &str,
    asked: &OffsetForLeaderPartition,
    replicas: &Replicas,
    image: &ImageHandle,
) -> Result<EpochEndOffset, ErrorCode> {
    let partition = replicas.find(topic, asked.partition, image)?;
    partition.check_epoch(asked.current_leader_epoch)?;
    let end = partition.epoch_end(LeaderEpoch(asked.leader_epoch));
    Ok(EpochEndOffset {
        partition: asked.partition,
        leader_epoch: end.map_or(-1, |(epoch, _)| epoch.get()),
        end_offset: end.map_or(-1, |(_, end)| end.get()),
        ..EpochEndOffset::default()
    })
}
