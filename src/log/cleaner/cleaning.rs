//! One cleaning of one log, a step at a time: whoever drives it decides when the next one comes, and
//! nobody waits for more than one.

use super::cleanable::Cleanable;
use super::filter::{FilterError, RecordFilter};
use super::mapping::{Mapped, Mapping};
use super::offset_map::{MapLimits, OffsetMap};
use super::replace::Replacement;
use super::rewriting::Rewriting;
use crate::log::config::LogConfig;
use crate::log::errors::{FlushError, StorageError};
use crate::log::log::Log;
use crate::log::view::LogView;
use crate::record::{Batch, DecodeError};
use crate::runtime::Disk;
use crate::types::{Offset, Timestamp};
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// What a cleaning may use.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CleaningLimits {
    pub map: MapLimits,
    /// Bytes read, and at most about as many written, in one step.
    pub chunk_bytes: usize,
}

/// Why a cleaning ended before its end. What it had swapped in stays; the rest of the log is as it was.
#[derive(Debug, thiserror::Error)]
pub enum CleaningError {
    #[error("segment {base} is broken at position {position}: {reason}")]
    Broken {
        base: Offset,
        position: u64,
        reason: String,
    },
    #[error(transparent)]
    Filter(#[from] FilterError),
    #[error("could not read or write: {0}")]
    Io(#[from] io::Error),
    #[error(transparent)]
    Flush(#[from] FlushError),
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl From<DecodeError> for CleaningError {
    fn from(error: DecodeError) -> CleaningError {
        FilterError::from(error).into()
    }
}

/// What a step did.
pub enum Progress {
    /// So many bytes were read and written.
    Moved { bytes: u64 },
    /// A segment is complete and on disk: it is to be swapped in by [`Log::replace_segments`] before the
    /// next step.
    Complete(Replacement),
    /// There is nothing left to do but [`Log::finish_cleaning`].
    Done,
}

/// What a cleaning did so far.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct CleaningStats {
    /// Of the segments that were rewritten.
    pub bytes_read: u64,
    pub bytes_written: u64,
    /// How full the table of keys was, 0 to 1.
    pub map_utilization: f64,
}

/// One cleaning. Made by [`Log::begin_cleaning`].
pub struct Cleaning {
    scope: Scope,
    filter: RecordFilter,
    stage: Stage,
    stats: CleaningStats,
}

/// What is cleaned, and how.
pub(super) struct Scope {
    pub(super) view: LogView,
    pub(super) disk: Arc<dyn Disk>,
    pub(super) config: LogConfig,
    pub(super) chunk_bytes: usize,
    pub(super) first_dirty: Offset,
    /// The base of the first segment that stays as it is.
    pub(super) upper: Offset,
    /// See `Log::cuts`.
    pub(super) cuts: u64,
}

/// The keys of the dirty part are read first, then all segments up to its end are rewritten.
enum Stage {
    Mapping(Mapping),
    Rewriting(Rewriting),
}

impl Log {
    /// Prepares to clean what `cleanable` says. `seed` is drawn anew for each cleaning. `None` if not all of it
    /// is on disk yet: an old value must not go because of a newer one that a power loss takes.
    pub fn begin_cleaning(
        &mut self,
        cleanable: &Cleanable,
        limits: CleaningLimits,
        seed: [u64; 2],
        now: Timestamp,
    ) -> Option<Cleaning> {
        let (first_dirty, upper) = (cleanable.first_dirty, cleanable.first_uncleanable);
        if self.recovery_point() < upper {
            return None;
        }
        // Said before the first offset goes: from now on a gap is no lost write.
        self.set_cleaned_end(first_dirty);
        let offsets = u64::try_from(upper.0 - first_dirty.0).unwrap_or(0);
        let scope = Scope {
            view: self.view(),
            disk: self.disk.clone(),
            config: self.config.clone(),
            chunk_bytes: limits.chunk_bytes,
            first_dirty,
            upper,
            cuts: self.cuts,
        };
        Some(Cleaning {
            stage: Stage::Mapping(Mapping::of(&scope)),
            filter: RecordFilter {
                map: OffsetMap::new(limits.map, offsets, seed),
                producers: self.producers.last_records(),
                upper,
                now,
                delete_retention_ms: self.config.delete_retention_ms,
            },
            scope,
            stats: CleaningStats::default(),
        })
    }

    /// Whether the log is still the one that the cleaning began with: nothing was cut off its end.
    pub fn is_current(&self, cleaning: &Cleaning) -> bool {
        self.cuts == cleaning.scope.cuts
    }

    /// Takes note of a cleaning that is done.
    pub fn finish_cleaning(&mut self, cleaning: &Cleaning) {
        if self.is_current(cleaning) {
            self.set_cleaned_end(cleaning.end());
        }
    }

    fn set_cleaned_end(&self, end: Offset) {
        self.shared.cleaned_end.store(end.0, Ordering::Release);
    }
}

impl Cleaning {
    /// Where the dirty part began.
    pub fn first_dirty(&self) -> Offset {
        self.scope.first_dirty
    }

    /// Everything below is clean once the cleaning is done. That is not all of the dirty part if the table
    /// of keys was too small.
    pub fn end(&self) -> Offset {
        self.filter.map.end()
    }

    pub fn stats(&self) -> CleaningStats {
        self.stats
    }

    /// Does a little. Blocks for one read and one write, or for the sync of a complete segment.
    pub fn step(&mut self) -> Result<Progress, CleaningError> {
        match &mut self.stage {
            Stage::Mapping(mapping) => match mapping.step(&self.scope, &mut self.filter.map)? {
                Mapped::Some { bytes } => Ok(Progress::Moved { bytes }),
                Mapped::All => {
                    self.stats.map_utilization = self.filter.map.utilization();
                    self.stage = Stage::Rewriting(Rewriting::of(&self.scope, self.end()));
                    Ok(Progress::Moved { bytes: 0 })
                }
            },
            Stage::Rewriting(rewriting) => {
                rewriting.step(&self.scope, &self.filter, &mut self.stats)
            }
        }
    }

    /// Removes what was written and not swapped in.
    pub fn abandon(self) {
        if let Stage::Rewriting(rewriting) = self.stage {
            rewriting.abandon(&*self.scope.disk);
        }
    }
}

pub(super) fn len_of(batches: &[Batch]) -> u64 {
    batches.iter().map(|batch| batch.bytes().len() as u64).sum()
}
