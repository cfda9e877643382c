//! Why a configuration cannot be used.

use std::fmt;

/// One clear sentence about one key (or one pair of keys). The text is meant for the person who
/// wrote the configuration; `api` maps it to INVALID_CONFIG.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConfigError {
    /// The text is no properties file.
    Syntax { reason: String },
    /// The value is not of the key's type, or not in its range.
    Value {
        key: String,
        value: String,
        reason: String,
    },
    /// Each entry of the list is fine, but not the list.
    List { key: String, reason: String },
    /// Nobody knows this key here. A broker warns and goes on; everything else refuses it.
    Unknown { key: String, resource: &'static str },
    /// Each value is fine, but not together.
    Conflict { reason: String },
    /// The value is legal in Apache Kafka, and acting as if it worked would be unsafe.
    Refused {
        key: String,
        value: String,
        reason: String,
    },
}

impl ConfigError {
    pub(crate) fn value(key: &str, value: &str, reason: impl Into<String>) -> ConfigError {
        ConfigError::Value {
            key: key.into(),
            value: value.into(),
            reason: reason.into(),
        }
    }

    /// Says what the value should have been, as the end of a sentence.
    pub(crate) fn expected(key: &str, value: &str, what: impl fmt::Display) -> ConfigError {
        ConfigError::value(key, value, format!("expected {what}"))
    }

    pub(crate) fn conflict(reason: impl Into<String>) -> ConfigError {
        ConfigError::Conflict {
            reason: reason.into(),
        }
    }

    pub(crate) fn refused(key: &str, value: &str, reason: impl Into<String>) -> ConfigError {
        ConfigError::Refused {
            key: key.into(),
            value: value.into(),
            reason: reason.into(),
        }
    }

    /// The key that is at fault, where it is one.
    pub fn key(&self) -> Option<&str> {
        match self {
            ConfigError::Value { key, .. }
            | ConfigError::List { key, .. }
            | ConfigError::Unknown { key, .. }
            | ConfigError::Refused { key, .. } => Some(key),
            ConfigError::Syntax { .. } | ConfigError::Conflict { .. } => None,
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A password must not reach a log through an error message.
        let shown = |key: &str, value: &str| {
            if super::keys::is_sensitive(key) {
                "[hidden]".to_owned()
            } else {
                value.to_owned()
            }
        };
        match self {
            ConfigError::Syntax { reason } => f.write_str(reason),
            // The words of Apache Kafka's tools, which people search for and programs look at.
            ConfigError::Value { key, value, reason } => {
                let value = shown(key, value);
                write!(f, "Invalid value {value} for configuration {key}: {reason}")
            }
            ConfigError::List { key, reason } => {
                write!(f, "Configuration '{key}' {reason}")
            }
            ConfigError::Unknown { key, resource } => {
                write!(f, "Unknown {resource} config name: {key}")
            }
            ConfigError::Conflict { reason } => f.write_str(reason),
            ConfigError::Refused { key, value, reason } => {
                write!(f, "{key}={}: {reason}", shown(key, value))
            }
        }
    }
}

impl std::error::Error for ConfigError {}
