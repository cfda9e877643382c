//! What a broker is configured to do, checked and typed.

use super::listener::Listeners;
use super::report::Report;
use super::{ConfigError, Properties, TopicConfig, resolve};
use crate::types::NodeId;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Everything a broker reads at start. Times are milliseconds; `None` is "no limit".
#[derive(Debug, Clone, PartialEq)]
pub struct BrokerConfig {
    /// `node.id`, or the older `broker.id`.
    pub node_id: NodeId,
    pub roles: Roles,
    /// `broker.rack`.
    pub rack: Option<String>,
    pub listeners: Listeners,
    /// `ottla.old.api.versions.advertise`.
    pub old_versions: OldVersions,
    pub directories: Directories,
    pub metadata_log: MetadataLogConfig,
    pub net: NetConfig,
    pub topics: TopicsConfig,
    pub logs: LogsConfig,
    pub cleaner: CleanerConfig,
    pub fetch: FetchConfig,
    pub offsets: OffsetsConfig,
    pub groups: GroupsConfig,
    pub transactions: TransactionsConfig,
    pub replication: ReplicationConfig,
    /// What a topic gets that overrides nothing.
    pub topic_defaults: TopicConfig,
    /// The texts behind all this, for DescribeConfigs: what the user set, and where Ottla's own
    /// default differs from Kafka's. Holds secrets; do not print.
    pub properties: Properties,
}

/// `process.roles`. Both, today: see [`BrokerConfig::from_properties`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Roles {
    pub broker: bool,
    pub controller: bool,
}

/// Whether clients are told of API versions that only Apache Kafka before 4.0 has. They are served anyway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OldVersions {
    Quiet,
    Advertised,
}

/// Where the node keeps its files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directories {
    /// `log.dirs`, or `log.dir`. Never empty.
    pub log_dirs: Vec<PathBuf>,
    /// `metadata.log.dir`, or the first of `log_dirs`.
    pub metadata_dir: PathBuf,
    /// `cordoned.log.dirs`: those of `log_dirs` that take no new partitions (KIP-1066).
    pub cordoned: Vec<PathBuf>,
    /// `num.replica.alter.log.dirs.threads`: replicas that are copied to another directory at once.
    pub move_threads: u32,
    /// `replica.alter.log.dirs.io.max.bytes.per.second`, over all copies.
    pub move_bytes_per_second_max: u64,
}

impl Directories {
    /// Whether no directory takes new partitions.
    pub fn all_cordoned(&self) -> bool {
        let mut dirs = self.log_dirs.iter();
        dirs.all(|dir| self.cordoned.contains(dir))
    }
}

/// Sockets, and how much of the outside is let in at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetConfig {
    /// `socket.request.max.bytes`: a longer frame closes its connection. At least 1.
    pub request_bytes_max: u32,
    /// `queued.max.request.bytes`: requests in memory, over all connections.
    pub queued_request_bytes_max: Option<u64>,
    /// `queued.max.requests`. At least 1.
    pub queued_requests_max: u32,
    /// `socket.send.buffer.bytes`; `None` leaves the operating system's.
    pub send_buffer_bytes: Option<u32>,
    /// `socket.receive.buffer.bytes`; `None` leaves the operating system's.
    pub receive_buffer_bytes: Option<u32>,
    /// `socket.listen.backlog.size`. At least 1.
    pub listen_backlog: u32,
    /// `max.connections`, over all listeners.
    pub connections_max: u32,
    /// `max.connections.per.ip`.
    pub connections_per_ip_max: u32,
    /// `max.connections.per.ip.overrides`: an address, and its own limit.
    pub connections_per_ip_overrides: BTreeMap<IpAddr, u32>,
    /// `max.connection.creation.rate`: new connections a second.
    pub connection_creation_rate_max: u32,
    /// What `listener.name.<name>.max.connections` and `….max.connection.creation.rate` say, by the
    /// listener's name in upper case.
    pub of_listeners: BTreeMap<String, ListenerConnections>,
    /// `connections.max.idle.ms`.
    pub connection_idle_ms_max: Option<u64>,
    /// `request.timeout.ms`: how long another broker may take to answer.
    pub request_timeout_ms: u32,
    /// `telemetry.max.bytes`: the longest push of metrics that is taken. At least 1.
    pub telemetry_bytes_max: u32,
}

