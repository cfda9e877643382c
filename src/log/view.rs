//! Reading a log without the writer's lock.

use super::epochs::{EpochEnd, EpochStart, Epochs};
use super::errors::ReadError;
use super::health::Health;
use super::index::{AbortedEntry, AbortedTransaction};
use super::scan::HeaderScan;
use super::segment::Segment;
use crate::record::{Batch, BatchHeader, DecodeLimits, old};
use crate::runtime::{FileSlice, read_exact_at};
use crate::types::{LeaderEpoch, Offset, Timestamp, TopicPartition};
use arc_swap::ArcSwap;
use bytes::Bytes;
use parking_lot::RwLock;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

/// No transaction is open.
pub(super) const NO_UNSTABLE: i64 = i64::MAX;

/// Compaction has not touched the log.
pub(super) const NEVER_CLEANED: i64 = -1;

/// What the writer shares with readers.
pub(super) struct Shared {
    pub(super) partition: TopicPartition,
    /// Where the partition lives; it moves only when it is deleted.
    pub(super) dir: PathBuf,
    pub(super) segments: ArcSwap<Vec<Arc<Segment>>>,
    pub(super) log_start: AtomicI64,
    pub(super) log_end: AtomicI64,
    pub(super) high_watermark: AtomicI64,
    /// First offset of the earliest unsettled transaction, or [`NO_UNSTABLE`].
    pub(super) first_unstable: AtomicI64,
    /// Everything below is on disk.
    pub(super) recovery_point: AtomicI64,
    /// Everything below was compacted, or [`NEVER_CLEANED`].
    pub(super) cleaned_end: AtomicI64,
    /// The log was closed cleanly; nothing is appended any more.
    pub(super) closed: AtomicBool,
    /// Changed at most once per leader, read by followers and consumers that check their position.
    pub(super) epochs: RwLock<Epochs>,
    pub(super) health: Arc<Health>,
}

/// Whether a first batch that is larger than the limit is given all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FirstBatch {
    /// Yes: a consumer must get past a batch that is larger than it asked for.
    Whole,
    /// No: others in the same answer already have bytes.
    IfItFits,
}

/// A range of batches, not read yet. May end inside a batch, which clients drop.
#[derive(Clone, Debug)]
pub struct LogSlice {
    pub bytes: FileSlice,
    /// Base offset of the first batch; the offset asked for, if there are no bytes.
    pub base: Offset,
    /// All offsets in `bytes` are below it.
    pub upper: Offset,
}

impl LogSlice {
    pub fn is_empty(&self) -> bool {
        self.bytes.len == 0
    }
}

/// A record found by its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimestampOffset {
    pub timestamp: Timestamp,
    pub offset: Offset,
    pub epoch: LeaderEpoch,
}

/// Reads one partition's log. Cheap to clone; sees every append at once.
///
/// Ends are read before segments, and appended bytes are published before the ends, so a reader never
/// finds an end without its bytes. Segments that were closed or deleted stay readable for whoever still
/// holds a [`FileSlice`] of them.
#[derive(Clone)]
pub struct LogView(pub(super) Arc<Shared>);

impl LogView {
    pub fn partition(&self) -> &TopicPartition {
        &self.0.partition
    }

    /// The partition's directory.
    pub fn dir(&self) -> &Path {
        &self.0.dir
    }

    /// The log directory that it lies in.
    pub fn log_dir(&self) -> &Path {
        self.0.dir.parent().unwrap_or(&self.0.dir)
    }

    pub fn log_start(&self) -> Offset {
        Offset(self.0.log_start.load(Ordering::Acquire))
    }

    /// The offset that the next record gets.
    pub fn log_end(&self) -> Offset {
        Offset(self.0.log_end.load(Ordering::Acquire))
    }

    pub fn high_watermark(&self) -> Offset {
        Offset(self.0.high_watermark.load(Ordering::Acquire))
    }

    /// Readers of committed data see offsets below it: the high watermark, or the first offset of the
    /// earliest transaction that is open or whose end is above the high watermark.
    pub fn last_stable_offset(&self) -> Offset {
        // The watermark first: an append publishes its transaction before the watermark can pass it.
        let high_watermark = self.high_watermark();
        high_watermark.min(Offset(self.0.first_unstable.load(Ordering::Acquire)))
    }

    pub fn recovery_point(&self) -> Offset {
        Offset(self.0.recovery_point.load(Ordering::Acquire))
    }

    /// Everything below was compacted; `None` if compaction has not touched the log.
    pub fn cleaned_end(&self) -> Option<Offset> {
        let end = self.0.cleaned_end.load(Ordering::Acquire);
        (end != NEVER_CLEANED).then_some(Offset(end))
    }

