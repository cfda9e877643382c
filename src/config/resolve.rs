//! From what a user wrote to a checked [`BrokerConfig`]: read each key, fill in what is missing,
//! refuse what contradicts itself or would be unsafe, and note what the user should know.

use super::broker::{
    BrokerConfig, CleanerConfig, Directories, FetchConfig, GroupsConfig, ListenerConnections,
    LogsConfig, MetadataLogConfig, NetConfig, OffsetsConfig, OldVersions, ReplicationConfig, Roles,
    TopicsConfig, TransactionsConfig,
};
use super::group;
use super::keys::{self, Status};
use super::listener;
use super::report::{Report, What};
use super::value::Value;
use super::{ConfigError, Properties, TopicConfig};
use crate::types::NodeId;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;

/// Where Kafka's default needs three brokers, and what a node on its own takes instead. With
/// Kafka's own value no group would ever get a coordinator here.
const SINGLE_NODE: &[(&str, &str)] = &[
    ("offsets.topic.replication.factor", "1"),
    ("transaction.state.log.replication.factor", "1"),
    ("transaction.state.log.min.isr", "1"),
    ("share.coordinator.state.topic.replication.factor", "1"),
    ("share.coordinator.state.topic.min.isr", "1"),
];

/// What a key gets that Kafka demands and the user left out.
const IDENTITY: &[(&str, &str)] = &[("process.roles", "broker,controller"), ("node.id", "1")];

/// The least that `segment.bytes` of a topic may be.
const SEGMENT_BYTES_MIN: u32 = 1024 * 1024;

/// Keys that count replicas: none may ask for more than the one broker there is.
const REPLICAS: &[&str] = &[
    "default.replication.factor",
    "offsets.topic.replication.factor",
    "transaction.state.log.replication.factor",
    "share.coordinator.state.topic.replication.factor",
];

/// Keys of older releases, and of other products, that people still have in their files.
const HINTS: &[(&str, &str)] = &[
    ("advertised.host.name", "use advertised.listeners"),
    ("advertised.port", "use advertised.listeners"),
    (
        "broker.id.generation.enable",
        "gone with ZooKeeper: set node.id",
    ),
    ("control.plane.listener.name", "gone with ZooKeeper"),
    ("host.name", "use listeners"),
    (
        "inter.broker.protocol.version",
        "gone since Apache Kafka 4.0",
    ),
    (
        "log.message.downconversion.enable",
        "gone since Apache Kafka 4.0",
    ),
    ("log.message.format.version", "gone since Apache Kafka 4.0"),
    (
        "log.message.timestamp.difference.max.ms",
        "use log.message.timestamp.before.max.ms and log.message.timestamp.after.max.ms",
    ),
    (
        "offsets.commit.required.acks",
        "gone since Apache Kafka 4.0: always -1",
    ),
    ("port", "use listeners"),
    ("reserved.broker.max.id", "gone with ZooKeeper"),
    (
        "zookeeper.connect",
        "there is no ZooKeeper: metadata is kept by the nodes themselves",
    ),
];

