//! Topic names and partitions.

use std::fmt;
use std::sync::Arc;

/// Longest topic name, in bytes: a directory name (255) less a dash, a partition number and a suffix.
pub const TOPIC_NAME_LEN_MAX: usize = 249;

/// A topic name that keeps Kafka's rules (`Topic.validate`). Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicName(Arc<str>);

/// Why a text is no topic name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TopicNameError {
    #[error("the empty string is not allowed")]
    Empty,
    #[error("'.' or '..' is not allowed")]
    Dots,
    #[error("the length of '{0}' is longer than the max allowed length {TOPIC_NAME_LEN_MAX}")]
    TooLong(String),
    #[error(
        "'{0}' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'"
    )]
    Characters(String),
}

impl TopicName {
    pub fn parse(text: &str) -> Result<TopicName, TopicNameError> {
        if text.is_empty() {
            return Err(TopicNameError::Empty);
        }
        if text == "." || text == ".." {
            return Err(TopicNameError::Dots);
        }
        if text.len() > TOPIC_NAME_LEN_MAX {
            return Err(TopicNameError::TooLong(text.to_owned()));
        }
        if !text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
        {
            return Err(TopicNameError::Characters(text.to_owned()));
        }
        Ok(TopicName(text.into()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Two topics whose names are equal once '.' is read as '_' collide in metric names; Kafka
    /// refuses the second one.
    pub fn collision_key(&self) -> String {
        self.0.replace('.', "_")
    }

    pub fn is_internal(&self) -> bool {
        is_internal(&self.0)
    }
}

/// Topics that only the broker writes.
pub fn is_internal(name: &str) -> bool {
    matches!(
        name,
        "__consumer_offsets" | "__transaction_state" | "__share_group_state"
    )
}

impl std::borrow::Borrow<str> for TopicName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TopicName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for TopicName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &self.0)
    }
}

/// One partition of one topic, by name.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicPartition {
    pub topic: TopicName,
    pub partition: i32,
}

impl TopicPartition {
    pub fn new(topic: TopicName, partition: i32) -> TopicPartition {
        TopicPartition { topic, partition }
    }
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic, self.partition)
    }
}

impl fmt::Debug for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic, self.partition)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_outside_kafkas_alphabet_are_refused() {
        assert_eq!(TopicName::parse(""), Err(TopicNameError::Empty));
        assert_eq!(TopicName::parse(".."), Err(TopicNameError::Dots));
        assert!(matches!(
            TopicName::parse("a b"),
            Err(TopicNameError::Characters(_))
        ));
        assert!(matches!(
            TopicName::parse(&"a".repeat(250)),
            Err(TopicNameError::TooLong(_))
        ));
        assert!(TopicName::parse(&"a".repeat(249)).is_ok());
        assert!(TopicName::parse("A.b_c-9").is_ok());
    }

    #[test]
    fn a_dot_and_an_underscore_collide() {
        let key = |name: &str| TopicName::parse(name).unwrap().collision_key();
        assert_eq!(key("a.b_c"), key("a_b.c"));
    }
}
