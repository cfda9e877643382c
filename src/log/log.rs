//! One partition's log: the owner of its directory and the only code that writes it.

use super::config::{LargerThanSegment, LogConfig};
use super::errors::{AppendError, OpenError, ReplicaAppendError, StorageError};
use super::health::{Health, Trash};
use super::index::AbortedEntry;
use super::producers::{ActiveProducer, EndedTransaction, Producers, Verdict, snapshot};
use super::recovery::{self, Recovered};
use super::rolling::RollClock;
use super::segment::{IndexLimits, Segment};
use super::space::Reserved;
use super::view::{LogView, NEVER_CLEANED, NO_UNSTABLE, Shared};
use crate::record::control::{self, ControlRecord, EndMarker, TransactionResult};
use crate::record::{Batch, BatchHeader, Batches, ValidBatch};
use crate::runtime::{Disk, Rng, Runtime};
use crate::types::{LeaderEpoch, Offset, Timestamp, TopicPartition, Uuid};
use arc_swap::ArcSwap;
use bytes::Bytes;
use parking_lot::RwLock;
use std::io::{self, IoSlice};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

/// Offsets in a segment are kept relative to its base, in 31 bits.
pub(super) const RELATIVE_OFFSET_MAX: i64 = i32::MAX as i64;

/// Whether the broker stopped by itself the last time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shutdown {
    /// Files are trusted as they are.
    Clean,
    /// Everything from the recovery point on is read and checked again.
    Unclean,
}

/// What becomes of a broken batch that whole ones follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// The log ends before it: a power loss may keep a later write and not an earlier one.
    CutOff,
    /// The log is not opened. For one whose every append is synced before the next: a crash can have torn
    /// the last batch only.
    Refused,
}

/// What is known of a log before it is opened.
#[derive(Clone)]
pub struct Opening {
    pub partition: TopicPartition,
    pub config: LogConfig,
    pub shutdown: Shutdown,
    /// Everything below is on disk, says the checkpoint.
    pub recovery_point: Offset,
    pub log_start: Offset,
    pub high_watermark: Offset,
    /// Everything below was compacted, says the checkpoint. Offsets may be missing in the whole log then,
    /// even if the topic is not compacted any more.
    pub cleaned_end: Option<Offset>,
    pub broken: Broken,
    /// The wall clock.
    pub now: Timestamp,
    pub health: Arc<Health>,
    pub trash: Arc<Trash>,
}

impl Opening {
    /// A partition that is new, or of which no checkpoint says anything.
    pub fn new(partition: TopicPartition, config: LogConfig, now: Timestamp) -> Opening {
        Opening {
            partition,
            config,
            shutdown: Shutdown::Unclean,
            recovery_point: Offset::ZERO,
            log_start: Offset::ZERO,
            high_watermark: Offset::ZERO,
            cleaned_end: None,
            broken: Broken::CutOff,
            now,
            health: Arc::default(),
            trash: Arc::default(),
        }
    }
}

/// Whether a sync should follow an append.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlushDue {
    No,
    /// A segment was closed: it should reach the disk soon, in the background.
    Soon,
    /// `flush.messages` was reached: the batch is neither shown nor acknowledged before the sync.
    Now,
}

/// The outcome of an append.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Appended {
    Fresh {
        base: Offset,
        last: Offset,
        /// Set on topics of LogAppendTime.
        log_append_time: Option<Timestamp>,
        flush: FlushDue,
    },
    /// A retry of a batch that the log already holds: answered as if it had just worked.
    Duplicate {
        base: Offset,
        last: Offset,
        timestamp: Timestamp,
        /// Whether the first try still waits for its sync.
        flush: FlushDue,
    },
}

impl Appended {
    /// The offset after the batch.
    pub fn end(&self) -> Offset {
        match self {
            Appended::Fresh { last, .. } | Appended::Duplicate { last, .. } => last.next(),
        }
    }

    pub fn flush(&self) -> FlushDue {
        match self {
            Appended::Fresh { flush, .. } | Appended::Duplicate { flush, .. } => *flush,
        }
    }
}

/// The outcome of appending batches that another log has stamped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplicaAppended {
    /// The log's end before and after. Equal if every batch was of a later leader epoch.
    pub from: Offset,
    pub end: Offset,
    pub flush: FlushDue,
}