pub(super) fn resolve(written: &Properties) -> Result<(BrokerConfig, Report), ConfigError> {
    let mut report = Report::default();
    let mut properties = written.clone();
    if let Some(error) = check_each(written, &mut report).into_iter().next() {
        return Err(error);
    }
    same_id(&mut properties)?;
    for (key, value) in IDENTITY.iter().chain(SINGLE_NODE) {
        if properties.get(key).is_none() {
            properties.set(*key, *value);
        }
    }
    if let Some(id) = properties.get("node.id").map(str::to_owned) {
        properties.set("broker.id", id);
    }
    if written.iter().next().is_some() {
        note_filled_in(written, &mut report);
    }
    let read = Read {
        properties: &properties,
    };
    let node_id = NodeId(read.int("node.id"));
    let roles = roles(&read)?;
    one_voter(&read, node_id)?;
    no_more_replicas_than_brokers(&read)?;
    let listeners = listener::resolve(&read, &mut report)?;
    let config = BrokerConfig {
        node_id,
        roles,
        rack: read.text("broker.rack"),
        listeners,
        old_versions: if read.boolean("ottla.old.api.versions.advertise") {
            OldVersions::Advertised
        } else {
            OldVersions::Quiet
        },
        directories: directories(&read)?,
        metadata_log: metadata_log(&read),
        net: net(&read)?,
        topics: TopicsConfig {
            auto_create: read.boolean("auto.create.topics.enable"),
            delete: read.boolean("delete.topic.enable"),
            partitions_default: read.count("num.partitions"),
            replication_factor_default: read.small("default.replication.factor"),
        },
        logs: logs(&read),
        cleaner: cleaner(&read),
        fetch: FetchConfig {
            bytes_max: read.count("fetch.max.bytes"),
            session_slots: read.count("max.incremental.fetch.session.cache.slots"),
            describe_partitions_max: read.count("max.request.partition.size.limit"),
        },
        offsets: offsets(&read)?,
        groups: groups(&read)?,
        transactions: TransactionsConfig {
            topic_partitions: read.count("transaction.state.log.num.partitions"),
            topic_replication_factor: read.small("transaction.state.log.replication.factor"),
            topic_min_insync_replicas: read.count("transaction.state.log.min.isr"),
            topic_segment_bytes: read.count("transaction.state.log.segment.bytes"),
            timeout_ms_max: read.count("transaction.max.timeout.ms"),
            id_expiration_ms: read.long("transactional.id.expiration.ms"),
        },
        replication: replication(&read)?,
        topic_defaults: topic_defaults(&read)?,
        properties: properties.clone(),
    };
    Ok((config, report))
}

/// Everything that stops a start with these, as far as it can be told at once.
pub(super) fn problems(written: &Properties) -> Vec<ConfigError> {
    let mut problems = check_each(written, &mut Report::default());
    let mut usable = written.clone();
    for key in problems.iter().filter_map(ConfigError::key) {
        usable.remove(key);
    }
    // What is wrong between keys shows only once each of them can be read.
    problems.extend(resolve(&usable).err());
    problems
}

/// Every key on its own: is it known, is its value of the right type and range, is it acted upon?
fn check_each(written: &Properties, report: &mut Report) -> Vec<ConfigError> {
    let mut wrong = Vec::new();
    for (name, text) in written.iter() {
        let Some(key) = keys::base_key(name) else {
            let hint = hint(name);
            report.add(name, text, What::Unknown { hint });
            continue;
        };
        let value = match Value::parse(key, text) {
            Ok(value) => value,
            Err(error) => {
                wrong.push(renamed(error, name));
                continue;
            }
        };
        match key.status {
            Status::Enforced => {}
            // What a node alone takes anyway is nothing to remark on.
            Status::NotYet if SINGLE_NODE.contains(&(name, text.trim())) => {}
            Status::NotYet => report.add(name, text, What::NotEnforced),
            Status::NotApplicable => report.add(name, text, What::NotApplicable),
            Status::Refuse(reason) => {
                let default = key
                    .default
                    .and_then(|default| Value::parse(key, default).ok());
                let unset = Some(&value) == default.as_ref()
                    || (default.is_none() && text.trim().is_empty());
                if !unset {
                    wrong.push(ConfigError::refused(name, text.trim(), reason));
                }
            }
        }
    }
    wrong
}

/// What a user who wrote an unknown key should know: what became of it, or what was meant.
fn hint(name: &str) -> Option<String> {
    if let Some((_, hint)) = HINTS.iter().find(|(old, _)| *old == name) {
        return Some((*hint).to_owned());
    }
    if keys::topic_key(name).is_some() {
        let broker = keys::topic_synonyms(name).first();
        return broker.map(|synonym| format!("a topic's key; a broker's is {}", synonym.name));
    }
    if name.len() > 100 {
        return None; // no key is as long, and comparing would cost more than it tells
    }
    let near = keys::broker_keys().min_by_key(|key| distance(key.name, name))?;
    // Two slips in a long name, one in a short one; further off it is another key.
    let slips = if name.len() > 12 { 2 } else { 1 };
    (distance(near.name, name) <= slips).then(|| format!("did you mean {}?", near.name))
}

