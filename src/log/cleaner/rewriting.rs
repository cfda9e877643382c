//! The second half of a cleaning: groups of segments are written again without what has gone.

use super::chunks::Chunks;
use super::cleaning::{CleaningError, CleaningStats, Progress, Scope, len_of};
use super::filter::{Filtered, RecordFilter};
use super::groups::group;
use super::output::Output;
use super::replace::Replacement;
use super::transactions::Transactions;
use crate::log::segment::Segment;
use crate::record::Batch;
use crate::runtime::Disk;
use crate::types::Offset;
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

pub(super) struct Rewriting {
    groups: VecDeque<Vec<Arc<Segment>>>,
    current: Option<Box<Rewrite>>,
    transactions: Transactions,
}

/// One group on its way into one segment.
struct Rewrite {
    sources: Vec<Arc<Segment>>,
    /// Those that were not begun.
    rest: VecDeque<Arc<Segment>>,
    reading: Chunks,
    output: Output,
}

impl Rewriting {
    /// Of all segments with offsets below `end`.
    pub(super) fn of(scope: &Scope, end: Offset) -> Rewriting {
        let segments = scope.view.0.segments.load();
        let below = segments.partition_point(|segment| segment.base < end);
        let (rewritten, _) = segments.split_at(below);
        Rewriting {
            groups: group(rewritten, &scope.config, scope.upper),
            current: None,
            transactions: Transactions::default(),
        }
    }

    /// Writes a little.
    pub(super) fn step(
        &mut self,
        scope: &Scope,
        filter: &RecordFilter,
        stats: &mut CleaningStats,
    ) -> Result<Progress, CleaningError> {
        let Some(rewrite) = &mut self.current else {
            let Some(sources) = self.groups.pop_front() else {
                return Ok(Progress::Done);
            };
            let rewrite = Rewrite::begin(sources, scope)?;
            rewrite.expect_aborted(scope, &mut self.transactions)?;
            self.current = Some(Box::new(rewrite));
            return Ok(Progress::Moved { bytes: 0 });
        };
        if let Some(batches) = rewrite.reading.next(scope.chunk_bytes)? {
            let written = rewrite.filter(&batches, scope, filter, &mut self.transactions)?;
            let read = len_of(&batches);
            stats.bytes_read += read;
            stats.bytes_written += written;
            return Ok(Progress::Moved {
                bytes: read + written,
            });
        }
        if let Some(next) = rewrite.rest.pop_front() {
            rewrite.reading = Chunks::of(next, 0);
            rewrite.expect_aborted(scope, &mut self.transactions)?;
            return Ok(Progress::Moved { bytes: 0 });
        }
        rewrite.output.seal(scope)?;
        let rewrite = self.current.take().expect("it was there just now");
        Ok(Progress::Complete(Replacement {
            sources: rewrite.sources,
            segment: Arc::new(rewrite.output.into_segment()),
            cuts: scope.cuts,
        }))
    }

    /// Removes what was written and not swapped in.
    pub(super) fn abandon(self, disk: &dyn Disk) {
        if let Some(rewrite) = self.current {
            rewrite.output.remove(disk);
        }
    }
}

impl Rewrite {
    fn begin(sources: Vec<Arc<Segment>>, scope: &Scope) -> io::Result<Rewrite> {
        let mut rest: VecDeque<Arc<Segment>> = sources.iter().cloned().collect();
        let first = rest.pop_front().expect("a group has a segment");
        Ok(Rewrite {
            output: Output::create(&scope.disk, scope.view.dir(), first.base)?,
            reading: Chunks::of(first, 0),
            rest,
            sources,
        })
    }

    /// Learns which transactions in the source that is read now were aborted.
    fn expect_aborted(
        &self,
        scope: &Scope,
        transactions: &mut Transactions,
    ) -> Result<(), CleaningError> {
        let source = self.reading.segment();
        let upper = (self.rest.front()).map_or(source.end(), |next| next.base);
        transactions.expect(scope.view.aborted_entries(source.base, upper)?);
        Ok(())
    }

    /// Writes what stays of `batches`. Gives how many bytes that were.
    fn filter(
        &mut self,
        batches: &[Batch],
        scope: &Scope,
        filter: &RecordFilter,
        transactions: &mut Transactions,
    ) -> Result<u64, CleaningError> {
        let mut kept = Vec::with_capacity(batches.len());
        let mut aborted = Vec::new();
        for batch in batches {
            let (filtered, entry) = filter.filter(batch, transactions)?;
            aborted.extend(entry);
            match filtered {
                Filtered::Whole => kept.push(batch.bytes().clone()),
                Filtered::Rebuilt(bytes) => kept.push(bytes),
                Filtered::Nothing => {}
            }
        }
        self.output.append(&kept, &aborted, &scope.config)
    }
}
