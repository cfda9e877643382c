//! DescribeQuorum, key 55, versions 0–2.
//!
//! Who leads the metadata log, since which epoch, and how far each voter has it. Only `__cluster_metadata-0`
//! can be asked for. v1: when each voter was last heard. v2: its directory, and how it is reached: nobody is
//! let in there, so there are no addresses.

use super::context::{RequestContext, Staged};
use crate::protocol::ErrorCode;
use crate::protocol::messages::describe_quorum_response::{
    Node, PartitionData, ReplicaState, TopicData,
};
use crate::protocol::messages::{DescribeQuorumRequest, DescribeQuorumResponse};
use crate::quorum::{QuorumStatus, VoterStatus};

const TOPIC: &str = "__cluster_metadata";
const PARTITION: i32 = 0;
/// The first version that tells directories and nodes.
const DIRECTORIES: i16 = 2;

pub(super) fn handle(
    request: &DescribeQuorumRequest,
    context: &RequestContext,
    quorum: &QuorumStatus,
) -> Staged<DescribeQuorumResponse> {
    if !names_the_metadata(request) {
        return Staged::Ready(refused(request));
    }
    let voter = |voter: &VoterStatus| replica(voter, context);
    let partition = PartitionData {
        partition_index: PARTITION,
        leader_id: quorum.leader.get(),
        leader_epoch: quorum.epoch.get(),
        high_watermark: quorum.high_watermark.get(),
        current_voters: quorum.voters.iter().map(voter).collect(),
        ..PartitionData::default()
    };
    Staged::Ready(DescribeQuorumResponse {
        topics: vec![TopicData {
            topic_name: TOPIC.into(),
            partitions: vec![partition],
        }],
        nodes: quorum
            .voters
            .iter()
            .map(|voter| Node {
                node_id: voter.id.get(),
                ..Node::default()
            })
            .filter(|_| context.version >= DIRECTORIES)
            .collect(),
        ..DescribeQuorumResponse::default()
    })
}

fn names_the_metadata(request: &DescribeQuorumRequest) -> bool {
    let [topic] = &request.topics[..] else {
        return false;
    };
    let [partition] = &topic.partitions[..] else {
        return false;
    };
    &*topic.topic_name == TOPIC && partition.partition_index == PARTITION
}

/// The only voter leads: it hears itself now.
fn replica(voter: &VoterStatus, context: &RequestContext) -> ReplicaState {
    // An older version has no place for it, and an answer that names it could not be sent.
    let directory = (context.version >= DIRECTORIES).then_some(voter.directory);
    ReplicaState {
        replica_id: voter.id.get(),
        replica_directory_id: directory.unwrap_or_default(),
        log_end_offset: voter.log_end.get(),
        last_fetch_timestamp: context.now.get(),
        last_caught_up_timestamp: context.now.get(),
    }
}

fn refused(request: &DescribeQuorumRequest) -> DescribeQuorumResponse {
    let code = ErrorCode::UnknownTopicOrPartition;
    let topics = request.topics.iter().map(|topic| TopicData {
        topic_name: topic.topic_name.clone(),
        partitions: topic
            .partitions
            .iter()
            .map(|partition| PartitionData {
                partition_index: partition.partition_index,
                error_code: code.code(),
                error_message: Some(code.message().into()),
                ..PartitionData::default()
            })
            .collect(),
    });
    DescribeQuorumResponse {
        topics: topics.collect(),
        ..DescribeQuorumResponse::default()
    }
}

#[cfg(test)]
mod tests {
    use super::super::groups::tests::context;
    use super::*;
    use crate::protocol::Message;
    use crate::protocol::messages::describe_quorum_request as asked;
    use crate::types::{LeaderEpoch, NodeId, Offset, Uuid};

    /// Versions 0 and 1 closed the connection: the voter's directory was named where it has no place.
    #[test]
    fn every_version_can_be_sent() {
        let quorum = QuorumStatus {
            leader: NodeId(1),
            epoch: LeaderEpoch(3),
            high_watermark: Offset(9),
            voters: vec![VoterStatus {
                id: NodeId(1),
                directory: Uuid::from_bytes([7; 16]),
                log_end: Offset(9),
            }],
        };
        let request = DescribeQuorumRequest {
            topics: vec![asked::TopicData {
                topic_name: TOPIC.into(),
                partitions: vec![asked::PartitionData {
                    partition_index: PARTITION,
                }],
            }],
        };
        for version in 0..=2 {
            let Staged::Ready(answer) = handle(&request, &context(version), &quorum) else {
                panic!("it is known at once");
            };
            let sent = answer.encode(&mut bytes::BytesMut::new(), version);
            assert_eq!(sent, Ok(()), "version {version}");
        }
    }
}
