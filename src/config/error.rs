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
        expected: String,
    },
    /// Nobody knows this key here. Only topics and groups refuse it; a broker warns and goes on.
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
    pub(crate) fn value(key: &str, value: &str, expected: impl Into<String>) -> ConfigError {
        ConfigError::Value {
            key: key.into(),
            value: value.into(),
            expected: expected.into(),
        }
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
            ConfigError::Value {
                key,
                value,
                expected,
            } => {
                write!(f, "{key}={}: expected {expected}", shown(key, value))
            }
            ConfigError::Unknown { key, resource } => {
                write!(f, "{key}: no such {resource} configuration")
            }
            ConfigError::Conflict { reason } => f.write_str(reason),
            ConfigError::Refused { key, value, reason } => {
                write!(f, "{key}={}: {reason}", shown(key, value))
            }
        }
    }
}

impl std::error::Error for ConfigError {}
