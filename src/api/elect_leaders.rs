//! ElectLeaders, key 43, versions 0–2.
//!
//! Gives partitions the leader that they should have: the first replica (0), or (1, v1 and later) anybody
//! who is there, if nobody in sync is. No list of partitions means all; those that need no election are
//! then left out.

use super::context::{RequestContext, Staged};
use crate::controller::{Controller, Election, TopicElections};
use crate::protocol::messages::elect_leaders_response::{PartitionResult, ReplicaElectionResult};
use crate::protocol::messages::{ElectLeadersRequest, ElectLeadersResponse};
use crate::protocol::{ErrorCode, Text};

type Wanted = Option<Vec<(String, Vec<i32>)>>;

pub(super) fn handle(
    request: &ElectLeadersRequest,
    context: &RequestContext,
    controller: &Controller,
) -> Staged<ElectLeadersResponse> {
    let wanted: Wanted = request.topic_partitions.as_ref().map(|topics| {
        let named = topics.iter();
        named
            .map(|topic| (topic.topic.to_string(), topic.partitions.clone()))
            .collect()
    });
    let election = match request.election_type {
        0 => Election::Preferred,
        1 if context.version >= 1 => Election::Unclean,
        other => {
            let text = format!("Unknown election type {other}");
            return Staged::Ready(refused(wanted, ErrorCode::InvalidRequest, &text));
        }
    };
    let controller = controller.clone();
    Staged::later(async move {
        let elected = controller.elect_leaders(wanted.as_deref(), election);
        match elected.await {
            Ok(elections) => ElectLeadersResponse {
                replica_election_results: elections.into_iter().map(answer).collect(),
                ..ElectLeadersResponse::default()
            },
            Err(error) => refused(wanted, ErrorCode::from(&error), &error.to_string()),
        }
    })
}

fn answer(topic: TopicElections) -> ReplicaElectionResult {
    let partitions = topic.partitions.into_iter();
    let results = partitions.map(|(partition_id, elected)| match elected {
        Ok(()) => PartitionResult {
            partition_id,
            ..PartitionResult::default()
        },
        Err(error) => result(partition_id, ErrorCode::from(&error), &error.to_string()),
    });
    ReplicaElectionResult {
        topic: topic.topic.into(),
        partition_result: results.collect(),
    }
}

fn result(partition_id: i32, code: ErrorCode, text: &str) -> PartitionResult {
    PartitionResult {
        partition_id,
        error_code: code.code(),
        error_message: Some(Text::copy(text)),
    }
}

/// The same refusal for the request and for each partition that it names.
fn refused(wanted: Wanted, code: ErrorCode, text: &str) -> ElectLeadersResponse {
    let topics = wanted.into_iter().flatten().map(|(topic, partitions)| {
        let results = partitions.iter().map(|id| result(*id, code, text));
        ReplicaElectionResult {
            topic: topic.into(),
            partition_result: results.collect(),
        }
    });
    ElectLeadersResponse {
        error_code: code.code(),
        replica_election_results: topics.collect(),
        ..ElectLeadersResponse::default()
    }
}
