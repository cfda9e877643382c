//! What people hand to a broker, and what becomes of it.

use super::*;
use crate::config::SecurityProtocol;

fn from(text: &str) -> Result<(BrokerConfig, Report), ConfigError> {
    BrokerConfig::from_properties(&Properties::parse(text).unwrap())
}

fn refusal(text: &str) -> String {
    match from(text) {
        Err(error) => error.to_string(),
        Ok(_) => panic!("accepted: {text}"),
    }
}

/// The keys that Apache Kafka's own `config/server.properties` sets.
const SAMPLE: &str = "
process.roles=broker,controller
node.id=1
controller.quorum.bootstrap.servers=localhost:9093
listeners=PLAINTEXT://:9092,CONTROLLER://:9093
inter.broker.listener.name=PLAINTEXT
advertised.listeners=PLAINTEXT://localhost:9092,CONTROLLER://localhost:9093
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT,SASL_SSL:SASL_SSL
num.network.threads=3
num.io.threads=8
socket.send.buffer.bytes=102400
socket.receive.buffer.bytes=102400
socket.request.max.bytes=104857600
log.dirs=/tmp/kraft-combined-logs
num.partitions=1
num.recovery.threads.per.data.dir=2
offsets.topic.replication.factor=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
log.retention.hours=168
log.segment.bytes=1073741824
log.retention.check.interval.ms=300000
";

#[test]
fn without_a_file_one_node_listens_on_localhost() {
    let config = BrokerConfig::default();
    assert_eq!(config.node_id, NodeId(1));
    assert_eq!(config.listeners.bound.len(), 1);
    assert_eq!(
        config.listeners.bound[0].to_string(),
        "PLAINTEXT://localhost:9092"
    );
    assert_eq!(config.listeners.inter_broker, "PLAINTEXT");
    assert_eq!(config.directories.log_dirs, [PathBuf::from("ottla-data")]);
    assert_eq!(config.offsets.topic_replication_factor, 1);
    assert_eq!(config.offsets.topic_partitions, 50);
    assert_eq!(config.net.request_bytes_max, 104_857_600);
    assert_eq!(config.net.queued_request_bytes_max, None);
    assert_eq!(config.groups.initial_rebalance_delay_ms, 3000);
    assert_eq!(config.offsets.retention_ms, 7 * 24 * 3600 * 1000);
    assert_eq!(config.topic_defaults, TopicConfig::default());
}

#[test]
fn the_embedded_default_has_nothing_to_report() {
    let (_, report) = BrokerConfig::from_properties(&Properties::embedded()).unwrap();
    assert_eq!(report, Report::default());
}

#[test]
fn kafkas_own_sample_file_starts() {
    let (config, report) = from(SAMPLE).unwrap();
    assert_eq!(config.listeners.bound.len(), 1);
    assert_eq!(config.listeners.controller[0].port, 9093);
    assert_eq!(
        config.listeners.advertised[0].host.as_deref(),
        Some("localhost")
    );
    assert_eq!(
        config.directories.metadata_dir,
        PathBuf::from("/tmp/kraft-combined-logs")
    );
    let unknown = report
        .lines
        .iter()
        .find(|line| matches!(line.what, What::Unknown { .. }));
    assert_eq!(unknown, None);
}

#[test]
fn what_testcontainers_sets_starts() {
    let env = [
        (
            "KAFKA_ADVERTISED_LISTENERS",
            "PLAINTEXT://localhost:32768,BROKER://4f2d:9093,TC-0://k:19092",
        ),
        (
            "KAFKA_LISTENERS",
            "PLAINTEXT://:9092,BROKER://:9093,CONTROLLER://:9094,TC-0://:19092",
        ),
        (
            "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP",
            "BROKER:PLAINTEXT,PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,TC-0:PLAINTEXT",
        ),
        ("KAFKA_INTER_BROKER_LISTENER_NAME", "BROKER"),
        ("KAFKA_PROCESS_ROLES", "broker,controller"),
        ("KAFKA_CONTROLLER_LISTENER_NAMES", "CONTROLLER"),
        ("KAFKA_NODE_ID", "1"),
        ("KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR", "1"),
        ("KAFKA_OFFSETS_TOPIC_NUM_PARTITIONS", "1"),
        ("KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR", "1"),
        ("KAFKA_TRANSACTION_STATE_LOG_MIN_ISR", "1"),
        ("KAFKA_LOG_FLUSH_INTERVAL_MESSAGES", "9223372036854775807"),
        ("KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS", "0"),
    ];
    let env = Properties::from_env(env.map(|(name, value)| (name.to_owned(), value.to_owned())));
    let (config, _) = BrokerConfig::from_properties(&env.properties).unwrap();
    let names: Vec<_> = config
        .listeners
        .bound
        .iter()
        .map(|l| l.name.as_str())
        .collect();
    assert_eq!(names, ["PLAINTEXT", "BROKER", "TC-0"]);
    assert_eq!(config.listeners.inter_broker, "BROKER");
    assert_eq!(config.listeners.advertised[2].port, 19092);
    assert_eq!(config.groups.initial_rebalance_delay_ms, 0);
    assert_eq!(config.topic_defaults.flush_messages, None);
}

