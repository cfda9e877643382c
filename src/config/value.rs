//! A value that has the type and the range its key demands (Kafka's `ConfigDef.parseType` and
//! validators).

use super::ConfigError;
use super::keys::{Allowed, Key, Kind};
use std::fmt;

/// A checked value. `Display` gives the text that Kafka's tools show.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Boolean(bool),
    String(String),
    Int(i32),
    Short(i16),
    Long(i64),
    Double(f64),
    List(Vec<String>),
    Class(String),
    Password(String),
}

impl Value {
    /// Reads `text` as a value of `key`. Blanks around it do not count.
    pub fn parse(key: &Key, text: &str) -> Result<Value, ConfigError> {
        let trimmed = text.trim();
        let wrong = |reason: &str| ConfigError::value(key.name, trimmed, reason);
        let no_number = || {
            let kind = key.kind.name().to_uppercase();
            wrong(&format!("Not a number of type {kind}"))
        };
        let value = match key.kind {
            Kind::Boolean if trimmed.eq_ignore_ascii_case("true") => Value::Boolean(true),
            Kind::Boolean if trimmed.eq_ignore_ascii_case("false") => Value::Boolean(false),
            Kind::Boolean => return Err(wrong("Expected value to be either true or false")),
            Kind::String => Value::String(trimmed.to_owned()),
            Kind::Int => Value::Int(trimmed.parse().map_err(|_| no_number())?),
            Kind::Short => Value::Short(trimmed.parse().map_err(|_| no_number())?),
            Kind::Long => Value::Long(trimmed.parse().map_err(|_| no_number())?),
            Kind::Double => Value::Double(trimmed.parse().map_err(|_| no_number())?),
            Kind::List if trimmed.is_empty() => Value::List(Vec::new()),
            Kind::List => Value::List(entries(key, trimmed)),
            Kind::Class => Value::Class(trimmed.to_owned()),
            Kind::Password => Value::Password(trimmed.to_owned()),
        };
        value.check(key)?;
        Ok(value)
    }

    /// Refuses what `key` does not allow, in the words of Kafka's validators.
    fn check(&self, key: &Key) -> Result<(), ConfigError> {
        if let Value::List(entries) = self {
            check_entries(key, entries)?;
        }
        match self.complaint(key) {
            None => Ok(()),
            Some(reason) => Err(ConfigError::value(key.name, &self.to_string(), reason)),
        }
    }

    fn complaint(&self, key: &Key) -> Option<String> {
        let unless = |fine: bool, reason: String| (!fine).then_some(reason);
        let least = |least: String| format!("Value must be at least {least}");
        let most = |most: String| format!("Value must be no more than {most}");
        match (key.allowed, self) {
            (Allowed::AtLeast(low), value) => {
                unless(value.whole() >= Some(low), least(low.to_string()))
            }
            (Allowed::Between(low, high), value) => {
                let low = unless(value.whole() >= Some(low), least(low.to_string()));
                low.or_else(|| unless(value.whole() <= Some(high), most(high.to_string())))
            }
            (Allowed::BetweenDoubles(low, high), Value::Double(v)) => {
                let low = unless(*v >= low, least(low.to_string()));
                low.or_else(|| unless(*v <= high, most(high.to_string())))
            }
            (Allowed::GzipLevel, value) => {
                let reason = "Value must be between 1 and 9 or equal to -1".to_owned();
                unless(matches!(value.whole(), Some(-1 | 1..=9)), reason)
            }
            (Allowed::OneOf(names), Value::String(v)) => {
                unless(names.contains(&v.as_str()), one_of(names))
            }
            (Allowed::OneOfAnyCase(names), Value::String(v)) => {
                let fine = names.iter().any(|name| name.eq_ignore_ascii_case(v));
                let names = names.join(", ");
                unless(
                    fine,
                    format!("String must be one of (case insensitive): {names}"),
                )
            }
            (Allowed::NonEmpty, Value::String(v)) => {
                unless(!v.is_empty(), "String must be non-empty".to_owned())
            }
            (Allowed::Any | Allowed::Distinct { .. }, _) => None,
            (Allowed::Subset(_) | Allowed::SubsetNonEmpty(_), _) => None,
            (allowed, value) => unless(
                value.has_form(allowed),
                format!("expected {}", key.expected()),
            ),
        }
    }

    /// Whether a text or a list is written as the key demands.
    fn has_form(&self, allowed: Allowed) -> bool {
        match (allowed, self) {
            (Allowed::Voters, Value::List(v)) => v.iter().all(|entry| is_voter(entry)),
            (Allowed::HostPorts, Value::List(v)) => v.iter().all(|entry| is_host_port(entry)),
            (Allowed::ThrottledReplicas, Value::List(v)) => {
                matches!(v.as_slice(), [star] if star == "*")
                    || v.iter().all(|entry| is_partition_and_broker(entry))
            }
            (Allowed::OffsetReset, Value::String(v)) => {
                v == "latest"
                    || v == "earliest"
                    || v.strip_prefix("by_duration:").is_some_and(is_duration)
            }
            // The table pairs each range with a type that it fits; a test reads every default.
            _ => false,
        }
    }