/// How many letters must be put in, left out or replaced to make one name of the other.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.bytes().enumerate() {
            let replaced = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

/// An error about `listener.name.x.ssl.y` should not name `ssl.y`.
fn renamed(error: ConfigError, name: &str) -> ConfigError {
    match error {
        ConfigError::Value { value, reason, .. } => ConfigError::Value {
            key: name.to_owned(),
            value,
            reason,
        },
        ConfigError::List { reason, .. } => ConfigError::List {
            key: name.to_owned(),
            reason,
        },
        other => other,
    }
}

/// `node.id` and the older `broker.id` stand for each other (`AbstractKafkaConfig.populateSynonyms`).
fn same_id(properties: &mut Properties) -> Result<(), ConfigError> {
    let id =
        |properties: &Properties, key: &str| properties.get(key).map(|id| id.trim().to_owned());
    match (id(properties, "node.id"), id(properties, "broker.id")) {
        (None, Some(id)) => {
            let node = keys::broker_key("node.id").expect("node.id is in the table");
            Value::parse(node, &id).map_err(|error| renamed(error, "broker.id"))?;
            properties.set("node.id", id);
        }
        (Some(node), Some(broker)) if node != broker => {
            return Err(ConfigError::conflict(format!(
                "node.id={node} and broker.id={broker} must be the same number"
            )));
        }
        (Some(_), _) | (None, None) => {}
    }
    Ok(())
}

fn note_filled_in(written: &Properties, report: &mut Report) {
    let unset = |key: &str| written.get(key).is_none();
    for (key, value) in IDENTITY {
        let by_other_name = *key == "node.id" && written.get("broker.id").is_some();
        if unset(key) && !by_other_name {
            report.add(
                key,
                value,
                What::Differs {
                    how: format!("not set; taken as {value}"),
                },
            );
        }
    }
    for (key, value) in SINGLE_NODE {
        if unset(key) {
            let default = keys::broker_key(key)
                .and_then(|key| key.default)
                .unwrap_or("");
            let how = format!("not set; {value} on a node alone (Apache Kafka: {default})");
            report.add(key, value, What::Differs { how });
        }
    }
}

fn roles(read: &Read<'_>) -> Result<Roles, ConfigError> {
    let named = read.list("process.roles");
    let roles = Roles {
        broker: named.iter().any(|role| role == "broker"),
        controller: named.iter().any(|role| role == "controller"),
    };
    if !(roles.broker && roles.controller) {
        return Err(ConfigError::refused(
            "process.roles",
            &named.join(","),
            "only broker,controller together is available: clusters of several nodes are not yet",
        ));
    }
    Ok(roles)
}

fn one_voter(read: &Read<'_>, node_id: NodeId) -> Result<(), ConfigError> {
    let voters = read.list("controller.quorum.voters");
    let only_here = "clusters of several nodes are not available yet, and a node that leaves its \
                     peers out would hold other data than they do";
    for (key, entries) in [
        ("controller.quorum.voters", &voters),
        (
            "controller.quorum.bootstrap.servers",
            &read.list("controller.quorum.bootstrap.servers"),
        ),
    ] {
        if entries.len() > 1 {
            return Err(ConfigError::refused(key, &entries.join(","), only_here));
        }
    }
    match voters.first().and_then(|voter| voter.split_once('@')) {
        Some((id, _)) if id.parse() != Ok(node_id.get()) => Err(ConfigError::conflict(format!(
            "controller.quorum.voters={} does not name this node (node.id={node_id})",
            voters.join(",")
        ))),
        _ => Ok(()),
    }
}

fn no_more_replicas_than_brokers(read: &Read<'_>) -> Result<(), ConfigError> {
    for key in REPLICAS {
        let replicas = read.whole(key);
        if replicas > 1 {
            let reason = "more replicas than brokers: there is one broker, so set it to 1";
            return Err(ConfigError::refused(key, &replicas.to_string(), reason));
        }
    }
    Ok(())
}