#[test]
fn combined_roles_without_a_controller_listener_start() {
    let (config, _) = from(
        "process.roles=broker,controller\nnode.id=1\nlisteners=A://:1\n\
        advertised.listeners=A://h:1\ninter.broker.listener.name=A\n\
        listener.security.protocol.map=A:PLAINTEXT\ncontroller.listener.names=CONTROLLER",
    )
    .unwrap();
    assert!(config.listeners.controller.is_empty());
}

#[test]
fn the_older_broker_id_is_the_node_id() {
    assert_eq!(from("broker.id=7").unwrap().0.node_id, NodeId(7));
    assert!(refusal("broker.id=7\nnode.id=8").contains("same number"));
    assert!(refusal("broker.id=-3").starts_with("Invalid value -3 for configuration broker.id"));
}

#[test]
fn an_unknown_key_is_reported_and_ignored() {
    let (_, report) = from("node.id=1\nzookeeper.connect=z:2181\nmy.key=secret").unwrap();
    let summary = report.to_string();
    assert!(summary.contains("unknown and ignored: my.key, zookeeper.connect (there is no"));
    assert!(!summary.contains("secret"));
}

#[test]
fn a_slip_in_a_key_is_answered_with_what_was_probably_meant() {
    let (_, report) = from("num.partitons=3\nretention.ms=1\nconfluent.license=x").unwrap();
    let summary = report.to_string();
    assert!(
        summary.contains("num.partitons (did you mean num.partitions?)"),
        "{summary}"
    );
    assert!(summary.contains("retention.ms (a topic's key; a broker's is log.retention.ms)"));
    assert!(
        summary.contains("ignored: confluent.license, num"),
        "{summary}"
    );
}

#[test]
fn a_key_that_is_not_enforced_yet_is_named_in_one_line() {
    let (_, report) = from("request.timeout.ms=2\nquota.window.num=5\nnum.io.threads=4").unwrap();
    let summary = report.summary();
    assert!(summary.contains(&"not enforced yet: quota.window.num, request.timeout.ms".to_owned()));
    assert!(summary.contains(&"without effect here: num.io.threads".to_owned()));
}

#[test]
fn a_value_of_the_wrong_type_or_range_names_key_value_and_what_is_allowed() {
    assert_eq!(
        refusal("num.partitions=0"),
        "Invalid value 0 for configuration num.partitions: Value must be at least 1"
    );
    assert_eq!(
        refusal("auto.create.topics.enable=yes"),
        "Invalid value yes for configuration auto.create.topics.enable: Expected value to be either \
         true or false"
    );
    assert_eq!(
        refusal("log.retention.ms=seven days"),
        "Invalid value seven days for configuration log.retention.ms: Not a number of type LONG"
    );
    assert!(
        refusal("log.roll.ms=0")
            .starts_with("Invalid value 0 for configuration log.roll.ms: expected")
    );
}

#[test]
fn what_would_be_unsafe_to_ignore_stops_the_start() {
    for (text, part) in [
        (
            "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "access",
        ),
        ("super.users=User:admin", "access control"),
        (
            "listeners=SSL://:9092\nsecurity.inter.broker.protocol=SSL",
            "SSL is not available yet",
        ),
        (
            "listeners=SASL_PLAINTEXT://:9092",
            "SASL_PLAINTEXT is not available yet",
        ),
        (
            "offsets.topic.replication.factor=3",
            "more replicas than brokers",
        ),
        ("default.replication.factor=2", "more replicas than brokers"),
        ("process.roles=broker", "broker,controller together"),
        (
            "controller.quorum.voters=1@a:1,2@b:1,3@c:1",
            "several nodes",
        ),
        ("remote.log.storage.system.enable=true", "tiered storage"),
        ("create.topic.policy.class.name=x.Y", "unchecked"),
        (
            "delegation.token.secret.key=abc",
            "delegation.token.secret.key=[hidden]",
        ),
    ] {
        assert!(refusal(text).contains(part), "{}", refusal(text));
    }
}