/// The owner of one partition's directory. Not shared: whoever serialises the partition's writes holds
/// it, readers use its [`LogView`].
///
/// ```
/// use ottla::log::{Appended, FirstBatch, Log, LogConfig, Opening};
/// use ottla::record::{BatchBuilder, BatchOptions, NewRecord};
/// use ottla::runtime::os;
/// use ottla::types::{LeaderEpoch, Offset, Timestamp, TopicName, TopicPartition};
///
/// let dir = tempfile::tempdir()?;
/// let partition = TopicPartition::new(TopicName::parse("orders")?, 0);
/// let opening = Opening::new(partition, LogConfig::default(), Timestamp(1_000));
/// let (mut log, _) = Log::open(&os::runtime(), &dir.path().join("orders-0"), opening)?;
///
/// let mut batch = BatchBuilder::new(BatchOptions::default());
/// batch.push(Timestamp(1_000), NewRecord { value: Some(b"hello"), ..NewRecord::default() });
/// let appended = log.append_as_leader(batch.build()?, LeaderEpoch(0), Timestamp(1_000))?;
/// assert!(matches!(appended, Appended::Fresh { base: Offset(0), .. }));
///
/// let slice = log.view().read(Offset(0), 1024, log.view().log_end(), FirstBatch::Whole)?;
/// assert!(!slice.is_empty());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Log {
    pub(super) shared: Arc<Shared>,
    pub(super) disk: Arc<dyn Disk>,
    pub(super) rng: Arc<dyn Rng>,
    pub(super) config: LogConfig,
    pub(super) trash: Arc<Trash>,
    pub(super) producers: Producers,
    pub(super) active: Arc<Segment>,
    pub(super) roll: RollClock,
    /// Offset of the newest producer snapshot.
    pub(super) snapshot_at: Option<Offset>,
    /// How often files were made, renamed or removed.
    pub(super) dir_changes: u64,
    /// As many of them are on disk.
    pub(super) dir_changes_synced: u64,
    /// Since the log was opened, nothing was synced: the directory itself may not be on disk yet.
    pub(super) never_synced: bool,
    /// A failed append left bytes after the end that could not be cut off.
    pub(super) torn: bool,
    pub(super) reserved: Reserved,
    /// How often the log was cut; a sync that began before a cut proves nothing after it.
    pub(super) cuts: u64,
}

impl Log {
    /// Opens the log in `dir`, which is made if it is not there, and repairs it if need be.
    pub fn open(
        runtime: &Runtime,
        dir: &Path,
        opening: Opening,
    ) -> Result<(Log, Recovered), OpenError> {
        Log::open_in(runtime, dir, opening).map_err(|source| OpenError {
            dir: dir.to_owned(),
            source,
        })
    }

    fn open_in(runtime: &Runtime, dir: &Path, opening: Opening) -> io::Result<(Log, Recovered)> {
        let disk = runtime.disk.clone();
        disk.create_dir_all(dir)?;
        let loaded = recovery::load(&disk, dir, &opening)?;
        let Opening {
            partition,
            config,
            shutdown: _,
            recovery_point: _,
            log_start: _,
            high_watermark,
            cleaned_end,
            broken: _,
            now,
            health,
            trash,
        } = opening;
        let recovery::Loaded {
            segments,
            producers,
            epochs,
            log_start,
            log_end,
            recovery_point,
            snapshot_at,
            recovered,
        } = loaded;
        let active = segments.last().expect("a log has a segment").clone();
        let high_watermark = high_watermark.clamp(log_start, log_end);
        let shared = Arc::new(Shared {
            partition,
            dir: dir.to_owned(),
            segments: ArcSwap::from_pointee(segments),
            log_start: AtomicI64::new(log_start.0),
            log_end: AtomicI64::new(log_end.0),
            high_watermark: AtomicI64::new(high_watermark.0),
            first_unstable: AtomicI64::new(NO_UNSTABLE),
            recovery_point: AtomicI64::new(recovery_point.0),
            cleaned_end: AtomicI64::new(cleaned_end.map_or(NEVER_CLEANED, |end| end.0)),
            closed: AtomicBool::new(false),
            epochs: RwLock::new(epochs),
            health,
        });
        let mut log = Log {
            shared,
            disk,
            rng: runtime.rng.clone(),
            config,
            trash,
            producers,
            active,
            roll: RollClock::starting(now),
            snapshot_at,
            dir_changes: 1,
            dir_changes_synced: 0,
            never_synced: true,
            torn: false,
            reserved: Reserved::UpTo(0),
            cuts: 0,
        };
        log.expire_producers(now);
        log.producers.settle(high_watermark);
        log.publish_unstable();
        log.reserved = log.reserved_at_start();
        log.restart_clock(now);
        log.check();
        Ok((log, recovered))
    }

