//! Is the table what Apache Kafka says? `kafka-4.3.1.tsv` was written from Kafka's own classes by
//! `scripts/config-facts/ConfigFacts.java`: resource, name, type, default, valid values, scope, and
//! whether tools list the key. A later release is a run of that program and what this test then says.

use super::*;
use std::collections::BTreeSet;

/// Keys of Kafka's `StandardAuthorizer`, which `KafkaConfig` does not define.
const OF_PLUGINS: &[&str] = &["super.users", "allow.everyone.if.no.acl.found"];

/// Ottla's own keys begin with it.
const OWN_PREFIX: &str = "ottla.";

struct Fact<'a> {
    resource: &'a str,
    name: &'a str,
    kind: &'a str,
    default: &'a str,
    valid: &'a str,
    scope: &'a str,
    listed: &'a str,
}

fn facts() -> Vec<Fact<'static>> {
    let line = |line: &'static str| {
        let fields: Vec<&str> = line.split('\t').collect();
        let [resource, name, kind, default, valid, scope, listed] = fields[..] else {
            panic!("seven fields: {line}")
        };
        Fact {
            resource,
            name,
            kind,
            default,
            valid,
            scope,
            listed,
        }
    };
    include_str!("kafka-4.3.1.tsv").lines().map(line).collect()
}

fn table(resource: &str, name: &str) -> Option<&'static Key> {
    match resource {
        "broker" => broker_key(name),
        "topic" => topic_key(name),
        "group" => group_key(name),
        other => panic!("no resource {other}"),
    }
}

/// The way Kafka's validators print themselves.
fn printed(allowed: Allowed) -> String {
    let names = |names: &[&str]| format!("[{}]", names.join(", "));
    let list = |empty: bool, valid: &str| {
        format!("{} {valid}", if empty { "empty" } else { "nonempty" })
            .trim()
            .to_owned()
    };
    match allowed {
        Allowed::Any => String::new(),
        Allowed::AtLeast(least) => format!("[{least},...]"),
        Allowed::Between(least, most) => format!("[{least},...,{most}]"),
        Allowed::BetweenDoubles(least, most) => format!("[{least},...,{most}]"),
        Allowed::GzipLevel => "[1,...,9] or -1".to_owned(),
        Allowed::OneOf(valid) => names(valid),
        Allowed::OneOfAnyCase(valid) => format!("(case insensitive) {}", names(valid)),
        Allowed::NonEmpty => "non-empty string".to_owned(),
        Allowed::Distinct { empty } => list(empty, ""),
        Allowed::Subset(valid) => list(true, &names(valid)),
        Allowed::SubsetNonEmpty(valid) => list(false, &names(valid)),
        Allowed::Voters | Allowed::HostPorts => "non-empty list".to_owned(),
        Allowed::ThrottledReplicas => {
            "[partitionId]:[brokerId],[partitionId]:[brokerId],...".to_owned()
        }
        Allowed::OffsetReset => "[latest, earliest, by_duration:PnDTnHnMn.nS]".to_owned(),
    }
}

#[test]
fn every_key_of_kafka_is_in_the_table_as_kafka_defines_it() {
    let mut wrong = Vec::new();
    for fact in facts() {
        let Some(key) = table(fact.resource, fact.name) else {
            wrong.push(format!("{} key {} is missing", fact.resource, fact.name));
            continue;
        };
        let default = match key.default {
            Some(default) => format!("={default}"),
            None if key.required() => "required".to_owned(),
            None => "null".to_owned(),
        };
        let scope = match key.scope {
            Scope::ReadOnly => "read-only",
            Scope::PerBroker => "per-broker",
            Scope::ClusterWide => "cluster-wide",
            Scope::Topic => "topic",
            Scope::Group => "group",
            Scope::ClientMetrics => "client-metrics",
        };
        let listed = if key.is_internal() {
            "internal"
        } else {
            "listed"
        };
        for (what, ours, kafkas) in [
            ("type", key.kind.name(), fact.kind),
            ("default", default.as_str(), fact.default),
            ("values", printed(key.allowed).as_str(), fact.valid),
            ("scope", scope, fact.scope),
            ("listing", listed, fact.listed),
        ] {
            if ours != kafkas {
                wrong.push(format!(
                    "{}: {what} is {kafkas}, the table says {ours}",
                    fact.name
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_table_has_no_key_that_is_neither_kafkas_nor_ottlas_own_and_none_twice() {
    for (resource, keys) in [
        ("broker", broker_keys().collect::<Vec<_>>()),
        ("topic", topic_keys().collect()),
        ("group", group_keys().collect()),
    ] {
        let known: BTreeSet<&str> = facts()
            .iter()
            .filter(|f| f.resource == resource)
            .map(|f| f.name)
            .collect();
        let mut seen = BTreeSet::new();
        for key in keys {
            assert!(
                known.contains(key.name)
                    || OF_PLUGINS.contains(&key.name)
                    || key.name.starts_with(OWN_PREFIX),
                "{}",
                key.name
            );
            assert!(seen.insert(key.name), "{} is in the table twice", key.name);
        }
    }
}

#[test]
fn every_default_is_a_valid_value() {
    for key in broker_keys().chain(topic_keys()).chain(group_keys()) {
        if let Some(default) = key.default {
            let value = crate::config::Value::parse(key, default);
            let secret = key.is_sensitive();
            assert!(
                value.is_ok_and(|v| secret || v.to_string() == default),
                "{}",
                key.name
            );
        }
    }
}

#[test]
fn every_key_is_explained_in_one_sentence() {
    for key in broker_keys().chain(topic_keys()).chain(group_keys()) {
        assert!(
            key.doc.ends_with('.') && key.doc.len() > 15,
            "{}: {}",
            key.name,
            key.doc
        );
    }
}

#[test]
fn a_secret_stays_one_behind_a_listeners_prefix() {
    assert!(is_sensitive("ssl.keystore.password"));
    assert!(is_sensitive("listener.name.tc-0.ssl.keystore.password"));
    assert!(is_sensitive(
        "listener.name.client.scram-sha-256.sasl.jaas.config"
    ));
    assert!(is_sensitive("some.plugin.key"));
    assert!(!is_sensitive("listener.name.client.ssl.client.auth"));
    assert!(!is_sensitive("retention.ms"));
}
