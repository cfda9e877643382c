//! Opening a partition's directory: finishing what was interrupted, and finding the log's end.
//!
//! After a clean stop the files are trusted. Otherwise every segment from the recovery point on is read
//! again: each batch's CRC is checked, indexes, epochs and producers are rebuilt, and the log ends
//! before the first batch that is torn or broken. What follows it is removed.

use super::crc_scan::{CrcScan, Step, has_batch_behind};
use super::epochs::Epochs;
use super::files;
use super::index::AbortedEntry;
use super::interrupted;
use super::log::{Broken, Opening, RELATIVE_OFFSET_MAX, Shutdown};
use super::producers::{Producers, snapshot};
use super::scan::{HeaderScan, is_data_error};
use super::segment::{IndexLimits, Segment};
use super::space::may_be_reserved;
use super::view::{floor, read_batch};
use crate::record::BatchHeader;
use crate::record::control::{self, ControlRecord, EndMarker, TransactionResult};
use crate::runtime::{Disk, Open};
use crate::types::{LeaderEpoch, Offset};
use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::sync::Arc;

/// What opening a log had to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Segments that were read again from front to back.
    pub segments_checked: usize,
    pub bytes_checked: u64,
    /// Bytes that were cut off because they were no whole batch.
    pub bytes_cut: u64,
    /// Segments removed because they came after a broken batch.
    pub segments_removed: usize,
}

pub(super) struct Loaded {
    pub(super) segments: Vec<Arc<Segment>>,
    pub(super) producers: Producers,
    pub(super) epochs: Epochs,
    pub(super) log_start: Offset,
    pub(super) log_end: Offset,
    pub(super) recovery_point: Offset,
    pub(super) snapshot_at: Option<Offset>,
    pub(super) recovered: Recovered,
}

pub(super) fn load(disk: &Arc<dyn Disk>, dir: &Path, opening: &Opening) -> io::Result<Loaded> {
    let names = interrupted::finish(&**disk, dir)?;
    let mut loader = Loader {
        disk,
        dir,
        opening,
        limits: IndexLimits {
            interval_bytes: opening.config.index_interval_bytes,
            file_bytes: opening.config.segment_index_bytes,
        },
        epochs: Epochs::load(&**disk, dir)?,
        last_epoch: None,
        recovered: Recovered::default(),
    };
    let mut segments = loader.open_segments(&names)?;
    let mut producers = loader.check_segments(&mut segments, &names)?;
    let mut log_end = segments.last().map_or(opening.log_start, |last| last.end());
    let log_start = loader.believed_start(&segments);
    if log_end < log_start {
        tracing::warn!(
            partition = %opening.partition, log_end = log_end.0, log_start = log_start.0,
            "the log ends before its start; its segments are removed"
        );
        for segment in segments.drain(..) {
            loader.remove(&segment)?;
        }
        loader.epochs.clear();
        producers = Some((Producers::new(), None));
    }
    if segments.is_empty() {
        segments.push(Arc::new(loader.new_segment(opening.log_start)?));
        log_end = opening.log_start;
    }
    let first = segments.first().map_or(Offset::ZERO, |first| first.base);
    let log_start = log_start.max(first);
    prune_snapshots(&**disk, dir, &names, &segments, log_end)?;
    let (producers, snapshot_at) = match producers {
        Some(known) => known,
        None => loader.trusted_producers(&segments, &names, log_start, log_end)?,
    };
    loader.epochs.truncate_end(log_end);
    loader.mend_epochs(&segments)?;
    loader.epochs.truncate_start(log_start);
    Ok(Loaded {
        segments,
        producers,
        epochs: loader.epochs,
        log_start,
        log_end,
        recovery_point: match opening.shutdown {
            Shutdown::Clean => log_end,
            Shutdown::Unclean => opening.recovery_point.min(log_end),
        },
        snapshot_at,
        recovered: loader.recovered,
    })
}

/// Producers, and the offset of the snapshot that they come from.
type Known = (Producers, Option<Offset>);

struct Loader<'a> {
    disk: &'a Arc<dyn Disk>,
    dir: &'a Path,
    opening: &'a Opening,
    limits: IndexLimits,
    epochs: Epochs,
    /// Of the last batch, if its segment was trusted.
    last_epoch: Option<LeaderEpoch>,
    recovered: Recovered,
}

