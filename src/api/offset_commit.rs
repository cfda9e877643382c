//! OffsetCommit, key 8, versions 1–10.
//!
//! Answered when the offsets are committed to `__consumer_offsets`. A topic or partition that does not
//! exist is UNKNOWN_TOPIC_OR_PARTITION for itself alone; the group's own error is every partition's.
//! v1, which Kafka 4 has dropped and sarama sends up to its 1.40: each partition may say when it was committed.
//! v2–4: a retention of the request's own. v6: leader epochs. v7: static members. v9: a missing group is
//! GROUP_ID_NOT_FOUND, not ILLEGAL_GENERATION. v10: topics are named by id.
//! Not done: member epochs of the consumer protocol (KIP-848), which is not served yet.

use super::context::{RequestContext, Staged};
use super::groups::staged;
use crate::coordinator::group::{
    Commit, CommitPartition, CommitTopic, CommitVerdicts, GroupCoordinator, GroupError,
};
use crate::metadata::{MetadataImage, TopicImage};
use crate::protocol::ErrorCode;
use crate::protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use crate::protocol::messages::offset_commit_response::{
    OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use crate::protocol::messages::{OffsetCommitRequest, OffsetCommitResponse};
use crate::types::{LeaderEpoch, Offset, Timestamp};

/// The first version that names topics by id.
const TOPIC_IDS: i16 = 10;

pub(super) fn handle(
    request: &OffsetCommitRequest,
    context: &RequestContext,
    groups: &GroupCoordinator,
    image: &MetadataImage,
) -> Staged<OffsetCommitResponse> {
    let by_id = context.version >= TOPIC_IDS;
    // The answer has a place for every partition; those that the coordinator sees are filled in later.
    let mut answer = Vec::with_capacity(request.topics.len());
    let mut topics: Vec<CommitTopic<'_>> = Vec::with_capacity(request.topics.len());
    let mut places: Vec<(usize, Vec<usize>)> = Vec::with_capacity(request.topics.len());
    for topic in &request.topics {
        let found = find(topic, by_id, image);
        if topic.partitions.is_empty() && found.is_ok() {
            // Nothing was asked of it, so the answer has no place for it.
            continue;
        }
        let (known, unknown): (Vec<usize>, Vec<usize>) = (0..topic.partitions.len())
            .partition(|&at| found.is_ok_and(|found| exists(found, &topic.partitions[at])));
        let missing = found.err().unwrap_or(ErrorCode::UnknownTopicOrPartition);
        let mut partitions: Vec<OffsetCommitResponsePartition> =
            topic.partitions.iter().map(place).collect();
        for at in unknown {
            partitions[at].error_code = missing.code();
        }
        if let Ok(found) = found
            && !known.is_empty()
        {
            let kept = known
                .iter()
                .map(|&at| commit_partition(&topic.partitions[at]));
            topics.push(CommitTopic {
                name: found.name.as_str(),
                id: found.id,
                partitions: kept.collect(),
            });
            places.push((answer.len(), known));
        }
        answer.push(OffsetCommitResponseTopic {
            name: topic.name.clone(),
            topic_id: topic.topic_id,
            partitions,
        });
    }
    if topics.is_empty() {
        return Staged::Ready(response(answer));
    }
    let commit = Commit {
        group_id: &request.group_id,
        member_id: &request.member_id,
        instance_id: request.group_instance_id.as_deref(),
        generation: request.generation_id_or_member_epoch,
        retention_ms: (request.retention_time_ms != -1).then_some(request.retention_time_ms),
        missing_group: if context.version >= 9 {
            GroupError::GroupNotFound
        } else {
            GroupError::IllegalGeneration
        },
        topics,
    };
    let committed = groups.commit(&commit);
    staged(committed.map(move |verdicts| {
        fill_in(&mut answer, &places, &verdicts);
        response(answer)
    }))
}

fn find<'a>(
    topic: &OffsetCommitRequestTopic,
    by_id: bool,
    image: &'a MetadataImage,
) -> Result<&'a TopicImage, ErrorCode> {
    let (found, missing) = if by_id {
        (
            image.topic_by_id(&topic.topic_id),
            ErrorCode::UnknownTopicId,
        )
    } else {
        (image.topic(&topic.name), ErrorCode::UnknownTopicOrPartition)
    };
    found.map(|found| &**found).ok_or(missing)
}

fn exists(topic: &TopicImage, partition: &OffsetCommitRequestPartition) -> bool {
    topic.partition(partition.partition_index).is_some()
}

fn place(partition: &OffsetCommitRequestPartition) -> OffsetCommitResponsePartition {
    OffsetCommitResponsePartition {
        partition_index: partition.partition_index,
        ..OffsetCommitResponsePartition::default()
    }
}

fn commit_partition(partition: &OffsetCommitRequestPartition) -> CommitPartition<'_> {
    CommitPartition {
        partition: partition.partition_index,
        offset: Offset(partition.committed_offset),
        leader_epoch: (partition.committed_leader_epoch != -1)
            .then_some(LeaderEpoch(partition.committed_leader_epoch)),
        metadata: partition.committed_metadata.as_deref(),
        committed_at: (partition.commit_timestamp != -1)
            .then_some(Timestamp(partition.commit_timestamp)),
    }
}

