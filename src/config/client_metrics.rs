//! What a subscription of clients' metrics may say (rules of Kafka's `ClientMetricsConfigs`).

use super::ConfigError;
use super::keys;
use super::value::Value;
use regex_syntax::ast::{ErrorKind, parse::Parser};
use std::collections::BTreeMap;

/// `interval.ms`: from a tenth of a second to an hour.
const INTERVAL_MS: std::ops::RangeInclusive<i32> = 100..=3_600_000;

/// What a client can be told by.
const MATCHED: &[&str] = &[
    "client_instance_id",
    "client_id",
    "client_software_name",
    "client_software_version",
    "client_source_address",
    "client_source_port",
];

/// Why a subscription is refused. Kafka answers the two with different codes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubscriptionError {
    /// What is asked for cannot be, whatever the value's type.
    #[error("{0}")]
    Request(String),
    #[error("{0}")]
    Value(ConfigError),
}

/// Refuses unknown keys, bad values, an interval out of bounds, and patterns that are none.
pub fn validate_client_metrics_config(
    values: &BTreeMap<String, String>,
) -> Result<(), SubscriptionError> {
    for name in values.keys() {
        if keys::client_metrics_key(name).is_none() {
            return Err(SubscriptionError::Request(format!(
                "Unknown client metrics configuration: {name}"
            )));
        }
    }
    for (name, text) in values {
        let key = keys::client_metrics_key(name).expect("known by now");
        match (name.as_str(), Value::parse(key, text)) {
            (_, Err(error)) => return Err(SubscriptionError::Value(error)),
            ("interval.ms", Ok(Value::Int(ms))) if !INTERVAL_MS.contains(&ms) => {
                return Err(SubscriptionError::Request(format!(
                    "Invalid value {ms} for {name}, interval must be between {} and {} (1 hour)",
                    INTERVAL_MS.start(),
                    INTERVAL_MS.end()
                )));
            }
            ("match", Ok(Value::List(patterns))) => {
                if let Some(wrong) = patterns.iter().find(|pattern| !is_match(pattern)) {
                    let reason = format!("Illegal client matching pattern: {wrong}");
                    return Err(SubscriptionError::Value(ConfigError::conflict(reason)));
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// `name=pattern`.
fn is_match(text: &str) -> bool {
    let parts: Vec<&str> = text.split('=').collect();
    match parts[..] {
        [name, pattern] => MATCHED.contains(&name.trim()) && is_pattern(pattern.trim()),
        _ => false,
    }
}

/// Whether a text can be a regular expression. Patterns are Java's, which knows more than our parser:
/// only what is wrong in every dialect is refused.
pub fn is_pattern(text: &str) -> bool {
    let wrong = |kind: &ErrorKind| {
        matches!(
            kind,
            ErrorKind::ClassUnclosed
                | ErrorKind::EscapeUnexpectedEof
                | ErrorKind::GroupUnclosed
                | ErrorKind::GroupUnopened
                | ErrorKind::RepetitionCountUnclosed
                | ErrorKind::RepetitionMissing
        )
    };
    !text.is_empty()
        && Parser::new()
            .parse(text)
            .err()
            .is_none_or(|error| !wrong(error.kind()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(key: &str, value: &str) -> Result<(), SubscriptionError> {
        let values = BTreeMap::from([(key.to_owned(), value.to_owned())]);
        validate_client_metrics_config(&values)
    }

    #[test]
    fn what_kafkas_tools_set_is_accepted() {
        for (key, value) in [
            ("metrics", "*"),
            (
                "metrics",
                "org.apache.kafka.producer.,org.apache.kafka.consumer.",
            ),
            ("metrics", ""),
            ("interval.ms", "100"),
            (
                "match",
                "client_software_name=apache-kafka-java,client_id=a(?!b).*",
            ),
        ] {
            assert_eq!(check(key, value), Ok(()), "{key}={value}");
        }
    }

    #[test]
    fn an_interval_out_of_bounds_and_an_unknown_key_are_wrong_requests() {
        for (key, value) in [
            ("interval.ms", "99"),
            ("interval.ms", "3600001"),
            ("x", "1"),
        ] {
            let error = check(key, value).unwrap_err();
            assert!(matches!(error, SubscriptionError::Request(_)), "{error}");
        }
    }

    #[test]
    fn a_wrong_type_and_a_pattern_that_is_none_are_wrong_values() {
        for (key, value) in [
            ("interval.ms", "often"),
            ("match", "client_id"),
            ("match", "host=a"),
            ("match", "client_id=a=b"),
            ("match", "client_id=(a"),
            ("match", "client_id=*a"),
            ("metrics", "a,,b"),
        ] {
            let error = check(key, value).unwrap_err();
            assert!(matches!(error, SubscriptionError::Value(_)), "{error}");
        }
    }
}
