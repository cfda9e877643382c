//! DescribeProducers, key 61, version 0.
//!
//! The idempotent producers that a partition remembers: epoch, last sequence, and the first offset of an
//! open transaction, by which hanging ones are found.

use super::context::Staged;
use crate::metadata::ImageHandle;
use crate::protocol::messages::describe_producers_request::TopicRequest;
use crate::protocol::messages::describe_producers_response::{
    PartitionResponse, ProducerState, TopicResponse,
};
use crate::protocol::messages::{DescribeProducersRequest, DescribeProducersResponse};
use crate::protocol::{ErrorCode, Text};
use crate::replica::{ActiveProducer, Replicas};
use crate::types::TopicName;

pub(super) fn handle(
    request: &DescribeProducersRequest,
    replicas: &Replicas,
    image: &ImageHandle,
) -> Staged<DescribeProducersResponse> {
    let topics = request.topics.iter().map(|topic| {
        let refusal = refusal(topic, image);
        let described = |partition: &i32| match &refusal {
            Some((code, text)) => PartitionResponse {
                partition_index: *partition,
                error_code: code.code(),
                error_message: Some(Text::copy(text)),
                ..PartitionResponse::default()
            },
            None => partition_response(&topic.name, *partition, replicas, image),
        };
        TopicResponse {
            name: topic.name.clone(),
            partitions: topic.partition_indexes.iter().map(described).collect(),
        }
    });
    Staged::Ready(DescribeProducersResponse {
        topics: topics.collect(),
        ..DescribeProducersResponse::default()
    })
}

/// Why none of the topic's partitions is described.
fn refusal(topic: &TopicRequest, image: &ImageHandle) -> Option<(ErrorCode, String)> {
    if let Err(error) = TopicName::parse(&topic.name) {
        let text = format!("Topic name is invalid: {error}");
        return Some((ErrorCode::InvalidTopicException, text));
    }
    let code = ErrorCode::UnknownTopicOrPartition;
    match image.load().topic(&topic.name) {
        Some(_) => None,
        None => Some((code, code.message().to_owned())),
    }
}

fn partition_response(
    topic: &str,
    partition_index: i32,
    replicas: &Replicas,
    image: &ImageHandle,
) -> PartitionResponse {
    let (error, producers) = match replicas.find(topic, partition_index, image) {
        Ok(partition) => (ErrorCode::None, partition.producers()),
        Err(error) => (error.into(), Vec::new()),
    };
    PartitionResponse {
        partition_index,
        error_code: error.code(),
        active_producers: producers.iter().map(state).collect(),
        ..PartitionResponse::default()
    }
}

fn state(producer: &ActiveProducer) -> ProducerState {
    ProducerState {
        producer_id: producer.id.get(),
        producer_epoch: i32::from(producer.epoch.get()),
        last_sequence: producer.last_sequence,
        last_timestamp: producer.last_timestamp.get(),
        coordinator_epoch: producer.coordinator_epoch,
        current_txn_start_offset: producer.transaction_start.map_or(-1, |start| start.get()),
    }
}
