//! Configuration: one table of keys, and the typed values made from it. Texts are handed in: no I/O.
//!
//! [`keys`] is the table: every key Apache Kafka 4.3.1 knows, with type, default, range, scope and
//! what Ottla does with it. [`Properties`] is what a user wrote (`server.properties`, `KAFKA_*`
//! variables, `--set`). [`BrokerConfig::from_properties`] turns one into a checked [`BrokerConfig`]
//! and a [`Report`] of everything the user should be told at start. [`LiveConfig`] is that under
//! what was set at run time. [`TopicConfig`] is what one topic ends up with. [`describe`] answers
//! DescribeConfigs.

mod broker;
mod client_metrics;
pub mod describe;
mod dynamic;
mod error;
mod group;
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
    BrokerConfig, CleanerConfig, Directories, FetchConfig, GroupsConfig, ListenerConnections,
    LogsConfig, MetadataLogConfig, NetConfig, OffsetsConfig, OldVersions, ReplicationConfig, Roles,
    TopicsConfig, TransactionsConfig,
};
pub use client_metrics::{SubscriptionError, is_pattern, validate_client_metrics_config};
pub use dynamic::{InForce, Level, LiveConfig, Overrides, usable};
pub use error::ConfigError;
pub use group::validate_group_config;
pub use listener::{Advertised, Listener, Listeners, SecurityProtocol};
pub use properties::{FromEnv, Properties};
pub use report::{Line, Report, What};
pub use topic::{Cleanup, Compression, TimestampType, TopicConfig, validate_topic_config};
pub use value::Value;
