//! One segment: a log file and its indexes. Read by many, written by the one [`super::Log`].

use super::files;
use super::index::{
    Found, LazyFile, OffsetEntry, SparseIndex, TimeEntry, TxnIndex, search_file, write_tail,
};
use super::scan::{HeaderScan, is_data_error};
use crate::record::BatchHeader;
use crate::runtime::{Disk, File};
use crate::types::{LeaderEpoch, Offset, Timestamp};
use parking_lot::RwLock;
use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The newest batches whose places are kept in memory. A consumer that is less than this far behind is
/// served without reading a header from the file.
const RECENT_MAX: usize = 32;

/// A batch's place in its segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BatchPlace {
    pub(super) base: Offset,
    pub(super) last: Offset,
    pub(super) position: u64,
    pub(super) size: u64,
}

/// Where a range of offsets lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) first: BatchPlace,
    /// Position after the last byte that may be read.
    pub(super) end: u64,
}

/// How dense an index is, and how large it may grow.
#[derive(Clone, Copy, Debug)]
pub(super) struct IndexLimits {
    pub(super) interval_bytes: u64,
    pub(super) file_bytes: u64,
}

pub(super) struct Segment {
    pub(super) base: Offset,
    pub(super) file: Arc<dyn File>,
    pub(super) aborted: TxnIndex,
    offset_file: LazyFile,
    time_file: LazyFile,
    growing: RwLock<Growing>,
    /// The largest timestamp came from a time index that nobody has compared with the batches.
    time_unsure: AtomicBool,
}

/// What changes as a segment grows. Readers hold the lock for a look-up, the writer for the few stores
/// after its write, so that all see ends and places that belong together.
struct Growing {
    /// The offset after the last batch.
    end: Offset,
    /// Bytes of whole batches.
    size: u64,
    recent: VecDeque<BatchPlace>,
    offsets: SparseIndex<OffsetEntry>,
    times: SparseIndex<TimeEntry>,
    bytes_since_entry: u64,
    /// Largest timestamp, and the last offset of the first batch that has it.
    max_timestamp: Option<TimeEntry>,
}

impl Growing {
    fn empty(base: Offset) -> Growing {
        Growing {
            end: base,
            size: 0,
            recent: VecDeque::new(),
            offsets: SparseIndex::empty(base),
            times: SparseIndex::empty(base),
            bytes_since_entry: 0,
            max_timestamp: None,
        }
    }

    /// The first batch whose last offset is at or above `target`, if it is one of the newest.
    fn recent(&self, target: Offset) -> Option<BatchPlace> {
        if target < self.recent.front()?.base {
            return None;
        }
        let at = self.recent.partition_point(|place| place.last < target);
        self.recent.get(at).copied()
    }

    fn note_timestamp(&mut self, header: &BatchHeader) {
        let max = self
            .max_timestamp
            .map_or(Timestamp::NONE, |max| max.timestamp);
        if header.max_timestamp > max {
            self.max_timestamp = Some(TimeEntry {
                timestamp: header.max_timestamp,
                offset: header.last_offset(),
            });
        }
    }

    fn push_time_entry(&mut self) {
        let Some(max) = self.max_timestamp else {
            return;
        };
        if self
            .times
            .last()
            .is_none_or(|last| max.timestamp > last.timestamp)
        {
            self.times.push(max);
        }
    }
}

impl Segment {
    /// A segment without batches. Its files may hold old bytes: they are taken over by
    /// [`Segment::trust`] or dropped by [`Segment::reset`].
    pub(super) fn new(
        disk: &Arc<dyn Disk>,
        dir: &Path,
        base: Offset,
        file: Arc<dyn File>,
        has_txn_index: bool,
    ) -> io::Result<Segment> {
        let lazy = |suffix| LazyFile::new(disk, files::named(dir, base, suffix));
        Ok(Segment {
            base,
            file,
            aborted: TxnIndex::open(lazy(files::TXN_INDEX), has_txn_index)?,
            offset_file: lazy(files::OFFSET_INDEX),
            time_file: lazy(files::TIME_INDEX),
            growing: RwLock::new(Growing::empty(base)),
            time_unsure: AtomicBool::new(false),
        })
    }