impl Loader<'_> {
    fn open_segments(&self, names: &BTreeSet<String>) -> io::Result<Vec<Arc<Segment>>> {
        let mut segments = Vec::new();
        for base in names
            .iter()
            .filter_map(|name| files::offset_of(name, files::LOG))
        {
            let file = self
                .disk
                .open(&files::named(self.dir, base, files::LOG), Open::Write)?;
            let has_txn_index = files::is_among(names, base, files::TXN_INDEX);
            let segment = Segment::new(self.disk, self.dir, base, file, has_txn_index)?;
            segments.push(Arc::new(segment));
        }
        segments.sort_by_key(|segment| segment.base);
        Ok(segments)
    }

    /// The log's start as its checkpoint says, unless that lies beyond the end of a log that was closed and
    /// found whole: no log is like that, so the checkpoint, which has no checksum, is broken. The log is
    /// not given up for it.
    fn believed_start(&self, segments: &[Arc<Segment>]) -> Offset {
        let start = self.opening.log_start;
        let is_whole = self.opening.shutdown == Shutdown::Clean && self.recovered.bytes_cut == 0;
        match segments.last() {
            Some(last) if is_whole && last.end() < start => {
                tracing::warn!(
                    partition = %self.opening.partition, log_end = last.end().0, log_start = start.0,
                    "the checkpoint of the log's start lies beyond the log's end and is not believed"
                );
                Offset::ZERO
            }
            _ => start,
        }
    }

    fn new_segment(&self, base: Offset) -> io::Result<Segment> {
        let path = files::named(self.dir, base, files::LOG);
        let file = self.disk.open(&path, Open::Truncate)?;
        if self.opening.config.preallocate {
            file.reserve(0, self.opening.config.segment_bytes)?;
        }
        Segment::new(self.disk, self.dir, base, file, false)
    }

    /// Trusts or checks each segment. Gives the producers if it had to rebuild them.
    fn check_segments(
        &mut self,
        segments: &mut Vec<Arc<Segment>>,
        names: &BTreeSet<String>,
    ) -> io::Result<Option<Known>> {
        let first_unsure = match self.opening.shutdown {
            Shutdown::Clean => segments.len(),
            // A segment that ends at the recovery point may have been closed after the sync: its batches
            // are on disk, the last of its indexes are not.
            Shutdown::Unclean => floor(segments, Offset(self.opening.recovery_point.0 - 1)),
        };
        if let Some(unsure) = segments.get(first_unsure) {
            // The checkpoint may tell of batches that a power loss took, or brought back.
            self.epochs.truncate_end(unsure.base);
        }
        let mut producers: Option<Known> = None;
        let mut epoch = None;
        for at in 0..segments.len() {
            let Some(segment) = segments.get(at).cloned() else {
                break;
            };
            let next = segments.get(at + 1).map(|next| next.base);
            if at > first_unsure && self.is_gapless() {
                let end = at.checked_sub(1).and_then(|before| segments.get(before));
                if end.is_some_and(|before| before.end() != segment.base) {
                    // The end of the one before was lost, or this one was dropped and came back.
                    tracing::warn!(
                        partition = %self.opening.partition, base = segment.base.0,
                        "segments that do not follow the one before are removed"
                    );
                    self.remove_from(segments, at)?;
                    break;
                }
            }
            if at < first_unsure && producers.is_none() && self.trust(&segment, next, names)? {
                continue;
            }
            let (state, snapshot_at) = match producers.take() {
                Some(known) => known,
                None => {
                    let before = segments.get(..at).unwrap_or_default();
                    let start = self.opening.log_start;
                    rebuild_producers(&**self.disk, self.dir, before, start, segment.base)?
                }
            };
            let mut known = (state, snapshot_at);
            let cut = self.check(&segment, next.is_none(), &mut known.0, &mut epoch)?;
            if let Some(next) = next
                && cut == 0
            {
                segment.seal()?;
                if !files::is_among(names, next, files::SNAPSHOT) {
                    snapshot::write(&**self.disk, self.dir, next, &known.0)?;
                }
                known.1 = Some(next);
            }
            producers = Some(known);
            if cut > 0 {
                self.remove_from(segments, at + 1)?;
                break;
            }
        }
        Ok(producers)
    }

    /// Whether every batch begins where the one before ends: only compaction leaves gaps.
    fn is_gapless(&self) -> bool {
        !self.opening.config.cleanup.compact && self.opening.cleaned_end.is_none()
    }

    fn remove_from(&mut self, segments: &mut Vec<Arc<Segment>>, at: usize) -> io::Result<()> {
        // The newest first: what is left after a crash in between has no hole.
        for doomed in segments.drain(at..).rev() {
            self.recovered.segments_removed += 1;
            self.remove(&doomed)?;
        }
        Ok(())
    }

    /// `false` if the segment has to be checked after all.
    fn trust(
        &mut self,
        segment: &Segment,
        next: Option<Offset>,
        names: &BTreeSet<String>,
    ) -> io::Result<bool> {
        let size = segment.file.len()?;
        let indexes = [files::OFFSET_INDEX, files::TIME_INDEX];
        if !(indexes.iter()).all(|suffix| files::is_among(names, segment.base, suffix)) {
            return Ok(size == 0 && next.is_none());
        }
        if !segment.trust(size, next.unwrap_or(segment.base))? {
            return Ok(false);
        }
        if next.is_some() {
            return Ok(true);
        }
        match segment.find_end() {
            Ok(epoch) => {
                self.last_epoch = epoch;
                Ok(true)
            }
            Err(error) if is_data_error(&error) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Reads a whole segment again. Gives how many bytes had to be cut off.
    /// `epoch` is that of the last batch checked before.
    fn check(
        &mut self,
        segment: &Arc<Segment>,
        is_last: bool,
        producers: &mut Producers,
        epoch: &mut Option<LeaderEpoch>,
    ) -> io::Result<u64> {
        segment.reset()?;
        let len = segment.file.len()?;
        self.recovered.segments_checked += 1;
        self.recovered.bytes_checked += len;
        let mut scan = CrcScan::new(&*segment.file, len, segment.base);
        loop {
            let step = match scan.next()? {
                // Whole batches, but of another past of this log: a power loss kept some of the writes
                // from before a truncation and some from after it.
                Step::Batch { position, header }
                    if header.base_offset != segment.end()
                        && !header.is_old()
                        && self.is_gapless() =>
                {
                    Step::Bad {
                        position,
                        reason: "a batch does not follow the one before",
                    }
                }
                Step::Batch { position, header }
                    if Some(header.leader_epoch) < *epoch && !header.is_old() =>
                {
                    Step::Bad {
                        position,
                        reason: "a batch's leader epoch goes back",
                    }
                }
                step => step,
            };
            match step {
                Step::End => {
                    if may_be_reserved(len) {
                        segment.file.set_len(len)?;
                    }
                    return Ok(0);
                }
                Step::Bad { position, reason } => {
                    let goes_on = || has_batch_behind(&*segment.file, len, position, segment.end());
                    if self.opening.broken == Broken::Refused && (!is_last || goes_on()?) {
                        return Err(io::Error::new(
                            io::ErrorKind::InvalidData,
                            format!(
                                "segment {} is broken at byte {position} ({reason}) and goes on behind it; \
                                 it is left as it is",
                                segment.base
                            ),
                        ));
                    }
                    let cut = len - position;
                    tracing::warn!(
                        partition = %self.opening.partition, base = segment.base.0, position, cut,
                        reason, "the log was cut back to its last whole batch"
                    );
                    segment.file.set_len(position)?;
                    self.recovered.bytes_cut += cut;
                    return Ok(cut);
                }
                Step::Batch { header, .. }
                    if header.last_offset().0 - segment.base.0 > RELATIVE_OFFSET_MAX =>
                {
                    return Err(io::Error::new(
                        io::ErrorKind::Unsupported,
                        format!(
                            "segment {} holds offsets too far from its base, as brokers before 2.0 could \
                             leave them; Apache Kafka splits it when it starts",
                            segment.base
                        ),
                    ));
                }
                Step::Batch { position, header } => {
                    *epoch = (*epoch).max(Some(header.leader_epoch));
                    self.note_epoch(&header);
                    segment.note(&header, position, self.limits);
                    apply(segment, position, &header, producers, Aborts::Index)?;
                }
            }
        }
    }

    /// Messages of old formats have no epoch.
    fn note_epoch(&mut self, header: &BatchHeader) {
        let latest = self.epochs.latest().map(|latest| latest.epoch);
        if !header.is_old() && Some(header.leader_epoch) > latest {
            self.epochs.assign(header.leader_epoch, header.base_offset);
        }
    }

    /// Reads the epochs from the batches of all segments, if the checkpoint does not end with the last one.
    fn mend_epochs(&mut self, segments: &[Arc<Segment>]) -> io::Result<()> {
        let known = self.epochs.latest().map(|latest| latest.epoch);
        if self.last_epoch.is_none_or(|last| last.0 < 0) || self.last_epoch == known {
            return Ok(());
        }
        tracing::warn!(
            partition = %self.opening.partition, ?known, last = ?self.last_epoch,
            "the checkpoint of leader epochs is broken; they are read from the batches"
        );
        self.epochs.clear();
        for segment in segments {
            let mut scan = HeaderScan::new(&*segment.file, 0, segment.size());
            loop {
                let header = match scan.next() {
                    Ok(Some((_, header))) => header,
                    Ok(None) => break,
                    Err(error) if is_data_error(&error) => break,
                    Err(error) => return Err(error),
                };
                self.note_epoch(&header);
            }
        }
        Ok(())
    }

    /// The producers' state of a log that was closed cleanly.
    fn trusted_producers(
        &self,
        segments: &[Arc<Segment>],
        names: &BTreeSet<String>,
        log_start: Offset,
        log_end: Offset,
    ) -> io::Result<Known> {
        let has_snapshot =
            (names.iter()).any(|name| files::offset_of(name, files::SNAPSHOT).is_some());
        if !has_snapshot {
            // A clean stop leaves a snapshot unless there was nothing to say.
            return Ok((Producers::new(), None));
        }
        rebuild_producers(&**self.disk, self.dir, segments, log_start, log_end)
    }

    fn remove(&self, segment: &Segment) -> io::Result<()> {
        for suffix in [
            files::SNAPSHOT,
            files::TXN_INDEX,
            files::TIME_INDEX,
            files::OFFSET_INDEX,
            files::LOG,
        ] {
            files::remove_if_there(&**self.disk, &files::named(self.dir, segment.base, suffix))?;
        }
        Ok(())
    }
}

/// What to do with the aborted transactions that are met.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Aborts {
    /// Enter them in the segment's transaction index.
    Index,
    /// They are in it.
    Known,
}

