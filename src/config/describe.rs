//! What DescribeConfigs tells about a broker, a topic, a group or a subscription: each key with its
//! value, where the value comes from, and what stands behind it (Kafka's `ConfigHelper`).

use super::Value;
use super::dynamic::{InForce, Overrides};
use super::group;
use super::keys::{self, Key, Kind};
use super::topic::given_by_broker;

/// Where a value comes from (`DescribeConfigsResponse.ConfigSource`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    Topic,
    /// Set at run time for this broker.
    DynamicBroker,
    /// Set at run time for all brokers.
    DynamicDefaultBroker,
    /// Set when the broker was started.
    StaticBroker,
    Default,
    BrokerLogger,
    ClientMetrics,
    Group,
}

impl Source {
    pub fn code(self) -> i8 {
        match self {
            Source::Topic => 1,
            Source::DynamicBroker => 2,
            Source::DynamicDefaultBroker => 3,
            Source::StaticBroker => 4,
            Source::Default => 5,
            Source::BrokerLogger => 6,
            Source::ClientMetrics => 7,
            Source::Group => 8,
        }
    }
}

/// One key of one resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Described {
    pub name: String,
    /// Null where nothing is set and there is no default, and always for secrets.
    pub value: Option<String>,
    pub read_only: bool,
    pub source: Source,
    pub sensitive: bool,
    /// Every place that has a value, the one in force first.
    pub synonyms: Vec<Stands>,
    /// `None` (code 0 on the wire) for a key that nobody knows.
    pub kind: Option<Kind>,
    pub doc: Option<&'static str>,
}

impl Described {
    /// The type's code in responses; 0 is "unknown".
    pub fn kind_code(&self) -> i8 {
        self.kind.map_or(0, Kind::code)
    }
}

/// A value that stands behind a key, under its own name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stands {
    pub name: String,
    pub value: Option<String>,
    pub source: Source,
}

/// Keys of the table that are not `KafkaConfig`'s: shown only where someone sets them.
const ELSEWHERE: &[&str] = &[
    "allow.everyone.if.no.acl.found",
    "follower.replication.throttled.rate",
    "leader.replication.throttled.rate",
    "ottla.old.api.versions.advertise",
    "replica.alter.log.dirs.io.max.bytes.per.second",
    "super.users",
];

/// One broker's settings, sorted by name; also keys that only the user knows.
pub fn broker(now: &InForce) -> Vec<Described> {
    let mut names: Vec<&str> = keys::broker_keys()
        .filter(|key| !key.is_internal() && !ELSEWHERE.contains(&key.name))
        .map(|key| key.name)
        .collect();
    names.extend(now.config.properties.iter().map(|(name, _)| name));
    names.sort_unstable();
    names.dedup();
    let describe = |name: &str| {
        let set = now.config.properties.get(name);
        let text = match keys::broker_key(name) {
            Some(key) => set.or(key.default).map(|text| normal(key, text)),
            None => set.map(str::to_owned),
        };
        broker_key(name, text, standing(name, now))
    };
    names.into_iter().map(describe).collect()
}

/// What is set at run time for all brokers: nothing else belongs to the nameless broker.
pub fn broker_defaults(now: &InForce) -> Vec<Described> {
    let describe = |(name, text): (&String, &String)| {
        let mut synonyms = standing(name, now);
        synonyms.retain(|stands| stands.source == Source::DynamicDefaultBroker);
        broker_key(name, Some(text.clone()), synonyms)
    };
    now.dynamic_default.iter().map(describe).collect()
}

