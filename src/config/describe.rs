//! What DescribeConfigs tells about a broker, a topic or a group: each key with its value, where the
//! value comes from, and what stands behind it (Kafka's `ConfigHelper`).

use super::keys::{self, Key, Kind, Synonym};
use super::{Properties, Value};
use std::collections::BTreeMap;

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

/// All that is known of a broker's settings.
#[derive(Debug, Clone, Copy)]
pub struct BrokerSources<'a> {
    /// `BrokerConfig::properties`.
    pub fixed: &'a Properties,
    /// Set at run time for this broker.
    pub dynamic: &'a BTreeMap<String, String>,
    /// Set at run time for all brokers.
    pub dynamic_default: &'a BTreeMap<String, String>,
}

/// Keys of the table that are not `KafkaConfig`'s: shown only where someone sets them.
const ELSEWHERE: &[&str] = &[
    "allow.everyone.if.no.acl.found",
    "follower.replication.throttled.rate",
    "leader.replication.throttled.rate",
    "replica.alter.log.dirs.io.max.bytes.per.second",
    "super.users",
];

/// One broker's settings, sorted by name; also keys that only the user knows.
pub fn broker(sources: BrokerSources<'_>) -> Vec<Described> {
    let mut names: Vec<&str> = keys::broker_keys()
        .filter(|key| !key.is_internal() && !ELSEWHERE.contains(&key.name))
        .map(|key| key.name)
        .collect();
    let fixed = sources.fixed.iter().map(|(name, _)| name);
    let set = sources
        .dynamic
        .keys()
        .chain(sources.dynamic_default.keys())
        .map(String::as_str);
    names.extend(fixed.chain(set));
    names.sort_unstable();
    names.dedup();
    names
        .into_iter()
        .map(|name| broker_key(name, sources))
        .collect()
}

/// What is set at run time for all brokers: nothing else belongs to the nameless broker.
pub fn broker_defaults(dynamic_default: &BTreeMap<String, String>) -> Vec<Described> {
    let fixed = Properties::new();
    let dynamic = BTreeMap::new();
    let sources = BrokerSources {
        fixed: &fixed,
        dynamic: &dynamic,
        dynamic_default,
    };
    let describe = |name: &String| {
        let mut described = broker_key(name, sources);
        described
            .synonyms
            .retain(|stands| stands.source == Source::DynamicDefaultBroker);
        described
    };
    dynamic_default.keys().map(describe).collect()
}

/// One topic's settings, sorted by name.
pub fn topic(overrides: &BTreeMap<String, String>, sources: BrokerSources<'_>) -> Vec<Described> {
    let shown = |key: &&Key| !key.is_internal() || overrides.contains_key(key.name);
    let describe = |key: &Key| {
        let synonyms = keys::topic_synonyms(key.name);
        let behind = synonyms
            .first()
            .map_or(Vec::new(), |first| standing(first.name, sources));
        let value = topic_value(key, overrides, synonyms, sources);
        owned(key, value, overrides, behind, Source::Topic)
    };
    keys::topic_keys().filter(shown).map(describe).collect()
}

/// One group's settings, sorted by name.
pub fn group(overrides: &BTreeMap<String, String>, sources: BrokerSources<'_>) -> Vec<Described> {
    let describe = |key: &Key| {
        let synonym = keys::group_synonym(key.name);
        let behind = match synonym {
            Some(name) => standing(name, sources),
            None => default_of(key).into_iter().collect(),
        };
        let text = overrides.get(key.name).map(String::as_str);
        let text = text.or_else(|| synonym.and_then(|name| set_text(name, sources)));
        let value = text.or(key.default).map(|text| normal(key, text));
        owned(key, value, overrides, behind, Source::Group)
    };
    keys::group_keys().map(describe).collect()
}

fn owned(
    key: &Key,
    value: Option<String>,
    overrides: &BTreeMap<String, String>,
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
        source: synonyms
            .first()
            .map_or(Source::Default, |stands| stands.source),
        sensitive: false,
        synonyms,
        kind: Some(key.kind),
        doc: Some(key.doc),
    }
}

fn broker_key(name: &str, sources: BrokerSources<'_>) -> Described {
    let key = keys::broker_key(name);
    let sensitive = keys::is_sensitive(name);
    let synonyms = standing(name, sources);
    let text = set_text(name, sources).or(key.and_then(|key| key.default));
    let value = text.filter(|_| !sensitive).map(|text| match key {
        Some(key) => normal(key, text),
        None => text.to_owned(),
    });
    Described {
        name: name.to_owned(),
        value,
        read_only: !matches!(
            key.map(|key| key.scope),
            Some(keys::Scope::PerBroker | keys::Scope::ClusterWide)
        ),
        source: synonyms
            .first()
            .map_or(Source::Default, |stands| stands.source),
        sensitive,
        synonyms,
        kind: key.map(|key| key.kind),
        doc: key.map(|key| key.doc),
    }
}