    /// Whether the log directory still works.
    pub fn is_online(&self) -> bool {
        self.0.health.is_online()
    }

    pub(super) fn health(&self) -> &Arc<Health> {
        &self.0.health
    }

    /// Whether the log was closed cleanly.
    pub(super) fn is_closed(&self) -> bool {
        self.0.closed.load(Ordering::Acquire)
    }

    /// Base offset of the first segment, at or below the log's start.
    pub(super) fn first_base(&self) -> Offset {
        self.0
            .segments
            .load()
            .first()
            .map_or(Offset::ZERO, |first| first.base)
    }

    /// Bytes in all segments.
    pub fn size(&self) -> u64 {
        self.0
            .segments
            .load()
            .iter()
            .map(|segment| segment.size())
            .sum()
    }

    pub fn segment_count(&self) -> usize {
        self.0.segments.load().len()
    }

    /// Finds the batches from the one that holds `from` up to `upper`, as far as `bytes_max` and the
    /// end of the segment go. Empty if `from` is at `upper` or beyond but not beyond the log's end.
    pub fn read(
        &self,
        from: Offset,
        bytes_max: usize,
        upper: Offset,
        first: FirstBatch,
    ) -> Result<LogSlice, ReadError> {
        let (start, end) = (self.log_start(), self.log_end());
        if from < start || from > end {
            return Err(ReadError::OutOfRange {
                offset: from,
                start,
                end,
            });
        }
        let upper = upper.min(end);
        let segments = self.0.segments.load();
        if from < upper {
            for segment in segments.iter().skip(floor(&segments, from)) {
                if segment.base >= upper {
                    break;
                }
                let Some(place) = segment.place(from, upper)? else {
                    continue; // a gap that compaction left
                };
                let there = usize::try_from(place.end.saturating_sub(place.first.position))
                    .unwrap_or(usize::MAX);
                let first_len = usize::try_from(place.first.size).unwrap_or(usize::MAX);
                let len = match first {
                    FirstBatch::Whole => bytes_max.max(first_len),
                    FirstBatch::IfItFits if first_len > bytes_max => 0,
                    FirstBatch::IfItFits => bytes_max,
                };
                return Ok(LogSlice {
                    bytes: FileSlice {
                        file: segment.file.clone(),
                        position: place.first.position,
                        len: len.min(there),
                    },
                    base: place.first.base,
                    upper: upper.min(segment.end()),
                });
            }
        }
        let last = segments.last().expect("a log has a segment");
        Ok(LogSlice {
            bytes: FileSlice {
                file: last.file.clone(),
                position: last.size(),
                len: 0,
            },
            base: from,
            upper: from,
        })
    }

    /// Bytes of the batches from `from` up to `upper`: what a fetch that waits for `fetch.min.bytes`
    /// counts. 0 if `from` is out of range.
    pub fn bytes_available(&self, from: Offset, upper: Offset) -> io::Result<u64> {
        let upper = upper.min(self.log_end());
        if from < self.log_start() || from >= upper {
            return Ok(0);
        }
        let segments = self.0.segments.load();
        let mut bytes = 0;
        for segment in segments.iter().skip(floor(&segments, from)) {
            if segment.base >= upper {
                break;
            }
            bytes += if segment.base >= from && segment.end() <= upper {
                segment.size()
            } else {
                match segment.place(from, upper)? {
                    Some(place) => place.end.saturating_sub(place.first.position),
                    None => 0,
                }
            };
        }
        Ok(bytes)
    }

    /// The aborted transactions that overlap `[from, upper)`.
    pub fn aborted_transactions(
        &self,
        from: Offset,
        upper: Offset,
    ) -> io::Result<Vec<AbortedTransaction>> {
        let entries = self.aborted_entries(from, upper)?.into_iter();
        Ok(entries
            .map(|entry| AbortedTransaction {
                producer: entry.producer,
                first: entry.first,
            })
            .collect())
    }

    /// The same as the index has them.
    pub(super) fn aborted_entries(
        &self,
        from: Offset,
        upper: Offset,
    ) -> io::Result<Vec<AbortedEntry>> {
        let mut found = Vec::new();
        let segments = self.0.segments.load();
        for segment in segments.iter().skip(floor(&segments, from)) {
            if segment.aborted.is_empty() {
                continue;
            }
            for entry in segment.aborted.read()? {
                if entry.last >= from && entry.first < upper {
                    found.push(entry);
                }
                if entry.last_stable >= upper {
                    return Ok(found);
                }
            }
        }
        Ok(found)
    }

