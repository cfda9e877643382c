//! What a user wrote: keys and values as text, before anything is known about them.

use super::ConfigError;
use java_properties::PropertiesIter;
use std::collections::BTreeMap;
use std::fmt::Write;

/// Keys and their texts. A key has one value; whatever is set last wins.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Properties {
    values: BTreeMap<String, String>,
}

/// What [`Properties::from_env`] made of an environment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FromEnv {
    pub properties: Properties,
    /// Variables that the image of Apache Kafka gives to the JVM or to its scripts.
    pub ignored: Vec<String>,
    /// `KAFKA_LOG4J_ROOT_LOGLEVEL`, as written.
    pub log_level: Option<String>,
    /// `KAFKA_LOG4J_LOGGERS`: logger and level.
    pub log_levels: Vec<(String, String)>,
}

/// Variables with the prefix that are no configuration keys
/// (`KafkaDockerWrapper.ExcludeServerPropsEnv`).
const NOT_PROPERTIES: &[&str] = &[
    "KAFKA_VERSION",
    "KAFKA_HEAP_OPTS",
    "KAFKA_LOG4J_OPTS",
    "KAFKA_OPTS",
    "KAFKA_JMX_OPTS",
    "KAFKA_JVM_PERFORMANCE_OPTS",
    "KAFKA_GC_LOG_OPTS",
    "KAFKA_LOG4J_ROOT_LOGLEVEL",
    "KAFKA_LOG4J_LOGGERS",
    "KAFKA_TOOLS_LOG4J_LOGLEVEL",
    "KAFKA_JMX_HOSTNAME",
];

impl Properties {
    pub fn new() -> Properties {
        Properties::default()
    }

    /// What runs when there is no file: one node with id 1 that listens on localhost:9092 and keeps
    /// its data in `ottla-data` in the current directory.
    pub fn embedded() -> Properties {
        let mut properties = Properties::new();
        for (key, value) in [
            ("process.roles", "broker,controller"),
            ("node.id", "1"),
            ("listeners", "PLAINTEXT://localhost:9092"),
            ("controller.listener.names", "CONTROLLER"),
            ("log.dirs", "ottla-data"),
            ("offsets.topic.replication.factor", "1"),
            ("transaction.state.log.replication.factor", "1"),
            ("transaction.state.log.min.isr", "1"),
            ("share.coordinator.state.topic.replication.factor", "1"),
            ("share.coordinator.state.topic.min.isr", "1"),
        ] {
            properties.set(key, value);
        }
        properties
    }

    /// Reads a `.properties` file's text by Java's rules: escapes, continued lines, `=`, `:` or a
    /// blank between key and value, `#` and `!` comments. A key that is repeated keeps its last
    /// value.
    pub fn parse(text: &str) -> Result<Properties, ConfigError> {
        // The reader takes bytes of an 8-bit encoding, Java's default; escaping the rest first
        // makes it read UTF-8, which is what editors write.
        let mut ascii = String::with_capacity(text.len());
        for letter in text.chars() {
            if letter.is_ascii() {
                ascii.push(letter);
            } else {
                write!(ascii, "\\u{:04x}", u32::from(letter)).expect("a String takes any text");
            }
        }
        let mut properties = Properties::new();
        PropertiesIter::new(ascii.as_bytes())
            .read_into(|key, value| properties.set(key, value))
            .map_err(|error| ConfigError::Syntax {
                reason: format!("not a properties file: {error}"),
            })?;
        Ok(properties)
    }

    /// `KAFKA_*` variables as the apache/kafka image maps them: the prefix goes, the rest is
    /// lower-cased, `_` is `.`, `__` is `_` and `___` is `-`. Without `KAFKA_LISTENERS` the
    /// listeners follow from `KAFKA_ADVERTISED_LISTENERS`, on every interface.
    pub fn from_env(variables: impl IntoIterator<Item = (String, String)>) -> FromEnv {
        let mut from = FromEnv::default();
        for (name, value) in variables {
            let Some(rest) = name.strip_prefix("KAFKA_") else {
                continue;
            };
            if NOT_PROPERTIES.contains(&name.as_str()) {
                match rest {
                    "LOG4J_ROOT_LOGLEVEL" if !value.is_empty() => from.log_level = Some(value),
                    "LOG4J_LOGGERS" => from.log_levels = loggers(&value),
                    _ => from.ignored.push(name),
                }
                continue;
            }
            let key = rest
                .to_lowercase()
                .replace('_', ".")
                .replace("...", "-")
                .replace("..", "_");
            from.properties.set(key, value);
        }
        let properties = &mut from.properties;
        let controller_only = properties.get("process.roles") == Some("controller");
        let without = |value: Option<&str>| value.is_none_or(str::is_empty);
        let bound = properties
            .get("advertised.listeners")
            .map(on_every_interface);
        match bound {
            Some(bound) if without(properties.get("listeners")) && !controller_only => {
                properties.set("listeners", bound);
            }
            _ => {}
        }
        from.ignored.sort();
        from
    }

    pub fn get(&self, key: &str) -> Option<&str> {
        self.values.get(key).map(String::as_str)
    }

