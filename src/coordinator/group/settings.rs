//! What an operator may set.

use crate::config::{GroupsConfig, OffsetsConfig};
use crate::record::{Codec, Compression};

/// The group coordinator's configuration; defaults are Kafka's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupSettings {
    /// `group.max.size`.
    pub members_max: usize,
    /// `group.initial.rebalance.delay.ms`.
    pub initial_rebalance_delay_ms: i32,
    /// `group.min.session.timeout.ms`.
    pub session_timeout_ms_min: i32,
    /// `group.max.session.timeout.ms`.
    pub session_timeout_ms_max: i32,
    /// How long a member that joined without an id may wait in a rebalance: it has no id to send
    /// heartbeats with, so its session cannot watch it (KAFKA-7610). Not configurable in Kafka either.
    pub new_member_join_timeout_ms: i32,
    /// `offset.metadata.max.bytes`; Kafka counts UTF-16 units, not bytes.
    pub offset_metadata_len_max: usize,
    /// `offsets.retention.minutes`, in milliseconds.
    pub offsets_retention_ms: i64,
    /// `offsets.retention.check.interval.ms`.
    pub offsets_retention_check_ms: i32,
    /// `offsets.commit.timeout.ms`: how long an answer waits until its records are committed.
    pub commit_timeout_ms: i32,
    /// `offsets.load.buffer.size`: bytes read at a time while a shard is loaded.
    pub load_bytes: usize,
    /// `offsets.topic.compression.codec`.
    pub compression: Compression,
}

impl Default for GroupSettings {
    fn default() -> GroupSettings {
        GroupSettings {
            members_max: i32::MAX.unsigned_abs() as usize,
            initial_rebalance_delay_ms: 3_000,
            session_timeout_ms_min: 6_000,
            session_timeout_ms_max: 1_800_000,
            new_member_join_timeout_ms: 5 * 60 * 1_000,
            offset_metadata_len_max: 4_096,
            offsets_retention_ms: 7 * 24 * 60 * 60 * 1_000,
            offsets_retention_check_ms: 600_000,
            commit_timeout_ms: 5_000,
            load_bytes: 5 * 1_024 * 1_024,
            compression: Compression::NONE,
        }
    }
}

impl GroupSettings {
    /// What the broker's configuration says.
    pub fn from_config(groups: &GroupsConfig, offsets: &OffsetsConfig) -> GroupSettings {
        let codec = match offsets.topic_compression {
            1 => Codec::Gzip,
            2 => Codec::Snappy,
            3 => Codec::Lz4,
            4 => Codec::Zstd,
            _ => Codec::None,
        };
        GroupSettings {
            members_max: groups.members_max as usize,
            initial_rebalance_delay_ms: clamped(u64::from(groups.initial_rebalance_delay_ms)),
            session_timeout_ms_min: groups.session_timeout_ms_min,
            session_timeout_ms_max: groups.session_timeout_ms_max,
            offset_metadata_len_max: offsets.metadata_bytes_max as usize,
            offsets_retention_ms: i64::try_from(offsets.retention_ms).unwrap_or(i64::MAX),
            offsets_retention_check_ms: clamped(offsets.retention_check_interval_ms),
            commit_timeout_ms: clamped(u64::from(offsets.commit_timeout_ms)),
            load_bytes: offsets.load_buffer_bytes as usize,
            compression: Compression::of(codec),
            ..GroupSettings::default()
        }
    }
}

/// A wait in milliseconds; the longest is 24 days.
fn clamped(ms: u64) -> i32 {
    i32::try_from(ms).unwrap_or(i32::MAX)
}
