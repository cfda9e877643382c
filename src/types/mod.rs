//! Numbers and names that must not be mixed up. No I/O, no async.

mod numbers;
mod topic;
mod uuid;

pub use numbers::{LeaderEpoch, NodeId, Offset, ProducerEpoch, ProducerId, Timestamp};
pub use topic::{TOPIC_NAME_LEN_MAX, TopicName, TopicNameError, TopicPartition, is_internal};
pub use uuid::{Uuid, UuidError};