#[test]
fn an_empty_authorizer_is_none() {
    assert!(from("authorizer.class.name=\nsuper.users=").is_ok());
}

#[test]
fn contradictions_are_refused() {
    for text in [
        "queued.max.request.bytes=1000",
        "max.connections.per.ip=0",
        "max.connections.per.ip.overrides=host",
        "connections.max.idle.ms=50",
        "replica.fetch.wait.max.ms=40000",
        "log.retention.ms=0",
        "log.cleaner.min.compaction.lag.ms=5\nlog.cleaner.max.compaction.lag.ms=4",
        "group.coordinator.rebalance.protocols=consumer",
        "cordoned.log.dirs=/elsewhere",
        "metadata.log.dir=/elsewhere",
        "controller.quorum.voters=2@localhost:9093",
        "listeners=A://:1",
        "listeners=PLAINTEXT://:1,PLAINTEXT://:2",
        "listeners=PLAINTEXT://:1,B://:1\nlistener.security.protocol.map=PLAINTEXT:PLAINTEXT,B:PLAINTEXT",
        "listeners=CONTROLLER://:1\ncontroller.listener.names=CONTROLLER",
        "listeners=PLAINTEXT://0.0.0.0:9092",
        "advertised.listeners=OTHER://h:1",
        "inter.broker.listener.name=OTHER",
        "inter.broker.listener.name=PLAINTEXT\nsecurity.inter.broker.protocol=PLAINTEXT",
        "offsets.topic.compression.codec=9",
        "offsets.topic.segment.bytes=1000",
    ] {
        assert!(from(text).is_err(), "{text}");
    }
}

#[test]
fn one_port_serves_an_ipv4_and_an_ipv6_listener() {
    let text = "listeners=PLAINTEXT://127.0.0.1:9092,B://[::1]:9092\n\
                listener.security.protocol.map=PLAINTEXT:PLAINTEXT,B:PLAINTEXT";
    assert_eq!(from(text).unwrap().0.listeners.bound.len(), 2);
}

#[test]
fn the_first_synonym_that_is_set_wins() {
    let retention = |text: &str| from(text).unwrap().0.topic_defaults.retention_ms;
    assert_eq!(retention("log.retention.hours=1"), Some(3_600_000));
    assert_eq!(
        retention("log.retention.hours=1\nlog.retention.minutes=1"),
        Some(60_000)
    );
    assert_eq!(
        retention("log.retention.minutes=1\nlog.retention.ms=5"),
        Some(5)
    );
    assert_eq!(retention("log.retention.hours=-1"), None);
    let config = from("log.roll.hours=2\nlog.flush.scheduler.interval.ms=9")
        .unwrap()
        .0;
    assert_eq!(config.topic_defaults.segment_ms, 7_200_000);
    assert_eq!(config.topic_defaults.flush_ms, Some(9));
}

#[test]
fn without_replication_factors_a_node_alone_takes_one_and_says_so() {
    let (config, report) = from("node.id=4").unwrap();
    assert_eq!(config.offsets.topic_replication_factor, 1);
    assert!(
        report
            .to_string()
            .contains("offsets.topic.replication.factor: not set; 1 on a node")
    );
    assert_eq!(
        config.listeners.bound[0].protocol,
        SecurityProtocol::Plaintext
    );
}

#[test]
fn every_known_key_is_accepted_at_its_default() {
    for key in keys::broker_keys() {
        let Some(default) = key.default else { continue };
        // With one broker Kafka's three replicas are too many; broker.id −1 names no node.
        if default == "-1" && key.name == "broker.id" || REPLICAS.contains(&key.name) {
            continue;
        }
        let mut properties = Properties::embedded();
        properties.set(key.name, default);
        let result = BrokerConfig::from_properties(&properties);
        assert!(result.is_ok(), "{}: {}", key.name, result.unwrap_err());
    }
}
