//! What one group is configured to do (rules of Kafka's `GroupConfig.validate`).

use super::keys;
use super::value::Value;
use super::{ConfigError, Properties};
use std::collections::BTreeMap;

/// The broker's bounds for what groups may set.
struct Bounds {
    key: &'static str,
    least: Option<&'static str>,
    most: &'static str,
}

const fn between(key: &'static str, least: &'static str, most: &'static str) -> Bounds {
    Bounds {
        key,
        least: Some(least),
        most,
    }
}

const BOUNDS: &[Bounds] = &[
    between(
        "consumer.heartbeat.interval.ms",
        "group.consumer.min.heartbeat.interval.ms",
        "group.consumer.max.heartbeat.interval.ms",
    ),
    between(
        "consumer.session.timeout.ms",
        "group.consumer.min.session.timeout.ms",
        "group.consumer.max.session.timeout.ms",
    ),
    between(
        "consumer.assignment.interval.ms",
        "group.consumer.min.assignment.interval.ms",
        "group.consumer.max.assignment.interval.ms",
    ),
    between(
        "share.heartbeat.interval.ms",
        "group.share.min.heartbeat.interval.ms",
        "group.share.max.heartbeat.interval.ms",
    ),
    between(
        "share.session.timeout.ms",
        "group.share.min.session.timeout.ms",
        "group.share.max.session.timeout.ms",
    ),
    between(
        "share.record.lock.duration.ms",
        "group.share.min.record.lock.duration.ms",
        "group.share.max.record.lock.duration.ms",
    ),
    between(
        "share.delivery.count.limit",
        "group.share.min.delivery.count.limit",
        "group.share.max.delivery.count.limit",
    ),
    between(
        "share.partition.max.record.locks",
        "group.share.min.partition.max.record.locks",
        "group.share.max.partition.max.record.locks",
    ),
    between(
        "share.assignment.interval.ms",
        "group.share.min.assignment.interval.ms",
        "group.share.max.assignment.interval.ms",
    ),
    between(
        "streams.heartbeat.interval.ms",
        "group.streams.min.heartbeat.interval.ms",
        "group.streams.max.heartbeat.interval.ms",
    ),
    between(
        "streams.session.timeout.ms",
        "group.streams.min.session.timeout.ms",
        "group.streams.max.session.timeout.ms",
    ),
    Bounds {
        key: "streams.num.standby.replicas",
        least: None,
        most: "group.streams.max.standby.replicas",
    },
    between(
        "streams.assignment.interval.ms",
        "group.streams.min.assignment.interval.ms",
        "group.streams.max.assignment.interval.ms",
    ),
];

/// A member must be able to send more than one heartbeat in a session.
const LONGER: &[(&str, &str)] = &[
    (
        "consumer.session.timeout.ms",
        "consumer.heartbeat.interval.ms",
    ),
    ("share.session.timeout.ms", "share.heartbeat.interval.ms"),
    (
        "streams.session.timeout.ms",
        "streams.heartbeat.interval.ms",
    ),
];

/// The text in force for a group's key: its own, else what the broker gives to all groups.
pub(super) fn text<'a>(
    key: &'a keys::Key,
    overrides: &'a BTreeMap<String, String>,
    broker: &'a Properties,
) -> Option<&'a str> {
    let own = overrides.get(key.name).map(String::as_str);
    let given = || keys::group_synonym(key.name).and_then(|name| broker.get(name));
    own.or_else(given).or(key.default)
}

/// Refuses what Kafka refuses for a group on a broker with these settings: unknown keys, bad values,
/// values outside the broker's bounds, and sessions that are no longer than a heartbeat.
pub fn validate_group_config(
    overrides: &BTreeMap<String, String>,
    broker: &Properties,
) -> Result<(), ConfigError> {
    for (name, text) in overrides {
        let key = keys::group_key(name).ok_or_else(|| ConfigError::Unknown {
            key: name.clone(),
            resource: "group",
        })?;
        Value::parse(key, text)?;
    }
    // Where the group says nothing, it is the broker's own value that is wrong.
    let said_by = |key: &'static str| {
        let own = overrides.contains_key(key).then_some(key);
        own.or(keys::group_synonym(key)).unwrap_or(key)
    };
    for bounds in BOUNDS {
        let value = group_int(bounds.key, overrides, broker);
        let least = bounds.least.filter(|l| value < broker_int(l, broker));
        if let Some(least) = least {
            return out_of(said_by(bounds.key), "greater than or equal to", least);
        }
        if value > broker_int(bounds.most, broker) {
            return out_of(said_by(bounds.key), "less than or equal to", bounds.most);
        }
    }
    for (session, heartbeat) in LONGER {
        if group_int(session, overrides, broker) <= group_int(heartbeat, overrides, broker) {
            return out_of(said_by(session), "greater than", said_by(heartbeat));
        }
    }
    Ok(())
}

fn out_of(key: &str, how: &str, other: &str) -> Result<(), ConfigError> {
    Err(ConfigError::conflict(format!(
        "{key} must be {how} {other}"
    )))
}

fn group_int(name: &str, overrides: &BTreeMap<String, String>, broker: &Properties) -> i32 {
    let key = keys::group_key(name).expect("a group key");
    int(key, text(key, overrides, broker))
}

fn broker_int(name: &str, broker: &Properties) -> i32 {
    let key = keys::broker_key(name).expect("a broker key");
    int(key, broker.get(name).or(key.default))
}

/// The number in a text that was checked.
fn int(key: &keys::Key, text: Option<&str>) -> i32 {
    match text.map(|text| Value::parse(key, text)) {
        Some(Ok(Value::Int(value))) => value,
        other => unreachable!("{} is no checked int: {other:?}", key.name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(overrides: &[(&str, &str)], broker: &str) -> Result<(), String> {
        let overrides = overrides
            .iter()
            .map(|(key, value)| (key.to_string(), value.to_string()))
            .collect();
        let broker = Properties::parse(broker).unwrap();
        validate_group_config(&overrides, &broker).map_err(|error| error.to_string())
    }

    #[test]
    fn every_key_takes_its_default() {
        for key in keys::group_keys() {
            let own = [(key.name, key.default.unwrap())];
            assert_eq!(check(&own, ""), Ok(()), "{}", key.name);
        }
    }

    #[test]
    fn a_value_outside_the_brokers_bounds_is_refused() {
        let session = [("consumer.session.timeout.ms", "30000")];
        assert_eq!(
            check(&session, ""),
            Err(
                "consumer.session.timeout.ms must be greater than or equal to \
                 group.consumer.min.session.timeout.ms"
                    .to_owned()
            )
        );
        assert_eq!(
            check(&session, "group.consumer.min.session.timeout.ms=20000"),
            Ok(())
        );
        assert_eq!(
            check(&[("streams.num.standby.replicas", "3")], ""),
            Err(
                "streams.num.standby.replicas must be less than or equal to \
                 group.streams.max.standby.replicas"
                    .to_owned()
            )
        );
    }

    #[test]
    fn a_session_must_be_longer_than_a_heartbeat() {
        let broker = "group.share.min.session.timeout.ms=1\ngroup.share.session.timeout.ms=5000";
        assert_eq!(
            check(&[("share.heartbeat.interval.ms", "5000")], broker),
            Err(
                "group.share.session.timeout.ms must be greater than share.heartbeat.interval.ms"
                    .to_owned()
            )
        );
    }

    #[test]
    fn an_unknown_key_is_named() {
        assert_eq!(
            check(&[("consumer.session.timeout", "1")], ""),
            Err("Unknown group config name: consumer.session.timeout".to_owned())
        );
    }
}