fn directories(read: &Read<'_>) -> Result<Directories, ConfigError> {
    let mut named = read.list("log.dirs");
    if named.is_empty() {
        named = read.list("log.dir");
    }
    let cordoned = read.list("cordoned.log.dirs");
    if cordoned.iter().any(|dir| dir == "*") {
        if cordoned.len() > 1 {
            return Err(ConfigError::conflict(
                "cordoned.log.dirs: * must stand alone",
            ));
        }
    } else if let Some(dir) = cordoned.iter().find(|dir| !named.contains(dir)) {
        return Err(ConfigError::conflict(format!(
            "cordoned.log.dirs: {dir} is not one of the log directories ({})",
            named.join(", ")
        )));
    }
    let log_dirs: Vec<PathBuf> = named.iter().map(PathBuf::from).collect();
    let cordoned = if cordoned.iter().any(|dir| dir == "*") {
        log_dirs.clone()
    } else {
        cordoned.iter().map(PathBuf::from).collect()
    };
    let metadata_dir = read.text("metadata.log.dir").map(PathBuf::from);
    let metadata_dir = metadata_dir
        .or_else(|| log_dirs.first().cloned())
        .unwrap_or_default();
    if !log_dirs.contains(&metadata_dir) {
        return Err(ConfigError::expected(
            "metadata.log.dir",
            &metadata_dir.to_string_lossy(),
            format!("one of log.dirs ({})", named.join(", ")),
        ));
    }
    let count = u32::try_from(log_dirs.len()).unwrap_or(u32::MAX);
    Ok(Directories {
        log_dirs,
        metadata_dir,
        cordoned,
        move_threads: read
            .optional_count("num.replica.alter.log.dirs.threads")
            .unwrap_or(count),
        move_bytes_per_second_max: read.long("replica.alter.log.dirs.io.max.bytes.per.second"),
    })
}

fn net(read: &Read<'_>) -> Result<NetConfig, ConfigError> {
    let request_bytes_max = read.count("socket.request.max.bytes");
    let queued = read.whole("queued.max.request.bytes");
    let queued_request_bytes_max = u64::try_from(queued).ok().filter(|bytes| *bytes > 0);
    if queued_request_bytes_max.is_some_and(|bytes| bytes < request_bytes_max.into()) {
        return Err(ConfigError::conflict(format!(
            "queued.max.request.bytes={queued} must not be below \
             socket.request.max.bytes={request_bytes_max}: no such request could ever be read"
        )));
    }
    let connections_per_ip_max = read.count("max.connections.per.ip");
    let connections_per_ip_overrides = overrides(read)?;
    if connections_per_ip_max == 0 && connections_per_ip_overrides.is_empty() {
        return Err(ConfigError::conflict(
            "max.connections.per.ip=0 lets nobody in without max.connections.per.ip.overrides",
        ));
    }
    let connection_idle_ms_max = u64::try_from(read.whole("connections.max.idle.ms")).ok();
    let delay = read.long("connection.failed.authentication.delay.ms");
    if connection_idle_ms_max.is_some_and(|idle| delay >= idle) {
        return Err(ConfigError::conflict(
            "connection.failed.authentication.delay.ms must be below connections.max.idle.ms",
        ));
    }
    // −1 means "as the operating system has it"; Kafka hands any other value to the socket.
    let buffer = |key: &str| u32::try_from(read.whole(key)).ok();
    Ok(NetConfig {
        request_bytes_max,
        queued_request_bytes_max,
        queued_requests_max: read.count("queued.max.requests"),
        send_buffer_bytes: buffer("socket.send.buffer.bytes"),
        receive_buffer_bytes: buffer("socket.receive.buffer.bytes"),
        listen_backlog: read.count("socket.listen.backlog.size"),
        connections_max: read.count("max.connections"),
        connections_per_ip_max,
        connections_per_ip_overrides,
        connection_creation_rate_max: read.count("max.connection.creation.rate"),
        of_listeners: of_listeners(read),
        connection_idle_ms_max,
        request_timeout_ms: read.count("request.timeout.ms"),
        telemetry_bytes_max: read.count("telemetry.max.bytes"),
    })
}