    fn whole(&self) -> Option<i64> {
        match self {
            Value::Int(v) => Some((*v).into()),
            Value::Short(v) => Some((*v).into()),
            Value::Long(v) => Some(*v),
            _ => None,
        }
    }
}

impl Key {
    /// What a value may be, as the end of a sentence: "expected …".
    pub fn expected(&self) -> String {
        let a = match self.kind {
            Kind::Int => "a 32-bit whole number",
            Kind::Short => "a 16-bit whole number",
            Kind::Long => "a 64-bit whole number",
            Kind::Double => "a number",
            Kind::Boolean => "true or false",
            Kind::List => "a comma-separated list",
            Kind::String | Kind::Class | Kind::Password => "a text",
        };
        match self.allowed {
            Allowed::Any => a.to_owned(),
            Allowed::AtLeast(least) => format!("{a} of at least {least}"),
            Allowed::Between(least, most) => format!("{a} from {least} to {most}"),
            Allowed::BetweenDoubles(least, most) => format!("{a} from {least} to {most}"),
            Allowed::GzipLevel => "a whole number from 1 to 9, or -1".to_owned(),
            Allowed::OneOf(names) => format!("one of {}", names.join(", ")),
            Allowed::OneOfAnyCase(names) => {
                format!("one of {} (in any case)", names.join(", "))
            }
            Allowed::NonEmpty => "a text that is not empty".to_owned(),
            Allowed::Distinct { empty: true } => format!("{a} without empty entries"),
            Allowed::Distinct { empty: false } => {
                format!("{a} of one or more entries, none empty")
            }
            Allowed::Subset(names) => format!("{a} of {}", names.join(", ")),
            Allowed::SubsetNonEmpty(names) => {
                format!("{a} of one or more of {}", names.join(", "))
            }
            Allowed::Voters => "a comma-separated list of id@host:port".to_owned(),
            Allowed::HostPorts => "a comma-separated list of host:port".to_owned(),
            Allowed::ThrottledReplicas => {
                "* or a comma-separated list of partition:broker".to_owned()
            }
            Allowed::OffsetReset => {
                "latest, earliest, or by_duration: and a duration such as PT1H".to_owned()
            }
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Boolean(v) => v.fmt(f),
            Value::Int(v) => v.fmt(f),
            Value::Short(v) => v.fmt(f),
            Value::Long(v) => v.fmt(f),
            Value::Double(v) => f.write_str(&java_double(*v)),
            Value::String(v) | Value::Class(v) => f.write_str(v),
            Value::List(v) => f.write_str(&v.join(",")),
            Value::Password(_) => f.write_str("[hidden]"),
        }
    }
}

/// `Double.toString`: always a fraction digit, and an exponent outside 10⁻³ … 10⁷.
fn java_double(value: f64) -> String {
    if value == 0.0 || (1e-3..1e7).contains(&value.abs()) {
        return format!("{value:?}");
    }
    let text = format!("{value:E}");
    match text.split_once('E') {
        Some((digits, exponent)) if !digits.contains('.') => format!("{digits}.0E{exponent}"),
        _ => text,
    }
}

/// The entries of a list. Where they must be distinct, those that are repeated count once.
fn entries(key: &Key, text: &str) -> Vec<String> {
    let once = matches!(
        key.allowed,
        Allowed::Distinct { .. } | Allowed::Subset(_) | Allowed::SubsetNonEmpty(_)
    );
    let mut entries: Vec<String> = Vec::new();
    for entry in text.split(',').map(str::trim) {
        if !(once && entries.iter().any(|known| known == entry)) {
            entries.push(entry.to_owned());
        }
    }
    entries
}

/// Refuses entries that are empty or none of the key's, and a list without entries where the key
/// wants some (`ConfigDef.ValidList`).
fn check_entries(key: &Key, entries: &[String]) -> Result<(), ConfigError> {
    let (names, may_be_empty): (&[&str], bool) = match key.allowed {
        Allowed::Distinct { empty } => (&[], empty),
        Allowed::Subset(names) => (names, true),
        Allowed::SubsetNonEmpty(names) => (names, false),
        _ => return Ok(()),
    };
    let wrong = |reason: String| {
        let key = key.name.to_owned();
        Err(ConfigError::List { key, reason })
    };
    if entries.is_empty() && !may_be_empty {
        let valid = if names.is_empty() {
            "any non-empty value".to_owned()
        } else {
            format!("[{}]", names.join(", "))
        };
        return wrong(format!("must not be empty. Valid values include: {valid}"));
    }
    for entry in entries {
        if entry.is_empty() {
            return wrong("values must not be empty.".to_owned());
        }
        if !names.is_empty() && !names.contains(&entry.as_str()) {
            return Err(ConfigError::value(key.name, entry, one_of(names)));
        }
    }
    Ok(())
}

