//! ListOffsets, key 2, versions 1–11; version 0 is in `list_offsets_before.rs`.
//!
//! An offset by timestamp: the first record that is not earlier, or one of the special ones:
//! −1 latest, −2 earliest, −3 (v7) the record with the largest timestamp, −4 (v8) earliest local,
//! −5 (v9) latest tiered, −6 (v11) earliest that waits to be tiered. Nothing is tiered here, so −4 is
//! the earliest and −5 and −6 have no answer (offset −1).

use super::context::{RequestContext, Staged};
use super::fetch::isolation_level;
use super::list_offsets_before;
use crate::metadata::ImageHandle;
use crate::protocol::ErrorCode;
use crate::protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use crate::protocol::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsTopicResponse,
};
use crate::protocol::messages::{ListOffsetsRequest, ListOffsetsResponse};
use crate::replica::{Found, Isolation, Lookup, Replicas, StorageFailed};
use crate::types::Timestamp;
use std::collections::HashSet;
use std::sync::Arc;

pub(super) fn handle(
    request: ListOffsetsRequest,
    context: &RequestContext,
    replicas: &Arc<Replicas>,
    image: &ImageHandle,
) -> Staged<ListOffsetsResponse> {
    if context.version == 0 {
        return list_offsets_before::handle(request, context, replicas, image);
    }
    // A lookup by time may read the log, so it leaves the connection's thread.
    let by_time = request
        .topics
        .iter()
        .flat_map(|topic| &topic.partitions)
        .any(|partition| partition.timestamp >= 0 || partition.timestamp == MAX_TIMESTAMP);
    let (asked, image, version) = (replicas.clone(), image.clone(), context.version);
    let answer = move || response(&request, version, &asked, &image);
    if by_time {
        Staged::blocking(replicas.tasks(), answer)
    } else {
        Staged::Ready(answer())
    }
}

pub(super) const LATEST: i64 = -1;
pub(super) const EARLIEST: i64 = -2;
const MAX_TIMESTAMP: i64 = -3;
const EARLIEST_LOCAL: i64 = -4;
const LATEST_TIERED: i64 = -5;
const EARLIEST_PENDING_UPLOAD: i64 = -6;

fn response(
    request: &ListOffsetsRequest,
    version: i16,
    replicas: &Replicas,
    image: &ImageHandle,
) -> ListOffsetsResponse {
    let mut seen = HashSet::new();
    let mut twice = HashSet::new();
    for topic in &request.topics {
        for partition in &topic.partitions {
            let key = (&*topic.name, partition.partition_index);
            if !seen.insert(key) {
                twice.insert(key);
            }
        }
    }
    let isolation = match (request.replica_id, isolation_level(request.isolation_level)) {
        (-1, isolation) => isolation,
        // Another broker, or a debugging consumer (−2), sees the log's end.
        (_, isolation) => isolation.map(|_| Isolation::LogEnd),
    };
    let asked = request
        .topics
        .iter()
        .filter(|topic| !topic.partitions.is_empty());
    answers(asked, |topic, partition| {
        let key = (topic, partition.partition_index);
        let answer = match isolation {
            None => Err(ErrorCode::UnknownServerError),
            // Refused, and told once.
            Some(_) if twice.contains(&key) && !seen.remove(&key) => return None,
            Some(_) if twice.contains(&key) => Err(ErrorCode::InvalidRequest),
            Some(isolation) => find(topic, partition, isolation, version, replicas, image),
        };
        Some(answer.unwrap_or_else(|code| refused(partition, code)))
    })
}

/// What `answer` gives for each partition, by topic; partitions for which that is nothing are left out.
pub(super) fn answers<'a>(
    topics: impl Iterator<Item = &'a ListOffsetsTopic>,
    mut answer: impl FnMut(&'a str, &'a ListOffsetsPartition) -> Option<ListOffsetsPartitionResponse>,
) -> ListOffsetsResponse {
    let topics = topics.map(|topic| {
        let partitions = topic.partitions.iter();
        let partitions = partitions.filter_map(|asked| answer(&topic.name, asked));
        ListOffsetsTopicResponse {
            name: topic.name.clone(),
            partitions: partitions.collect(),
        }
    });
    ListOffsetsResponse {
        topics: topics.collect(),
        ..ListOffsetsResponse::default()
    }
}

fn find(
    topic: &str,
    asked: &ListOffsetsPartition,
    isolation: Isolation,
    version: i16,
    replicas: &Replicas,
    image: &ImageHandle,
) -> Result<ListOffsetsPartitionResponse, ErrorCode> {
    let lookup = match asked.timestamp {
        LATEST => Lookup::Latest,
        EARLIEST => Lookup::Earliest,
        MAX_TIMESTAMP if version >= 7 => Lookup::MaxTimestamp,
        EARLIEST_LOCAL if version >= 8 => Lookup::Earliest,
        LATEST_TIERED if version >= 9 => Lookup::Nothing,
        EARLIEST_PENDING_UPLOAD if version >= 11 => Lookup::Nothing,
        time if time >= 0 => Lookup::AtOrAfter(Timestamp(time)),
        _ => return Err(ErrorCode::UnsupportedVersion),
    };
    let partition = replicas.find(topic, asked.partition_index, image)?;
    partition.check_epoch(asked.current_leader_epoch)?;
    let found = partition
        .find_offset(lookup, isolation)
        .map_err(|error| match error {
            StorageFailed::Storage => ErrorCode::KafkaStorageError,
        })?;
    let none = Found::NONE;
    let Found {
        offset,
        timestamp,
        epoch,
    } = found.unwrap_or(none);
    Ok(ListOffsetsPartitionResponse {
        partition_index: asked.partition_index,
        timestamp: timestamp.get(),
        offset: offset.get(),
        leader_epoch: if version >= 4 { epoch.get() } else { -1 },
        ..ListOffsetsPartitionResponse::default()
    })
}

pub(super) fn refused(
    partition: &ListOffsetsPartition,
    code: ErrorCode,
) -> ListOffsetsPartitionResponse {
    ListOffsetsPartitionResponse {
        partition_index: partition.partition_index,
        error_code: code.code(),
        ..ListOffsetsPartitionResponse::default()
    }
}
