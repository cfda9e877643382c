//! OffsetDelete, key 47, version 0.
//!
//! Deletes committed offsets of topics that the group does not subscribe to. A topic or partition that
//! does not exist is UNKNOWN_TOPIC_OR_PARTITION for itself alone, one that is subscribed to
//! GROUP_SUBSCRIBED_TO_TOPIC; deleting what was never committed is no error. What is wrong with the group
//! as a whole is the answer's error, and then no topic is named.

use super::context::Staged;
use super::groups::staged;
use crate::coordinator::group::{GroupCoordinator, GroupError};
use crate::metadata::MetadataImage;
use crate::protocol::ErrorCode;
use crate::protocol::messages::offset_delete_request::OffsetDeleteRequestTopic;
use crate::protocol::messages::offset_delete_response::{
    OffsetDeleteResponsePartition, OffsetDeleteResponseTopic,
};
use crate::protocol::messages::{OffsetDeleteRequest, OffsetDeleteResponse};

pub(super) fn handle(
    request: &OffsetDeleteRequest,
    groups: &GroupCoordinator,
    image: &MetadataImage,
) -> Staged<OffsetDeleteResponse> {
    let topics: Vec<OffsetDeleteResponseTopic> = request
        .topics
        .iter()
        .map(|topic| checked(topic, image))
        .collect();
    let existing: Vec<Vec<i32>> = topics.iter().map(existing).collect();
    let asked: Vec<(&str, &[i32])> = topics
        .iter()
        .zip(&existing)
        .map(|(topic, partitions)| (topic.name.as_str(), partitions.as_slice()))
        .collect();
    let deleted = groups.delete_offsets(&request.group_id, &asked);
    staged(deleted.map(move |verdicts| response(topics, verdicts)))
}

/// The topic's place in the answer, with the partitions that do not exist marked.
fn checked(topic: &OffsetDeleteRequestTopic, image: &MetadataImage) -> OffsetDeleteResponseTopic {
    let partitions = topic.partitions.iter().map(|partition| {
        let index = partition.partition_index;
        let code = match image.partition(&topic.name, index) {
            Some(_) => ErrorCode::None,
            None => ErrorCode::UnknownTopicOrPartition,
        };
        OffsetDeleteResponsePartition {
            partition_index: index,
            error_code: code.code(),
        }
    });
    OffsetDeleteResponseTopic {
        name: topic.name.clone(),
        partitions: partitions.collect(),
    }
}

fn existing(topic: &OffsetDeleteResponseTopic) -> Vec<i32> {
    let exists = |p: &&OffsetDeleteResponsePartition| p.error_code == ErrorCode::None.code();
    let partitions = topic.partitions.iter().filter(exists);
    partitions.map(|p| p.partition_index).collect()
}

fn response(
    mut topics: Vec<OffsetDeleteResponseTopic>,
    verdicts: Result<Vec<Result<(), GroupError>>, GroupError>,
) -> OffsetDeleteResponse {
    let verdicts = match verdicts {
        Ok(verdicts) => verdicts,
        Err(error) => {
            return OffsetDeleteResponse {
                error_code: ErrorCode::from(error).code(),
                ..OffsetDeleteResponse::default()
            };
        }
    };
    for (topic, verdict) in topics.iter_mut().zip(verdicts) {
        let Err(error) = verdict else { continue };
        for partition in &mut topic.partitions {
            if partition.error_code == ErrorCode::None.code() {
                partition.error_code = ErrorCode::from(error).code();
            }
        }
    }
    OffsetDeleteResponse {
        topics,
        ..OffsetDeleteResponse::default()
    }
}

#[cfg(test)]
mod tests {
    use super::super::groups::tests::{answer, context, coordinator, stable_group};
    use super::super::offset_commit::handle as commit;
    use super::super::offset_commit::tests::{image, request as commit_request};
    use super::*;
    use crate::coordinator::group::Stability;
    use crate::protocol::Message;
    use crate::protocol::messages::offset_delete_request::OffsetDeleteRequestPartition;
    use crate::types::Uuid;
    use bytes::BytesMut;

    fn request(topics: &[(&'static str, &[i32])]) -> OffsetDeleteRequest {
        let partition = |&partition_index: &i32| OffsetDeleteRequestPartition { partition_index };
        let topics = topics
            .iter()
            .map(|(name, partitions)| OffsetDeleteRequestTopic {
                name: (*name).into(),
                partitions: partitions.iter().map(partition).collect(),
            });
        OffsetDeleteRequest {
            group_id: "g".into(),
            topics: topics.collect(),
        }
    }

    /// The answer's error, and each partition's by topic.
    async fn delete(
        groups: &GroupCoordinator,
        request: &OffsetDeleteRequest,
    ) -> (i16, Vec<(String, Vec<(i32, i16)>)>) {
        let answered = answer(handle(request, groups, &image())).await;
        assert_eq!(answered.encode(&mut BytesMut::new(), 0), Ok(()));
        let topics = answered.topics.iter().map(|topic| {
            let partitions = topic.partitions.iter();
            let codes = partitions.map(|p| (p.partition_index, p.error_code));
            (topic.name.to_string(), codes.collect())
        });
        (answered.error_code, topics.collect())
    }

    #[tokio::test(start_paused = true)]
    async fn offsets_go_and_what_does_not_exist_is_named() {
        let groups = coordinator();
        let stored = commit_request(&[("t", Uuid::ZERO, &[0, 1])]);
        answer(commit(&stored, &context(8), &groups, &image())).await;
        let missing = ErrorCode::UnknownTopicOrPartition.code();
        let deleted = delete(&groups, &request(&[("t", &[9, 0]), ("u", &[0])])).await;
        let expected = vec![
            ("t".to_owned(), vec![(9, missing), (0, 0)]),
            ("u".to_owned(), vec![(0, missing)]),
        ];
        assert_eq!(deleted, (0, expected));
        let left = groups.fetch_all("g", Stability::Any).get().await.unwrap();
        assert_eq!(left[0].partitions[0].partition, 1);
        assert_eq!((left.len(), left[0].partitions.len()), (1, 1));
        // Once more: what is not there is deleted without an error.
        let again = delete(&groups, &request(&[("t", &[0])])).await;
        assert_eq!(again, (0, vec![("t".to_owned(), vec![(0, 0)])]));
    }

    #[tokio::test(start_paused = true)]
    async fn offsets_of_a_subscribed_topic_stay() {
        let groups = coordinator();
        stable_group(&groups).await;
        let (code, topics) = delete(&groups, &request(&[("t", &[0, 9])])).await;
        let subscribed = ErrorCode::GroupSubscribedToTopic.code();
        let missing = ErrorCode::UnknownTopicOrPartition.code();
        let codes = vec![(0, subscribed), (9, missing)];
        assert_eq!((code, topics), (0, vec![("t".to_owned(), codes)]));
    }

    #[tokio::test(start_paused = true)]
    async fn an_error_of_the_group_is_the_answers_and_names_no_topic() {
        let groups = coordinator();
        let asked = request(&[("t", &[0]), ("u", &[0])]);
        let not_found = ErrorCode::GroupIdNotFound.code();
        assert_eq!(delete(&groups, &asked).await, (not_found, vec![]));
        let nameless = OffsetDeleteRequest {
            group_id: "".into(),
            ..asked
        };
        let invalid = ErrorCode::InvalidGroupId.code();
        assert_eq!(delete(&groups, &nameless).await, (invalid, vec![]));
    }
}