    pub fn view(&self) -> LogView {
        LogView(self.shared.clone())
    }

    pub fn partition(&self) -> &TopicPartition {
        &self.shared.partition
    }

    pub fn dir(&self) -> &Path {
        &self.shared.dir
    }

    pub fn config(&self) -> &LogConfig {
        &self.config
    }

    /// Takes effect with the next append; the active segment keeps the jitter it has.
    pub fn set_config(&mut self, config: LogConfig) {
        self.config = config;
    }

    pub fn log_start(&self) -> Offset {
        Offset(self.shared.log_start.load(Ordering::Relaxed))
    }

    pub fn log_end(&self) -> Offset {
        Offset(self.shared.log_end.load(Ordering::Relaxed))
    }

    pub fn high_watermark(&self) -> Offset {
        Offset(self.shared.high_watermark.load(Ordering::Relaxed))
    }

    pub fn recovery_point(&self) -> Offset {
        Offset(self.shared.recovery_point.load(Ordering::Relaxed))
    }

    /// The id in `partition.metadata`. `None` if the file is missing or cannot be understood.
    pub fn topic_id(&self) -> io::Result<Option<Uuid>> {
        super::partition_metadata::read(&*self.disk, &self.shared.dir)
    }

    /// Gives `batch` the next offsets and writes it.
    pub fn append_as_leader(
        &mut self,
        mut batch: ValidBatch,
        epoch: LeaderEpoch,
        now: Timestamp,
    ) -> Result<Appended, AppendError> {
        if self.check_online().is_err() {
            return Err(AppendError::Offline);
        }
        let size = batch.size() as u64;
        let segment_bytes = self.segment_bytes();
        if size > segment_bytes && self.config.larger_than_segment == LargerThanSegment::Refused {
            return Err(AppendError::LargerThanSegment {
                size,
                segment_bytes,
            });
        }
        self.check_epoch(epoch)?;
        let base = self.log_end();
        batch.stamp(base, epoch);
        if batch.header().has_producer() {
            let verdict =
                (self.producers).judge(batch.header(), batch.origin(), batch.end_marker())?;
            if let Verdict::Duplicate(known) = verdict {
                let is_unsynced = known.last_offset >= self.recovery_point();
                return Ok(Appended::Duplicate {
                    base: known.first_offset(),
                    last: known.last_offset,
                    timestamp: known.timestamp,
                    flush: match is_unsynced && self.is_flush_due() {
                        true => FlushDue::Now,
                        false => FlushDue::No,
                    },
                });
            }
        }
        let rolled = self.make_room(batch.header(), size, now)?;
        let head = batch.header().encode();
        let position = self.write(&mut [IoSlice::new(&head), IoSlice::new(batch.body())])?;
        self.assign_epoch(epoch, base);
        let marker = batch.end_marker().map(|(marker, _)| marker);
        self.take_in(batch.header(), marker, position);
        self.publish_end(batch.header().next_offset());
        Ok(Appended::Fresh {
            base,
            last: batch.header().last_offset(),
            log_append_time: batch.log_append_time(),
            flush: self.flush_due(rolled),
        })
    }

