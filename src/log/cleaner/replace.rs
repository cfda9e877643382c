//! Swapping a rewritten segment in for those that it was made of.
//!
//! The order of renames is Kafka's (`LocalLog.replaceSegments`), so that either of us finishes what the
//! other began: first all of the new segment's files from `.cleaned` to `.swap`; then the old ones are set
//! aside; then the new ones get their names. A start that finds a `.cleaned` file throws the new segment
//! away, one that finds only `.swap` files goes on from there. A directory's changes reach the disk in the
//! order they were made, and the contents were synced before, so a power loss is no different.

use super::output::remove_cleaned;
use crate::log::errors::StorageError;
use crate::log::files;
use crate::log::flush::Flush;
use crate::log::log::Log;
use crate::log::segment::Segment;
use crate::types::{Offset, Timestamp};
use std::io;
use std::sync::Arc;

/// A segment that is complete and on disk, and what it stands for.
pub struct Replacement {
    pub(super) sources: Vec<Arc<Segment>>,
    pub(super) segment: Arc<Segment>,
    /// See `Log::cuts`.
    pub(super) cuts: u64,
}

/// What became of a [`Replacement`].
#[must_use]
pub enum Replaced {
    /// Readers see the new segment. It must be synced before anything is cleaned further.
    Yes(Flush),
    /// The log has lost some of the old segments meanwhile; the new one was thrown away.
    Outdated,
}

impl Log {
    /// Swaps in what a cleaning has made. Renames only: takes no longer than an append. An error takes the
    /// directory offline; the next start finishes the swap, or undoes it.
    pub fn replace_segments(
        &mut self,
        replacement: Replacement,
        now: Timestamp,
    ) -> Result<Replaced, StorageError> {
        self.check_online()?;
        let Some(first) = self.place_of(&replacement) else {
            remove_cleaned(&*self.disk, &self.shared.dir, replacement.segment.base)?;
            return Ok(Replaced::Outdated);
        };
        let Replacement {
            sources, segment, ..
        } = replacement;
        self.or_offline(|log| log.swap(&sources, segment.base, now))?;
        let mut segments = self.shared.segments.load().to_vec();
        segments.splice(first..first + sources.len(), [segment]);
        self.shared.segments.store(Arc::new(segments));
        self.check();
        let Log { shared, disk, .. } = self;
        let sync = Flush::only(Vec::new(), disk, &shared.dir, &shared.health);
        Ok(Replaced::Yes(sync))
    }

    /// Where the sources lie among the segments. `None` if not all of them are there as they were.
    fn place_of(&self, replacement: &Replacement) -> Option<usize> {
        if replacement.cuts != self.cuts {
            return None;
        }
        let segments = self.shared.segments.load();
        let sources = &replacement.sources;
        let base = sources.first()?.base;
        let first = segments.partition_point(|segment| segment.base < base);
        let there = segments.get(first..first + sources.len())?;
        let is_there = (there.iter().zip(sources)).all(|(one, other)| Arc::ptr_eq(one, other));
        assert!(
            !sources
                .iter()
                .any(|source| Arc::ptr_eq(source, &self.active)),
            "the active segment is never cleaned"
        );
        is_there.then_some(first)
    }

    fn swap(&mut self, sources: &[Arc<Segment>], base: Offset, now: Timestamp) -> io::Result<()> {
        self.rename_files(base, files::CLEANED, files::SWAP)?;
        for source in sources {
            for suffix in files::SEGMENT_FILES {
                self.set_aside(source.base, suffix, now)?;
            }
            // A snapshot is of use where a segment begins, and where it is the newest.
            if source.base != base && self.snapshot_at != Some(source.base) {
                self.set_aside(source.base, files::SNAPSHOT, now)?;
            }
        }
        self.rename_files(base, files::SWAP, "")
    }

    fn rename_files(&self, base: Offset, from: &str, to: &str) -> io::Result<()> {
        for suffix in files::SEGMENT_FILES {
            let path = files::named(&self.shared.dir, base, suffix);
            let (from, to) = (files::marked(&path, from), files::marked(&path, to));
            let was_there = files::rename_if_there(&*self.disk, &from, &to)?;
            if !was_there && suffix == files::LOG {
                return Err(io::ErrorKind::NotFound.into());
            }
        }
        Ok(())
    }
}
