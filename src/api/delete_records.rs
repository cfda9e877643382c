//! DeleteRecords, key 21, versions 0–2.
//!
//! Moves the start of a log up to an offset, −1 for the high watermark; what lies below can no longer be
//! read. Answers the start that the log has now, which no crash takes back. The bytes go with the next
//! retention check.

use super::context::Staged;
use crate::metadata::ImageHandle;
use crate::protocol::messages::delete_records_response::{
    DeleteRecordsPartitionResult, DeleteRecordsTopicResult,
};
use crate::protocol::messages::{DeleteRecordsRequest, DeleteRecordsResponse};
use crate::protocol::{ErrorCode, Text};
use crate::replica::{NewStart, Partition, Replicas};
use crate::types::{Offset, is_internal};
use std::collections::BTreeMap;
use std::sync::Arc;

const HIGH_WATERMARK: i64 = -1;
const NO_START: i64 = -1;

/// Offsets by partition, by topic. Of a partition that is named twice the last counts.
type Wanted = BTreeMap<Text, BTreeMap<i32, i64>>;

pub(super) fn handle(
    request: &DeleteRecordsRequest,
    replicas: &Arc<Replicas>,
    image: &ImageHandle,
) -> Staged<DeleteRecordsResponse> {
    let mut wanted = Wanted::new();
    for topic in &request.topics {
        let offsets = wanted.entry(Text::copy(&topic.name)).or_default();
        let named = topic.partitions.iter();
        offsets.extend(named.map(|partition| (partition.partition_index, partition.offset)));
    }
    let (asked, image) = (replicas.clone(), image.clone());
    Staged::blocking(replicas.tasks(), move || response(&wanted, &asked, &image))
}

fn response(wanted: &Wanted, replicas: &Replicas, image: &ImageHandle) -> DeleteRecordsResponse {
    let mut found = Vec::new();
    let mut refused = Vec::new();
    for (topic, offsets) in wanted {
        for (partition, offset) in offsets {
            match find(topic, *partition, replicas, image) {
                Ok(log) => found.push((topic, *partition, (log, new_start(*offset)))),
                Err(code) => refused.push((topic, result(*partition, Err(code)))),
            }
        }
    }
    let logs: Vec<(Arc<Partition>, NewStart)> =
        found.iter().map(|(_, _, log)| log.clone()).collect();
    let moved = replicas.delete_records(&logs).into_iter();
    let answered = found
        .iter()
        .zip(moved)
        .map(|((topic, partition, _), moved)| {
            let moved = moved.map_err(ErrorCode::from);
            (*topic, result(*partition, moved))
        });
    let mut topics: BTreeMap<&Text, Vec<DeleteRecordsPartitionResult>> = BTreeMap::new();
    for (topic, result) in answered.chain(refused) {
        topics.entry(topic).or_default().push(result);
    }
    let topics = topics.into_iter().map(|(topic, partitions)| {
        let name = topic.clone();
        DeleteRecordsTopicResult { name, partitions }
    });
    DeleteRecordsResponse {
        topics: topics.collect(),
        ..DeleteRecordsResponse::default()
    }
}

fn find(
    topic: &str,
    partition: i32,
    replicas: &Replicas,
    image: &ImageHandle,
) -> Result<Arc<Partition>, ErrorCode> {
    if image.load().partition(topic, partition).is_none() {
        return Err(ErrorCode::UnknownTopicOrPartition);
    }
    if is_internal(topic) {
        return Err(ErrorCode::InvalidTopicException);
    }
    Ok(replicas.find(topic, partition, image)?)
}

fn new_start(offset: i64) -> NewStart {
    match offset {
        HIGH_WATERMARK => NewStart::HighWatermark,
        offset => NewStart::At(Offset(offset)),
    }
}

fn result(partition_index: i32, moved: Result<Offset, ErrorCode>) -> DeleteRecordsPartitionResult {
    let (low_watermark, code) = match moved {
        Ok(start) => (start.get(), ErrorCode::None),
        Err(code) => (NO_START, code),
    };
    DeleteRecordsPartitionResult {
        partition_index,
        low_watermark,
        error_code: code.code(),
    }
}
