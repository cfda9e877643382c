//! Compaction: of the records of each key, a log keeps the newest.
//!
//! A cleaning reads the keys of the *dirty* part of a log into a table of bounded size, then writes every
//! closed segment up to there again, without the records that the table knows a newer one of. Neighbours
//! that fit into one segment become one. Offsets stay, so readers see gaps. A record without a value (a
//! *tombstone*) and a transaction's marker stay for `delete.retention.ms` longer, counted from the cleaning
//! that met them first, which writes the end of that time into the batch: so that a reader who begins at
//! the front sees that a key is gone before the tombstone is.
//!
//! [`LogView::cleanable`] says what could be cleaned, [`Log::begin_cleaning`] begins, [`Cleaning::step`]
//! does a little, beside the writer and the readers, and [`Log::replace_segments`] swaps a segment in.
//!
//! **Invariant:** the active segment is never touched, nor anything above the last stable offset.

mod chunks;
mod cleanable;
mod cleaning;
mod filter;
mod groups;
mod mapping;
mod offset_map;
mod output;
mod replace;
mod rewriting;
mod transactions;

pub use cleanable::Cleanable;
pub use cleaning::{Cleaning, CleaningError, CleaningLimits, CleaningStats, Progress};
pub use filter::FilterError;
pub use offset_map::MapLimits;
pub use replace::{Replaced, Replacement};

use super::config::LogConfig;
use super::retention::newest_timestamp;
use super::segment::Segment;
use super::view::LogView;
use crate::runtime::Disk;
use crate::types::Timestamp;
use cleanable::{Bounds, Piece};
use std::io;

#[cfg(doc)]
use super::Log;

#[cfg(test)]
mod tests;

impl LogView {
    /// What of the log could be cleaned now.
    pub fn cleanable(
        &self,
        disk: &dyn Disk,
        config: &LogConfig,
        now: Timestamp,
    ) -> io::Result<Cleanable> {
        let segments = self.0.segments.load();
        let pieces = segments
            .iter()
            .map(|segment| self.piece(segment, disk, config, now))
            .collect::<io::Result<Vec<Piece>>>()?;
        let bounds = Bounds {
            log_start: self.log_start(),
            log_end: self.log_end(),
            last_stable: self.last_stable_offset(),
            cleaned_end: self.cleaned_end(),
        };
        Ok(Cleanable::of(&pieces, &bounds, config, now))
    }

    fn piece(
        &self,
        segment: &Segment,
        disk: &dyn Disk,
        config: &LogConfig,
        now: Timestamp,
    ) -> io::Result<Piece> {
        // Times cost a look at the disk, and few topics have these limits.
        let newest = match config.min_compaction_lag_ms {
            1.. => newest_timestamp(segment, self, disk)?,
            _ => Timestamp::NONE,
        };
        let first = match config.max_compaction_lag_ms < now.0 {
            true => segment.first_timestamp()?,
            false => Timestamp::NONE,
        };
        Ok(Piece {
            base: segment.base,
            size: segment.size(),
            newest,
            first,
        })
    }
}