fn overrides(read: &Read<'_>) -> Result<BTreeMap<IpAddr, u32>, ConfigError> {
    let key = "max.connections.per.ip.overrides";
    let text = read.text(key).unwrap_or_default();
    let mut overrides = BTreeMap::new();
    let entries = text.split(',').map(str::trim);
    for entry in entries.filter(|entry| !entry.is_empty()) {
        let parsed = entry
            .rsplit_once(':')
            .and_then(|(host, count)| Some((host.trim(), count.trim().parse().ok()?)));
        let (host, count) = parsed
            .filter(|(host, _)| !host.is_empty())
            .ok_or_else(|| ConfigError::expected(key, &text, "host:count,host:count"))?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        match host.parse::<IpAddr>() {
            Ok(address) => {
                overrides.insert(address.to_canonical(), count);
            }
            Err(_) if host == "localhost" => {
                overrides.insert(Ipv4Addr::LOCALHOST.into(), count);
                overrides.insert(Ipv6Addr::LOCALHOST.into(), count);
            }
            Err(_) => {
                let reason = "host names are not looked up: use the address";
                return Err(ConfigError::refused(key, &text, reason));
            }
        }
    }
    Ok(overrides)
}

/// Keys with the prefix `listener.name.<name>.`.
fn of_listeners(read: &Read<'_>) -> BTreeMap<String, ListenerConnections> {
    let mut of_listeners = BTreeMap::new();
    for (name, text) in read.properties.iter() {
        let Some((listener, base)) = name
            .strip_prefix("listener.name.")
            .and_then(|rest| rest.split_once('.'))
        else {
            continue;
        };
        let limit = text.trim().parse().ok();
        let limits: &mut ListenerConnections = match base {
            "max.connections" | "max.connection.creation.rate" => {
                of_listeners.entry(listener.to_uppercase()).or_default()
            }
            _ => continue,
        };
        if base == "max.connections" {
            limits.count_max = limit;
        } else {
            limits.rate_max = limit;
        }
    }
    of_listeners
}

fn logs(read: &Read<'_>) -> LogsConfig {
    let flush_check = read.whole("log.flush.scheduler.interval.ms");
    LogsConfig {
        retention_check_interval_ms: read.long("log.retention.check.interval.ms"),
        initial_task_delay_ms: read.long("log.initial.task.delay.ms"),
        flush_check_interval_ms: u64::try_from(flush_check)
            .ok()
            .filter(|ms| *ms > 0 && flush_check < i64::MAX),
        recovery_point_checkpoint_interval_ms: read.long("log.flush.offset.checkpoint.interval.ms"),
        log_start_checkpoint_interval_ms: read
            .long("log.flush.start.offset.checkpoint.interval.ms"),
        high_watermark_checkpoint_interval_ms: read
            .long("replica.high.watermark.checkpoint.interval.ms")
            .max(1),
        recovery_threads_per_dir: read.count("num.recovery.threads.per.data.dir"),
        dir_failure_timeout_ms: read.long("log.dir.failure.timeout.ms"),
        producer_id_expiration_ms: read.long("producer.id.expiration.ms"),
        producer_id_expiration_check_interval_ms: read
            .long("producer.id.expiration.check.interval.ms"),
    }
}

fn metadata_log(read: &Read<'_>) -> MetadataLogConfig {
    let limit = |name| u64::try_from(read.whole(name)).ok();
    let for_tests = read.value("internal.metadata.log.segment.bytes");
    MetadataLogConfig {
        segment_bytes: read.long(match for_tests {
            Some(_) => "internal.metadata.log.segment.bytes",
            None => "metadata.log.segment.bytes",
        }),
        segment_ms: read.whole("metadata.log.segment.ms"),
        snapshot_bytes: read.long("metadata.log.max.record.bytes.between.snapshots"),
        snapshot_interval_ms: limit("metadata.log.max.snapshot.interval.ms").filter(|ms| *ms > 0),
        retention_bytes: limit("metadata.max.retention.bytes"),
        retention_ms: limit("metadata.max.retention.ms"),
        file_delete_delay_ms: read.whole("internal.metadata.delete.delay.millis"),
    }
}

