//! What one topic's log is configured to do (Kafka's `LogConfig`).

use super::keys;
use super::value::Value;
use super::{ConfigError, Properties};
use std::collections::BTreeMap;

/// All settings of a topic, resolved: overrides of the topic, then the broker's values, then
/// Kafka's defaults. Times are milliseconds. `None` is "no limit" wherever it appears.
#[derive(Debug, Clone, PartialEq)]
pub struct TopicConfig {
    pub cleanup_policy: Cleanup,
    pub compression_type: Compression,
    /// 1 to 9, or −1 for the codec's own default.
    pub compression_gzip_level: i32,
    /// 1 to 17.
    pub compression_lz4_level: i32,
    /// −131072 to 22.
    pub compression_zstd_level: i32,
    pub delete_retention_ms: i64,
    pub file_delete_delay_ms: i64,
    /// Sync after so many records. `None` (`Long.MAX_VALUE`) leaves it to the operating system.
    pub flush_messages: Option<i64>,
    /// Sync data older than this. `None` (`Long.MAX_VALUE`) leaves it to the operating system.
    pub flush_ms: Option<i64>,
    pub follower_throttled_replicas: Vec<String>,
    /// Bytes of log between two entries of the offset index.
    pub index_interval_bytes: u32,
    pub leader_throttled_replicas: Vec<String>,
    /// −2: as `retention_bytes`. −1: no limit.
    pub local_retention_bytes: i64,
    /// −2: as `retention_ms`. −1: no limit.
    pub local_retention_ms: i64,
    pub max_compaction_lag_ms: i64,
    /// Largest batch, header included.
    pub max_message_bytes: u32,
    /// How far a record's timestamp may lie in the future. At least 0.
    pub message_timestamp_after_max_ms: i64,
    /// How far a record's timestamp may lie in the past. At least 0.
    pub message_timestamp_before_max_ms: i64,
    pub message_timestamp_type: TimestampType,
    /// 0 to 1.
    pub min_cleanable_dirty_ratio: f64,
    pub min_compaction_lag_ms: i64,
    /// At least 1. Never more than the replicas that a partition has: see `KIP-966`.
    pub min_insync_replicas: u32,
    pub preallocate: bool,
    pub remote_log_copy_disable: bool,
    pub remote_log_delete_on_disable: bool,
    pub remote_storage_enable: bool,
    pub retention_bytes: Option<i64>,
    pub retention_ms: Option<i64>,
    /// At least 1 MiB, unless Kafka's internal test key `internal.segment.bytes` is set.
    pub segment_bytes: u32,
    pub segment_index_bytes: u32,
    pub segment_jitter_ms: i64,
    /// At least 1.
    pub segment_ms: i64,
    pub unclean_leader_election_enable: bool,
}

/// `cleanup.policy`. Neither means "keep everything for ever".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cleanup {
    pub compact: bool,
    pub delete: bool,
}

/// `compression.type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Keep batches as the producer made them.
    Producer,
    Uncompressed,
    Gzip,
    Snappy,
    Lz4,
    Zstd,
}

/// `message.timestamp.type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimestampType {
    CreateTime,
    LogAppendTime,
}

impl Default for TopicConfig {
    /// Kafka's defaults.
    fn default() -> TopicConfig {
        let mut config = TopicConfig::empty();
        for key in keys::topic_keys() {
            if let Some(text) = key.default {
                config
                    .set(key.name, text)
                    .expect("a default in the table is a valid value");
            }
        }
        config
    }
}

impl TopicConfig {
    /// The settings of a topic with these overrides, on a broker with these defaults. Refuses what
    /// Kafka's `LogConfig.validate` refuses.
    pub fn resolve(
        defaults: &TopicConfig,
        overrides: &BTreeMap<String, String>,
    ) -> Result<TopicConfig, ConfigError> {
        let mut config = defaults.clone();
        for (name, value) in overrides {
            config.set(name, value)?;
        }
        // Wins over segment.bytes in whatever order the two are written.
        if let Some(bytes) = overrides.get(INTERNAL_SEGMENT_BYTES) {
            config.set(INTERNAL_SEGMENT_BYTES, bytes)?;
        }
        config.check()?;
        Ok(config)
    }