fn apply(
    segment: &Segment,
    position: u64,
    header: &BatchHeader,
    producers: &mut Producers,
    aborts: Aborts,
) -> io::Result<()> {
    if !header.has_producer() {
        return Ok(());
    }
    let marker = marker_of(segment, position, header)?;
    let ended = producers.apply(header, marker);
    if aborts == Aborts::Index
        && let Some(ended) = ended
        && ended.result == TransactionResult::Abort
    {
        segment.aborted.append(&AbortedEntry {
            producer: ended.producer,
            first: ended.first,
            last: ended.marker,
            last_stable: ended.last_stable,
        })?;
    }
    Ok(())
}

fn marker_of(
    segment: &Segment,
    position: u64,
    header: &BatchHeader,
) -> io::Result<Option<EndMarker>> {
    if !header.attributes.is_control() {
        return Ok(None);
    }
    match control::read(&read_batch(segment, position, header)?) {
        Some(ControlRecord::EndTransaction(marker)) => Ok(Some(marker)),
        _ => Ok(None),
    }
}

/// The producers' state at `end`: the newest snapshot at or below it, and the batches since.
pub(super) fn rebuild_producers(
    disk: &dyn Disk,
    dir: &Path,
    segments: &[Arc<Segment>],
    log_start: Offset,
    end: Offset,
) -> io::Result<Known> {
    let (mut producers, snapshot_at) = newest_snapshot(disk, dir, end)?;
    let from = snapshot_at.unwrap_or(log_start);
    for segment in segments.iter().skip(floor(segments, from)) {
        if segment.base >= end {
            break;
        }
        let Some(place) = segment.locate(from.max(segment.base))? else {
            continue;
        };
        let mut scan = HeaderScan::new(&*segment.file, place.position, segment.size());
        while let Some((position, header)) = scan.next()? {
            if header.base_offset >= end {
                break;
            }
            apply(segment, position, &header, &mut producers, Aborts::Known)?;
        }
    }
    Ok((producers, snapshot_at))
}

