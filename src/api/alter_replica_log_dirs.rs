//! AlterReplicaLogDirs, key 34, versions 1–2.
//!
//! Says where partitions are to lie. A partition that is there already is answered without an error;
//! LOG_DIR_NOT_FOUND for a directory that is not one of `log.dirs`, REPLICA_NOT_AVAILABLE for a partition
//! that this broker does not have; INVALID_REPLICA_ASSIGNMENT for a cordoned directory. Not done: moving
//! one, which is INVALID_REPLICA_ASSIGNMENT too.

use super::context::Staged;
use crate::metadata::ImageHandle;
use crate::protocol::messages::alter_replica_log_dirs_response::{
    AlterReplicaLogDirPartitionResult, AlterReplicaLogDirTopicResult,
};
use crate::protocol::messages::{AlterReplicaLogDirsRequest, AlterReplicaLogDirsResponse};
use crate::protocol::{ErrorCode, Text};
use crate::replica::Replicas;
use std::collections::BTreeMap;

pub(super) fn handle(
    request: &AlterReplicaLogDirsRequest,
    replicas: &Replicas,
    image: &ImageHandle,
) -> Staged<AlterReplicaLogDirsResponse> {
    // Of a partition that is named twice the last counts.
    let mut wanted: BTreeMap<&Text, BTreeMap<i32, &Text>> = BTreeMap::new();
    for directory in &request.dirs {
        for topic in &directory.topics {
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
    Staged::Ready(AlterReplicaLogDirsResponse {
        results: results.collect(),
        ..AlterReplicaLogDirsResponse::default()
    })
}