fn one_of(names: &[&str]) -> String {
    format!("String must be one of: {}", names.join(", "))
}

fn is_voter(entry: &str) -> bool {
    entry.split_once('@').is_some_and(|(id, address)| {
        id.parse::<i32>().is_ok_and(|id| id >= 0) && is_host_port(address)
    })
}

fn is_host_port(entry: &str) -> bool {
    entry
        .rsplit_once(':')
        .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
}

fn is_partition_and_broker(entry: &str) -> bool {
    entry
        .split_once(':')
        .is_some_and(|(p, b)| p.parse::<i32>().is_ok() && b.parse::<i32>().is_ok())
}

/// An ISO 8601 duration of days, hours, minutes and seconds (`java.time.Duration.parse`), not
/// negative.
fn is_duration(text: &str) -> bool {
    let Some(rest) = text.strip_prefix(['P', 'p']) else {
        return false;
    };
    let (days, time) = match rest.split_once(['T', 't']) {
        Some((_, "")) => return false,
        Some((days, time)) => (days, time),
        None => (rest, ""),
    };
    let mut seen = false;
    for (text, mut units) in [(days, "D"), (time, "HMS")] {
        let mut digits = String::new();
        for letter in text.chars() {
            if letter.is_ascii_digit() || letter == '.' {
                digits.push(letter);
                continue;
            }
            let Some(at) = units.find(letter.to_ascii_uppercase()) else {
                return false;
            };
            let fraction = letter.eq_ignore_ascii_case(&'s');
            if digits.is_empty() || (!fraction && digits.contains('.')) {
                return false;
            }
            if digits.parse::<f64>().is_err() {
                return false;
            }
            units = &units[at + 1..];
            digits.clear();
            seen = true;
        }
        if !digits.is_empty() {
            return false;
        }
    }
    seen
}

#[cfg(test)]
mod tests {
    use super::super::keys;
    use super::*;

    #[test]
    fn blanks_around_a_value_do_not_count() {
        let key = keys::broker_key("num.partitions").unwrap();
        assert_eq!(Value::parse(key, " 3 "), Ok(Value::Int(3)));
    }

    #[test]
    fn an_error_names_key_value_and_range() {
        let key = keys::topic_key("segment.bytes").unwrap();
        assert_eq!(
            Value::parse(key, "14").unwrap_err().to_string(),
            "Invalid value 14 for configuration segment.bytes: Value must be at least 1048576"
        );
    }

    #[test]
    fn an_entry_that_is_repeated_counts_once() {
        let key = keys::topic_key("cleanup.policy").unwrap();
        let value = Value::parse(key, "delete, compact,delete").unwrap();
        assert_eq!(value.to_string(), "delete,compact");
        let key = keys::topic_key("leader.replication.throttled.replicas").unwrap();
        assert_eq!(Value::parse(key, "0:1,0:1").unwrap().to_string(), "0:1,0:1");
    }

    #[test]
    fn an_error_has_kafkas_words() {
        for (key, text, error) in [
            (
                "retention.ms",
                "soon",
                "Invalid value soon for configuration retention.ms: Not a number of type LONG",
            ),
            (
                "preallocate",
                "yes",
                "Invalid value yes for configuration preallocate: Expected value to be either \
                 true or false",
            ),
            (
                "compression.lz4.level",
                "18",
                "Invalid value 18 for configuration compression.lz4.level: Value must be no more \
                 than 17",
            ),
            (
                "min.cleanable.dirty.ratio",
                "-1",
                "Invalid value -1.0 for configuration min.cleanable.dirty.ratio: Value must be at \
                 least 0",
            ),
            (
                "cleanup.policy",
                "delete,forget",
                "Invalid value forget for configuration cleanup.policy: String must be one of: \
                 compact, delete",
            ),
            (
                "cleanup.policy",
                "delete,",
                "Configuration 'cleanup.policy' values must not be empty.",
            ),
        ] {
            let key = keys::topic_key(key).unwrap();
            assert_eq!(Value::parse(key, text).unwrap_err().to_string(), error);
        }
    }

    #[test]
    fn doubles_print_as_in_java() {
        for (value, text) in [
            (0.5, "0.5"),
            (1.0, "1.0"),
            (1e7, "1.0E7"),
            (f64::MAX, "1.7976931348623157E308"),
            (0.000_25, "2.5E-4"),
        ] {
            assert_eq!(java_double(value), text);
        }
    }

    #[test]
    fn durations_are_javas() {
        for good in ["PT1H", "P1D", "P2DT3H4M5.5S", "pt0s"] {
            assert!(is_duration(good), "{good}");
        }
        for bad in [
            "", "P", "PT", "1H", "PT1H2H", "PT5", "P1.5D", "P1Y", "PT1S1M",
        ] {
            assert!(!is_duration(bad), "{bad}");
        }
    }
}
