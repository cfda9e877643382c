//! Configuration: one table of keys, and the typed values made from it. Texts are handed in: no I/O.
//!
//! [`keys`] is the table: every key Apache Kafka 4.3.1 knows, with type, default, range, scope and
//! what Ottla does with it. [`Properties`] is what a user wrote (`server.properties`, `KAFKA_*`
//! variables, `--set`). [`BrokerConfig::from_properties`] turns one into a checked [`BrokerConfig`]
//! and a [`Report`] of everything the user should be told at start. [`TopicConfig`] is what one
//! topic ends up with. [`describe`] answers DescribeConfigs.

mod broker;
pub mod describe;
mod error;
pub mod keys;
mod listener;
mod properties;
#[cfg(test)]
mod reference;
mod report;
mod resolve;
mod topic;
mod value;

pub use broker::{
    BrokerConfig, Directories, FetchConfig, GroupsConfig, LogsConfig, NetConfig, OffsetsConfig,
    ReplicationConfig, Roles, TopicsConfig, TransactionsConfig,
};
pub use error::ConfigError;
pub use listener::{Advertised, Listener, Listeners, SecurityProtocol};
pub use properties::{FromEnv, Properties};
pub use report::{Line, Report, What};
pub use topic::{Cleanup, Compression, TimestampType, TopicConfig, validate_topic_config};
pub use value::Value;