    /// Writes batches as another log has stamped them. Batches of a later epoch than `epoch` are left
    /// out: their leader was not the one that was asked (KAFKA-18723).
    pub fn append_as_follower(
        &mut self,
        records: &Bytes,
        epoch: LeaderEpoch,
        now: Timestamp,
    ) -> Result<ReplicaAppended, ReplicaAppendError> {
        if self.check_online().is_err() {
            return Err(ReplicaAppendError::Offline);
        }
        let from = self.log_end();
        let batches = self.checked_batches(records, epoch)?;
        let mut rolled = false;
        for batch in &batches {
            let header = batch.header();
            rolled |= self.make_room(header, header.size() as u64, now)?;
            let position = self.write(&mut [IoSlice::new(batch.bytes())])?;
            self.assign_epoch(header.leader_epoch, header.base_offset);
            let marker = match control::read(batch) {
                Some(ControlRecord::EndTransaction(marker)) => Some(marker),
                _ => None,
            };
            self.take_in(header, marker, position);
            self.publish_end(header.next_offset());
        }
        Ok(ReplicaAppended {
            from,
            end: self.log_end(),
            flush: self.flush_due(rolled),
        })
    }

    /// All batches that may be appended, or why none may.
    fn checked_batches(
        &self,
        records: &Bytes,
        epoch: LeaderEpoch,
    ) -> Result<Vec<Batch>, ReplicaAppendError> {
        let segment_bytes = self.segment_bytes();
        let mut end = self.log_end();
        let mut batches = Vec::new();
        for batch in Batches::of(records.clone()) {
            let batch = batch?;
            let header = batch.header();
            if header.leader_epoch > epoch {
                break;
            }
            batch.check_crc()?;
            if header.base_offset < end || header.last_offset_delta < 0 {
                return Err(ReplicaAppendError::OutOfOrder {
                    found: header.base_offset,
                    end,
                });
            }
            let size = header.size() as u64;
            if size > segment_bytes {
                return Err(ReplicaAppendError::LargerThanSegment {
                    size,
                    segment_bytes,
                });
            }
            end = header.next_offset();
            batches.push(batch);
        }
        Ok(batches)
    }

    fn check_epoch(&self, epoch: LeaderEpoch) -> Result<(), AppendError> {
        match self.shared.epochs.read().latest() {
            Some(latest) if epoch < latest.epoch => Err(AppendError::StaleLeaderEpoch {
                found: epoch,
                latest: latest.epoch,
            }),
            _ => Ok(()),
        }
    }

    fn assign_epoch(&self, epoch: LeaderEpoch, start: Offset) {
        let known = (self.shared.epochs.read().latest()).is_some_and(|last| last.epoch >= epoch);
        if !known {
            self.shared.epochs.write().assign(epoch, start);
        }
    }

    /// Notes that leader `epoch` begins at the log's end. A new leader does this before it serves.
    pub fn assign_epoch_start(&mut self, epoch: LeaderEpoch) {
        self.assign_epoch(epoch, self.log_end());
    }

