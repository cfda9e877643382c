//! Partitions that this broker keeps: who leads, what consumers may see, who waits for more.

mod manager;
mod partition;
mod sessions;
mod topic_config;
mod upkeep;
mod waiters;

pub use crate::log::{
    AbortedTransaction, AppendError as LogAppendError, Appended, FirstBatch, ProducerError,
};
pub use manager::{LookupError, Replicas};
pub use partition::{
    AppendError, Durability, EpochError, Found, Isolation, Lookup, Partition, PartitionSettings,
    ProduceError, ProduceFrom, Produced, Read, ReadError, ReadOutcome, StorageFailed, Writer,
};
pub use sessions::{SessionError, SessionFetch, SessionRequest, Sessions, Told, TopicKey, Wanted};
pub use upkeep::start_upkeep;
pub use waiters::{Waiter, Waiters};