    /// The same segment, whose files are to have the names that `name` makes of their suffixes.
    pub(super) fn renamed(self, name: impl Fn(&str) -> PathBuf) -> Segment {
        Segment {
            aborted: self.aborted.renamed(name(files::TXN_INDEX)),
            offset_file: self.offset_file.renamed(name(files::OFFSET_INDEX)),
            time_file: self.time_file.renamed(name(files::TIME_INDEX)),
            ..self
        }
    }

    /// Takes the files as they are. `false` if the indexes cannot be those of the log file.
    pub(super) fn trust(&self, size: u64, end: Offset) -> io::Result<bool> {
        let offsets = SparseIndex::<OffsetEntry>::load(self.base, &self.offset_file)?;
        let times = SparseIndex::<TimeEntry>::load(self.base, &self.time_file)?;
        let sane = offsets.last().is_none_or(|last| {
            u64::from(last.position) < size && (last.offset > self.base || offsets.len() == 1)
        }) && times
            .last()
            .is_none_or(|last| last.timestamp > Timestamp::NONE || times.len() == 1);
        if !sane || !self.aborted.is_sane(self.base)? {
            return Ok(false);
        }
        let indexed = offsets.last().map_or(0, |last| u64::from(last.position));
        self.time_unsure.store(true, Ordering::Release);
        let mut growing = self.growing.write();
        *growing = Growing {
            end,
            size,
            recent: VecDeque::new(),
            bytes_since_entry: size - indexed,
            max_timestamp: times.last(),
            offsets,
            times,
        };
        Ok(true)
    }

    /// Walks the headers after the last index entry, to find the end and the largest timestamp. Gives the
    /// last batch's leader epoch.
    pub(super) fn find_end(&self) -> io::Result<Option<LeaderEpoch>> {
        let (start, size) = {
            let growing = self.growing.read();
            let start = growing.offsets.last().map_or(0, |last| last.position);
            (u64::from(start), growing.size)
        };
        let mut scan = HeaderScan::new(&*self.file, start, size);
        let mut last = None;
        while let Some((_, header)) = scan.next()? {
            self.growing.write().note_timestamp(&header);
            last = Some(header);
        }
        self.growing.write().end = last.map_or(self.base, |header| header.next_offset());
        Ok(last.map(|header| header.leader_epoch))
    }

    /// Forgets everything, indexes and all, to be filled again by [`Segment::note`].
    pub(super) fn reset(&self) -> io::Result<()> {
        *self.growing.write() = Growing::empty(self.base);
        self.time_unsure.store(false, Ordering::Release);
        for file in [&self.offset_file, &self.time_file] {
            if let Some(file) = file.existing()? {
                file.set_len(0)?;
            }
        }
        self.aborted.truncate(self.base)
    }

    /// Makes a batch visible that now lies at `position`, which is the end.
    pub(super) fn note(&self, header: &BatchHeader, position: u64, limits: IndexLimits) {
        let size = header.size() as u64;
        let place = BatchPlace {
            base: header.base_offset,
            last: header.last_offset(),
            position,
            size,
        };
        let tail_is_full = {
            let mut growing = self.growing.write();
            let growing = &mut *growing;
            assert!(position == growing.size, "a batch is written at the end");
            assert!(place.base >= growing.end, "offsets grow along the log");
            growing.note_timestamp(header);
            if growing.bytes_since_entry > limits.interval_bytes {
                growing.offsets.push(OffsetEntry {
                    offset: place.last,
                    position: u32::try_from(position).expect("segments end before 2 GiB"),
                });
                growing.push_time_entry();
                growing.bytes_since_entry = 0;
            }
            growing.bytes_since_entry += size;
            growing.size = position + size;
            growing.end = header.next_offset();
            if growing.recent.len() == RECENT_MAX {
                growing.recent.pop_front();
            }
            growing.recent.push_back(place);
            growing.offsets.tail_is_full()
        };
        if tail_is_full && let Err(error) = self.write_tails() {
            // The entries stay in memory and are tried again with the next batch.
            tracing::warn!(base = self.base.0, %error, "could not write the indexes of a segment");
        }
    }

    /// The offset after the last batch.
    pub(super) fn end(&self) -> Offset {
        self.growing.read().end
    }

    pub(super) fn size(&self) -> u64 {
        self.growing.read().size
    }