fn cleaner(read: &Read<'_>) -> CleanerConfig {
    CleanerConfig {
        enable: read.boolean("log.cleaner.enable"),
        threads: read.count("log.cleaner.threads"),
        dedupe_bytes: read.long("log.cleaner.dedupe.buffer.size"),
        load_factor: read.double("log.cleaner.io.buffer.load.factor"),
        io_buffer_bytes: read.count("log.cleaner.io.buffer.size"),
        io_bytes_per_second_max: read.double("log.cleaner.io.max.bytes.per.second"),
        backoff_ms: read.long("log.cleaner.backoff.ms"),
    }
}

fn offsets(read: &Read<'_>) -> Result<OffsetsConfig, ConfigError> {
    let codec = read.whole("offsets.topic.compression.codec");
    let topic_compression = u8::try_from(codec)
        .ok()
        .filter(|codec| *codec <= 4)
        .ok_or_else(|| {
            ConfigError::expected(
                "offsets.topic.compression.codec",
                &codec.to_string(),
                "0 (none), 1 (gzip), 2 (snappy), 3 (lz4) or 4 (zstd)",
            )
        })?;
    // Kafka accepts less, and then no group ever finds a coordinator: the topic cannot be made.
    let topic_segment_bytes = read.count("offsets.topic.segment.bytes");
    if topic_segment_bytes < SEGMENT_BYTES_MIN {
        return Err(ConfigError::expected(
            "offsets.topic.segment.bytes",
            &topic_segment_bytes.to_string(),
            format!("at least {SEGMENT_BYTES_MIN}, the smallest segment of a topic"),
        ));
    }
    Ok(OffsetsConfig {
        topic_partitions: read.count("offsets.topic.num.partitions"),
        topic_replication_factor: read.small("offsets.topic.replication.factor"),
        topic_segment_bytes,
        topic_compression,
        retention_ms: read.long("offsets.retention.minutes") * 60 * 1000,
        retention_check_interval_ms: read.long("offsets.retention.check.interval.ms"),
        commit_timeout_ms: read.count("offsets.commit.timeout.ms"),
        load_buffer_bytes: read.count("offsets.load.buffer.size"),
        metadata_bytes_max: read.count("offset.metadata.max.bytes"),
    })
}

fn groups(read: &Read<'_>) -> Result<GroupsConfig, ConfigError> {
    let protocols = read.list("group.coordinator.rebalance.protocols");
    if !protocols.iter().any(|protocol| protocol == "classic") {
        return Err(ConfigError::conflict(
            "group.coordinator.rebalance.protocols: classic cannot be left out",
        ));
    }
    // What a group gets that sets nothing must be within the broker's own bounds.
    group::validate_group_config(&BTreeMap::new(), read.properties)?;
    Ok(GroupsConfig {
        session_timeout_ms_min: read.int("group.min.session.timeout.ms"),
        session_timeout_ms_max: read.int("group.max.session.timeout.ms"),
        initial_rebalance_delay_ms: read.count("group.initial.rebalance.delay.ms"),
        members_max: read.count("group.max.size"),
    })
}

fn replication(read: &Read<'_>) -> Result<ReplicationConfig, ConfigError> {
    let fetch_wait_ms_max = read.count("replica.fetch.wait.max.ms");
    let lag_ms_max = read.long("replica.lag.time.max.ms");
    for (key, limit) in [
        (
            "replica.socket.timeout.ms",
            read.long("replica.socket.timeout.ms"),
        ),
        ("replica.lag.time.max.ms", lag_ms_max),
    ] {
        if u64::from(fetch_wait_ms_max) > limit {
            return Err(ConfigError::conflict(format!(
                "replica.fetch.wait.max.ms={fetch_wait_ms_max} must not be above {key}={limit}"
            )));
        }
    }
    Ok(ReplicationConfig {
        lag_ms_max,
        fetch_wait_ms_max,
        fetch_bytes_min: read.count("replica.fetch.min.bytes"),
        fetch_partition_bytes_max: read.count("replica.fetch.max.bytes"),
        fetch_bytes_max: read.count("replica.fetch.response.max.bytes"),
        fetch_backoff_ms: read.count("replica.fetch.backoff.ms"),
        fetchers: read.count("num.replica.fetchers"),
        heartbeat_interval_ms: read.count("broker.heartbeat.interval.ms"),
        session_timeout_ms: read.count("broker.session.timeout.ms"),
    })
}