/// Limits of one listener, beside those of all. `None` where it has none of its own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ListenerConnections {
    pub count_max: Option<u32>,
    /// New connections a second.
    pub rate_max: Option<u32>,
}

/// The log of the cluster's metadata, and its snapshots.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetadataLogConfig {
    /// `metadata.log.segment.bytes`, or for tests `internal.metadata.log.segment.bytes`.
    pub segment_bytes: u64,
    /// `metadata.log.segment.ms`.
    pub segment_ms: i64,
    /// `metadata.log.max.record.bytes.between.snapshots`. At least 1.
    pub snapshot_bytes: u64,
    /// `metadata.log.max.snapshot.interval.ms`; `None`: only the bytes count.
    pub snapshot_interval_ms: Option<u64>,
    /// `metadata.max.retention.bytes`, of log and snapshots together.
    pub retention_bytes: Option<u64>,
    /// `metadata.max.retention.ms`, of snapshots and what the log has below them.
    pub retention_ms: Option<u64>,
    /// `internal.metadata.delete.delay.millis`.
    pub file_delete_delay_ms: i64,
}

impl MetadataLogConfig {
    pub fn snapshot_interval(&self) -> Option<Duration> {
        self.snapshot_interval_ms.map(Duration::from_millis)
    }
}

/// How topics come and go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicsConfig {
    /// `auto.create.topics.enable`.
    pub auto_create: bool,
    /// `delete.topic.enable`.
    pub delete: bool,
    /// `num.partitions`. At least 1.
    pub partitions_default: u32,
    /// `default.replication.factor`. At least 1.
    pub replication_factor_default: u16,
}

/// What all logs of the broker share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogsConfig {
    /// `log.retention.check.interval.ms`. At least 1.
    pub retention_check_interval_ms: u64,
    /// `log.initial.task.delay.ms`: before the first retention check, flush and checkpoint.
    pub initial_task_delay_ms: u64,
    /// `log.flush.scheduler.interval.ms`: how often logs are looked at for `flush.ms`.
    pub flush_check_interval_ms: Option<u64>,
    /// `log.flush.offset.checkpoint.interval.ms`: writing `recovery-point-offset-checkpoint`.
    pub recovery_point_checkpoint_interval_ms: u64,
    /// `log.flush.start.offset.checkpoint.interval.ms`: writing `log-start-offset-checkpoint`.
    pub log_start_checkpoint_interval_ms: u64,
    /// `replica.high.watermark.checkpoint.interval.ms`: writing `replication-offset-checkpoint`.
    pub high_watermark_checkpoint_interval_ms: u64,
    /// `num.recovery.threads.per.data.dir`. At least 1.
    pub recovery_threads_per_dir: u32,
    /// `log.dir.failure.timeout.ms`.
    pub dir_failure_timeout_ms: u64,
    /// `producer.id.expiration.ms`: an idle producer is forgotten after this.
    pub producer_id_expiration_ms: u64,
    /// `producer.id.expiration.check.interval.ms`.
    pub producer_id_expiration_check_interval_ms: u64,
}

/// The cleaner, which compacts logs.
#[derive(Debug, Clone, PartialEq)]
pub struct CleanerConfig {
    /// `log.cleaner.enable`.
    pub enable: bool,
    /// `log.cleaner.threads`: logs that are compacted at once.
    pub threads: u32,
    /// `log.cleaner.dedupe.buffer.size`: bytes for the keys of all threads together. Above 1 MiB each.
    pub dedupe_bytes: u64,
    /// `log.cleaner.io.buffer.load.factor`: how full a table of keys may be, 0 to 1.
    pub load_factor: f64,
    /// `log.cleaner.io.buffer.size`: bytes that all threads together read and write at once.
    pub io_buffer_bytes: u32,
    /// `log.cleaner.io.max.bytes.per.second`, of all threads together.
    pub io_bytes_per_second_max: f64,
    /// `log.cleaner.backoff.ms`: pause when there is nothing to do.
    pub backoff_ms: u64,
}

/// What one fetch may ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchConfig {
    /// `fetch.max.bytes`: a response is never larger, one whole batch aside. At least 1024.
    pub bytes_max: u32,
    /// `max.incremental.fetch.session.cache.slots`.
    pub session_slots: u32,
    /// `max.request.partition.size.limit`: partitions in one DescribeTopicPartitions response.
    pub describe_partitions_max: u32,
}