/// Every place that has a value for the broker key `name` or one of its other names, the strongest
/// first. What is stronger than `name` itself under another name is left out, as in Kafka.
fn standing(name: &str, sources: BrokerSources<'_>) -> Vec<Stands> {
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
    add(
        &|name| sources.dynamic.get(name).cloned(),
        Source::DynamicBroker,
    );
    add(
        &|name| sources.dynamic_default.get(name).cloned(),
        Source::DynamicDefaultBroker,
    );
    add(
        &|name| sources.fixed.get(name).map(str::to_owned),
        Source::StaticBroker,
    );
    add(
        &|name| {
            keys::broker_key(name)
                .and_then(default_of)
                .and_then(|stands| stands.value)
        },
        Source::Default,
    );
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

/// The key and its other names, first one set wins (`DynamicBrokerConfig.brokerConfigSynonyms`).
fn names_of(name: &str) -> Vec<&str> {
    const FAMILIES: &[&[&str]] = &[
        &["log.roll.ms", "log.roll.hours"],
        &["log.roll.jitter.ms", "log.roll.jitter.hours"],
        &[
            "log.retention.ms",
            "log.retention.minutes",
            "log.retention.hours",
        ],
    ];
    if let Some(family) = FAMILIES.iter().find(|family| family.contains(&name)) {
        return family.to_vec();
    }
    // The other direction does not hold: the scheduler's interval is only a default here.
    if name == "log.flush.interval.ms" {
        return vec![name, "log.flush.scheduler.interval.ms"];
    }
    match keys::base_key(name) {
        Some(base) if base.name != name => vec![name, base.name],
        _ => vec![name],
    }
}

fn set_text<'a>(name: &str, sources: BrokerSources<'a>) -> Option<&'a str> {
    let dynamic = sources
        .dynamic
        .get(name)
        .or_else(|| sources.dynamic_default.get(name));
    dynamic
        .map(String::as_str)
        .or_else(|| sources.fixed.get(name))
}

/// What is in force for a topic: its override, the first broker key that is set, or the default.
fn topic_value(
    key: &Key,
    overrides: &BTreeMap<String, String>,
    synonyms: &[Synonym],
    sources: BrokerSources<'_>,
) -> Option<String> {
    if let Some(text) = overrides.get(key.name) {
        return Some(normal(key, text));
    }
    for synonym in synonyms {
        let broker = keys::broker_key(synonym.name);
        if let (Some(broker), Some(text)) = (broker, set_text(synonym.name, sources)) {
            let value = Value::parse(broker, text)
                .ok()
                .map(|value| synonym.to_topic(&value));
            let limitless = |text: &String| key.name == "retention.ms" && text.starts_with('-');
            return value.map(|text| {
                if limitless(&text) {
                    "-1".to_owned()
                } else {
                    text
                }
            });
        }
    }
    key.default.map(|text| normal(key, text))
}

/// The text as Kafka's tools show it. What cannot be read (it was checked when it was set) stays.
fn normal(key: &Key, text: &str) -> String {
    Value::parse(key, text).map_or_else(|_| text.to_owned(), |value| value.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect()
    }

    fn find<'a>(described: &'a [Described], name: &str) -> &'a Described {
        described.iter().find(|d| d.name == name).unwrap()
    }

    fn with<T>(
        fixed: &str,
        dynamic_default: &[(&str, &str)],
        f: impl Fn(BrokerSources<'_>) -> T,
    ) -> T {
        let fixed = Properties::parse(fixed).unwrap();
        let dynamic_default = map(dynamic_default);
        let dynamic = BTreeMap::new();
        f(BrokerSources {
            fixed: &fixed,
            dynamic: &dynamic,
            dynamic_default: &dynamic_default,
        })
    }

    #[test]
    fn a_topics_value_comes_from_the_topic_then_the_broker_then_the_default() {
        let topic_of =
            |overrides: &[(&str, &str)], fixed| with(fixed, &[], |s| topic(&map(overrides), s));
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
        let described = with("log.retention.hours=2", &[], |s| topic(&BTreeMap::new(), s));
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
        let described = with(fixed, &[("log.retention.ms", "5")], broker);
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
        let described = with(fixed, &[], broker);
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
        let described = with(fixed, &[], |s| group(&BTreeMap::new(), s));
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
}
