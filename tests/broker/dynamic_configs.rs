//! What is set at run time is in force at once, is described as it is enforced, and outlives the
//! broker.

use crate::common::client::{Client, batch};
use crate::common::local::{End, Local};
use crate::common::until;
use ottla::protocol::messages::{
    AlterConfigsRequest, AlterConfigsResponse, DescribeConfigsRequest, DescribeConfigsResponse,
    IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse, ListConfigResourcesRequest,
    ListConfigResourcesResponse, ListOffsetsRequest, ListOffsetsResponse,
    alter_configs_request as replace, describe_configs_request as describe,
    describe_configs_response::DescribeConfigsResourceResult as Described,
    incremental_alter_configs_request as alter, list_offsets_request as offsets,
};
use ottla::protocol::{ErrorCode, Text};
use ottla::runtime::{LogLevel, Loggers, Runtime, os};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::net::TcpStream;

const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const BROKER_LOGGER: i8 = 8;
const CLIENT_METRICS: i8 = 16;
const GROUP: i8 = 32;

const SET: i8 = 0;
const DELETE: i8 = 1;
const APPEND: i8 = 2;
const SUBTRACT: i8 = 3;

/// A topic, a broker … by type and name.
type Resource<'a> = (i8, &'a str);

/// A key, what is done with it, and the value.
type Change<'a> = (&'a str, i8, Option<&'a str>);

type ResourceChange<'a> = (Resource<'a>, &'a [Change<'a>]);

struct Broker {
    local: Local,
    client: Client<TcpStream>,
}

/// A broker that looks for old segments twenty times a second.
async fn start() -> Broker {
    start_in(os::runtime()).await
}

async fn start_in(runtime: Runtime) -> Broker {
    let settings = [
        ("log.initial.task.delay.ms", "0"),
        ("log.retention.check.interval.ms", "50"),
        ("message.max.bytes", "5000"),
    ];
    let local = Local::start_in(runtime, tempfile::tempdir().unwrap(), &settings).await;
    let client = local.connect().await;
    Broker { local, client }
}

impl Broker {
    async fn restart(&mut self) {
        self.client = self.local.restart(End::Stop).await;
    }

    async fn create(&mut self, topic: &str, configs: &[(&'static str, &'static str)]) {
        self.client.make_topic(topic, 1, configs).await;
    }

