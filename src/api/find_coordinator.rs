//! FindCoordinator, key 10, versions 0–6.
//!
//! The coordinator of a group is the leader of its partition of `__consumer_offsets`. The topic is created
//! when somebody first asks; until it has a leader the answer is COORDINATOR_NOT_AVAILABLE.
//! v1: the kind of key. v4: several keys, each with its own answer.
//! Not done: transactions (1) and share groups (2). They are refused as a kind that is not known, at once:
//! "not available" would have clients ask until their time is over.

use super::context::{RequestContext, Staged};
use crate::coordinator::group::OFFSETS_TOPIC;
use crate::coordinator::partition_for;
use crate::metadata::MetadataImage;
use crate::protocol::messages::find_coordinator_response::Coordinator;
use crate::protocol::messages::{FindCoordinatorRequest, FindCoordinatorResponse};
use crate::protocol::{ErrorCode, Text};

/// The first version that asks for several keys.
const BATCHED: i16 = 4;
const GROUP: i8 = 0;

/// Where a coordinator is.
#[derive(Debug, PartialEq, Eq)]
struct Node {
    id: i32,
    host: String,
    port: i32,
}

/// `create_topic` has [`OFFSETS_TOPIC`] created, unless that is under way.
pub(super) fn handle(
    request: FindCoordinatorRequest,
    context: &RequestContext,
    image: &MetadataImage,
    create_topic: impl Fn(),
) -> Staged<FindCoordinatorResponse> {
    let find = |key: &str| {
        if request.key_type != GROUP {
            return Err(ErrorCode::InvalidRequest);
        }
        if image.topic(OFFSETS_TOPIC).is_none() {
            create_topic();
        }
        coordinator(key, &context.listener, image).ok_or(ErrorCode::CoordinatorNotAvailable)
    };
    if context.version < BATCHED {
        return Staged::Ready(single(find(&request.key)));
    }
    let keys = request.coordinator_keys.into_iter();
    Staged::Ready(FindCoordinatorResponse {
        coordinators: keys
            .map(|key| {
                let found = find(&key);
                one_of(key, found)
            })
            .collect(),
        ..FindCoordinatorResponse::default()
    })
}

/// The leader of the group's partition, as it is seen through `listener`.
fn coordinator(group_id: &str, listener: &str, image: &MetadataImage) -> Option<Node> {
    let topic = image.topic(OFFSETS_TOPIC)?;
    let partitions = i32::try_from(topic.partitions.len())
        .ok()
        .filter(|count| *count > 0)?;
    let leader = topic
        .partition(partition_for(group_id, partitions))?
        .leader?;
    let broker = image.live_brokers().find(|broker| broker.id == leader)?;
    let endpoint = broker
        .endpoints
        .iter()
        .find(|endpoint| endpoint.listener == listener)?;
    Some(Node {
        id: leader.get(),
        host: endpoint.host.clone(),
        port: i32::from(endpoint.port),
    })
}

fn single(found: Result<Node, ErrorCode>) -> FindCoordinatorResponse {
    let (code, node) = parts(found);
    FindCoordinatorResponse {
        error_code: code.code(),
        // Kafka gives success a text too: the name of the code.
        error_message: Some(match code {
            ErrorCode::None => code.name().into(),
            _ => code.message().into(),
        }),
        node_id: node.id,
        host: node.host.into(),
        port: node.port,
        ..FindCoordinatorResponse::default()
    }
}

fn one_of(key: Text, found: Result<Node, ErrorCode>) -> Coordinator {
    let (code, node) = parts(found);
    Coordinator {
        key,
        error_code: code.code(),
        // As Kafka: a text only where the whole request is at fault.
        error_message: Some(match code {
            ErrorCode::InvalidRequest => code.message().into(),
            _ => Text::default(),
        }),
        node_id: node.id,
        host: node.host.into(),
        port: node.port,
    }
}

