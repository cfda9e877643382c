//! OffsetFetch, key 9, versions 1–10.
//!
//! What was never committed is offset −1 without an error, and so is everything of an unknown group.
//! v2: null topics ask for all; a group's error is the answer's, before it was every partition's.
//! v5: leader epochs. v7: partitions that a transaction holds fail with UNSTABLE_OFFSET_COMMIT when asked
//! to. v8: several groups. v10: topics are named by id; an offset committed for another topic of the same
//! name does not count.
//! Not done: member epochs of the consumer protocol (KIP-848), which is not served yet.

use super::context::{RequestContext, Staged};
use super::groups::all;
use crate::coordinator::group::{
    Answer, FetchTopic, FetchedPartition, FetchedTopic, GroupCoordinator, GroupError, Stability,
};
use crate::metadata::{ImageHandle, MetadataImage};
use crate::protocol::messages::offset_fetch_request::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopics,
};
use crate::protocol::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions,
    OffsetFetchResponseTopic, OffsetFetchResponseTopics,
};
use crate::protocol::messages::{OffsetFetchRequest, OffsetFetchResponse};
use crate::protocol::{ErrorCode, Text};
use crate::types::{LeaderEpoch, Uuid};

/// The first version that has a place for a group's error.
const GROUP_ERRORS: i16 = 2;
/// The first version that asks for several groups.
const BATCHED: i16 = 8;
/// The first version that names topics by id.
const TOPIC_IDS: i16 = 10;

pub(super) fn handle(
    request: OffsetFetchRequest,
    context: &RequestContext,
    groups: &GroupCoordinator,
    image: &ImageHandle,
) -> Staged<OffsetFetchResponse> {
    let version = context.version;
    let stability = if request.require_stable {
        Stability::Required
    } else {
        Stability::Any
    };
    let answers: Vec<Answer<OffsetFetchResponseGroup>> = asked(request, version)
        .into_iter()
        .map(|group| fetch(group, version, stability, groups, image))
        .collect();
    all(answers, move |groups| response(groups, version))
}

/// The groups asked for; versions without batches ask for one.
fn asked(request: OffsetFetchRequest, version: i16) -> Vec<OffsetFetchRequestGroup> {
    if version >= BATCHED {
        return request.groups;
    }
    let topics = request.topics.map(|topics| {
        let named = topics.into_iter().map(|topic| OffsetFetchRequestTopics {
            name: topic.name,
            partition_indexes: topic.partition_indexes,
            ..OffsetFetchRequestTopics::default()
        });
        named.collect()
    });
    vec![OffsetFetchRequestGroup {
        group_id: request.group_id,
        topics,
        ..OffsetFetchRequestGroup::default()
    }]
}

fn fetch(
    group: OffsetFetchRequestGroup,
    version: i16,
    stability: Stability,
    groups: &GroupCoordinator,
    image: &ImageHandle,
) -> Answer<OffsetFetchResponseGroup> {
    let group_id = group.group_id;
    let Some(topics) = group.topics else {
        let image = image.load();
        let fetched = groups.fetch_all(&group_id, stability);
        return fetched.map(move |fetched| match fetched {
            Ok(topics) => OffsetFetchResponseGroup {
                group_id,
                topics: topics
                    .into_iter()
                    .filter_map(|topic| of_all(topic, version, &image))
                    .collect(),
                ..OffsetFetchResponseGroup::default()
            },
            Err(error) => group_error(group_id, &[], error, version),
        });
    };
    let names = names(&topics, version, &image.load());
    let known: Vec<FetchTopic<'_>> = topics
        .iter()
        .zip(&names)
        .filter_map(|(topic, name)| {
            Some(FetchTopic {
                name: name.as_deref()?,
                id: topic.topic_id,
                partitions: &topic.partition_indexes,
            })
        })
        .collect();
    let fetched = groups.fetch(&group_id, &known, stability);
    fetched.map(move |fetched| match fetched {
        Ok(fetched) => {
            let mut fetched = fetched.into_iter();
            let answered = topics.into_iter().zip(names).map(|(topic, name)| {
                let partitions = match name.and_then(|_| fetched.next()) {
                    Some(partitions) => partitions.into_iter().map(partition).collect(),
                    None => failed(&topic.partition_indexes, ErrorCode::UnknownTopicId),
                };
                OffsetFetchResponseTopics {
                    name: topic.name,
                    topic_id: topic.topic_id,
                    partitions,
                }
            });
            OffsetFetchResponseGroup {
                group_id,
                topics: answered.collect(),
                ..OffsetFetchResponseGroup::default()
            }
        }
        Err(error) => group_error(group_id, &topics, error, version),
    })
}

