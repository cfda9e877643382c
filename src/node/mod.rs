//! This broker as a member: its partitions as the coordinators see them.

mod coordination;
mod dynamic_config;
mod shard_log;

pub use coordination::Coordination;
pub use dynamic_config::DynamicConfig;
pub use shard_log::PartitionShard;