fn topic_defaults(read: &Read<'_>) -> Result<TopicConfig, ConfigError> {
    let per_thread =
        read.whole("log.cleaner.dedupe.buffer.size") / read.whole("log.cleaner.threads").max(1);
    if per_thread <= 1024 * 1024 {
        return Err(ConfigError::conflict(
            "log.cleaner.dedupe.buffer.size must be above 1 MiB for each of log.cleaner.threads",
        ));
    }
    let defaults = TopicConfig::from_broker(read.properties)?;
    if defaults.retention_ms == Some(0) {
        return Err(ConfigError::conflict(
            "log.retention.ms (or .minutes, .hours) must be at least 1, or -1 for ever: 0 would \
             delete everything at once",
        ));
    }
    Ok(defaults)
}

/// Reads checked values: what is set, or the table's default. Asking for a key by the wrong type is
/// a mistake of ours.
pub(super) struct Read<'a> {
    pub(super) properties: &'a Properties,
}

impl Read<'_> {
    fn value(&self, name: &str) -> Option<Value> {
        let key = keys::broker_key(name);
        let key = key.unwrap_or_else(|| unreachable!("{name} is not in the table"));
        let text = self.properties.get(name).or(key.default)?;
        let value = Value::parse(key, text);
        Some(value.unwrap_or_else(|error| unreachable!("checked before: {error}")))
    }

    pub(super) fn is_set(&self, name: &str) -> bool {
        self.properties.get(name).is_some()
    }

    pub(super) fn text(&self, name: &str) -> Option<String> {
        match self.value(name)? {
            Value::String(text) => Some(text),
            other => unreachable!("{name} is no string but {other:?}"),
        }
    }

    /// Empty where the value is null.
    pub(super) fn list(&self, name: &str) -> Vec<String> {
        match self.value(name) {
            None => Vec::new(),
            Some(Value::List(entries)) => entries,
            Some(other) => unreachable!("{name} is no list but {other:?}"),
        }
    }

    fn boolean(&self, name: &str) -> bool {
        match self.value(name) {
            Some(Value::Boolean(value)) => value,
            other => unreachable!("{name} is no boolean but {other:?}"),
        }
    }

    fn double(&self, name: &str) -> f64 {
        match self.value(name) {
            Some(Value::Double(value)) => value,
            other => unreachable!("{name} is no double but {other:?}"),
        }
    }

    /// Any whole number.
    fn whole(&self, name: &str) -> i64 {
        match self.value(name) {
            Some(Value::Short(value)) => value.into(),
            Some(Value::Int(value)) => value.into(),
            Some(Value::Long(value)) => value,
            other => unreachable!("{name} is no whole number but {other:?}"),
        }
    }

    pub(super) fn int(&self, name: &str) -> i32 {
        match self.value(name) {
            Some(Value::Int(value)) => value,
            other => unreachable!("{name} is no int but {other:?}"),
        }
    }

    /// An int that counts something. Some of Kafka's have no lower bound; below zero there is
    /// nothing to count.
    fn count(&self, name: &str) -> u32 {
        u32::try_from(self.int(name)).unwrap_or(0)
    }

    /// The same of a key that need not have a value.
    fn optional_count(&self, name: &str) -> Option<u32> {
        self.value(name).map(|_| self.count(name))
    }

    /// A number that is known to be small, such as a count of replicas.
    fn small(&self, name: &str) -> u16 {
        u16::try_from(self.whole(name)).unwrap_or(0)
    }

    /// An int or long that counts something, such as milliseconds.
    fn long(&self, name: &str) -> u64 {
        u64::try_from(self.whole(name)).unwrap_or(0)
    }
}

#[cfg(test)]
#[path = "resolve_tests.rs"]
mod tests;
