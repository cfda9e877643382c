//! Where segments begin: all that clients could ask for before records had timestamps.

use super::files;
use super::log::Log;
use crate::types::{Offset, Timestamp};
use std::io;

/// A place in the log where reading can begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentStart {
    pub offset: Offset,
    /// When the segment's file was last written to.
    pub modified: Timestamp,
}

impl Log {
    /// The start of each segment, in order, and the log's end, modified `now`, behind one that has records.
    pub fn segment_starts(&self, now: Timestamp) -> io::Result<Vec<SegmentStart>> {
        let view = self.view();
        let segments = self.shared.segments.load();
        let mut starts = Vec::with_capacity(segments.len() + 1);
        for segment in segments.iter() {
            let path = files::named(view.dir(), segment.base, files::LOG);
            starts.push(SegmentStart {
                offset: segment.base.max(view.log_start()),
                modified: self.disk.metadata(&path)?.modified,
            });
        }
        if segments.last().is_some_and(|last| last.size() > 0) {
            starts.push(SegmentStart {
                offset: view.log_end(),
                modified: now,
            });
        }
        Ok(starts)
    }
}