/// The node that is told; none is −1 on the wire.
fn parts(found: Result<Node, ErrorCode>) -> (ErrorCode, Node) {
    match found {
        Ok(node) => (ErrorCode::None, node),
        Err(code) => {
            let nobody = Node {
                id: -1,
                host: String::new(),
                port: -1,
            };
            (code, nobody)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::groups::tests::{answer, context};
    use super::*;
    use crate::metadata::MetadataRecord;
    use crate::protocol::Message;
    use crate::protocol::messages::register_broker_record::BrokerEndpoint;
    use crate::protocol::messages::{PartitionRecord, RegisterBrokerRecord, TopicRecord};
    use crate::types::Uuid;
    use bytes::BytesMut;
    use std::cell::Cell;

    /// The offsets topic, with one partition that broker 3 leads if there is a leader.
    fn image(leader: i32) -> MetadataImage {
        let topic_id = Uuid::from_bytes([7; 16]);
        let broker = RegisterBrokerRecord {
            broker_id: 3,
            end_points: vec![BrokerEndpoint {
                name: "PLAINTEXT".into(),
                host: "h".into(),
                port: 9092,
                ..BrokerEndpoint::default()
            }],
            fenced: false,
            ..RegisterBrokerRecord::default()
        };
        let partition = PartitionRecord {
            topic_id,
            partition_id: 0,
            replicas: vec![3],
            isr: vec![3],
            leader,
            ..PartitionRecord::default()
        };
        let records: [MetadataRecord; 3] = [
            broker.into(),
            TopicRecord {
                name: OFFSETS_TOPIC.into(),
                topic_id,
            }
            .into(),
            partition.into(),
        ];
        let mut image = MetadataImage::default();
        for record in &records {
            image.apply(record).unwrap();
        }
        image
    }

    fn request(version: i16, key: &'static str, key_type: i8) -> FindCoordinatorRequest {
        let keys = || vec![key.into()];
        FindCoordinatorRequest {
            key: if version < BATCHED {
                key.into()
            } else {
                "".into()
            },
            key_type,
            coordinator_keys: if version < BATCHED {
                Vec::new()
            } else {
                keys()
            },
        }
    }

    /// Code, node and port of the one answer.
    async fn found(version: i16, key_type: i8, image: &MetadataImage) -> (i16, i32, i32) {
        let asked = request(version, "g", key_type);
        let response = answer(handle(asked, &context(version), image, || ())).await;
        assert_eq!(response.encode(&mut BytesMut::new(), version), Ok(()));
        match response.coordinators.first() {
            Some(one) => (one.error_code, one.node_id, one.port),
            None => (response.error_code, response.node_id, response.port),
        }
    }

    #[tokio::test]
    async fn every_version_finds_the_leader_of_the_groups_partition() {
        for version in 0..=6 {
            assert_eq!(found(version, GROUP, &image(3)).await, (0, 3, 9092));
        }
    }

    #[tokio::test]
    async fn the_topic_is_created_when_it_is_missing_and_clients_are_told_to_ask_again() {
        let code = ErrorCode::CoordinatorNotAvailable.code();
        for version in 0..=6 {
            let created = Cell::new(0);
            let create = || created.set(created.get() + 1);
            let missing = MetadataImage::default();
            let asked = request(version, "g", GROUP);
            let response = answer(handle(asked, &context(version), &missing, create)).await;
            let first = response.coordinators.first();
            assert_eq!(
                first.map_or(response.error_code, |one| one.error_code),
                code
            );
            assert_eq!(created.get(), 1);
            assert_eq!(found(version, GROUP, &image(-1)).await, (code, -1, -1));
        }
    }

    #[tokio::test]
    async fn other_kinds_of_coordinator_are_refused() {
        for version in [1, 3, 4, 6] {
            for key_type in [1, 2, 9] {
                let refused = found(version, key_type, &image(3)).await;
                assert_eq!(refused, (ErrorCode::InvalidRequest.code(), -1, -1));
            }
        }
    }
}
