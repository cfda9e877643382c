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
        let wrong = |expected: &str| ConfigError::value(key.name, trimmed, expected);
        let value = match key.kind {
            Kind::Boolean if trimmed.eq_ignore_ascii_case("true") => Value::Boolean(true),
            Kind::Boolean if trimmed.eq_ignore_ascii_case("false") => Value::Boolean(false),
            Kind::Boolean => return Err(wrong("true or false")),
            Kind::String => Value::String(trimmed.to_owned()),
            Kind::Int => Value::Int(trimmed.parse().map_err(|_| wrong(&key.expected()))?),
            Kind::Short => Value::Short(trimmed.parse().map_err(|_| wrong(&key.expected()))?),
            Kind::Long => Value::Long(trimmed.parse().map_err(|_| wrong(&key.expected()))?),
            Kind::Double => Value::Double(trimmed.parse().map_err(|_| wrong(&key.expected()))?),
            Kind::List if trimmed.is_empty() => Value::List(Vec::new()),
            Kind::List => Value::List(trimmed.split(',').map(|part| part.trim().into()).collect()),
            Kind::Class => Value::Class(trimmed.to_owned()),
            Kind::Password => Value::Password(trimmed.to_owned()),
        };
        if value.is_allowed(key.allowed) {
            Ok(value)
        } else {
            Err(wrong(&key.expected()))
        }
    }

    fn is_allowed(&self, allowed: Allowed) -> bool {
        match (allowed, self) {
            (Allowed::AtLeast(least), value) => value.whole().is_some_and(|v| v >= least),
            (Allowed::Between(least, most), value) => {
                value.whole().is_some_and(|v| (least..=most).contains(&v))
            }
            (Allowed::BetweenDoubles(least, most), Value::Double(v)) => (least..=most).contains(v),
            (Allowed::GzipLevel, value) => value
                .whole()
                .is_some_and(|v| v == -1 || (1..=9).contains(&v)),
            (Allowed::OneOf(names), Value::String(v)) => names.contains(&v.as_str()),
            (Allowed::OneOfAnyCase(names), Value::String(v)) => {
                names.iter().any(|name| name.eq_ignore_ascii_case(v))
            }
            (Allowed::NonEmpty, Value::String(v)) => !v.is_empty(),
            (Allowed::Distinct { empty }, Value::List(v)) => {
                distinct(v) && (empty || !v.is_empty())
            }
            (Allowed::Subset(names), Value::List(v)) => {
                distinct(v) && v.iter().all(|entry| names.contains(&entry.as_str()))
            }
            (Allowed::SubsetNonEmpty(names), Value::List(v)) => {
                distinct(v) && !v.is_empty() && v.iter().all(|e| names.contains(&e.as_str()))
            }
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
            (Allowed::Any, _) => true,
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
            Allowed::Distinct { empty: true } => format!("{a} without repeated or empty entries"),
            Allowed::Distinct { empty: false } => {
                format!("{a} of one or more different entries, none empty")
            }
            Allowed::Subset(names) => {
                format!("{a} of {} (each at most once)", names.join(", "))
            }
            Allowed::SubsetNonEmpty(names) => {
                format!(
                    "{a} of one or more of {} (each at most once)",
                    names.join(", ")
                )
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

fn distinct(entries: &[String]) -> bool {
    let repeated = |(i, entry): (usize, &String)| entries[..i].contains(entry);
    !entries.iter().any(String::is_empty) && !entries.iter().enumerate().any(repeated)
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
            "segment.bytes=14: expected a 32-bit whole number of at least 1048576"
        );
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