/// `__consumer_offsets` and what is kept there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OffsetsConfig {
    /// `offsets.topic.num.partitions`. At least 1.
    pub topic_partitions: u32,
    /// `offsets.topic.replication.factor`. At least 1.
    pub topic_replication_factor: u16,
    /// `offsets.topic.segment.bytes`. At least 1.
    pub topic_segment_bytes: u32,
    /// `offsets.topic.compression.codec`: 0 none, 1 gzip, 2 snappy, 3 lz4, 4 zstd.
    pub topic_compression: u8,
    /// `offsets.retention.minutes`, as milliseconds.
    pub retention_ms: u64,
    /// `offsets.retention.check.interval.ms`. At least 1.
    pub retention_check_interval_ms: u64,
    /// `offsets.commit.timeout.ms`: how long a commit waits for its replicas.
    pub commit_timeout_ms: u32,
    /// `offsets.load.buffer.size`: read at once when a partition is loaded.
    pub load_buffer_bytes: u32,
    /// `offset.metadata.max.bytes`: the text beside an offset.
    pub metadata_bytes_max: u32,
}

/// Classic groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupsConfig {
    /// `group.min.session.timeout.ms`.
    pub session_timeout_ms_min: i32,
    /// `group.max.session.timeout.ms`.
    pub session_timeout_ms_max: i32,
    /// `group.initial.rebalance.delay.ms`: an empty group waits so long for more members.
    pub initial_rebalance_delay_ms: u32,
    /// `group.max.size`: members. At least 1.
    pub members_max: u32,
}

/// Transactions, and the ids of idempotent producers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransactionsConfig {
    /// `transaction.state.log.num.partitions`. At least 1.
    pub topic_partitions: u32,
    /// `transaction.state.log.replication.factor`. At least 1.
    pub topic_replication_factor: u16,
    /// `transaction.state.log.min.isr`. At least 1.
    pub topic_min_insync_replicas: u32,
    /// `transaction.state.log.segment.bytes`. At least 1.
    pub topic_segment_bytes: u32,
    /// `transaction.max.timeout.ms`.
    pub timeout_ms_max: u32,
    /// `transactional.id.expiration.ms`.
    pub id_expiration_ms: u64,
}

/// What leader and followers hold each other to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplicationConfig {
    /// `replica.lag.time.max.ms`.
    pub lag_ms_max: u64,
    /// `replica.fetch.wait.max.ms`.
    pub fetch_wait_ms_max: u32,
    /// `replica.fetch.min.bytes`.
    pub fetch_bytes_min: u32,
    /// `replica.fetch.max.bytes`, for one partition.
    pub fetch_partition_bytes_max: u32,
    /// `replica.fetch.response.max.bytes`.
    pub fetch_bytes_max: u32,
    /// `replica.fetch.backoff.ms`.
    pub fetch_backoff_ms: u32,
    /// `num.replica.fetchers`. At least 1.
    pub fetchers: u32,
    /// `broker.heartbeat.interval.ms`.
    pub heartbeat_interval_ms: u32,
    /// `broker.session.timeout.ms`.
    pub session_timeout_ms: u32,
}

impl Default for BrokerConfig {
    /// What runs when there is no file: one node with id 1 on localhost:9092, internal topics with
    /// one replica, everything else as Kafka has it.
    fn default() -> BrokerConfig {
        match BrokerConfig::from_properties(&Properties::embedded()) {
            Ok((config, _)) => config,
            Err(error) => unreachable!("the embedded default is valid: {error}"),
        }
    }
}

impl BrokerConfig {
    /// Checks what a user wrote, and fills in the rest.
    ///
    /// Keys that are not set get Kafka's default, except where a single node could not run with it
    /// (replicas of internal topics); the report says so. Unknown keys are reported and ignored.
    /// Errors: a value of a wrong type or out of range; values that contradict each other; and what
    /// it would be unsafe to accept without enforcing it.
    pub fn from_properties(properties: &Properties) -> Result<(BrokerConfig, Report), ConfigError> {
        resolve::resolve(properties)
    }

    /// Everything that [`BrokerConfig::from_properties`] would refuse, not only the first of it.
    /// Empty if it would refuse nothing.
    pub fn problems(properties: &Properties) -> Vec<ConfigError> {
        resolve::problems(properties)
    }
}