fn fill_in(
    answer: &mut [OffsetCommitResponseTopic],
    places: &[(usize, Vec<usize>)],
    verdicts: &Result<CommitVerdicts, GroupError>,
) {
    for (of_topic, (topic, partitions)) in places.iter().enumerate() {
        for (of_partition, partition) in partitions.iter().enumerate() {
            let verdict = match verdicts {
                Ok(verdicts) => verdicts[of_topic][of_partition],
                Err(error) => Err(*error),
            };
            if let Err(error) = verdict {
                answer[*topic].partitions[*partition].error_code = ErrorCode::from(error).code();
            }
        }
    }
}

fn response(topics: Vec<OffsetCommitResponseTopic>) -> OffsetCommitResponse {
    OffsetCommitResponse {
        topics,
        ..OffsetCommitResponse::default()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::groups::tests::{answer, context, coordinator};
    use super::*;
    use crate::metadata::MetadataRecord;
    use crate::protocol::Message;
    use crate::protocol::messages::{PartitionRecord, TopicRecord};
    use crate::types::Uuid;
    use bytes::BytesMut;

    pub(in crate::api) const TOPIC_ID: Uuid = Uuid::from_bytes([7; 16]);

    /// One topic `t` with partitions 0 and 1.
    pub(in crate::api) fn image() -> MetadataImage {
        let mut image = MetadataImage::default();
        let mut records: Vec<MetadataRecord> = vec![
            TopicRecord {
                name: "t".into(),
                topic_id: TOPIC_ID,
            }
            .into(),
        ];
        for partition_id in 0..2 {
            let record = PartitionRecord {
                topic_id: TOPIC_ID,
                partition_id,
                replicas: vec![1],
                isr: vec![1],
                leader: 1,
                ..PartitionRecord::default()
            };
            records.push(record.into());
        }
        for record in &records {
            image.apply(record).unwrap();
        }
        image
    }

    pub(in crate::api) fn request(topics: &[(&'static str, Uuid, &[i32])]) -> OffsetCommitRequest {
        let partition = |&partition_index: &i32| OffsetCommitRequestPartition {
            partition_index,
            committed_offset: 42,
            ..OffsetCommitRequestPartition::default()
        };
        OffsetCommitRequest {
            group_id: "g".into(),
            topics: topics
                .iter()
                .map(|(name, topic_id, partitions)| OffsetCommitRequestTopic {
                    name: (*name).into(),
                    topic_id: *topic_id,
                    partitions: partitions.iter().map(partition).collect(),
                })
                .collect(),
            ..OffsetCommitRequest::default()
        }
    }

    fn codes(response: &OffsetCommitResponse) -> Vec<Vec<i16>> {
        let topics = response.topics.iter();
        topics
            .map(|topic| topic.partitions.iter().map(|p| p.error_code).collect())
            .collect()
    }

    #[tokio::test(start_paused = true)]
    async fn every_version_commits_what_exists_and_names_what_does_not() {
        for version in 1..=10 {
            let groups = coordinator();
            let (topics, missing) = if version >= 10 {
                let other = Uuid::from_bytes([8; 16]);
                ([("", TOPIC_ID), ("", other)], ErrorCode::UnknownTopicId)
            } else {
                let zero = Uuid::ZERO;
                (
                    [("t", zero), ("u", zero)],
                    ErrorCode::UnknownTopicOrPartition,
                )
            };
            let request = request(&[
                (topics[0].0, topics[0].1, &[5, 0, 1]),
                (topics[1].0, topics[1].1, &[0]),
            ]);
            let done = answer(handle(&request, &context(version), &groups, &image())).await;
            let no_partition = ErrorCode::UnknownTopicOrPartition.code();
            assert_eq!(
                codes(&done),
                [vec![no_partition, 0, 0], vec![missing.code()]]
            );
            assert_eq!(done.encode(&mut BytesMut::new(), version), Ok(()));
            let fetched = groups.fetch_all("g", crate::coordinator::group::Stability::Any);
            assert_eq!(fetched.get().await.unwrap()[0].partitions.len(), 2);
        }
    }

    #[test]
    fn only_a_dated_commit_says_when_it_was() {
        let dated = |commit_timestamp| OffsetCommitRequestPartition {
            commit_timestamp,
            ..OffsetCommitRequestPartition::default()
        };
        assert_eq!(commit_partition(&dated(-1)).committed_at, None);
        assert_eq!(commit_partition(&dated(7)).committed_at, Some(Timestamp(7)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_missing_group_is_called_what_the_version_knows() {
        let groups = coordinator();
        let of_generation = OffsetCommitRequest {
            generation_id_or_member_epoch: 3,
            member_id: "x-1".into(),
            ..request(&[("t", Uuid::ZERO, &[0, 9])])
        };
        for (version, code) in [
            (8, ErrorCode::IllegalGeneration),
            (9, ErrorCode::GroupIdNotFound),
        ] {
            let context = context(version);
            let done = answer(handle(&of_generation, &context, &groups, &image())).await;
            let no_partition = ErrorCode::UnknownTopicOrPartition.code();
            assert_eq!(codes(&done), [vec![code.code(), no_partition]]);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_empty_group_id_may_store_offsets() {
        let groups = coordinator();
        let nameless = OffsetCommitRequest {
            group_id: "".into(),
            ..request(&[("t", Uuid::ZERO, &[0])])
        };
        let done = answer(handle(&nameless, &context(8), &groups, &image())).await;
        assert_eq!(codes(&done), [vec![0]]);
    }
}
