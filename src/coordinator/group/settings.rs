//! What an operator may set.

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
        }
    }
}