/// One topic's settings, sorted by name.
pub fn topic(overrides: &Overrides, now: &InForce) -> Vec<Described> {
    let shown = |key: &&Key| !key.is_internal() || overrides.contains_key(key.name);
    let describe = |key: &'static Key| {
        let behind = keys::topic_synonyms(key.name)
            .first()
            .map_or(Vec::new(), |first| standing(first.name, now));
        let own = overrides.get(key.name).map(|text| normal(key, text));
        let given = || {
            let given = given_by_broker(key, &now.config.properties);
            given.ok().flatten().map(|given| given.text)
        };
        let value = own.or_else(given);
        let value = value.or_else(|| key.default.map(|text| normal(key, text)));
        owned(key, value, overrides, behind, Source::Topic)
    };
    keys::topic_keys().filter(shown).map(describe).collect()
}

/// One group's settings, sorted by name.
pub fn group(overrides: &Overrides, now: &InForce) -> Vec<Described> {
    let describe = |key: &'static Key| {
        let behind = match keys::group_synonym(key.name) {
            Some(name) => standing(name, now),
            None => default_of(key).into_iter().collect(),
        };
        let text = group::text(key, overrides, &now.config.properties);
        let value = text.map(|text| normal(key, text));
        owned(key, value, overrides, behind, Source::Group)
    };
    keys::group_keys().map(describe).collect()
}

/// One subscription's settings, sorted by name. One that nobody made has the defaults.
pub fn client_metrics(overrides: &Overrides) -> Vec<Described> {
    let describe = |key: &'static Key| {
        let text = overrides.get(key.name).map(String::as_str).or(key.default);
        let value = text.map(|text| normal(key, text));
        owned(key, value, overrides, Vec::new(), Source::ClientMetrics)
    };
    keys::client_metrics_keys().map(describe).collect()
}

fn owned(
    key: &'static Key,
    value: Option<String>,
    overrides: &Overrides,
    behind: Vec<Stands>,
    owner: Source,
) -> Described {
    let mut synonyms = behind;
    if overrides.contains_key(key.name) {
        let own = Stands {
            name: key.name.to_owned(),
            value: value.clone(),
            source: owner,
        };
        synonyms.insert(0, own);
    }
    Described {
        name: key.name.to_owned(),
        value,
        read_only: false,
        source: first_source(&synonyms),
        sensitive: false,
        synonyms,
        kind: Some(key.kind),
        doc: Some(key.doc),
    }
}

fn broker_key(name: &str, text: Option<String>, synonyms: Vec<Stands>) -> Described {
    let key = keys::broker_key(name);
    let sensitive = keys::is_sensitive(name);
    let scope = key.map(|key| key.scope);
    Described {
        name: name.to_owned(),
        value: text.filter(|_| !sensitive),
        read_only: !matches!(
            scope,
            Some(keys::Scope::PerBroker | keys::Scope::ClusterWide)
        ),
        source: first_source(&synonyms),
        sensitive,
        synonyms,
        kind: keys::base_key(name).map(|key| key.kind),
        doc: key.map(|key| key.doc),
    }
}

fn first_source(synonyms: &[Stands]) -> Source {
    synonyms
        .first()
        .map_or(Source::Default, |stands| stands.source)
}

/// Every place that has a value for the broker key `name` or one of its other names, the strongest
/// first. What is stronger than `name` itself under another name is left out, as in Kafka.
fn standing(name: &str, now: &InForce) -> Vec<Stands> {
    let names = names_of(name);
    let mut found = Vec::new();
    let mut add = |get: &dyn Fn(&str) -> Option<String>, source: Source| {
        for name in &names {
            if let Some(value) = get(name) {
                let value = (!keys::is_sensitive(name)).then_some(value);
                found.push(Stands {
                    name: (*name).to_owned(),
                    value,
                    source,
                });
            }
        }
    };
    let fixed = &now.started.properties;
    let default = |name: &str| {
        let stands = keys::broker_key(name).and_then(default_of);
        stands.and_then(|stands| stands.value)
    };
    add(
        &|name| now.dynamic.get(name).cloned(),
        Source::DynamicBroker,
    );
    add(
        &|name| now.dynamic_default.get(name).cloned(),
        Source::DynamicDefaultBroker,
    );
    add(
        &|name| fixed.get(name).map(str::to_owned),
        Source::StaticBroker,
    );
    add(&default, Source::Default);
    let first = found
        .iter()
        .position(|stands| stands.name == name)
        .unwrap_or(found.len());
    found.split_off(first)
}

