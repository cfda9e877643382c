//! DeleteTopics, key 20, versions 0–6.
//!
//! v0 is of Kafka before 4. v6: topics may be named by id. With `delete.topic.enable=false` every topic is
//! refused: TOPIC_DELETION_DISABLED from v3 on, INVALID_REQUEST before.

use super::context::{RequestContext, Staged};
use crate::config::BrokerConfig;
use crate::controller::Controller;
use crate::metadata::{ImageHandle, MetadataImage};
use crate::protocol::messages::delete_topics_response::DeletableTopicResult;
use crate::protocol::messages::{DeleteTopicsRequest, DeleteTopicsResponse};
use crate::protocol::{ErrorCode, Text};
use crate::types::Uuid;
use std::collections::BTreeSet;

/// A topic as the request names it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Named {
    name: Option<String>,
    id: Uuid,
}

pub(super) fn handle(
    request: &DeleteTopicsRequest,
    context: &RequestContext,
    controller: &Controller,
    image: &ImageHandle,
    config: &BrokerConfig,
) -> Staged<DeleteTopicsResponse> {
    let version = context.version;
    let asked = asked(request, version);
    if !config.topics.delete {
        let code = if version < 3 {
            ErrorCode::InvalidRequest
        } else {
            ErrorCode::TopicDeletionDisabled
        };
        let refused = asked
            .into_iter()
            .map(|named| refused(named, code, "Topic deletion is disabled."));
        return Staged::Ready(response(refused.collect()));
    }
    let (mut responses, resolved) = resolve(&image.load(), asked);
    let controller = controller.clone();
    Staged::later(async move {
        let ids: Vec<Uuid> = resolved.iter().map(|named| named.id).collect();
        let deleted = controller.delete_topics(&ids).await;
        for (named, deleted) in resolved.into_iter().zip(deleted) {
            responses.push(match deleted {
                Ok(()) => DeletableTopicResult {
                    name: named.name.map(Text::from),
                    topic_id: named.id,
                    ..DeletableTopicResult::default()
                },
                Err(error) => refused(named, ErrorCode::from(&error), &error.to_string()),
            });
        }
        response(responses)
    })
}

fn asked(request: &DeleteTopicsRequest, version: i16) -> Vec<Named> {
    if version >= 6 {
        let named = request.topics.iter().map(|topic| Named {
            name: topic.name.as_deref().map(str::to_owned),
            id: topic.topic_id,
        });
        return named.collect();
    }
    let names = request.topic_names.iter();
    names
        .map(|name| Named {
            name: Some(name.to_string()),
            id: Uuid::ZERO,
        })
        .collect()
}

/// Those that are refused, and those that exist, with name and id.
fn resolve(image: &MetadataImage, asked: Vec<Named>) -> (Vec<DeletableTopicResult>, Vec<Named>) {
    let mut responses = Vec::new();
    let mut once = BTreeSet::new();
    let mut twice = BTreeSet::new();
    for named in asked {
        if named.name.is_some() != named.id.is_zero() {
            let text = "Exactly one of topic name and topic id must be given.";
            responses.push(refused(named, ErrorCode::InvalidRequest, text));
        } else if !once.insert(named.clone()) {
            twice.insert(named);
        }
    }
    for named in &twice {
        once.remove(named);
        let text = "The topic is named more than once.";
        responses.push(refused(named.clone(), ErrorCode::InvalidRequest, text));
    }
    let mut resolved: Vec<Named> = Vec::new();
    for named in once {
        let topic = match &named.name {
            Some(name) => image.topic(name),
            None => image.topic_by_id(&named.id),
        };
        match topic {
            Some(topic) if resolved.iter().any(|other| other.id == topic.id) => {
                let text = "The topic is named both by name and by id.";
                responses.push(refused(named, ErrorCode::InvalidRequest, text));
            }
            Some(topic) => {
                resolved.push(Named {
                    name: Some(topic.name.to_string()),
                    id: topic.id,
                });
            }
            None if named.name.is_some() => {
                let text = "This server does not host this topic.";
                responses.push(refused(named, ErrorCode::UnknownTopicOrPartition, text));
            }
            None => {
                let text = "This server does not host a topic with this id.";
                responses.push(refused(named, ErrorCode::UnknownTopicId, text));
            }
        }
    }
    (responses, resolved)
}

fn refused(named: Named, code: ErrorCode, text: &str) -> DeletableTopicResult {
    DeletableTopicResult {
        name: named.name.map(Text::from),
        topic_id: named.id,
        error_code: code.code(),
        error_message: Some(Text::copy(text)),
    }
}

fn response(responses: Vec<DeletableTopicResult>) -> DeleteTopicsResponse {
    DeleteTopicsResponse {
        responses,
        ..DeleteTopicsResponse::default()
    }
}