    /// Largest timestamp and the last offset of the first batch that has it; `None` if no record has one.
    /// Compares what a time index says with its batch first: retention deletes by it.
    pub(super) fn max_timestamp(&self) -> io::Result<Option<TimeEntry>> {
        let max = self.growing.read().max_timestamp;
        if !self.time_unsure.load(Ordering::Acquire) {
            return Ok(max);
        }
        if let Some(max) = max
            && !self.has_its_time(max)?
        {
            tracing::warn!(
                base = self.base.0,
                ?max,
                "a time index is broken; its segment is searched from the front"
            );
            let mut growing = self.growing.write();
            growing.max_timestamp = None;
            let mut scan = HeaderScan::new(&*self.file, 0, growing.size);
            while let Some((_, header)) = scan.next()? {
                growing.note_timestamp(&header);
            }
        }
        self.time_unsure.store(false, Ordering::Release);
        Ok(self.growing.read().max_timestamp)
    }

    /// Largest timestamp of the first batch; −1 if it has none, or there is no batch.
    pub(super) fn first_timestamp(&self) -> io::Result<Timestamp> {
        let first = HeaderScan::new(&*self.file, 0, self.size()).next()?;
        Ok(first.map_or(Timestamp::NONE, |(_, header)| header.max_timestamp))
    }

    /// Bytes of the offset index and of the time index.
    pub(super) fn index_sizes(&self) -> (u64, u64) {
        let growing = self.growing.read();
        (growing.offsets.size(), growing.times.size())
    }

    pub(super) fn index_is_full(&self, limits: IndexLimits) -> bool {
        let growing = self.growing.read();
        growing.offsets.len() as u64 >= limits.file_bytes / 8
            || growing.times.len() as u64 + 1 >= limits.file_bytes / 12
    }

    /// The first batch whose last offset is at or above `target`.
    pub(super) fn locate(&self, target: Offset) -> io::Result<Option<BatchPlace>> {
        let (found, size) = {
            let growing = self.growing.read();
            if target >= growing.end {
                return Ok(None);
            }
            if let Some(place) = growing.recent(target) {
                return Ok(Some(place));
            }
            let found = growing.offsets.search(|entry| entry.offset <= target);
            (found, growing.size)
        };
        let entry = self.resolve(&self.offset_file, found, |entry| entry.offset <= target)?;
        let (mut scan, mut step) = self.scan_from(entry, size)?;
        while let Some((position, header)) = step {
            if header.last_offset() >= target {
                return Ok(Some(BatchPlace {
                    base: header.base_offset,
                    last: header.last_offset(),
                    position,
                    size: header.size() as u64,
                }));
            }
            step = scan.next()?;
        }
        Ok(None)
    }

    /// A scan that begins where `entry` points to, and its first batch. It begins at the front without an
    /// entry, and when the batch there cannot be the one that is meant: index files have no checksum, and
    /// a reader that is sent too far would miss records without a sign.
    fn scan_from(
        &self,
        entry: Option<OffsetEntry>,
        size: u64,
    ) -> io::Result<(HeaderScan<'_>, Option<(u64, BatchHeader)>)> {
        if let Some(entry) = entry {
            let mut scan = HeaderScan::new(&*self.file, entry.position.into(), size);
            match scan.next() {
                Ok(Some((position, header)))
                    if (self.base..=entry.offset).contains(&header.base_offset) =>
                {
                    return Ok((scan, Some((position, header))));
                }
                Err(error) if !is_data_error(&error) => return Err(error),
                _ => tracing::warn!(
                    base = self.base.0,
                    ?entry,
                    "an offset index is broken; its segment is searched from the front"
                ),
            }
        }
        let mut scan = HeaderScan::new(&*self.file, 0, size);
        let first = scan.next()?;
        Ok((scan, first))
    }

    /// Where the batches from the one that holds `from` to the last one below `upper` lie. `None` if
    /// all of the segment is below `from`.
    pub(super) fn place(&self, from: Offset, upper: Offset) -> io::Result<Option<Place>> {
        let (first, end) = {
            let growing = self.growing.read();
            if from >= growing.end {
                return Ok(None);
            }
            let end = if upper >= growing.end {
                Some(growing.size)
            } else {
                growing.recent(upper).map(|place| place.position)
            };
            (growing.recent(from), end)
        };
        let first = match first {
            Some(first) => first,
            None => match self.locate(from)? {
                Some(first) => first,
                None => return Ok(None),
            },
        };
        let end = match end {
            Some(end) => end,
            None => match self.locate(upper)? {
                Some(beyond) => beyond.position,
                None => self.size(),
            },
        };
        Ok(Some(Place { first, end }))
    }

