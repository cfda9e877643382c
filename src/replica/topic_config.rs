//! A topic's configuration as its log obeys it.

use crate::config::{Compression as Type, TimestampType as Time, TopicConfig};
use crate::log::{CleanupPolicy, LargerThanSegment, LogConfig};
use crate::record::{Codec, Compression, TargetCompression, TimestampType};

/// The part of a topic's configuration that its log obeys. `producer_id_expiration_ms` is the
/// broker's.
pub(super) fn log_config(topic: &TopicConfig, producer_id_expiration_ms: u64) -> LogConfig {
    LogConfig {
        segment_bytes: u64::from(topic.segment_bytes),
        larger_than_segment: LargerThanSegment::Refused,
        segment_ms: topic.segment_ms_max(),
        segment_jitter_ms: topic.segment_jitter_ms,
        index_interval_bytes: u64::from(topic.index_interval_bytes),
        segment_index_bytes: u64::from(topic.segment_index_bytes),
        retention_ms: topic.retention_ms.unwrap_or(-1),
        retention_bytes: topic.retention_bytes.unwrap_or(-1),
        cleanup: CleanupPolicy {
            delete: topic.cleanup_policy.delete,
            compact: topic.cleanup_policy.compact,
        },
        min_compaction_lag_ms: topic.min_compaction_lag_ms,
        max_compaction_lag_ms: topic.max_compaction_lag_ms,
        min_cleanable_dirty_ratio: topic.min_cleanable_dirty_ratio,
        delete_retention_ms: topic.delete_retention_ms,
        flush_messages: topic.flush_messages.unwrap_or(i64::MAX),
        flush_ms: topic.flush_ms.unwrap_or(i64::MAX),
        file_delete_delay_ms: topic.file_delete_delay_ms,
        preallocate: topic.preallocate,
        max_message_bytes: topic.max_message_bytes as usize,
        message_timestamp_type: match topic.message_timestamp_type {
            Time::CreateTime => TimestampType::CreateTime,
            Time::LogAppendTime => TimestampType::LogAppendTime,
        },
        message_timestamp_before_max_ms: topic.message_timestamp_before_max_ms,
        message_timestamp_after_max_ms: topic.message_timestamp_after_max_ms,
        compression: target(topic),
        producer_id_expiration_ms: i64::try_from(producer_id_expiration_ms).unwrap_or(i64::MAX),
    }
}

fn target(topic: &TopicConfig) -> TargetCompression {
    let always = |codec, level| {
        TargetCompression::Always(Compression {
            codec,
            level: Some(level),
        })
    };
    match topic.compression_type {
        Type::Producer => TargetCompression::Producer,
        Type::Uncompressed => TargetCompression::Always(Compression::of(Codec::None)),
        Type::Gzip => always(Codec::Gzip, topic.compression_gzip_level),
        Type::Snappy => TargetCompression::Always(Compression::of(Codec::Snappy)),
        Type::Lz4 => always(Codec::Lz4, topic.compression_lz4_level),
        Type::Zstd => always(Codec::Zstd, topic.compression_zstd_level),
    }
}
