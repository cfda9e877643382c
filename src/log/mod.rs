//! One partition's log on disk, in Kafka's format byte for byte (docs/formats/log.md).
//!
//! A [`Log`] owns a directory: segments in offset order, the last one open for appends. Readers go
//! through its [`LogView`], without the writer's lock and without copying: a read gives the place of the
//! bytes, not the bytes.
//!
//! **Invariant:** nothing here knows leaders, replicas or clients; the high watermark is told from above.

#![deny(clippy::indexing_slicing)]

mod cleaner;
mod config;
mod copying;
mod crc_scan;
mod epochs;
mod errors;
mod files;
mod flush;
mod health;
mod index;
mod interrupted;
#[expect(clippy::module_inception, reason = "the log's own log")]
mod log;
mod manager;
mod partition_metadata;
mod producers;
mod recovery;
mod retention;
mod rolling;
mod scan;
mod segment;
mod segment_starts;
mod space;
mod truncation;
mod view;

pub use cleaner::{
    Cleanable, Cleaning, CleaningError, CleaningLimits, CleaningStats, FilterError, MapLimits,
    Progress, Replaced, Replacement,
};
pub use config::{CleanupPolicy, LargerThanSegment, LogConfig};
pub use copying::CopyError;
pub use epochs::{EpochEnd, EpochStart};
pub use errors::{
    AboveHighWatermark, AppendError, FlushError, OpenError, ReadError, ReplicaAppendError,
    StorageError,
};
pub use flush::{Flush, Flushed};
pub use health::{Health, Trash};
pub use index::AbortedTransaction;
pub use log::{Appended, Broken, FlushDue, Log, Opening, ReplicaAppended, Shutdown};
pub use manager::{
    CreateError, LoadError, Loaded, LoadedLog, LogDirectory, LogManager, META_PROPERTIES,
    ManagerError, ManagerOptions, MetaProperties, Unformatted, Wanted,
};
pub use producers::{ActiveProducer, ProducerError};
pub use recovery::Recovered;
pub use segment_starts::SegmentStart;
pub use view::{FirstBatch, LogSlice, LogView, TimestampOffset};

#[cfg(test)]
mod tests;
