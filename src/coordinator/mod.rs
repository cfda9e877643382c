//! Coordinators: parts of the broker whose state is the replay of an internal topic.
//!
//! **Decide, then replay.** A [`Shard`] is the state of one partition of an internal topic
//! (`__consumer_offsets` for groups). A request is decided by a plain function of that state and of
//! the time it is given; the records that it decides on are appended to the partition as one batch
//! and replayed; replaying is the only thing that changes durable state, and the answer leaves once
//! the batch is committed. Loading a shard after a restart is the same replay, from the log.
//!
//! | file | holds |
//! |---|---|
//! | [`shard`] | what a shard is, what it answers with, and the log it stands on |
//! | [`runtime`] | the host: owns the shards, appends, replays, waits for commits, runs the timers |
//! | [`deadlines`] | a table of deadlines by key; re-arming one costs no heap operation |
//! | [`partitioner`] | which partition holds a key |
//! | [`group`] | classic groups and committed offsets |
//!
//! **Invariant:** nothing in a shard reads a clock, does I/O, awaits or draws random numbers.

pub mod deadlines;
pub mod group;
pub mod partitioner;
pub mod runtime;
pub mod shard;

pub use deadlines::Deadlines;
pub use group::GroupCoordinator;
pub use partitioner::partition_for;
pub use runtime::{Host, HostSettings, Written};
pub use shard::{
    Appended, Committed, Now, Outcome, Position, ReplayError, ReplyId, Shard, ShardError, ShardLog,
    Tick, WriteError,
};
