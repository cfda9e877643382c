//! CreatePartitions, key 37, versions 0–3.
//!
//! Each topic gets its partitions or is refused by itself; they can be written to when they are answered.
//! With `validate_only` nothing is made. Not done: controller mutation quotas.

use super::context::Staged;
use crate::controller::{Controller, GrowTopic, GrowTopicError, Mode};
use crate::protocol::messages::create_partitions_request::CreatePartitionsTopic;
use crate::protocol::messages::create_partitions_response::CreatePartitionsTopicResult;
use crate::protocol::messages::{CreatePartitionsRequest, CreatePartitionsResponse};
use crate::protocol::{ErrorCode, Text};
use crate::quorum::QuorumError;
use std::collections::BTreeMap;

pub(super) fn handle(
    request: &CreatePartitionsRequest,
    controller: &Controller,
) -> Staged<CreatePartitionsResponse> {
    let mode = Mode::of(request.validate_only);
    let mut named: BTreeMap<&str, Vec<&CreatePartitionsTopic>> = BTreeMap::new();
    for topic in &request.topics {
        named.entry(&topic.name).or_default().push(topic);
    }
    let mut results = Vec::with_capacity(named.len());
    let mut wanted = Vec::with_capacity(named.len());
    for (name, topics) in named {
        match topics[..] {
            [topic] => wanted.push(grow(topic)),
            _ => results.push(refused(
                name,
                ErrorCode::InvalidRequest,
                Some("Duplicate topic name.".into()),
            )),
        }
    }
    let controller = controller.clone();
    Staged::later(async move {
        let grown = controller.grow_topics(&wanted, mode).await;
        results.extend(answers(&wanted, grown));
        CreatePartitionsResponse {
            results,
            ..CreatePartitionsResponse::default()
        }
    })
}

fn grow(topic: &CreatePartitionsTopic) -> GrowTopic {
    GrowTopic {
        name: topic.name.to_string(),
        count: topic.count,
        assignments: topic.assignments.as_ref().map(|assignments| {
            let brokers = assignments.iter().map(|chosen| chosen.broker_ids.clone());
            brokers.collect()
        }),
    }
}

fn answers(
    wanted: &[GrowTopic],
    grown: Result<Vec<Result<(), GrowTopicError>>, QuorumError>,
) -> Vec<CreatePartitionsTopicResult> {
    let names = wanted.iter().map(|topic| topic.name.as_str());
    match grown {
        Ok(grown) => names
            .zip(grown)
            .map(|(name, grown)| match grown {
                Ok(()) => refused(name, ErrorCode::None, None),
                Err(error) => refused(name, ErrorCode::from(&error), text(&error)),
            })
            .collect(),
        Err(error) => names
            .map(|name| {
                refused(
                    name,
                    ErrorCode::from(&error),
                    Some(error.to_string().into()),
                )
            })
            .collect(),
    }
}

fn text(error: &GrowTopicError) -> Option<Text> {
    // Kafka has no words for it: the code says all.
    (*error != GrowTopicError::UnknownTopic).then(|| error.to_string().into())
}

fn refused(name: &str, code: ErrorCode, text: Option<Text>) -> CreatePartitionsTopicResult {
    CreatePartitionsTopicResult {
        name: Text::copy(name),
        error_code: code.code(),
        error_message: text,
    }
}