fn newest_snapshot(disk: &dyn Disk, dir: &Path, end: Offset) -> io::Result<Known> {
    let mut offsets: Vec<Offset> = (disk.list(dir)?.iter())
        .filter_map(|entry| files::offset_of(&entry.name, files::SNAPSHOT))
        .filter(|at| *at <= end)
        .collect();
    offsets.sort();
    while let Some(at) = offsets.pop() {
        match snapshot::read(disk, dir, at)? {
            Some(producers) => return Ok((producers, Some(at))),
            None => {
                tracing::warn!(dir = %dir.display(), at = at.0, "dropped a broken producer snapshot");
                files::remove_if_there(disk, &files::named(dir, at, files::SNAPSHOT))?;
            }
        }
    }
    Ok((Producers::new(), None))
}

/// Removes the snapshots above the log's end, and those that neither begin a segment nor are the newest:
/// each clean stop leaves one.
fn prune_snapshots(
    disk: &dyn Disk,
    dir: &Path,
    names: &BTreeSet<String>,
    segments: &[Arc<Segment>],
    end: Offset,
) -> io::Result<()> {
    let offset_of = |name: &String| files::offset_of(name, files::SNAPSHOT);
    let newest = names
        .iter()
        .filter_map(offset_of)
        .filter(|at| *at <= end)
        .max();
    for (name, at) in names
        .iter()
        .filter_map(|name| Some((name, offset_of(name)?)))
    {
        let begins_segment = segments.iter().any(|segment| segment.base == at);
        if at > end || (Some(at) != newest && !begins_segment) {
            files::remove_if_there(disk, &dir.join(name))?;
        }
    }
    Ok(())
}
