//! DescribeTopicPartitions, key 75, version 0 (KIP-966).
//!
//! Topics in the order of their names, at most a limit of partitions in one answer; a cursor says
//! where the next one begins. No topics named means all. Replicas that may lead although they are
//! not in sync are named.

use super::context::{RequestContext, Staged};
use super::metadata::{ids, leadership, offline};
use super::operations;
use crate::metadata::{MetadataImage, PartitionImage, TopicImage};
use crate::protocol::messages::describe_topic_partitions_request::Cursor as AskedCursor;
use crate::protocol::messages::describe_topic_partitions_response::{
    Cursor, DescribeTopicPartitionsResponsePartition, DescribeTopicPartitionsResponseTopic,
};
use crate::protocol::messages::{DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse};
use crate::protocol::{ErrorCode, Text};
use crate::types::TopicName;
use std::collections::BTreeSet;

pub(super) fn handle(
    request: &DescribeTopicPartitionsRequest,
    context: &RequestContext,
    image: &MetadataImage,
    partitions_max: u32,
) -> Staged<DescribeTopicPartitionsResponse> {
    let cursor = request.cursor.as_ref();
    if cursor.is_some_and(|cursor| !belongs_to(cursor, request)) {
        return Staged::Ready(whole_refusal(request, ErrorCode::InvalidRequest));
    }
    let first = cursor.map_or("", |cursor| &*cursor.topic_name);
    let names: BTreeSet<&str> = if request.topics.is_empty() {
        let mut names: BTreeSet<&str> = image
            .topics_from(first)
            .map(|topic| topic.name.as_str())
            .collect();
        // A topic that was deleted since the last answer is told as missing, not skipped.
        if cursor.is_some() {
            names.insert(first);
        }
        names
    } else {
        request
            .topics
            .iter()
            .map(|topic| &*topic.name)
            .filter(|name| *name >= first)
            .collect()
    };

    let asked = u32::try_from(request.response_partition_limit)
        .unwrap_or(0)
        .max(1);
    let mut left = asked.min(partitions_max) as usize;
    let mut topics = Vec::new();
    for name in names {
        let start = match cursor {
            Some(cursor) if *cursor.topic_name == *name => cursor.partition_index,
            _ => 0,
        };
        if left == 0 {
            return Staged::Ready(response(topics, Some((name, start))));
        }
        let Some(topic) = image.topic(name) else {
            topics.push(missing(name));
            continue;
        };
        let described = described(topic, start, left, context, image);
        left -= described.partitions.len();
        let next = start + i32::try_from(described.partitions.len()).unwrap_or(0);
        topics.push(described);
        if topic.partition(next).is_some() {
            return Staged::Ready(response(topics, Some((name, next))));
        }
    }
    Staged::Ready(response(topics, None))
}

/// A cursor points at a topic of the request, if that names any.
fn belongs_to(cursor: &AskedCursor, request: &DescribeTopicPartitionsRequest) -> bool {
    let topics = &request.topics;
    let named = topics.iter().any(|topic| topic.name == cursor.topic_name);
    cursor.partition_index >= 0 && (topics.is_empty() || named)
}

fn described(
    topic: &TopicImage,
    start: i32,
    partitions_max: usize,
    context: &RequestContext,
    image: &MetadataImage,
) -> DescribeTopicPartitionsResponseTopic {
    let numbered = topic
        .numbered()
        .filter(|(index, _)| *index >= start)
        .take(partitions_max);
    DescribeTopicPartitionsResponseTopic {
        name: Some(Text::copy(topic.name.as_str())),
        topic_id: topic.id,
        is_internal: topic.name.is_internal(),
        partitions: numbered
            .map(|(index, p)| partition(index, p, context, image))
            .collect(),
        topic_authorized_operations: operations::TOPIC,
        ..DescribeTopicPartitionsResponseTopic::default()
    }
}

fn partition(
    partition_index: i32,
    partition: &PartitionImage,
    context: &RequestContext,
    image: &MetadataImage,
) -> DescribeTopicPartitionsResponsePartition {
    // The answer has one version, so nobody needs the older code.
    let context = RequestContext {
        version: i16::MAX,
        ..context.clone()
    };
    let (error, leader_id) = leadership(image, partition, &context);
    DescribeTopicPartitionsResponsePartition {
        error_code: error.code(),
        partition_index,
        leader_id,
        leader_epoch: partition.leader_epoch.get(),
        replica_nodes: ids(&partition.replicas),
        isr_nodes: ids(&partition.isr),
        eligible_leader_replicas: Some(ids(&partition.eligible_leaders)),
        last_known_elr: Some(ids(&partition.last_known_leaders)),
        offline_replicas: offline(image, partition, &context.listener),
    }
}

fn missing(name: &str) -> DescribeTopicPartitionsResponseTopic {
    let error = match TopicName::parse(name) {
        Ok(_) => ErrorCode::UnknownTopicOrPartition,
        Err(_) => ErrorCode::InvalidTopicException,
    };
    DescribeTopicPartitionsResponseTopic {
        error_code: error.code(),
        name: Some(Text::copy(name)),
        is_internal: crate::types::is_internal(name),
        topic_authorized_operations: operations::TOPIC,
        ..DescribeTopicPartitionsResponseTopic::default()
    }
}

fn whole_refusal(
    request: &DescribeTopicPartitionsRequest,
    error: ErrorCode,
) -> DescribeTopicPartitionsResponse {
    let refused = |name: &Text| DescribeTopicPartitionsResponseTopic {
        error_code: error.code(),
        name: Some(name.clone()),
        ..DescribeTopicPartitionsResponseTopic::default()
    };
    let topics = request
        .topics
        .iter()
        .map(|topic| refused(&topic.name))
        .collect();
    response(topics, None)
}

fn response(
    topics: Vec<DescribeTopicPartitionsResponseTopic>,
    next: Option<(&str, i32)>,
) -> DescribeTopicPartitionsResponse {
    let next_cursor = next.map(|(name, partition_index)| Cursor {
        topic_name: Text::copy(name),
        partition_index,
    });
    DescribeTopicPartitionsResponse {
        topics,
        next_cursor,
        ..DescribeTopicPartitionsResponse::default()
    }
}
