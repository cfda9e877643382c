//! CreateTopics, key 19, versions 0–7.
//!
//! Each topic is created or refused by itself. v0, which cannot only validate, and v1 are of Kafka before 4.
//! v5: the answer names partitions, replicas and the topic's whole configuration. v7: and its id. With
//! `validate_only` nothing is made.
//! Not done: controller mutation quotas, creation policies.

use super::context::{RequestContext, Staged};
use crate::config::describe::{self, Described};
use crate::config::{InForce, LiveConfig};
use crate::controller::{Controller, CreateTopic, CreateTopicError, CreatedTopic, Mode};
use crate::protocol::messages::create_topics_request::CreatableTopic;
use crate::protocol::messages::create_topics_response::{
    CreatableTopicConfigs, CreatableTopicResult,
};
use crate::protocol::messages::{CreateTopicsRequest, CreateTopicsResponse};
use crate::protocol::{ErrorCode, Text};
use std::sync::Arc;

pub(super) fn handle(
    request: &CreateTopicsRequest,
    context: &RequestContext,
    controller: &Controller,
    config: &Arc<LiveConfig>,
) -> Staged<CreateTopicsResponse> {
    let mode = Mode::of(request.validate_only);
    let names: Vec<Text> = request
        .topics
        .iter()
        .map(|topic| Text::copy(&topic.name))
        .collect();
    let wanted: Vec<CreateTopic> = request.topics.iter().map(wanted).collect();
    let (controller, config) = (controller.clone(), config.clone());
    let version = context.version;
    Staged::later(async move {
        let created = controller.create_topics(wanted, mode).await;
        let config = config.load();
        let mut topics: Vec<CreatableTopicResult> = Vec::with_capacity(names.len());
        for (name, created) in names.into_iter().zip(created) {
            // A name given twice is answered once.
            let twice = matches!(created, Err(CreateTopicError::NamedTwice(_)));
            if twice && topics.iter().any(|topic| topic.name == name) {
                continue;
            }
            topics.push(result(name, created, &config, version));
        }
        CreateTopicsResponse {
            topics,
            ..CreateTopicsResponse::default()
        }
    })
}

fn wanted(topic: &CreatableTopic) -> CreateTopic {
    let assignments = topic.assignments.iter();
    let configs = topic.configs.iter();
    CreateTopic {
        name: topic.name.to_string(),
        partitions: topic.num_partitions,
        replication_factor: topic.replication_factor,
        assignments: assignments
            .map(|a| (a.partition_index, a.broker_ids.clone()))
            .collect(),
        configs: configs
            .map(|c| (c.name.to_string(), c.value.as_deref().map(str::to_owned)))
            .collect(),
    }
}

fn result(
    name: Text,
    created: Result<CreatedTopic, CreateTopicError>,
    config: &InForce,
    version: i16,
) -> CreatableTopicResult {
    match created {
        Ok(topic) => CreatableTopicResult {
            name,
            topic_id: topic.id,
            num_partitions: i32::try_from(topic.partitions).unwrap_or(i32::MAX),
            replication_factor: i16::try_from(topic.replication_factor).unwrap_or(i16::MAX),
            configs: (version >= 5).then(|| {
                describe::topic(&topic.configs, config)
                    .into_iter()
                    .map(creatable)
                    .collect()
            }),
            ..CreatableTopicResult::default()
        },
        Err(error) => CreatableTopicResult {
            name,
            error_code: ErrorCode::from(&error).code(),
            error_message: Some(error.to_string().into()),
            configs: (version >= 5).then(Vec::new),
            ..CreatableTopicResult::default()
        },
    }
}

fn creatable(described: Described) -> CreatableTopicConfigs {
    CreatableTopicConfigs {
        name: described.name.into(),
        value: described.value.map(Text::from),
        read_only: described.read_only,
        config_source: described.source.code(),
        is_sensitive: described.sensitive,
    }
}
