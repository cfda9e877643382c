//! What a topic's configuration says about its logs.

use crate::record::{
    DecodeLimits, Keys, ProduceRules, TargetCompression, TimestampRules, TimestampType, ZstdUse,
};
use crate::types::Timestamp;

/// `cleanup.policy`. Neither is allowed too: then only DeleteRecords removes anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CleanupPolicy {
    pub delete: bool,
    pub compact: bool,
}

/// What becomes of a batch that has more bytes than a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LargerThanSegment {
    Refused,
    /// It gets a segment of its own.
    Alone,
}

/// The topic keys that a log obeys, with Kafka's defaults. Times are milliseconds, −1 is "no limit".
#[derive(Clone, Debug, PartialEq)]
pub struct LogConfig {
    /// Largest segment file. At most 2147483647: indexes hold positions in 31 bits.
    pub segment_bytes: u64,
    /// Of a batch that a producer or a controller sends.
    pub larger_than_segment: LargerThanSegment,
    /// Age, in the time of the messages, at which a segment is closed although it is not full.
    pub segment_ms: i64,
    /// Up to this much is taken off `segment_ms`, drawn for each segment, so that the segments of many
    /// partitions do not all close at once.
    pub segment_jitter_ms: i64,
    /// About how many bytes lie between two entries of the offset index.
    pub index_interval_bytes: u64,
    /// Largest index file; a full index closes the segment.
    pub segment_index_bytes: u64,
    pub retention_ms: i64,
    pub retention_bytes: i64,
    pub cleanup: CleanupPolicy,
    /// Compaction leaves segments with younger records as they are.
    pub min_compaction_lag_ms: i64,
    /// Records older than this are compacted whatever the ratio.
    pub max_compaction_lag_ms: i64,
    /// The log is compacted once more than this part of it is dirty, 0 to 1.
    pub min_cleanable_dirty_ratio: f64,
    /// How long tombstones and transaction markers stay after the compaction that met them first.
    pub delete_retention_ms: i64,
    /// Sync after this many records. `i64::MAX`: leave it to the operating system.
    pub flush_messages: i64,
    pub flush_ms: i64,
    /// How long removed files stay, under another name, for those who still read them.
    pub file_delete_delay_ms: i64,
    /// Reserve the whole of a new segment on disk.
    pub preallocate: bool,
    pub max_message_bytes: usize,
    pub message_timestamp_type: TimestampType,
    pub message_timestamp_before_max_ms: i64,
    pub message_timestamp_after_max_ms: i64,
    pub compression: TargetCompression,
    /// How long a producer that writes nothing is remembered (`producer.id.expiration.ms`).
    pub producer_id_expiration_ms: i64,
}

impl Default for LogConfig {
    fn default() -> LogConfig {
        const HOUR_MS: i64 = 3_600_000;
        LogConfig {
            segment_bytes: 1 << 30,
            larger_than_segment: LargerThanSegment::Refused,
            segment_ms: 7 * 24 * HOUR_MS,
            segment_jitter_ms: 0,
            index_interval_bytes: 4096,
            segment_index_bytes: 10 << 20,
            retention_ms: 7 * 24 * HOUR_MS,
            retention_bytes: -1,
            cleanup: CleanupPolicy {
                delete: true,
                compact: false,
            },
            min_compaction_lag_ms: 0,
            max_compaction_lag_ms: i64::MAX,
            min_cleanable_dirty_ratio: 0.5,
            delete_retention_ms: 24 * HOUR_MS,
            flush_messages: i64::MAX,
            flush_ms: i64::MAX,
            file_delete_delay_ms: 60_000,
            preallocate: false,
            max_message_bytes: 1_048_588,
            message_timestamp_type: TimestampType::CreateTime,
            message_timestamp_before_max_ms: i64::MAX,
            message_timestamp_after_max_ms: HOUR_MS,
            compression: TargetCompression::Producer,
            producer_id_expiration_ms: 24 * HOUR_MS,
        }
    }
}

impl LogConfig {
    /// What a batch must keep to be appended to this topic.
    pub fn produce_rules(&self, now: Timestamp, zstd: ZstdUse) -> ProduceRules {
        ProduceRules {
            now,
            bytes_max: self.max_message_bytes,
            timestamps: TimestampRules {
                kind: self.message_timestamp_type,
                before_max_ms: self.message_timestamp_before_max_ms,
                after_max_ms: self.message_timestamp_after_max_ms,
            },
            keys: if self.cleanup.compact {
                Keys::Required
            } else {
                Keys::Optional
            },
            compression: self.compression,
            zstd,
            decode: DecodeLimits::default(),
        }
    }
}
