//! AlterReplicaLogDirs, key 34, versions 1–2.
//!
//! Begins to move partitions to other log directories; DescribeLogDirs tells how far that has come. A
//! partition that lies there already stays, and a move elsewhere ends. LOG_DIR_NOT_FOUND for a directory that
//! is not one of `log.dirs`, KAFKA_STORAGE_ERROR for one that is offline, INVALID_REPLICA_ASSIGNMENT for a
//! cordoned one; INVALID_TOPIC_EXCEPTION for a name too long for a copy's directory. A partition that does not
//! exist is UNKNOWN_TOPIC_OR_PARTITION, and will be made there; REPLICA_NOT_AVAILABLE where another broker has it.

use super::context::Staged;
use crate::metadata::ImageHandle;
use crate::protocol::messages::alter_replica_log_dirs_response::{
    AlterReplicaLogDirPartitionResult, AlterReplicaLogDirTopicResult,
};
use crate::protocol::messages::{AlterReplicaLogDirsRequest, AlterReplicaLogDirsResponse};
use crate::protocol::{ErrorCode, Text};
use crate::replica::Replicas;
use std::collections::BTreeMap;
use std::sync::Arc;

pub(super) fn handle(
    request: AlterReplicaLogDirsRequest,
    replicas: &Arc<Replicas>,
    image: &ImageHandle,
) -> Staged<AlterReplicaLogDirsResponse> {
    let (asked, image) = (replicas.clone(), image.clone());
    Staged::blocking(replicas.tasks(), move || begin(&request, &asked, &image))
}

fn begin(
    request: &AlterReplicaLogDirsRequest,
    replicas: &Arc<Replicas>,
    image: &ImageHandle,
) -> AlterReplicaLogDirsResponse {
    // Of a partition that is named twice the last counts.
    let mut wanted: BTreeMap<&Text, BTreeMap<i32, &Text>> = BTreeMap::new();
    for directory in &request.dirs {
        for topic in (directory.topics.iter()).filter(|topic| !topic.partitions.is_empty()) {
            let partitions = wanted.entry(&topic.name).or_default();
            let named = topic.partitions.iter();
            partitions.extend(named.map(|partition| (*partition, &directory.path)));
        }
    }
    let results = wanted.into_iter().map(|(topic, partitions)| {
        let partitions = partitions.into_iter().map(|(partition_index, path)| {
            let moved = replicas.move_to_directory(topic, partition_index, path, image);
            let code = moved.map_or_else(ErrorCode::from, |()| ErrorCode::None);
            AlterReplicaLogDirPartitionResult {
                partition_index,
                error_code: code.code(),
            }
        });
        AlterReplicaLogDirTopicResult {
            topic_name: topic.clone(),
            partitions: partitions.collect(),
        }
    });
    AlterReplicaLogDirsResponse {
        results: results.collect(),
        ..AlterReplicaLogDirsResponse::default()
    }
}