    pub fn set(&mut self, key: impl Into<String>, value: impl Into<String>) {
        self.values.insert(key.into(), value.into());
    }

    /// `KEY=VALUE`, as `--set` and Kafka's `--override` take it.
    pub fn set_pair(&mut self, pair: &str) -> Result<(), ConfigError> {
        match pair.split_once('=') {
            Some((key, value)) if !key.trim().is_empty() => {
                self.set(key.trim(), value.trim());
                Ok(())
            }
            _ => Err(ConfigError::Syntax {
                reason: format!("'{pair}': expected KEY=VALUE"),
            }),
        }
    }

    pub fn remove(&mut self, key: &str) -> Option<String> {
        self.values.remove(key)
    }

    /// Takes every key of `over`; where both have one, the one of `over` wins.
    pub fn merge(&mut self, over: Properties) {
        self.values.extend(over.values);
    }

    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.values
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_str()))
    }
}

fn loggers(text: &str) -> Vec<(String, String)> {
    let pair = |entry: &str| {
        entry
            .split_once('=')
            .map(|(name, level)| (name.trim().to_owned(), level.trim().to_owned()))
    };
    text.split(',').filter_map(pair).collect()
}

/// `NAME://host:port,…` with every host as 0.0.0.0.
fn on_every_interface(advertised: &str) -> String {
    let bound = |endpoint: &str| match (endpoint.split_once("://"), endpoint.rsplit_once(':')) {
        (Some((name, _)), Some((_, port))) => format!("{}://0.0.0.0:{port}", name.trim()),
        _ => endpoint.to_owned(),
    };
    advertised
        .split(',')
        .map(bound)
        .collect::<Vec<_>>()
        .join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(variables: &[(&str, &str)]) -> FromEnv {
        Properties::from_env(
            variables
                .iter()
                .map(|(k, v)| ((*k).to_owned(), (*v).to_owned())),
        )
    }

    #[test]
    fn a_file_is_read_by_javas_rules() {
        let text =
            "# comment\n! comment\n a.b = 1 \nc:2\nd 3\ne=x\\\n  y\nf=\\u00e9\ng=é\na.b=4\nempty\n";
        let properties = Properties::parse(text).unwrap();
        let read: Vec<_> = properties.iter().collect();
        let expected = [
            ("a.b", "4"),
            ("c", "2"),
            ("d", "3"),
            ("e", "xy"),
            ("empty", ""),
            ("f", "é"),
            ("g", "é"),
        ];
        assert_eq!(read, expected);
    }

    #[test]
    fn a_broken_escape_is_an_error_and_not_a_guess() {
        assert!(matches!(
            Properties::parse("a=\\u12"),
            Err(ConfigError::Syntax { .. })
        ));
    }

    #[test]
    fn underscores_become_dots_and_more_of_them_underscores_and_dashes() {
        let from = env(&[
            ("KAFKA_LOG_RETENTION_MS", "1"),
            ("KAFKA_A__B___C", "2"),
            ("PATH", "/bin"),
        ]);
        let read: Vec<_> = from.properties.iter().collect();
        assert_eq!(read, [("a_b-c", "2"), ("log.retention.ms", "1")]);
    }

    #[test]
    fn variables_for_the_jvm_are_not_keys() {
        let from = env(&[
            ("KAFKA_HEAP_OPTS", "-Xmx1G"),
            ("KAFKA_LOG4J_ROOT_LOGLEVEL", "WARN"),
            (
                "KAFKA_LOG4J_LOGGERS",
                "kafka.server=DEBUG, kafka.log = INFO",
            ),
        ]);
        assert!(from.properties.is_empty());
        assert_eq!(from.ignored, ["KAFKA_HEAP_OPTS"]);
        assert_eq!(from.log_level.as_deref(), Some("WARN"));
        assert_eq!(
            from.log_levels[1],
            ("kafka.log".to_owned(), "INFO".to_owned())
        );
    }

    #[test]
    fn without_listeners_the_advertised_ones_are_bound_on_every_interface() {
        let from = env(&[(
            "KAFKA_ADVERTISED_LISTENERS",
            "PLAINTEXT://kafka:9092,B://[::1]:9",
        )]);
        assert_eq!(
            from.properties.get("listeners"),
            Some("PLAINTEXT://0.0.0.0:9092,B://0.0.0.0:9")
        );
        let both = env(&[
            ("KAFKA_ADVERTISED_LISTENERS", "A://k:1"),
            ("KAFKA_LISTENERS", "A://:1"),
        ]);
        assert_eq!(both.properties.get("listeners"), Some("A://:1"));
    }

    #[test]
    fn what_is_set_last_wins() {
        let mut properties = Properties::parse("a=1\nb=1").unwrap();
        properties.merge(Properties::parse("a=2").unwrap());
        properties.set_pair("b = 3=4").unwrap();
        assert_eq!(
            properties.iter().collect::<Vec<_>>(),
            [("a", "2"), ("b", "3=4")]
        );
        assert!(properties.set_pair("nothing").is_err());
    }
}