    /// What topics get from the broker's own keys (`KafkaConfig.extractLogConfigMap`).
    pub(super) fn from_broker(properties: &Properties) -> Result<TopicConfig, ConfigError> {
        let mut config = TopicConfig::default();
        for key in keys::topic_keys() {
            let Some(given) = given_by_broker(key, properties)? else {
                continue;
            };
            config.set(key.name, &given.text).map_err(|_| {
                let written = properties.get(given.by).unwrap_or_default();
                ConfigError::expected(given.by, written.trim(), key.expected())
            })?;
        }
        config.check()?;
        Ok(config)
    }

    /// How long a segment stays open: compaction cannot touch the open one, so a bound on the lag
    /// is a bound on this too (`LogConfig.maxSegmentMs`).
    pub fn segment_ms_max(&self) -> i64 {
        if self.cleanup_policy.compact && self.max_compaction_lag_ms > 0 {
            self.segment_ms.min(self.max_compaction_lag_ms)
        } else {
            self.segment_ms
        }
    }

    fn check(&self) -> Result<(), ConfigError> {
        if self.min_compaction_lag_ms > self.max_compaction_lag_ms {
            return Err(ConfigError::conflict(format!(
                "conflict topic config setting min.compaction.lag.ms ({}) > max.compaction.lag.ms ({})",
                self.min_compaction_lag_ms, self.max_compaction_lag_ms
            )));
        }
        if self.remote_storage_enable {
            return Err(ConfigError::conflict(
                "Tiered Storage functionality is disabled in the broker. Topic cannot be \
                 configured with remote log storage.",
            ));
        }
        Ok(())
    }

    /// Sets one key. Unknown keys and bad values are errors.
    fn set(&mut self, name: &str, text: &str) -> Result<(), ConfigError> {
        let key = keys::topic_key(name).ok_or_else(|| unknown(name))?;
        match (name, Value::parse(key, text)?) {
            ("cleanup.policy", Value::List(v)) => {
                self.cleanup_policy.compact = v.iter().any(|policy| policy == "compact");
                self.cleanup_policy.delete = v.iter().any(|policy| policy == "delete");
            }
            ("compression.gzip.level", Value::Int(v)) => self.compression_gzip_level = v,
            ("compression.lz4.level", Value::Int(v)) => self.compression_lz4_level = v,
            ("compression.zstd.level", Value::Int(v)) => self.compression_zstd_level = v,
            ("compression.type", Value::String(v)) => {
                self.compression_type = match v.as_str() {
                    "uncompressed" => Compression::Uncompressed,
                    "gzip" => Compression::Gzip,
                    "snappy" => Compression::Snappy,
                    "lz4" => Compression::Lz4,
                    "zstd" => Compression::Zstd,
                    _ => Compression::Producer,
                }
            }
            ("delete.retention.ms", Value::Long(v)) => self.delete_retention_ms = v,
            ("file.delete.delay.ms", Value::Long(v)) => self.file_delete_delay_ms = v,
            ("flush.messages", Value::Long(v)) => self.flush_messages = (v < i64::MAX).then_some(v),
            ("flush.ms", Value::Long(v)) => self.flush_ms = (v < i64::MAX).then_some(v),
            ("follower.replication.throttled.replicas", Value::List(v)) => {
                self.follower_throttled_replicas = v;
            }
            ("index.interval.bytes", Value::Int(v)) => self.index_interval_bytes = v.unsigned_abs(),
            (INTERNAL_SEGMENT_BYTES, Value::Int(v)) => {
                let bytes = u32::try_from(v).ok().filter(|bytes| *bytes > 0);
                self.segment_bytes = bytes
                    .ok_or_else(|| ConfigError::expected(name, text, "a whole number above 0"))?;
            }
            ("leader.replication.throttled.replicas", Value::List(v)) => {
                self.leader_throttled_replicas = v;
            }
            ("local.retention.bytes", Value::Long(v)) => self.local_retention_bytes = v,
            ("local.retention.ms", Value::Long(v)) => self.local_retention_ms = v,
            ("max.compaction.lag.ms", Value::Long(v)) => self.max_compaction_lag_ms = v,
            ("max.message.bytes", Value::Int(v)) => self.max_message_bytes = v.unsigned_abs(),
            ("message.timestamp.after.max.ms", Value::Long(v)) => {
                self.message_timestamp_after_max_ms = v;
            }
            ("message.timestamp.before.max.ms", Value::Long(v)) => {
                self.message_timestamp_before_max_ms = v;
            }
            ("message.timestamp.type", Value::String(v)) => {
                self.message_timestamp_type = match v.as_str() {
                    "LogAppendTime" => TimestampType::LogAppendTime,
                    _ => TimestampType::CreateTime,
                }
            }
            ("min.cleanable.dirty.ratio", Value::Double(v)) => self.min_cleanable_dirty_ratio = v,
            ("min.compaction.lag.ms", Value::Long(v)) => self.min_compaction_lag_ms = v,
            ("min.insync.replicas", Value::Int(v)) => self.min_insync_replicas = v.unsigned_abs(),
            ("preallocate", Value::Boolean(v)) => self.preallocate = v,
            ("remote.log.copy.disable", Value::Boolean(v)) => self.remote_log_copy_disable = v,
            ("remote.log.delete.on.disable", Value::Boolean(v)) => {
                self.remote_log_delete_on_disable = v;
            }
            ("remote.storage.enable", Value::Boolean(v)) => self.remote_storage_enable = v,
            ("retention.bytes", Value::Long(v)) => self.retention_bytes = (v >= 0).then_some(v),
            ("retention.ms", Value::Long(v)) => self.retention_ms = (v >= 0).then_some(v),
            ("segment.bytes", Value::Int(v)) => self.segment_bytes = v.unsigned_abs(),
            ("segment.index.bytes", Value::Int(v)) => self.segment_index_bytes = v.unsigned_abs(),
            ("segment.jitter.ms", Value::Long(v)) => self.segment_jitter_ms = v,
            ("segment.ms", Value::Long(v)) => self.segment_ms = v,
            ("unclean.leader.election.enable", Value::Boolean(v)) => {
                self.unclean_leader_election_enable = v;
            }
            (name, _) => unreachable!("{name} is in the table, but no topic setting is made of it"),
        }
        Ok(())
    }