    /// The first record at or above the log's start whose timestamp is `timestamp` or later. Reads and
    /// decodes one batch.
    pub fn offset_for_timestamp(
        &self,
        timestamp: Timestamp,
        limits: DecodeLimits,
    ) -> io::Result<Option<TimestampOffset>> {
        let start = self.log_start();
        let segments = self.0.segments.load();
        for segment in segments.iter().skip(floor(&segments, start)) {
            if (segment.max_timestamp()?).is_none_or(|max| max.timestamp < timestamp) {
                continue;
            }
            let position = segment.before_timestamp(timestamp, start)?;
            let mut scan = HeaderScan::new(&*segment.file, position, segment.size());
            while let Some((position, header)) = scan.next()? {
                if header.max_timestamp < timestamp || header.last_offset() < start {
                    continue;
                }
                let found = first_record(segment, position, &header, limits, |at, offset| {
                    at >= timestamp && offset >= start
                })?;
                if found.is_some() {
                    return Ok(found);
                }
            }
        }
        Ok(None)
    }

    /// The first record that has the largest timestamp of the log; `None` if none has one.
    pub fn offset_of_max_timestamp(
        &self,
        limits: DecodeLimits,
    ) -> io::Result<Option<TimestampOffset>> {
        let segments = self.0.segments.load();
        let mut best: Option<(&Arc<Segment>, Timestamp, Offset)> = None;
        for segment in segments.iter() {
            if let Some(max) = segment.max_timestamp()?
                && max.timestamp > Timestamp::NONE
                && best.is_none_or(|(_, timestamp, _)| max.timestamp > timestamp)
            {
                best = Some((segment, max.timestamp, max.offset));
            }
        }
        let Some((segment, timestamp, offset)) = best else {
            return Ok(None);
        };
        let Some(place) = segment.locate(offset)? else {
            return Ok(None);
        };
        let mut scan = HeaderScan::new(&*segment.file, place.position, segment.size());
        match scan.next()? {
            Some((position, header)) => {
                first_record(segment, position, &header, limits, |at, _| at >= timestamp)
            }
            None => Ok(None),
        }
    }

    /// Where `epoch`, or the largest known epoch below it, ends.
    pub fn end_offset_for_epoch(&self, epoch: LeaderEpoch) -> Option<EpochEnd> {
        self.0.epochs.read().end_of(epoch, self.log_end())
    }

    /// The leader epoch that the record at `offset` was written in.
    pub fn epoch_of(&self, offset: Offset) -> Option<LeaderEpoch> {
        self.0.epochs.read().epoch_of(offset)
    }

    pub fn latest_epoch(&self) -> Option<LeaderEpoch> {
        self.0.epochs.read().latest().map(|entry| entry.epoch)
    }

    pub fn epochs(&self) -> Vec<EpochStart> {
        self.0.epochs.read().entries().to_vec()
    }
}

/// The place of the last segment whose base is at or below `offset`.
pub(super) fn floor(segments: &[Arc<Segment>], offset: Offset) -> usize {
    segments
        .partition_point(|segment| segment.base <= offset)
        .saturating_sub(1)
}

fn first_record(
    segment: &Segment,
    position: u64,
    header: &BatchHeader,
    limits: DecodeLimits,
    wanted: impl Fn(Timestamp, Offset) -> bool,
) -> io::Result<Option<TimestampOffset>> {
    let invalid = |error| io::Error::new(io::ErrorKind::InvalidData, error);
    let found = |timestamp, offset| TimestampOffset {
        timestamp,
        offset,
        epoch: header.leader_epoch,
    };
    if header.is_old() {
        let message = read_bytes(segment, position, header)?;
        let inside = old::records(&message, limits).map_err(invalid)?;
        let mut timed = inside.iter().filter(|it| it.timestamp != Timestamp::NONE);
        return Ok(timed
            .find(|record| wanted(record.timestamp, record.offset))
            .map(|record| found(record.timestamp, record.offset)));
    }
    let batch = read_batch(segment, position, header)?;
    for record in batch.records(limits) {
        let record = record.map_err(invalid)?;
        if wanted(record.timestamp, record.offset) {
            return Ok(Some(found(record.timestamp, record.offset)));
        }
    }
    Ok(None)
}

fn read_bytes(segment: &Segment, position: u64, header: &BatchHeader) -> io::Result<Bytes> {
    let mut bytes = vec![0; header.size()];
    read_exact_at(&*segment.file, &mut bytes, position)?;
    Ok(bytes.into())
}

/// Reads one whole batch.
pub(super) fn read_batch(
    segment: &Segment,
    position: u64,
    header: &BatchHeader,
) -> io::Result<Batch> {
    let mut bytes = read_bytes(segment, position, header)?;
    match Batch::split_off(&mut bytes) {
        Ok(Some(batch)) => Ok(batch),
        Ok(None) => Err(io::ErrorKind::InvalidData.into()),
        Err(error) => Err(io::Error::new(io::ErrorKind::InvalidData, error)),
    }
}