    /// Error and message for each resource.
    async fn alter(
        &mut self,
        changes: &[ResourceChange<'_>],
        validate_only: bool,
    ) -> Vec<(ErrorCode, Option<String>)> {
        let config = |(name, operation, value): &Change<'_>| alter::AlterableConfig {
            name: Text::copy(name),
            config_operation: *operation,
            value: value.map(Text::copy),
        };
        let resource = |((kind, name), configs): &ResourceChange<'_>| alter::AlterConfigsResource {
            resource_type: *kind,
            resource_name: Text::copy(name),
            configs: configs.iter().map(config).collect(),
        };
        let request = IncrementalAlterConfigsRequest {
            resources: changes.iter().map(resource).collect(),
            validate_only,
        };
        let response: IncrementalAlterConfigsResponse =
            self.client.call(&request, 1).await.unwrap();
        let answers = response.responses.into_iter();
        answers
            .map(|answer| {
                let code = ErrorCode::from_code(answer.error_code).unwrap();
                (code, answer.error_message.map(|text| text.to_string()))
            })
            .collect()
    }

    async fn change(
        &mut self,
        resource: Resource<'_>,
        key: &str,
        operation: i8,
        value: Option<&str>,
    ) {
        let answers = self
            .alter(&[(resource, &[(key, operation, value)])], false)
            .await;
        assert_eq!(answers, [(ErrorCode::None, None)]);
    }

    async fn set(&mut self, resource: Resource<'_>, key: &str, value: &str) {
        self.change(resource, key, SET, Some(value)).await;
    }

    async fn delete(&mut self, resource: Resource<'_>, key: &str) {
        self.change(resource, key, DELETE, None).await;
    }

    /// The code with which a single change is refused.
    async fn refusal(&mut self, resource: Resource<'_>, change: Change<'_>) -> ErrorCode {
        self.alter(&[(resource, &[change])], false)
            .await
            .remove(0)
            .0
    }

    async fn describe(&mut self, (kind, name): Resource<'_>) -> Result<Vec<Described>, ErrorCode> {
        let request = DescribeConfigsRequest {
            resources: vec![describe::DescribeConfigsResource {
                resource_type: kind,
                resource_name: Text::copy(name),
                configuration_keys: None,
            }],
            include_synonyms: true,
            include_documentation: true,
        };
        let mut response: DescribeConfigsResponse = self.client.call(&request, 4).await.unwrap();
        let result = response.results.remove(0);
        match ErrorCode::from_code(result.error_code).unwrap() {
            ErrorCode::None => Ok(result.configs),
            error => Err(error),
        }
    }

    /// Keys that are set for all brokers.
    async fn defaults(&mut self) -> Vec<String> {
        let described = self.describe((BROKER, "")).await.unwrap();
        described.into_iter().map(|d| d.name.to_string()).collect()
    }

    /// The value of a key, and where it comes from.
    async fn value(&mut self, resource: Resource<'_>, key: &str) -> (String, i8) {
        let described = self.describe(resource).await.unwrap();
        let key = described.into_iter().find(|d| *d.name == *key).unwrap();
        (key.value.unwrap_or_default().to_string(), key.config_source)
    }

    async fn listed(&mut self, kinds: &[i8]) -> Vec<(i8, String)> {
        let request = ListConfigResourcesRequest {
            resource_types: kinds.to_vec(),
        };
        let response: ListConfigResourcesResponse = self.client.call(&request, 1).await.unwrap();
        assert_eq!(response.error_code, 0);
        let resources = response.config_resources.into_iter();
        resources
            .map(|resource| (resource.resource_type, resource.resource_name.to_string()))
            .collect()
    }

    /// Whether a batch of about so many bytes is taken.
    async fn takes(&mut self, topic: &str, bytes: usize) -> bool {
        let batch = batch(os::runtime().clock.wall(), &["x".repeat(bytes)]);
        match self.client.produce(topic, 0, -1, batch).await.unwrap() {
            Ok(_) => true,
            Err(refused) => {
                assert_eq!(refused.0, ErrorCode::MessageTooLarge);
                false
            }
        }
    }

    async fn first_offset(&mut self, topic: &str) -> i64 {
        let request = ListOffsetsRequest {
            replica_id: -1,
            topics: vec![offsets::ListOffsetsTopic {
                name: Text::copy(topic),
                partitions: vec![offsets::ListOffsetsPartition {
                    timestamp: -2,
                    current_leader_epoch: -1,
                    ..Default::default()
                }],
            }],
            ..Default::default()
        };
        let response: ListOffsetsResponse = self.client.call(&request, 7).await.unwrap();
        response.topics[0].partitions[0].offset
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topics_key_reaches_its_open_log_and_outlives_the_broker() {
    let mut broker = start().await;
    broker.create("t", &[]).await;
    assert!(broker.takes("t", 1000).await);
    broker.set((TOPIC, "t"), "max.message.bytes", "500").await;
    assert!(!broker.takes("t", 1000).await);
    assert_eq!(
        broker.value((TOPIC, "t"), "max.message.bytes").await,
        ("500".into(), 1)
    );

    broker.restart().await;
    assert!(!broker.takes("t", 1000).await);
    broker.delete((TOPIC, "t"), "max.message.bytes").await;
    assert!(broker.takes("t", 1000).await);
    assert_eq!(
        broker.value((TOPIC, "t"), "max.message.bytes").await,
        ("5000".into(), 4)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_has_its_own_value_else_this_brokers_else_all_brokers_else_the_files() {
    let mut broker = start().await;
    broker.create("plain", &[]).await;
    broker.create("own", &[("max.message.bytes", "3000")]).await;
    let key = "max.message.bytes";
    assert!(broker.takes("plain", 4500).await && !broker.takes("plain", 6000).await);

    broker.set((BROKER, ""), "message.max.bytes", "7000").await;
    assert!(broker.takes("plain", 6500).await && !broker.takes("plain", 8000).await);
    assert_eq!(
        broker.value((TOPIC, "plain"), key).await,
        ("7000".into(), 3)
    );
    broker.set((BROKER, "1"), "message.max.bytes", "2000").await;
    assert!(broker.takes("plain", 1500).await && !broker.takes("plain", 2500).await);
    assert_eq!(
        broker.value((TOPIC, "plain"), key).await,
        ("2000".into(), 2)
    );
    assert!(broker.takes("own", 2500).await);
    assert_eq!(broker.value((TOPIC, "own"), key).await, ("3000".into(), 1));

    broker.restart().await;
    assert!(broker.takes("plain", 1500).await && !broker.takes("plain", 2500).await);
    let described = broker.describe((TOPIC, "plain")).await.unwrap();
    let described = described.iter().find(|d| *d.name == *key).unwrap();
    let stands: Vec<_> = described.synonyms.iter().map(|s| s.source).collect();
    assert_eq!(stands, [2, 3, 4, 5]);
    assert_eq!(
        broker.defaults().await,
        ["message.max.bytes", "min.insync.replicas"]
    );
    broker.delete((BROKER, "1"), "message.max.bytes").await;
    broker.delete((BROKER, ""), "message.max.bytes").await;
    assert!(broker.takes("plain", 4500).await && !broker.takes("plain", 6000).await);
    assert_eq!(broker.defaults().await, ["min.insync.replicas"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shorter_retention_removes_what_is_old_without_a_restart() {
    let mut broker = start().await;
    broker.create("t", &[]).await;
    assert!(broker.takes("t", 100).await);
    assert_eq!(broker.first_offset("t").await, 0);
    broker.set((BROKER, ""), "log.retention.ms", "1").await;
    until("the end of the old segment", async || {
        broker.first_offset("t").await == 1
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fewer_connections_from_one_address_are_let_in_as_soon_as_that_is_set() {
    let mut broker = start().await;
    broker
        .set((BROKER, ""), "max.connections.per.ip", "1")
        .await;
    assert!(broker.local.connect().await.is_closed().await);
    broker.delete((BROKER, ""), "max.connections.per.ip").await;
    let mut second = broker.local.connect().await;
    assert_eq!(second.create_topic("t", 1, &[]).await.unwrap(), Ok(()));
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_and_subscriptions_are_kept_and_listed_until_nothing_is_set_for_them() {
    let mut broker = start().await;
    broker
        .set((GROUP, "g"), "consumer.session.timeout.ms", "50000")
        .await;
    broker
        .set((CLIENT_METRICS, "m"), "interval.ms", "1000")
        .await;
    broker.restart().await;
    let both = [(GROUP, "g".to_owned()), (CLIENT_METRICS, "m".to_owned())];
    assert_eq!(broker.listed(&[CLIENT_METRICS, GROUP]).await, both);
    assert_eq!(
        broker.listed(&[]).await[2..],
        [(BROKER_LOGGER, "1".to_owned()), (BROKER, "1".to_owned())]
    );
    let key = "consumer.session.timeout.ms";
    assert_eq!(broker.value((GROUP, "g"), key).await, ("50000".into(), 8));
    assert_eq!(
        broker.value((GROUP, "other"), key).await,
        ("45000".into(), 5)
    );
    assert_eq!(
        broker.value((CLIENT_METRICS, "m"), "interval.ms").await,
        ("1000".into(), 7)
    );
    broker.delete((GROUP, "g"), key).await;
    broker.delete((CLIENT_METRICS, "m"), "interval.ms").await;
    assert_eq!(broker.listed(&[CLIENT_METRICS, GROUP]).await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_of_the_same_name_does_not_inherit_what_was_set() {
    let mut broker = start().await;
    broker.create("t", &[]).await;
    broker.set((TOPIC, "t"), "retention.ms", "77777").await;
    broker.client.delete_topic("t").await.unwrap().unwrap();
    broker.create("t", &[]).await;
    let retention = broker.value((TOPIC, "t"), "retention.ms").await;
    assert_eq!(retention, ("604800000".into(), 5));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_grows_and_shrinks_and_a_check_changes_nothing() {
    let mut broker = start().await;
    broker.create("t", &[]).await;
    let topic = (TOPIC, "t");
    broker
        .change(topic, "cleanup.policy", APPEND, Some("compact"))
        .await;
    let both = ("delete,compact".to_owned(), 1);
    assert_eq!(broker.value(topic, "cleanup.policy").await, both);
    let subtract: &[_] = &[("cleanup.policy", SUBTRACT, Some("delete"))];
    let checked = broker.alter(&[(topic, subtract)], true).await;
    assert_eq!(checked, [(ErrorCode::None, None)]);
    assert_eq!(broker.value(topic, "cleanup.policy").await, both);
    broker
        .change(topic, "cleanup.policy", SUBTRACT, Some("delete"))
        .await;
    assert_eq!(broker.value(topic, "cleanup.policy").await.0, "compact");
}

#[tokio::test(flavor = "multi_thread")]
async fn all_brokers_agree_on_how_many_replicas_must_be_in_sync() {
    let mut broker = start().await;
    let key = "min.insync.replicas";
    assert_eq!(broker.value((BROKER, ""), key).await, ("1".into(), 3));
    for (name, change) in [("1", (key, SET, Some("2"))), ("", (key, DELETE, None))] {
        let code = broker.refusal((BROKER, name), change).await;
        assert_eq!(code, ErrorCode::InvalidConfig, "{name}");
    }
    broker.set((BROKER, ""), key, "2").await;
    broker.restart().await;
    assert_eq!(broker.value((BROKER, ""), key).await, ("2".into(), 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_older_api_replaces_all_that_is_set() {
    let mut broker = start().await;
    broker
        .create("t", &[("retention.ms", "5"), ("flush.ms", "6")])
        .await;
    let resource = |kind, name: &str, value: Option<&'static str>| replace::AlterConfigsResource {
        resource_type: kind,
        resource_name: Text::copy(name),
        configs: vec![replace::AlterableConfig {
            name: "retention.ms".into(),
            value: value.map(Text::from),
        }],
    };
    let request = AlterConfigsRequest {
        resources: vec![
            resource(TOPIC, "t", Some("9")),
            resource(TOPIC, "none", Some("9")),
            resource(GROUP, "g", None),
            resource(BROKER_LOGGER, "1", Some("9")),
        ],
        validate_only: false,
    };
    let response: AlterConfigsResponse = broker.client.call(&request, 2).await.unwrap();
    let codes: Vec<_> = response.responses.iter().map(|r| r.error_code).collect();
    let refused = [
        ErrorCode::None,
        ErrorCode::UnknownTopicOrPartition,
        ErrorCode::InvalidRequest,
        ErrorCode::InvalidRequest,
    ];
    assert_eq!(codes, refused.map(ErrorCode::code));
    assert_eq!(
        broker.value((TOPIC, "t"), "retention.ms").await,
        ("9".into(), 1)
    );
    assert_eq!(broker.value((TOPIC, "t"), "flush.ms").await.1, 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_resource_is_refused_by_itself_with_kafkas_code() {
    let mut broker = start().await;
    broker.create("t", &[]).await;
    let set: &[_] = &[("retention.ms", SET, Some("5"))];
    let without: &[_] = &[("retention.ms", SET, None), ("flush.ms", APPEND, None)];
    let twice: &[_] = &[("flush.ms", SET, Some("5")), ("flush.ms", DELETE, None)];
    let answers = broker
        .alter(
            &[
                ((TOPIC, "t"), set),
                ((TOPIC, "other"), without),
                ((TOPIC, "third"), twice),
                ((GROUP, "g"), set),
                ((GROUP, "g"), set),
                ((64, "x"), set),
            ],
            false,
        )
        .await;
    let request = |text: &str| (ErrorCode::InvalidRequest, Some(text.to_owned()));
    let once = request("Each resource must appear at most once.");
    assert_eq!(
        answers,
        [
            (ErrorCode::None, None),
            request("Null value not supported for : retention.ms, flush.ms"),
            request("Error due to duplicate config keys"),
            once.clone(),
            once,
            request("Unknown resource type 64"),
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_set_is_refused_with_kafkas_code() {
    /// Type and name of a resource, a key, what is done with it, and the value.
    type Asked = (i8, &'static str, &'static str, i8, &'static str);
    let mut broker = start().await;
    broker.create("t", &[]).await;
    let refused: [(ErrorCode, &[Asked]); 4] = [
        (
            ErrorCode::InvalidConfig,
            &[
                (TOPIC, "t", "no.such", SET, "1"),
                (TOPIC, "t", "flush.ms", SET, "x"),
                (TOPIC, "t", "flush.ms", APPEND, "1"),
                (BROKER, "1", "log.retention.ms", APPEND, "1"),
                (GROUP, "g", "share.delivery.count.limit", SET, "99"),
                (GROUP, "g", "flush.ms", SET, "1"),
                (CLIENT_METRICS, "m", "match", SET, "a=b"),
                (BROKER_LOGGER, "1", "root", SET, "INFO"),
            ],
        ),
        (
            ErrorCode::InvalidRequest,
            &[
                (TOPIC, "t", "flush.ms", 9, "1"),
                (TOPIC, "", "flush.ms", SET, "1"),
                (BROKER, "2", "log.retention.ms", SET, "1"),
                (BROKER, "x", "log.retention.ms", SET, "1"),
                (BROKER, "1", "log.retention.ms", SET, "x"),
                (BROKER, "1", "num.partitions", SET, "1"),
                (BROKER, "1", "listeners", SET, "PLAINTEXT://:1"),
                (BROKER, "", "listeners", SET, "PLAINTEXT://:1"),
                (CLIENT_METRICS, "m", "flush.ms", SET, "1"),
                (CLIENT_METRICS, "m", "interval.ms", SET, "1"),
            ],
        ),
        (
            ErrorCode::UnknownTopicOrPartition,
            &[(TOPIC, "none", "flush.ms", SET, "1")],
        ),
        (
            ErrorCode::InvalidTopicException,
            &[(TOPIC, "b@d", "flush.ms", SET, "1")],
        ),
    ];
    for (code, changes) in refused {
        for &(kind, name, key, operation, value) in changes {
            let change = (key, operation, Some(value));
            let refusal = broker.refusal((kind, name), change).await;
            assert_eq!(refusal, code, "{kind} {name} {change:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_described_is_refused_with_kafkas_code() {
    let mut broker = start().await;
    for (resource, code) in [
        ((TOPIC, "none"), ErrorCode::UnknownTopicOrPartition),
        ((TOPIC, "b@d"), ErrorCode::InvalidTopicException),
        ((BROKER, "2"), ErrorCode::InvalidRequest),
        ((BROKER_LOGGER, ""), ErrorCode::InvalidRequest),
        ((CLIENT_METRICS, ""), ErrorCode::InvalidRequest),
        ((GROUP, ""), ErrorCode::InvalidRequest),
        ((64, "x"), ErrorCode::InvalidRequest),
    ] {
        assert_eq!(broker.describe(resource).await, Err(code), "{resource:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_brokers_secret_is_never_told_and_keys_that_are_read_once_say_so() {
    let mut broker = start().await;
    let key = "listener.name.plaintext.ssl.key.password";
    broker.set((BROKER, "1"), key, "hush").await;
    let described = broker.describe((BROKER, "1")).await.unwrap();
    let find = |name: &str| described.iter().find(|d| *d.name == *name).unwrap();
    let secret = find(key);
    assert!(secret.is_sensitive && secret.value.is_none());
    assert!(secret.synonyms.iter().all(|stands| stands.value.is_none()));
    assert_eq!(secret.config_source, 2);
    assert!(find("num.partitions").read_only && !find("log.retention.ms").read_only);
    assert!(find("num.partitions").documentation.is_some());
    assert_eq!(find("num.partitions").config_type, 3);
}

/// Loggers that somebody embeds a broker with.
#[derive(Default)]
struct Remembered(Mutex<BTreeMap<String, LogLevel>>);

impl Loggers for Remembered {
    fn levels(&self) -> BTreeMap<String, LogLevel> {
        let mut levels = BTreeMap::from([
            ("root".to_owned(), LogLevel::Warn),
            ("ottla.net".to_owned(), LogLevel::Warn),
        ]);
        levels.extend(self.0.lock().clone());
        levels
    }

    fn set(&self, logger: &str, level: Option<LogLevel>) {
        match level {
            Some(level) => self.0.lock().insert(logger.to_owned(), level),
            None => self.0.lock().remove(logger),
        };
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn levels_of_loggers_are_described_and_changed() {
    let runtime = Runtime {
        loggers: Arc::new(Remembered::default()),
        ..os::runtime()
    };
    let mut broker = start_in(runtime).await;
    let loggers = (BROKER_LOGGER, "1");
    assert_eq!(broker.value(loggers, "ottla.net").await, ("WARN".into(), 6));
    let debug: &[_] = &[("ottla.net", SET, Some("DEBUG"))];
    broker.alter(&[(loggers, debug)], true).await;
    assert_eq!(broker.value(loggers, "ottla.net").await.0, "WARN");
    broker.set(loggers, "ottla.net", "DEBUG").await;
    assert_eq!(broker.value(loggers, "ottla.net").await.0, "DEBUG");
    broker.delete(loggers, "ottla.net").await;
    assert_eq!(broker.value(loggers, "ottla.net").await.0, "WARN");
    for (change, code) in [
        (("root", DELETE, None), ErrorCode::InvalidRequest),
        (("root", APPEND, Some("INFO")), ErrorCode::InvalidRequest),
        (("root", SET, Some("LOUD")), ErrorCode::InvalidConfig),
        (("none", SET, Some("INFO")), ErrorCode::InvalidConfig),
    ] {
        assert_eq!(broker.refusal(loggers, change).await, code, "{change:?}");
    }
    let other = ("root", SET, Some("INFO"));
    assert_eq!(
        broker.refusal((BROKER_LOGGER, "2"), other).await,
        ErrorCode::InvalidRequest
    );
}