fn default_of(key: &Key) -> Option<Stands> {
    let value = key.default.filter(|_| !ELSEWHERE.contains(&key.name))?;
    Some(Stands {
        name: key.name.to_owned(),
        value: Some(value.to_owned()),
        source: Source::Default,
    })
}

/// The key and its other names, the strongest first.
fn names_of(name: &str) -> Vec<&str> {
    if let Some(family) = keys::family(name) {
        return family.to_vec();
    }
    match keys::base_key(name) {
        Some(base) if base.name != name => vec![name, base.name],
        _ => vec![name],
    }
}

/// The text as Kafka's tools show it. What cannot be read (it was checked when it was set) stays.
fn normal(key: &Key, text: &str) -> String {
    Value::parse(key, text).map_or_else(|_| text.to_owned(), |value| value.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{BrokerConfig, LiveConfig, Properties};
    use std::sync::Arc;

    fn map(pairs: &[(&str, &str)]) -> Overrides {
        pairs
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect()
    }

    fn find<'a>(described: &'a [Described], name: &str) -> &'a Described {
        described.iter().find(|d| d.name == name).unwrap()
    }

    /// A broker that was started with `fixed`, and told `dynamic_default` and `dynamic` since.
    fn now(
        fixed: &str,
        dynamic_default: &[(&str, &str)],
        dynamic: &[(&str, &str)],
    ) -> Arc<InForce> {
        let fixed = Properties::parse(fixed).unwrap();
        let (started, _) = BrokerConfig::from_properties(&fixed).unwrap();
        let live = LiveConfig::new(Arc::new(started));
        assert_eq!(live.update(&map(dynamic_default), &map(dynamic)), []);
        live.load()
    }

    #[test]
    fn a_topics_value_comes_from_the_topic_then_the_broker_then_the_default() {
        let topic_of =
            |overrides: &[(&str, &str)], fixed| topic(&map(overrides), &now(fixed, &[], &[]));
        let own = topic_of(&[("segment.bytes", "2000000")], "log.segment.bytes=3000000");
        let segment = find(&own, "segment.bytes");
        assert_eq!(
            (segment.value.as_deref(), segment.source),
            (Some("2000000"), Source::Topic)
        );
        let behind: Vec<_> = segment
            .synonyms
            .iter()
            .map(|s| (s.name.as_str(), s.source))
            .collect();
        assert_eq!(
            behind,
            [
                ("segment.bytes", Source::Topic),
                ("log.segment.bytes", Source::StaticBroker),
                ("log.segment.bytes", Source::Default),
            ]
        );
        let none = topic_of(&[], "");
        assert_eq!(find(&none, "segment.bytes").source, Source::Default);
        assert_eq!(find(&none, "segment.bytes").kind_code(), 3);
        assert!(none.iter().all(|d| d.name != "internal.segment.bytes"));
        assert_eq!(none.len(), 33);
    }

    #[test]
    fn hours_of_the_broker_are_milliseconds_of_a_topic() {
        let described = topic(&map(&[]), &now("log.retention.hours=2", &[], &[]));
        let retention = find(&described, "retention.ms");
        assert_eq!(retention.value.as_deref(), Some("7200000"));
        // Kafka's quirk: only what stands at or after log.retention.ms itself is listed.
        assert_eq!(
            (retention.source, retention.synonyms.len()),
            (Source::Default, 0)
        );
    }

    #[test]
    fn a_broker_shows_what_is_set_and_never_a_secret() {
        let fixed =
            "ssl.key.password=hush\nmine=hush\nnum.partitions=4\nsocket.request.max.bytes=7";
        let described = broker(&now(fixed, &[("log.retention.ms", "5")], &[]));
        assert!(!format!("{described:?}").contains("hush"));
        let secret = find(&described, "ssl.key.password");
        assert!(secret.sensitive && secret.value.is_none());
        assert_eq!(find(&described, "mine").kind_code(), 0);
        let partitions = find(&described, "num.partitions");
        assert_eq!(
            (partitions.source, partitions.read_only),
            (Source::StaticBroker, true)
        );
        let retention = find(&described, "log.retention.ms");
        assert_eq!(retention.value.as_deref(), Some("5"));
        assert_eq!(
            (retention.source, retention.read_only),
            (Source::DynamicDefaultBroker, false)
        );
        assert_eq!(
            find(&described, "log.cleanup.policy").value.as_deref(),
            Some("delete")
        );
        assert_eq!(find(&described, "broker.rack").value, None);
        assert!(
            described
                .iter()
                .all(|d| d.name != "leader.replication.throttled.rate")
        );
    }

    #[test]
    fn a_listeners_own_key_stands_before_the_general_one() {
        let fixed = "listener.name.a.ssl.client.auth=none\nssl.client.auth=required";
        let described = broker(&now(fixed, &[], &[]));
        let own = find(&described, "listener.name.a.ssl.client.auth");
        let names: Vec<_> = own.synonyms.iter().map(|s| s.name.as_str()).collect();
        assert_eq!(
            names,
            [
                "listener.name.a.ssl.client.auth",
                "ssl.client.auth",
                "ssl.client.auth"
            ]
        );
    }

    #[test]
    fn a_group_falls_back_to_the_brokers_key() {
        let fixed = "group.consumer.session.timeout.ms=50000";
        let described = group(&map(&[]), &now(fixed, &[], &[]));
        let session = find(&described, "consumer.session.timeout.ms");
        assert_eq!(
            (session.value.as_deref(), session.source),
            (Some("50000"), Source::StaticBroker)
        );
        assert_eq!(
            find(&described, "share.isolation.level").source,
            Source::Default
        );
    }

    #[test]
    fn what_is_set_at_run_time_is_shown_as_it_is_enforced() {
        let fixed = "log.retention.hours=2\nmessage.max.bytes=1000";
        let dynamic_default = [("log.retention.ms", "5"), ("message.max.bytes", "2000")];
        let now = now(fixed, &dynamic_default, &[("message.max.bytes", "3000")]);
        let described = topic(&map(&[]), &now);
        let bytes = find(&described, "max.message.bytes");
        assert_eq!(bytes.value.as_deref(), Some("3000"));
        let sources: Vec<Source> = bytes.synonyms.iter().map(|s| s.source).collect();
        assert_eq!(
            sources,
            [
                Source::DynamicBroker,
                Source::DynamicDefaultBroker,
                Source::StaticBroker,
                Source::Default
            ]
        );
        let retention = find(&described, "retention.ms");
        assert_eq!(retention.value.as_deref(), Some("5"));
        assert_eq!(retention.source, Source::DynamicDefaultBroker);
        let defaults = broker_defaults(&now);
        assert_eq!(defaults.len(), 2);
        let bytes = find(&defaults, "message.max.bytes");
        assert_eq!(bytes.value.as_deref(), Some("2000"));
        assert_eq!(bytes.source, Source::DynamicDefaultBroker);
        assert_eq!(bytes.synonyms.len(), 1);
    }

    #[test]
    fn a_subscription_has_only_what_was_set_for_it() {
        let described = client_metrics(&map(&[("interval.ms", "1000")]));
        let interval = find(&described, "interval.ms");
        assert_eq!(interval.value.as_deref(), Some("1000"));
        assert_eq!(interval.source, Source::ClientMetrics);
        let metrics = find(&described, "metrics");
        assert_eq!(metrics.value.as_deref(), Some(""));
        assert_eq!(
            (metrics.source, metrics.synonyms.len()),
            (Source::Default, 0)
        );
    }
}
