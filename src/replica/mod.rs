//! Partitions that this broker keeps: who leads, what consumers may see, who waits for more.

mod cleaner;
mod cleaning_state;
mod deletion;
mod directories;
mod manager;
mod moving;
mod partition;
mod reading;
mod sessions;
mod throttle;
mod topic_config;
mod upkeep;
mod waiters;

pub use crate::log::{
    AbortedTransaction, ActiveProducer, AppendError as LogAppendError, Appended, FirstBatch,
    ProducerError, SegmentStart,
};
pub use cleaner::{CleanerFigures, Uncleanable, start_cleaners};
pub use deletion::{DeleteRecordsError, NewStart};
pub use directories::{DirectoryContents, DirectoryState, HostedLog, MoveError, ReplicaPlace};
pub use manager::{LookupError, Replicas};
pub use moving::start_moves;
pub use partition::{
    AppendError, Durability, EpochError, Partition, PartitionSettings, ProduceError, ProduceFrom,
    Produced, StorageFailed, Writer,
};
pub use reading::{Bounds, Found, Isolation, Lookup, Read, ReadError, ReadOutcome};
pub use sessions::{SessionError, SessionFetch, SessionRequest, Sessions, Told, TopicKey, Wanted};
pub use upkeep::start_upkeep;
pub use waiters::{Waiter, Waiters};