    /// The start of [`TopicConfig::default`]: every field is set again from the table.
    fn empty() -> TopicConfig {
        TopicConfig {
            cleanup_policy: Cleanup {
                compact: false,
                delete: true,
            },
            compression_type: Compression::Producer,
            compression_gzip_level: 0,
            compression_lz4_level: 0,
            compression_zstd_level: 0,
            delete_retention_ms: 0,
            file_delete_delay_ms: 0,
            flush_messages: None,
            flush_ms: None,
            follower_throttled_replicas: Vec::new(),
            index_interval_bytes: 0,
            leader_throttled_replicas: Vec::new(),
            local_retention_bytes: 0,
            local_retention_ms: 0,
            max_compaction_lag_ms: 0,
            max_message_bytes: 0,
            message_timestamp_after_max_ms: 0,
            message_timestamp_before_max_ms: 0,
            message_timestamp_type: TimestampType::CreateTime,
            min_cleanable_dirty_ratio: 0.0,
            min_compaction_lag_ms: 0,
            min_insync_replicas: 0,
            preallocate: false,
            remote_log_copy_disable: false,
            remote_log_delete_on_disable: false,
            remote_storage_enable: false,
            retention_bytes: None,
            retention_ms: None,
            segment_bytes: 0,
            segment_index_bytes: 0,
            segment_jitter_ms: 0,
            segment_ms: 0,
            unclean_leader_election_enable: false,
        }
    }
}

/// What a broker's own keys say for a topic key.
pub(super) struct Given {
    /// The topic's text.
    pub(super) text: String,
    /// The broker's key.
    pub(super) by: &'static str,
}

/// What the broker's keys say for the topic key; `None` if they say nothing and the default holds.
pub(super) fn given_by_broker(
    key: &keys::Key,
    properties: &Properties,
) -> Result<Option<Given>, ConfigError> {
    let synonyms = keys::topic_synonyms(key.name).iter();
    let mut set = synonyms.filter_map(|synonym| Some((synonym, properties.get(synonym.name)?)));
    let Some((synonym, text)) = set.next() else {
        return Ok(None);
    };
    let broker = keys::broker_key(synonym.name).expect("a synonym is in the table");
    // Checked with the broker key first, so that an error names what the user wrote.
    let text = synonym.to_topic(&Value::parse(broker, text)?);
    // A negative time to keep is "no limit" on a broker and must be −1 on a topic.
    let limitless = key.name == "retention.ms" && text.starts_with('-');
    Ok(Some(Given {
        text: if limitless { "-1".to_owned() } else { text },
        by: synonym.name,
    }))
}