/// The name of each topic; `None` for an id that is not known.
fn names(
    topics: &[OffsetFetchRequestTopics],
    version: i16,
    image: &MetadataImage,
) -> Vec<Option<String>> {
    let name = |topic: &OffsetFetchRequestTopics| {
        if version < TOPIC_IDS {
            return Some(topic.name.to_string());
        }
        let found = image.topic_by_id(&topic.topic_id)?;
        Some(found.name.to_string())
    };
    topics.iter().map(name).collect()
}

/// A topic of a fetch of everything. By id, a topic that is gone cannot be told.
fn of_all(
    topic: FetchedTopic,
    version: i16,
    image: &MetadataImage,
) -> Option<OffsetFetchResponseTopics> {
    let topic_id = if version >= TOPIC_IDS {
        image.topic(&topic.name)?.id
    } else {
        Uuid::ZERO
    };
    Some(OffsetFetchResponseTopics {
        name: Text::copy(&topic.name),
        topic_id,
        partitions: topic.partitions.into_iter().map(partition).collect(),
    })
}

fn partition(fetched: FetchedPartition) -> OffsetFetchResponsePartitions {
    match fetched.offset {
        Ok(Some(offset)) => OffsetFetchResponsePartitions {
            partition_index: fetched.partition,
            committed_offset: offset.offset.get(),
            committed_leader_epoch: offset.leader_epoch.unwrap_or(LeaderEpoch::NONE).get(),
            metadata: Some(Text::copy(&offset.metadata)),
            error_code: ErrorCode::None.code(),
        },
        Ok(None) => nothing(fetched.partition, ErrorCode::None),
        Err(error) => nothing(fetched.partition, error.into()),
    }
}

fn nothing(partition_index: i32, code: ErrorCode) -> OffsetFetchResponsePartitions {
    OffsetFetchResponsePartitions {
        partition_index,
        committed_offset: -1,
        committed_leader_epoch: LeaderEpoch::NONE.get(),
        metadata: Some(Text::default()),
        error_code: code.code(),
    }
}

fn failed(partitions: &[i32], code: ErrorCode) -> Vec<OffsetFetchResponsePartitions> {
    partitions
        .iter()
        .map(|&partition| nothing(partition, code))
        .collect()
}

fn group_error(
    group_id: Text,
    topics: &[OffsetFetchRequestTopics],
    error: GroupError,
    version: i16,
) -> OffsetFetchResponseGroup {
    let code = ErrorCode::from(error);
    if version >= GROUP_ERRORS {
        return OffsetFetchResponseGroup {
            group_id,
            error_code: code.code(),
            ..OffsetFetchResponseGroup::default()
        };
    }
    let topics = topics.iter().map(|topic| OffsetFetchResponseTopics {
        name: topic.name.clone(),
        partitions: failed(&topic.partition_indexes, code),
        ..OffsetFetchResponseTopics::default()
    });
    OffsetFetchResponseGroup {
        group_id,
        topics: topics.collect(),
        ..OffsetFetchResponseGroup::default()
    }
}

fn response(mut groups: Vec<OffsetFetchResponseGroup>, version: i16) -> OffsetFetchResponse {
    if version >= BATCHED {
        return OffsetFetchResponse {
            groups,
            ..OffsetFetchResponse::default()
        };
    }
    let Some(group) = groups.pop() else {
        return OffsetFetchResponse::default();
    };
    let topics = group
        .topics
        .into_iter()
        .map(|topic| OffsetFetchResponseTopic {
            name: topic.name,
            partitions: topic.partitions.into_iter().map(unbatched).collect(),
        });
    OffsetFetchResponse {
        topics: topics.collect(),
        error_code: group.error_code,
        ..OffsetFetchResponse::default()
    }
}

fn unbatched(partition: OffsetFetchResponsePartitions) -> OffsetFetchResponsePartition {
    let OffsetFetchResponsePartitions {
        partition_index,
        committed_offset,
        committed_leader_epoch,
        metadata,
        error_code,
    } = partition;
    OffsetFetchResponsePartition {
        partition_index,
        committed_offset,
        committed_leader_epoch,
        metadata,
        error_code,
    }
}

#[cfg(test)]
mod tests {
    use super::super::groups::tests::{answer, context, coordinator, stranger};
    use super::super::offset_commit::handle as commit;
    use super::super::offset_commit::tests::{TOPIC_ID, image, request as commit_request};
    use super::*;
    use crate::protocol::Message;
    use crate::protocol::messages::offset_fetch_request::OffsetFetchRequestTopic;
    use bytes::BytesMut;

