//! AlterPartitionReassignments, key 45, versions 0–1.
//!
//! Says which brokers are to hold a partition, or (null) that it goes back to where it was. Each partition
//! is answered by itself. v1: whether the number of replicas may change.

use super::context::Staged;
use crate::controller::{Controller, Destination, FactorChange, Reassign, ReassignError};
use crate::protocol::messages::alter_partition_reassignments_request::{
    ReassignablePartition, ReassignableTopic,
};
use crate::protocol::messages::alter_partition_reassignments_response::{
    ReassignablePartitionResponse, ReassignableTopicResponse,
};
use crate::protocol::messages::{
    AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse,
};
use crate::protocol::{ErrorCode, Text};

pub(super) fn handle(
    request: AlterPartitionReassignmentsRequest,
    controller: &Controller,
) -> Staged<AlterPartitionReassignmentsResponse> {
    if request.topics.is_empty() {
        return Staged::Ready(AlterPartitionReassignmentsResponse::default());
    }
    let factor_change = if request.allow_replication_factor_change {
        FactorChange::Allowed
    } else {
        FactorChange::Refused
    };
    let topics = request.topics.iter();
    let wanted: Vec<Reassign> = topics
        .flat_map(|topic| topic.partitions.iter().map(|p| reassign(&topic.name, p)))
        .collect();
    let controller = controller.clone();
    Staged::later(async move {
        let response = AlterPartitionReassignmentsResponse {
            allow_replication_factor_change: request.allow_replication_factor_change,
            ..AlterPartitionReassignmentsResponse::default()
        };
        match controller.reassign_partitions(&wanted, factor_change).await {
            Ok(answers) => AlterPartitionReassignmentsResponse {
                responses: responses(&request.topics, &answers),
                ..response
            },
            Err(error) => AlterPartitionReassignmentsResponse {
                error_code: ErrorCode::from(&error).code(),
                error_message: Some(error.to_string().into()),
                ..response
            },
        }
    })
}

fn reassign(topic: &str, partition: &ReassignablePartition) -> Reassign {
    Reassign {
        topic: topic.to_owned(),
        partition: partition.partition_index,
        to: match &partition.replicas {
            Some(brokers) => Destination::Brokers(brokers.clone()),
            None => Destination::Back,
        },
    }
}

/// The answers, which are in the order of the request, by topic.
fn responses(
    topics: &[ReassignableTopic],
    answers: &[Result<(), ReassignError>],
) -> Vec<ReassignableTopicResponse> {
    let mut answers = answers.iter();
    topics
        .iter()
        .map(|topic| {
            let answered = topic.partitions.iter().zip(answers.by_ref());
            ReassignableTopicResponse {
                name: topic.name.clone(),
                partitions: answered
                    .map(|(partition, answer)| response(partition.partition_index, answer))
                    .collect(),
            }
        })
        .collect()
}

fn response(
    partition_index: i32,
    answer: &Result<(), ReassignError>,
) -> ReassignablePartitionResponse {
    let (code, text) = match answer {
        Ok(()) => (ErrorCode::None, None),
        // Kafka leaves out a text that only says what the code says.
        Err(error @ ReassignError::NothingUnderWay) => (ErrorCode::from(error), None),
        Err(error) => (ErrorCode::from(error), Some(Text::from(error.to_string()))),
    };
    ReassignablePartitionResponse {
        partition_index,
        error_code: code.code(),
        error_message: text,
    }
}
