//! Classic consumer groups (KIP-62, 134, 229, 345, 394, 800, 814) and committed offsets: the state of
//! one `__consumer_offsets` partition.
//!
//! | file | holds |
//! |---|---|
//! | [`shard`] | [`GroupShard`]: every verb of the group APIs, decided |
//! | `rebalance` | join, sync, heartbeat, leave and their time-outs: one group's volatile protocol |
//! | [`state`] | [`ClassicGroup`]: members, generation, protocol, leader |
//! | [`member`] | one member, and the answers it waits for |
//! | [`offsets`] | committed and pending offsets, and when they expire |
//! | [`record`] | the records of `__consumer_offsets` and their bytes |
//! | [`subscription`] | the topics named in a member's subscription |
//! | [`service`] | [`GroupCoordinator`]: the front door, one call per API |
//! | [`request`] | what is asked and answered, as plain structs |
//!
//! A group's rebalance is volatile, as in Kafka: what is durable is the last finished generation (one
//! group record) and the offsets. After a crash members find their generation again, or rejoin.

pub mod error;
pub mod member;
pub mod offsets;
mod rebalance;
pub mod record;
pub mod request;
pub mod service;
pub mod settings;
pub mod shard;
pub mod state;
pub mod subscription;

pub use error::GroupError;
pub use record::{CoordinatorRecord, GroupSnapshot, MemberSnapshot, OffsetKey};
pub use request::*;

pub use service::{Answer, GroupCoordinator, OFFSETS_TOPIC};
pub use settings::GroupSettings;
pub use shard::GroupShard;
pub use state::{ClassicGroup, GroupState};

#[cfg(test)]
mod tests;