    /// Writes at the end of the active segment; gives the position. After a failure the file is cut
    /// back, so that what was half written is never taken for a batch.
    fn write(&mut self, parts: &mut [IoSlice<'_>]) -> io::Result<u64> {
        let position = self.active.size();
        if self.torn {
            self.trim()?;
        }
        let len: usize = parts.iter().map(|part| part.len()).sum();
        self.reserve(position, position + len as u64);
        if let Err(error) = self.active.file.write_at(parts, position) {
            self.torn = self.active.file.set_len(position).is_err();
            self.judge(&error);
            return Err(error);
        }
        Ok(position)
    }

    /// Makes a written batch part of the log's state, but not yet of what readers see.
    fn take_in(&mut self, header: &BatchHeader, marker: Option<EndMarker>, position: u64) {
        if self.roll.first.is_none() && position == 0 {
            self.roll.first = Some(header.max_timestamp);
        }
        if header.has_producer() {
            let ended = self.producers.apply(header, marker);
            if let Some(ended) = ended {
                self.note_aborted(&ended);
            }
            self.publish_unstable();
        }
        self.active.note(header, position, self.index_limits());
    }

    fn note_aborted(&self, ended: &EndedTransaction) {
        if ended.result == TransactionResult::Commit {
            return;
        }
        let entry = AbortedEntry {
            producer: ended.producer,
            first: ended.first,
            last: ended.marker,
            last_stable: ended.last_stable,
        };
        if let Err(error) = self.active.aborted.append(&entry) {
            // Without the entry, readers of committed data would be given aborted records.
            self.shared.health.fail(self.log_dir(), &error);
        }
    }

    pub(super) fn publish_unstable(&self) {
        // DeleteRecords may have taken the first batches of an open transaction.
        let first = (self.producers.first_unstable())
            .map_or(NO_UNSTABLE, |first| first.max(self.log_start()).0);
        self.shared.first_unstable.store(first, Ordering::Release);
    }

    pub(super) fn publish_end(&self, end: Offset) {
        self.shared.log_end.store(end.0, Ordering::Release);
    }

    /// Whether `flush.messages` records or more are not known to be on the disk.
    pub fn is_flush_due(&self) -> bool {
        self.log_end().0 - self.recovery_point().0 >= self.config.flush_messages
    }

    /// How far this copy may count as committed: to the log's end, but where a sync is due, only as far as
    /// the last sync went. Otherwise consumers would read what a power loss takes back.
    pub fn committable_end(&self) -> Offset {
        if self.is_flush_due() {
            self.recovery_point()
        } else {
            self.log_end()
        }
    }

    fn flush_due(&self, rolled: bool) -> FlushDue {
        if self.is_flush_due() {
            FlushDue::Now
        } else if rolled {
            FlushDue::Soon
        } else {
            FlushDue::No
        }
    }

    /// Moves the high watermark forward, never back. Gives whether it moved.
    ///
    /// # Panics
    /// If `to` is above the log's end.
    pub fn advance_high_watermark(&mut self, to: Offset) -> bool {
        if to <= self.high_watermark() {
            return false;
        }
        assert!(
            to <= self.log_end(),
            "the high watermark passed the log's end"
        );
        self.shared.high_watermark.store(to.0, Ordering::Release);
        self.producers.settle(to);
        self.publish_unstable();
        true
    }

    /// First offset of the earliest transaction that has no end yet.
    pub fn first_undecided(&self) -> Option<Offset> {
        self.producers.first_undecided()
    }

    /// The producers that the partition remembers.
    pub fn active_producers(&self) -> Vec<ActiveProducer> {
        self.producers.active().collect()
    }

    /// Forgets producers that have been silent for `producer.id.expiration.ms`.
    pub fn expire_producers(&mut self, now: Timestamp) {
        let expiration_ms = self.config.producer_id_expiration_ms;
        self.producers.expire(now, expiration_ms);
    }

    /// Writes the producers' state as of `end`, unless that was done.
    pub(super) fn take_snapshot(&mut self, end: Offset) -> io::Result<()> {
        if self.snapshot_at != Some(end) {
            snapshot::write(&*self.disk, &self.shared.dir, end, &self.producers)?;
            self.snapshot_at = Some(end);
            self.dir_changes += 1;
        }
        Ok(())
    }

    pub(super) fn check_online(&self) -> Result<(), StorageError> {
        if self.shared.health.is_online() && !self.shared.closed.load(Ordering::Relaxed) {
            Ok(())
        } else {
            Err(StorageError::Offline)
        }
    }

    /// A write that failed, but for want of space, is final for the log directory.
    pub(super) fn judge(&self, error: &io::Error) {
        (self.shared.health).fail_unless_full(self.log_dir(), error);
    }

    pub(super) fn log_dir(&self) -> &Path {
        self.shared.dir.parent().unwrap_or(&self.shared.dir)
    }

    pub(super) fn segment_bytes(&self) -> u64 {
        self.config.segment_bytes.min(RELATIVE_OFFSET_MAX as u64)
    }

    pub(super) fn index_limits(&self) -> IndexLimits {
        IndexLimits {
            interval_bytes: self.config.index_interval_bytes,
            file_bytes: self.config.segment_index_bytes,
        }
    }

    pub(super) fn check(&self) {
        let (start, watermark, end) = (self.log_start(), self.high_watermark(), self.log_end());
        assert!(
            start <= watermark,
            "log start {start} > high watermark {watermark}"
        );
        assert!(
            watermark <= end,
            "high watermark {watermark} > log end {end}"
        );
        assert!(
            self.recovery_point() <= end,
            "recovery point is above the log end"
        );
        assert!(
            self.active.end() == end,
            "the active segment ends where the log ends"
        );
    }
}