const INTERNAL_SEGMENT_BYTES: &str = "internal.segment.bytes";

/// Would this value be accepted for this topic key? Rules between keys (`min.compaction.lag.ms` not
/// above its maximum) need all of them: [`TopicConfig::resolve`] checks those.
pub fn validate_topic_config(name: &str, value: &str) -> Result<(), ConfigError> {
    let key = keys::topic_key(name).ok_or_else(|| unknown(name))?;
    Value::parse(key, value).map(|_| ())
}

fn unknown(name: &str) -> ConfigError {
    ConfigError::Unknown {
        key: name.to_owned(),
        resource: "topic",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(overrides: &[(&str, &str)]) -> Result<TopicConfig, ConfigError> {
        let overrides = overrides
            .iter()
            .map(|(key, value)| (key.to_string(), value.to_string()))
            .collect();
        TopicConfig::resolve(&TopicConfig::default(), &overrides)
    }

    #[test]
    fn the_defaults_are_kafkas() {
        let config = TopicConfig::default();
        assert_eq!(config.segment_bytes, 1 << 30);
        assert_eq!(config.retention_ms, Some(7 * 24 * 3600 * 1000));
        assert_eq!(config.retention_bytes, None);
        assert_eq!(config.max_message_bytes, 1_048_588);
        assert_eq!(config.flush_messages, None);
        assert_eq!(
            config.cleanup_policy,
            Cleanup {
                compact: false,
                delete: true
            }
        );
        assert_eq!(config.compression_lz4_level, 9);
        assert_eq!(config.min_insync_replicas, 1);
    }

    #[test]
    fn every_topic_key_can_be_set() {
        for key in keys::topic_keys() {
            let text = key.default.unwrap_or("1000");
            if key.name != "remote.storage.enable" {
                assert!(resolve(&[(key.name, text)]).is_ok(), "{}", key.name);
            }
        }
    }

    #[test]
    fn an_empty_cleanup_policy_keeps_everything() {
        let config = resolve(&[("cleanup.policy", "")]).unwrap();
        assert_eq!(
            config.cleanup_policy,
            Cleanup {
                compact: false,
                delete: false
            }
        );
    }

    #[test]
    fn an_unknown_key_is_refused() {
        assert!(matches!(
            resolve(&[("cleanup.polcy", "delete")]),
            Err(ConfigError::Unknown { .. })
        ));
    }

    #[test]
    fn a_value_out_of_range_is_refused() {
        for (key, value) in [
            ("segment.bytes", "14"),
            ("retention.ms", "-2"),
            ("min.insync.replicas", "0"),
            ("cleanup.policy", "forget"),
            ("compression.type", "GZIP"),
            ("compression.gzip.level", "0"),
            ("leader.replication.throttled.replicas", "0"),
            ("min.cleanable.dirty.ratio", "1.5"),
        ] {
            assert!(resolve(&[(key, value)]).is_err(), "{key}={value}");
        }
    }

    #[test]
    fn the_compaction_lags_must_be_in_order() {
        let error = resolve(&[
            ("min.compaction.lag.ms", "10"),
            ("max.compaction.lag.ms", "9"),
        ]);
        assert!(matches!(error, Err(ConfigError::Conflict { .. })));
    }

    #[test]
    fn tests_may_have_tiny_segments() {
        let config = resolve(&[
            ("internal.segment.bytes", "100"),
            ("segment.bytes", "1048576"),
        ]);
        assert_eq!(config.unwrap().segment_bytes, 100);
    }

    #[test]
    fn compaction_lag_bounds_how_long_a_segment_is_open() {
        let compacted = [
            ("cleanup.policy", "compact"),
            ("max.compaction.lag.ms", "5000"),
        ];
        assert_eq!(resolve(&compacted).unwrap().segment_ms_max(), 5000);
        assert_eq!(
            resolve(&compacted[1..]).unwrap().segment_ms_max(),
            604_800_000
        );
    }
}
