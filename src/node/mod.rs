//! This broker as a member: its partitions as the coordinators see them.

mod coordination;
mod shard_log;

pub use coordination::Coordination;
pub use shard_log::PartitionShard;
