//! ListPartitionReassignments, key 46, version 0.
//!
//! Names partitions whose replicas are being moved: those with replicas to add or to remove. With a
//! list of partitions only those are looked at; unknown ones are left out.

use super::context::Staged;
use super::metadata::ids;
use crate::metadata::{MetadataImage, TopicImage};
use crate::protocol::Text;
use crate::protocol::messages::list_partition_reassignments_response::{
    OngoingPartitionReassignment, OngoingTopicReassignment,
};
use crate::protocol::messages::{
    ListPartitionReassignmentsRequest, ListPartitionReassignmentsResponse,
};

pub(super) fn handle(
    request: &ListPartitionReassignmentsRequest,
    image: &MetadataImage,
) -> Staged<ListPartitionReassignmentsResponse> {
    let topics: Vec<OngoingTopicReassignment> = match &request.topics {
        None => image
            .topics()
            .filter_map(|topic| ongoing(topic, |_| true))
            .collect(),
        Some(asked) => asked
            .iter()
            .filter_map(|asked| {
                let topic = image.topic(&asked.name)?;
                ongoing(topic, |partition| {
                    asked.partition_indexes.contains(&partition)
                })
            })
            .collect(),
    };
    Staged::Ready(ListPartitionReassignmentsResponse {
        topics,
        ..ListPartitionReassignmentsResponse::default()
    })
}

fn ongoing(topic: &TopicImage, asked: impl Fn(i32) -> bool) -> Option<OngoingTopicReassignment> {
    let moving = topic.numbered().filter(|(index, partition)| {
        asked(*index) && !(partition.adding.is_empty() && partition.removing.is_empty())
    });
    let partitions: Vec<OngoingPartitionReassignment> = moving
        .map(
            |(partition_index, partition)| OngoingPartitionReassignment {
                partition_index,
                replicas: ids(&partition.replicas),
                adding_replicas: ids(&partition.adding),
                removing_replicas: ids(&partition.removing),
            },
        )
        .collect();
    let name = Text::copy(topic.name.as_str());
    (!partitions.is_empty()).then_some(OngoingTopicReassignment { name, partitions })
}