    /// A coordinator where group `g` has offset 42 of `t-0`.
    async fn committed() -> GroupCoordinator {
        let groups = coordinator();
        let request = commit_request(&[("t", Uuid::ZERO, &[0])]);
        answer(commit(&request, &context(8), &groups, &image())).await;
        groups
    }

    /// Asks group `g` for partitions of `t`, or for everything, as the version does.
    fn request(version: i16, partitions: Option<&[i32]>) -> OffsetFetchRequest {
        let by_id = version >= TOPIC_IDS;
        if version < BATCHED {
            let topic = |partitions: &[i32]| OffsetFetchRequestTopic {
                name: "t".into(),
                partition_indexes: partitions.to_vec(),
            };
            return OffsetFetchRequest {
                group_id: "g".into(),
                topics: partitions.map(|partitions| vec![topic(partitions)]),
                ..OffsetFetchRequest::default()
            };
        }
        let topic = |partitions: &[i32]| OffsetFetchRequestTopics {
            name: if by_id { "".into() } else { "t".into() },
            topic_id: if by_id { TOPIC_ID } else { Uuid::ZERO },
            partition_indexes: partitions.to_vec(),
        };
        OffsetFetchRequest {
            groups: vec![OffsetFetchRequestGroup {
                group_id: "g".into(),
                topics: partitions.map(|partitions| vec![topic(partitions)]),
                ..OffsetFetchRequestGroup::default()
            }],
            ..OffsetFetchRequest::default()
        }
    }

    /// Partition, offset and error of everything answered.
    fn seen(response: &OffsetFetchResponse) -> Vec<(i32, i64, i16)> {
        let batched = response.groups.iter().flat_map(|group| &group.topics);
        let batched = batched.flat_map(|topic| &topic.partitions);
        let single = response.topics.iter().flat_map(|topic| &topic.partitions);
        let batched = batched.map(|p| (p.partition_index, p.committed_offset, p.error_code));
        let single = single.map(|p| (p.partition_index, p.committed_offset, p.error_code));
        batched.chain(single).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn every_version_fetches_what_is_committed_and_minus_one_for_the_rest() {
        let groups = committed().await;
        let image = ImageHandle::new(image());
        for version in 1..=10 {
            let asked = request(version, Some(&[1, 0]));
            let done = answer(handle(asked, &context(version), &groups, &image)).await;
            assert_eq!(seen(&done), [(1, -1, 0), (0, 42, 0)], "version {version}");
            assert_eq!(done.encode(&mut BytesMut::new(), version), Ok(()));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn null_topics_fetch_everything() {
        let groups = committed().await;
        let image = ImageHandle::new(image());
        for version in 2..=10 {
            let asked = request(version, None);
            let done = answer(handle(asked, &context(version), &groups, &image)).await;
            assert_eq!(seen(&done), [(0, 42, 0)], "version {version}");
            if version >= TOPIC_IDS {
                assert_eq!(done.groups[0].topics[0].topic_id, TOPIC_ID);
            }
            assert_eq!(done.encode(&mut BytesMut::new(), version), Ok(()));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_unknown_group_has_committed_nothing_and_an_unknown_id_is_an_error() {
        let groups = coordinator();
        let image = ImageHandle::new(image());
        let done = answer(handle(request(8, Some(&[0])), &context(8), &groups, &image)).await;
        assert_eq!(seen(&done), [(0, -1, 0)]);
        let mut asked = request(10, Some(&[0]));
        asked.groups[0].topics.as_mut().unwrap()[0].topic_id = Uuid::from_bytes([8; 16]);
        let done = answer(handle(asked, &context(10), &groups, &image)).await;
        assert_eq!(seen(&done), [(0, -1, ErrorCode::UnknownTopicId.code())]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_groups_error_goes_where_the_version_has_a_place_for_it() {
        let groups = stranger();
        let image = ImageHandle::new(image());
        let code = ErrorCode::NotCoordinator.code();
        for version in 1..=10 {
            let asked = request(version, Some(&[0]));
            let done = answer(handle(asked, &context(version), &groups, &image)).await;
            match version {
                1 => assert_eq!(seen(&done), [(0, -1, code)]),
                2..8 => assert_eq!((done.error_code, seen(&done)), (code, vec![])),
                _ => assert_eq!((done.groups[0].error_code, seen(&done)), (code, vec![])),
            }
            assert_eq!(done.encode(&mut BytesMut::new(), version), Ok(()));
        }
    }
}