    /// Position to start looking for a timestamp from: no batch before it, at or above `from`, has a
    /// record of `timestamp` or later.
    pub(super) fn before_timestamp(&self, timestamp: Timestamp, from: Offset) -> io::Result<u64> {
        let found = (self.growing.read().times).search(|entry| entry.timestamp <= timestamp);
        let entry: Option<TimeEntry> =
            self.resolve(&self.time_file, found, |entry| entry.timestamp <= timestamp)?;
        let start = match entry {
            Some(entry) if entry.offset > from && self.has_its_time(entry)? => entry.offset,
            _ => from,
        };
        Ok(self.locate(start)?.map_or(0, |place| place.position))
    }

    /// Whether the batch that a time index entry points to has the entry's timestamp: index files have no
    /// checksum.
    pub(super) fn has_its_time(&self, entry: TimeEntry) -> io::Result<bool> {
        let Some(place) = self.locate(entry.offset)? else {
            return Ok(false);
        };
        let mut scan = HeaderScan::new(&*self.file, place.position, self.size());
        let found = scan.next()?;
        Ok(found.is_some_and(|(_, header)| header.max_timestamp == entry.timestamp))
    }

    fn resolve<E: super::index::Entry>(
        &self,
        file: &LazyFile,
        found: Found<E>,
        is_before: impl Fn(&E) -> bool,
    ) -> io::Result<Option<E>> {
        match found {
            Found::Here(entry) => Ok(entry),
            Found::InFile { entries } => search_file(file, self.base, entries, is_before),
        }
    }

    /// Writes the index entries that are in memory only.
    pub(super) fn write_tails(&self) -> io::Result<()> {
        let (offsets, times) = {
            let growing = self.growing.read();
            (growing.offsets.tail_bytes(), growing.times.tail_bytes())
        };
        write_tail(&self.offset_file, offsets.0, &offsets.1)?;
        write_tail(&self.time_file, times.0, &times.1)?;
        let mut growing = self.growing.write();
        growing.offsets.tail_written();
        growing.times.tail_written();
        Ok(())
    }

    /// Writes the last time entry and all index tails: the segment closes, or the broker stops.
    pub(super) fn seal(&self) -> io::Result<()> {
        {
            let mut growing = self.growing.write();
            growing.push_time_entry();
            growing.recent = VecDeque::new();
        }
        self.write_tails()
    }

    /// Drops the batch that holds `to` and all after it. Gives the new end, at or below `to`.
    pub(super) fn truncate(&self, to: Offset) -> io::Result<Offset> {
        let Some(place) = self.locate(to)? else {
            // A gap that compaction left at the segment's end.
            self.growing.write().end = to;
            return Ok(to);
        };
        let end = place.base.min(to);
        {
            let mut growing = self.growing.write();
            growing.end = end;
            growing.size = place.position;
            growing.recent.retain(|place| place.last < end);
            growing.bytes_since_entry = 0;
            (growing.offsets).truncate(&self.offset_file, |entry| entry.offset < end)?;
            (growing.times).truncate(&self.time_file, |entry| entry.offset < end)?;
            growing.max_timestamp = growing.times.last();
        }
        self.file.set_len(place.position)?;
        self.aborted.truncate(end)?;
        let indexed = self.growing.read().offsets.last();
        let start = indexed.map_or(0, |entry| u64::from(entry.position));
        let mut scan = HeaderScan::new(&*self.file, start, place.position);
        while let Some((_, header)) = scan.next()? {
            self.growing.write().note_timestamp(&header);
        }
        Ok(end)
    }

    /// Everything of this segment that a sync must cover once it is closed.
    pub(super) fn files(&self) -> io::Result<Vec<Arc<dyn File>>> {
        let mut files = vec![self.file.clone()];
        files.extend(self.offset_file.existing()?);
        files.extend(self.time_file.existing()?);
        files.extend(self.aborted.file()?);
        Ok(files)
    }
}

impl std::fmt::Debug for Segment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "Segment({}..{}, {} bytes)",
            self.base,
            self.end(),
            self.size()
        )
    }
}
