//! What a shard is: a state, the records that change it, and the answers it owes.

use crate::record::ValidBatch;
use crate::record::control::TransactionResult;
use crate::types::{Offset, ProducerId, Timestamp};
use bytes::Bytes;
use std::future::Future;
use std::pin::Pin;

/// Milliseconds on the monotonic clock since the coordinator started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tick(pub u64);

impl Tick {
    /// `self` later by `ms`; a negative wait is none.
    pub fn plus_ms(self, ms: i32) -> Tick {
        Tick(self.0.saturating_add(u64::from(ms.max(0).unsigned_abs())))
    }
}

/// The time a decision is made at: the wall clock for what records and people see, the monotonic one
/// for time-outs.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    pub wall: Timestamp,
    pub tick: Tick,
}

/// Names a caller who waits for an answer that comes later (JoinGroup, SyncGroup).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReplyId(pub u64);

/// Where a record lies, and in which transaction.
#[derive(Clone, Copy, Debug)]
pub struct Position {
    pub offset: Offset,
    /// [`ProducerId::NONE`] outside transactions.
    pub producer: ProducerId,
}

/// What a decision comes to. The host performs it; a test reads it.
#[derive(Debug)]
pub struct Outcome<S: Shard> {
    /// Appended as one batch, then replayed; as several batches if [`Outcome::splittable`].
    pub records: Vec<S::Record>,
    /// Answers for callers who waited, this one's among them. They leave once the records are
    /// appended; what must wait for the commit comes out of [`Shard::on_written`] instead.
    pub replies: Vec<(ReplyId, S::Reply)>,
    /// What to come back with once the records are committed, or could not be written.
    pub after: Option<S::After>,
    /// The records do not belong together: a long list may become several batches.
    pub splittable: bool,
}

impl<S: Shard> Default for Outcome<S> {
    fn default() -> Outcome<S> {
        Outcome {
            records: Vec::new(),
            replies: Vec::new(),
            after: None,
            splittable: false,
        }
    }
}

/// The state behind one partition of an internal topic: pure, single-threaded, deterministic.
///
/// Its own verbs (`on_join`, `on_offset_commit` …) are inherent methods that return an [`Outcome`];
/// this trait is what the host needs to perform one.
pub trait Shard: Sized + Send + 'static {
    /// A change of durable state.
    type Record: Send + 'static;
    /// An answer to a caller who waits.
    type Reply: Send + 'static;
    /// What remains to be done once records are committed.
    type After: Send + 'static;

    /// Key and value as they are written; a `None` value is a tombstone.
    fn encode(record: &Self::Record) -> (Bytes, Option<Bytes>);

    /// Reads one record back. `Ok(None)`: a type that this release does not know, which is kept in
    /// the log and otherwise left alone.
    fn decode(key: &Bytes, value: Option<&Bytes>) -> Result<Option<Self::Record>, ReplayError>;

    /// Changes the durable state by a record that this shard has just written.
    fn replay(&mut self, at: Position, record: Self::Record);

    /// Changes the durable state by a record found in the log while loading.
    fn load(&mut self, at: Position, record: Self::Record);

    /// A transaction's marker was found in, or written to, the partition.
    fn end_transaction(&mut self, producer: ProducerId, result: TransactionResult);

    /// The log has been read to its end.
    fn on_loaded(&mut self, now: Now) -> Vec<Outcome<Self>>;

    /// One deadline that has come; called until there is none.
    fn on_timer(&mut self, now: Now) -> Option<Outcome<Self>>;

    /// The records that `after` came with are committed, or were not written.
    fn on_written(
        &mut self,
        after: Self::After,
        written: Result<(), WriteError>,
        now: Now,
    ) -> Outcome<Self>;

    /// When [`Shard::on_timer`] should be called at the latest.
    fn next_deadline(&self) -> Option<Tick>;
}

/// A record in the log that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReplayError {
    #[error("the key has no record type")]
    NoType,
    #[error("the key of a record of type {record_type} cannot be read: {reason}")]
    Key { record_type: i16, reason: String },
    #[error("version {version} of the value of record type {record_type} is not known")]
    ValueVersion { record_type: i16, version: i16 },
    #[error("the value of a record of type {record_type} cannot be read: {reason}")]
    Value { record_type: i16, reason: String },
    #[error("a batch cannot be read: {0}")]
    Batch(String),
}

/// Why records were not written, or not committed in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    #[error("this broker no longer leads the partition")]
    NotLeader,
    #[error("the partition is not known here")]
    UnknownPartition,
    #[error("the log directory is offline or full")]
    Storage,
    #[error("too few replicas are in sync")]
    NotEnoughReplicas,
    #[error("the records were not committed in time")]
    TimedOut,
    #[error("the batch is larger than the topic allows")]
    TooLarge,
}

/// Why a shard gives no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ShardError {
    #[error("another broker coordinates this key")]
    NotCoordinator,
    #[error("the shard is being loaded")]
    Loading,
    #[error("the shard cannot write now: {0}")]
    Write(#[from] WriteError),
}

/// Where a batch was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// The offset of its first record.
    pub base: Offset,
}

/// Whether everything below an offset is committed (the high watermark has passed it).
pub enum Committed {
    Already,
    /// Ends with `Err` once this broker stops leading the partition.
    Later(Pin<Box<dyn Future<Output = Result<(), WriteError>> + Send>>),
}

/// The log of one partition, led by this broker in one epoch. An implementation belongs to that one
/// epoch: after a change of leader its appends fail with [`WriteError::NotLeader`], which is what
/// stops a coordinator that has not heard of it yet.
pub trait ShardLog: Send + Sync + 'static {
    /// The first offset of the log.
    fn start(&self) -> Offset;

    /// The offset after the last record.
    fn end(&self) -> Offset;

    /// Some whole batches, as they lie in the log, from the one that holds `from` on: about
    /// `bytes_max`, and at least one batch if there is any. May block on the disk.
    fn read(&self, from: Offset, bytes_max: usize) -> Result<Bytes, WriteError>;

    /// Appends one batch; its offsets and epoch are stamped on the way.
    fn append(&self, batch: ValidBatch) -> Result<Appended, WriteError>;

    /// Whether everything below `end` is committed.
    fn committed(&self, end: Offset) -> Committed;
}
