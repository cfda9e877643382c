//! DescribeLogDirs, key 35, versions 0–5.
//!
//! What lies in each log directory and, from v4 on, how full its file system is. An offline directory is
//! named with KAFKA_STORAGE_ERROR and nothing else. No list of topics means all.
//! v0 is of Kafka before 4. v5: whether a directory is cordoned. A replica on its way to another directory is
//! named in both; there it is a future one, and tells how far it is behind. Others have no lag: each is the
//! only one.

use super::context::Staged;
use crate::protocol::messages::DescribeLogDirsRequest;
use crate::protocol::messages::DescribeLogDirsResponse;
use crate::protocol::messages::describe_log_dirs_response::{
    DescribeLogDirsPartition, DescribeLogDirsResult, DescribeLogDirsTopic,
};
use crate::protocol::{ErrorCode, Text};
use crate::replica::{DirectoryContents, DirectoryState, HostedLog, Replicas};
use crate::types::TopicPartition;
use std::collections::HashSet;
use std::sync::Arc;

/// The partitions asked for; `None` means all.
type Asked = Option<HashSet<(String, i32)>>;

pub(super) fn handle(
    request: &DescribeLogDirsRequest,
    replicas: &Arc<Replicas>,
) -> Staged<DescribeLogDirsResponse> {
    let asked: Asked = request.topics.as_ref().map(|topics| {
        let named = topics.iter().flat_map(|topic| {
            let partitions = topic.partitions.iter();
            partitions.map(|partition| (topic.topic.to_string(), *partition))
        });
        named.collect()
    });
    let asking = replicas.clone();
    Staged::blocking(replicas.tasks(), move || {
        let directories = asking.describe_directories().into_iter();
        DescribeLogDirsResponse {
            results: directories.map(|state| result(&state, &asked)).collect(),
            ..DescribeLogDirsResponse::default()
        }
    })
}

fn result(directory: &DirectoryState, asked: &Asked) -> DescribeLogDirsResult {
    let log_dir = Text::from(directory.path.to_string_lossy().into_owned());
    let Some(contents) = &directory.contents else {
        return DescribeLogDirsResult {
            error_code: ErrorCode::KafkaStorageError.code(),
            log_dir,
            ..DescribeLogDirsResult::default()
        };
    };
    DescribeLogDirsResult {
        log_dir,
        topics: topics(contents, asked),
        total_bytes: signed(contents.space.total),
        usable_bytes: signed(contents.space.usable),
        is_cordoned: directory.cordoned,
        ..DescribeLogDirsResult::default()
    }
}

fn topics(contents: &DirectoryContents, asked: &Asked) -> Vec<DescribeLogDirsTopic> {
    let is_asked = |name: &TopicPartition| {
        let key = || (name.topic.to_string(), name.partition);
        asked.as_ref().is_none_or(|asked| asked.contains(&key()))
    };
    let logs = contents.logs.iter().filter(|log| is_asked(&log.partition));
    let logs: Vec<&HostedLog> = logs.collect();
    let topics = logs.chunk_by(|one, other| one.partition.topic == other.partition.topic);
    topics
        .map(|logs| DescribeLogDirsTopic {
            name: Text::copy(logs[0].partition.topic.as_str()),
            partitions: logs.iter().map(|log| described(log)).collect(),
        })
        .collect()
}

fn described(log: &HostedLog) -> DescribeLogDirsPartition {
    DescribeLogDirsPartition {
        partition_index: log.partition.partition,
        partition_size: signed(log.size),
        offset_lag: log.lag,
        is_future_key: log.is_copy,
    }
}

/// More than the wire can say is the most that it can.
fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}
