//! What a log forgets: old segments, and records that DeleteRecords was asked to drop.

use super::errors::{AboveHighWatermark, StorageError};
use super::files;
use super::log::Log;
use super::segment::Segment;
use super::view::LogView;
use crate::runtime::Disk;
use crate::types::{Offset, Timestamp};
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// The largest timestamp of a segment's records. Records without timestamps are as old as their file.
pub(super) fn newest_timestamp(
    segment: &Segment,
    view: &LogView,
    disk: &dyn Disk,
) -> io::Result<Timestamp> {
    match segment.max_timestamp()? {
        Some(max) if max.timestamp > Timestamp::NONE => Ok(max.timestamp),
        _ => {
            let path = files::named(view.dir(), segment.base, files::LOG);
            Ok(disk.metadata(&path)?.modified)
        }
    }
}

impl Log {
    /// Deletes the segments that the topic's limits no longer allow: those below the log's start, then
    /// by size, then by time. Whole segments only, the oldest first, and none at or above the high
    /// watermark. Gives how many went.
    pub fn delete_old_segments(&mut self, now: Timestamp) -> Result<usize, StorageError> {
        let start = self.log_start();
        let mut deleted = self.delete_while(now, |_, next| Ok(next.is_some_and(|n| n <= start)))?;
        if !self.config.cleanup.delete {
            return Ok(deleted);
        }
        if let Ok(bytes_max) = u64::try_from(self.config.retention_bytes) {
            // A segment goes only if what remains still fills the limit.
            let mut excess = self.view().size().saturating_sub(bytes_max);
            deleted += self.delete_while(now, |segment, _| {
                let size = segment.size();
                let goes = size <= excess;
                excess -= if goes { size } else { 0 };
                Ok(goes)
            })?;
        }
        let retention_ms = self.config.retention_ms;
        if retention_ms >= 0 {
            let view = self.view();
            let disk = self.disk.clone();
            deleted += self.delete_while(now, |segment, _| {
                // One that compaction has emptied holds nothing back.
                Ok(segment.size() == 0
                    || now.ms_since(newest_timestamp(segment, &view, &*disk)?) > retention_ms)
            })?;
        }
        Ok(deleted)
    }

    /// Deletes from the oldest segment on, as long as `goes` holds; it is told the segment and the base
    /// of the next one.
    fn delete_while(
        &mut self,
        now: Timestamp,
        mut goes: impl FnMut(&Segment, Option<Offset>) -> io::Result<bool>,
    ) -> Result<usize, StorageError> {
        let segments = self.shared.segments.load_full();
        let mut count = 0;
        for (at, segment) in segments.iter().enumerate() {
            let next = segments.get(at + 1).map(|next| next.base);
            let upper = next.unwrap_or(self.log_end());
            let is_empty_last = next.is_none() && segment.size() == 0;
            if self.high_watermark() < upper || is_empty_last || !goes(segment, next)? {
                break;
            }
            count += 1;
        }
        if count == 0 {
            return Ok(0);
        }
        if count == segments.len() {
            // There is always a segment to write to.
            self.roll(now)?;
        }
        let segments = self.shared.segments.load_full();
        let (doomed, kept) = segments.split_at(count);
        let start = kept.first().map_or(self.log_end(), |first| first.base);
        self.raise_log_start(start);
        self.shared.segments.store(Arc::new(kept.to_vec()));
        tracing::info!(partition = %self.partition(), count, log_start = self.log_start().0, "deleted segments");
        self.discard(doomed, now);
        self.check();
        Ok(count)
    }

    /// Moves the log's start up to `to` (DeleteRecords); it may then lie inside a batch. Never moves it
    /// back. Gives whether it moved. The bytes go with [`Log::delete_old_segments`].
    pub fn set_log_start(&mut self, to: Offset) -> Result<bool, AboveHighWatermark> {
        if to > self.high_watermark() {
            return Err(AboveHighWatermark {
                wanted: to,
                high_watermark: self.high_watermark(),
            });
        }
        let moved = self.raise_log_start(to);
        self.check();
        Ok(moved)
    }

    fn raise_log_start(&mut self, to: Offset) -> bool {
        if to <= self.log_start() {
            return false;
        }
        self.shared.log_start.store(to.0, Ordering::Release);
        self.shared.epochs.write().truncate_start(to);
        self.producers.settle(to);
        self.publish_unstable();
        true
    }
}
