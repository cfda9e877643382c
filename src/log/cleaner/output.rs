//! The segment that a cleaning writes, under names that a start after a crash throws away.

use super::cleaning::{CleaningError, Scope};
use crate::log::config::LogConfig;
use crate::log::files;
use crate::log::flush::Flush;
use crate::log::index::AbortedEntry;
use crate::log::segment::{IndexLimits, Segment};
use crate::record::{BATCH_HEADER_LEN, BatchHeader};
use crate::runtime::{Disk, Open};
use crate::types::Offset;
use bytes::Bytes;
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// `….log.cleaned` and its indexes.
pub(super) struct Output {
    dir: PathBuf,
    segment: Segment,
}

impl Output {
    pub(super) fn create(disk: &Arc<dyn Disk>, dir: &Path, base: Offset) -> io::Result<Output> {
        // An earlier try may have left its files.
        remove_cleaned(&**disk, dir, base)?;
        let name = |suffix: &str| files::marked(&files::named(dir, base, suffix), files::CLEANED);
        let file = disk.open(&name(files::LOG), Open::CreateNew)?;
        let segment = Segment::new(disk, dir, base, file, false)?.renamed(name);
        Ok(Output {
            dir: dir.to_owned(),
            segment,
        })
    }

    /// Writes whole batches at the end. `aborted` are the transactions whose markers are among them.
    /// Gives how many bytes it wrote.
    pub(super) fn append(
        &mut self,
        batches: &[Bytes],
        aborted: &[AbortedEntry],
        config: &LogConfig,
    ) -> Result<u64, CleaningError> {
        let mut position = self.segment.size();
        let start = position;
        let mut parts: Vec<IoSlice<'_>> = batches.iter().map(|b| IoSlice::new(b)).collect();
        self.segment.file.write_at(&mut parts, position)?;
        let limits = IndexLimits {
            interval_bytes: config.index_interval_bytes,
            file_bytes: config.segment_index_bytes,
        };
        for batch in batches {
            let head = batch.first_chunk::<BATCH_HEADER_LEN>();
            let header = BatchHeader::decode(head.expect("a batch has a header"));
            if header.base_offset < self.segment.end() {
                return Err(CleaningError::Broken {
                    base: self.segment.base,
                    position,
                    reason: format!("offset {} comes after later ones", header.base_offset),
                });
            }
            self.segment.note(&header, position, limits);
            position += batch.len() as u64;
        }
        for entry in aborted {
            self.segment.aborted.append(entry)?;
        }
        Ok(position - start)
    }

    /// Brings everything to the disk.
    pub(super) fn seal(&self, scope: &Scope) -> Result<(), CleaningError> {
        self.segment.seal()?;
        let files = self.segment.files()?;
        // Its contents must be on disk before its name says that it counts.
        let _synced = Flush::only(files, &scope.disk, &self.dir, scope.view.health()).run()?;
        Ok(())
    }

    /// The segment as it is called once it is swapped in.
    pub(super) fn into_segment(self) -> Segment {
        let (dir, base) = (self.dir, self.segment.base);
        self.segment
            .renamed(|suffix| files::named(&dir, base, suffix))
    }

    /// Takes the files away.
    pub(super) fn remove(self, disk: &dyn Disk) {
        if let Err(error) = remove_cleaned(disk, &self.dir, self.segment.base) {
            tracing::warn!(dir = %self.dir.display(), %error, "could not remove an unfinished segment");
        }
    }
}

/// Removes the files of a segment that is not to be swapped in.
pub(super) fn remove_cleaned(disk: &dyn Disk, dir: &Path, base: Offset) -> io::Result<()> {
    for suffix in files::SEGMENT_FILES {
        let path = files::marked(&files::named(dir, base, suffix), files::CLEANED);
        files::remove_if_there(disk, &path)?;
    }
    Ok(())
}
