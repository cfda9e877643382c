//! One partition's log: the owner of its directory and the only code that writes it.

use super::config::LogConfig;
use super::epochs;
use super::errors::{AppendError, FlushError, OpenError, ReplicaAppendError, StorageError};
use super::files;
use super::flush::Flush;
use super::health::{Health, Trash};
use super::index::AbortedEntry;
use super::producers::{ActiveProducer, EndedTransaction, Producers, Verdict, snapshot};
use super::recovery::{self, Recovered};
use super::segment::{IndexLimits, Segment};
use super::view::{LogView, NO_UNSTABLE, Shared};
use crate::record::control::{self, ControlRecord, EndMarker, TransactionResult};
use crate::record::{BATCH_HEADER_LEN, Batch, BatchHeader, Batches, ValidBatch};
use crate::runtime::{Disk, Open, Rng, Runtime, read_exact_at};
use crate::types::{LeaderEpoch, Offset, Timestamp, TopicPartition, Uuid};
use arc_swap::ArcSwap;
use bytes::Bytes;
use parking_lot::RwLock;
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

/// Offsets in a segment are kept relative to its base, in 31 bits.
const RELATIVE_OFFSET_MAX: i64 = i32::MAX as i64;

/// Whether the broker stopped by itself the last time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shutdown {
    /// Files are trusted as they are.
    Clean,
    /// Everything from the recovery point on is read and checked again.
    Unclean,
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
    /// `flush.messages` was reached: the batch is not acknowledged before the sync.
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
    },
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
    shared: Arc<Shared>,
    pub(super) disk: Arc<dyn Disk>,
    rng: Arc<dyn Rng>,
    pub(super) config: LogConfig,
    pub(super) trash: Arc<Trash>,
    producers: Producers,
    active: Arc<Segment>,
    roll: RollClock,
    /// Offset of the newest producer snapshot.
    snapshot_at: Option<Offset>,
    /// Files were made, renamed or removed since the directory was last synced.
    pub(super) dir_changed: bool,
    /// The directory itself was made since it was last synced.
    dir_is_new: bool,
    /// A failed append left bytes after the end that could not be cut off.
    torn: bool,
    /// How often the log was cut; a sync that began before a cut proves nothing after it.
    cuts: u64,
}

/// When the active segment has to be closed by age.
struct RollClock {
    created: Timestamp,
    /// Max timestamp of the segment's first batch, once it is known.
    first: Option<Timestamp>,
    jitter_ms: i64,
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
        let dir_is_new = !disk.exists(dir);
        if dir_is_new {
            disk.create_dir_all(dir)?;
        }
        let loaded = recovery::load(&disk, dir, &opening)?;
        let Opening {
            partition,
            config,
            shutdown: _,
            recovery_point: _,
            log_start: _,
            high_watermark,
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
            roll: RollClock {
                created: now,
                first: None,
                jitter_ms: 0,
            },
            snapshot_at,
            dir_changed: true,
            dir_is_new,
            torn: false,
            cuts: 0,
        };
        log.expire_producers(now);
        log.producers.settle(high_watermark);
        log.publish_unstable();
        log.roll.jitter_ms = log.draw_jitter();
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
        if size > segment_bytes {
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
                return Ok(Appended::Duplicate {
                    base: known.first_offset(),
                    last: known.last_offset,
                    timestamp: known.timestamp,
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
            self.active.file.set_len(position)?;
            self.torn = false;
        }
        if let Err(error) = self.active.file.write_at(parts, position) {
            self.torn = self.active.file.set_len(position).is_err();
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

    fn publish_unstable(&self) {
        let first = (self.producers.first_unstable()).map_or(NO_UNSTABLE, |first| first.0);
        self.shared.first_unstable.store(first, Ordering::Release);
    }

    fn publish_end(&self, end: Offset) {
        self.shared.log_end.store(end.0, Ordering::Release);
    }

    fn flush_due(&self, rolled: bool) -> FlushDue {
        let unflushed = self.log_end().0 - self.recovery_point().0;
        if unflushed >= self.config.flush_messages {
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

    /// Closes the active segment if a batch of `size` bytes does not belong into it. Gives whether.
    fn make_room(&mut self, header: &BatchHeader, size: u64, now: Timestamp) -> io::Result<bool> {
        if !self.should_roll(header, size, now)? {
            return Ok(false);
        }
        self.roll_at(header.base_offset, now)?;
        Ok(true)
    }

    /// `LogSegment.shouldRoll`.
    fn should_roll(&mut self, header: &BatchHeader, size: u64, now: Timestamp) -> io::Result<bool> {
        let used = self.active.size();
        if header.last_offset().0 - self.active.base.0 > RELATIVE_OFFSET_MAX {
            return Ok(true);
        }
        if used == 0 {
            return Ok(false);
        }
        Ok(used + size > self.segment_bytes()
            || self.age_ms(header.max_timestamp, now)?
                > self.config.segment_ms - self.roll.jitter_ms
            || self.active.index_is_full(self.index_limits()))
    }

    /// Age of the active segment in the time of its messages, or of the clock if they have none.
    fn age_ms(&mut self, newest: Timestamp, now: Timestamp) -> io::Result<i64> {
        let first = match self.roll.first {
            Some(first) => first,
            None => {
                let mut head = [0; BATCH_HEADER_LEN];
                read_exact_at(&*self.active.file, &mut head, 0)?;
                let first = BatchHeader::decode(&head).max_timestamp;
                *self.roll.first.insert(first)
            }
        };
        Ok(if first.0 >= 0 {
            newest.ms_since(first)
        } else {
            now.ms_since(self.roll.created)
        })
    }

    /// Closes the active segment and begins a new one at the log's end. Nothing happens if it is empty.
    pub fn roll(&mut self, now: Timestamp) -> Result<(), StorageError> {
        self.check_online()?;
        Ok(self.roll_at(self.log_end(), now)?)
    }

    fn roll_at(&mut self, base: Offset, now: Timestamp) -> io::Result<()> {
        let empty = self.active.size() == 0;
        if empty && base == self.active.base {
            return Ok(());
        }
        let segment = Arc::new(self.new_segment(base)?);
        let mut segments: Vec<Arc<Segment>> = self.shared.segments.load().to_vec();
        if empty {
            // Nothing was ever written to it; its name would stand for offsets that do not follow.
            segments.pop();
            self.discard(&[self.active.clone()], now);
        } else {
            self.active.seal()?;
            if self.config.preallocate {
                self.active.file.set_len(self.active.size())?;
            }
            self.take_snapshot(base)?;
        }
        segments.push(segment.clone());
        self.shared.segments.store(Arc::new(segments));
        self.active = segment;
        self.roll = RollClock {
            created: now,
            first: None,
            jitter_ms: self.draw_jitter(),
        };
        self.dir_changed = true;
        tracing::debug!(partition = %self.partition(), base = base.0, "rolled a new segment");
        Ok(())
    }

    fn new_segment(&self, base: Offset) -> io::Result<Segment> {
        let path = files::named(&self.shared.dir, base, files::LOG);
        let file = self.disk.open(&path, Open::Truncate)?;
        if self.config.preallocate {
            file.reserve(0, self.segment_bytes())?;
        }
        let segment = Segment::new(&self.disk, &self.shared.dir, base, file, false)?;
        segment.reset()?;
        Ok(segment)
    }

    fn draw_jitter(&self) -> i64 {
        let most = self.config.segment_jitter_ms.min(self.config.segment_ms);
        match u64::try_from(most) {
            Ok(most) if most > 0 => i64::try_from(self.rng.next_u64() % most).unwrap_or(0),
            _ => 0,
        }
    }

    /// Writes the producers' state as of `end`, unless that was done.
    fn take_snapshot(&mut self, end: Offset) -> io::Result<()> {
        if self.snapshot_at != Some(end) {
            snapshot::write(&*self.disk, &self.shared.dir, end, &self.producers)?;
            self.snapshot_at = Some(end);
            self.dir_changed = true;
        }
        Ok(())
    }

    /// Takes segments' files out of the way: renamed now, removed after the delay. The log no longer
    /// counts on them, so a failure is only told.
    pub(super) fn discard(&mut self, segments: &[Arc<Segment>], now: Timestamp) {
        const SUFFIXES: [&str; 5] = [
            files::LOG,
            files::OFFSET_INDEX,
            files::TIME_INDEX,
            files::TXN_INDEX,
            files::SNAPSHOT,
        ];
        let due = now.plus_ms(self.config.file_delete_delay_ms);
        // Newest first: if the broker dies in between, no hole is left in the log.
        for segment in segments.iter().rev() {
            for suffix in SUFFIXES.iter().rev() {
                let path = files::named(&self.shared.dir, segment.base, suffix);
                let mut aside = path.clone().into_os_string();
                aside.push(files::DELETED);
                let aside = PathBuf::from(aside);
                match self.disk.rename(&path, &aside) {
                    Ok(()) => self.trash.put(due, aside),
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(error) => {
                        tracing::warn!(path = %path.display(), %error, "could not delete");
                    }
                }
            }
        }
        self.dir_changed = true;
    }

    /// Drops all batches from `to` on, and the batch that holds it. The high watermark follows down.
    pub fn truncate_to(&mut self, to: Offset, now: Timestamp) -> Result<(), StorageError> {
        self.check_online()?;
        if to >= self.log_end() {
            return Ok(());
        }
        self.cuts += 1;
        let segments = self.shared.segments.load_full();
        if segments.first().is_some_and(|first| to < first.base) {
            return self.restart_at(to, now);
        }
        let kept = segments.partition_point(|segment| segment.base <= to);
        let (kept, dropped) = segments.split_at(kept);
        let active = kept.last().expect("one segment begins at or below").clone();
        let cut = active.locate(to)?.map_or(to, |place| place.base.min(to));
        // Readers must not look beyond before the bytes go.
        self.lower_ends(cut);
        self.shared.segments.store(Arc::new(kept.to_vec()));
        self.active = active;
        self.discard(dropped, now);
        let end = self.active.truncate(to)?;
        assert!(end == cut, "the cut is where it was planned");
        self.roll.first = None;
        self.shared.epochs.write().truncate_end(end);
        self.remove_snapshots(|at| at > end)?;
        let start = self.log_start();
        let (producers, snapshot_at) =
            recovery::rebuild_producers(&*self.disk, &self.shared.dir, kept, start, end)?;
        self.producers = producers;
        self.snapshot_at = snapshot_at;
        self.producers.settle(self.high_watermark());
        self.publish_unstable();
        self.check();
        Ok(())
    }

    /// Drops everything and goes on at `at`, as a replica does that has fallen behind its leader's log.
    pub fn restart_at(&mut self, at: Offset, now: Timestamp) -> Result<(), StorageError> {
        self.check_online()?;
        self.cuts += 1;
        let old = self.shared.segments.load_full();
        self.shared.log_start.store(at.0, Ordering::Release);
        self.shared.log_end.store(at.0, Ordering::Release);
        self.shared.high_watermark.store(at.0, Ordering::Release);
        self.shared.recovery_point.store(at.0, Ordering::Release);
        self.discard(&old, now);
        self.remove_snapshots(|_| true)?;
        let segment = Arc::new(self.new_segment(at)?);
        self.shared.segments.store(Arc::new(vec![segment.clone()]));
        self.active = segment;
        self.roll = RollClock {
            created: now,
            first: None,
            jitter_ms: self.draw_jitter(),
        };
        self.producers = Producers::new();
        self.snapshot_at = None;
        self.publish_unstable();
        self.shared.epochs.write().clear();
        self.check();
        Ok(())
    }

    /// The start comes along if it lay inside the batch that is cut.
    fn lower_ends(&self, end: Offset) {
        for bound in [
            &self.shared.log_start,
            &self.shared.high_watermark,
            &self.shared.recovery_point,
            &self.shared.log_end,
        ] {
            if bound.load(Ordering::Relaxed) > end.0 {
                bound.store(end.0, Ordering::Release);
            }
        }
    }

    pub(super) fn remove_snapshots(&self, doomed: impl Fn(Offset) -> bool) -> io::Result<()> {
        for entry in self.disk.list(&self.shared.dir)? {
            if let Some(at) = files::offset_of(&entry.name, files::SNAPSHOT)
                && doomed(at)
            {
                files::remove_if_there(&*self.disk, &self.shared.dir.join(&entry.name))?;
            }
        }
        Ok(())
    }

    /// Prepares a sync of everything that is in the log now. `None` if there is nothing to sync.
    ///
    /// The sync itself ([`Flush::run`]) takes long and needs no lock; [`Log::finish_flush`] then moves
    /// the recovery point.
    pub fn begin_flush(&mut self) -> Result<Option<Flush>, StorageError> {
        self.check_online()?;
        let (from, up_to) = (self.recovery_point(), self.log_end());
        let epochs = self.shared.epochs.read().unsaved();
        if from == up_to && epochs.is_none() && !self.dir_is_new {
            return Ok(None);
        }
        let mut synced = Vec::new();
        let segments = self.shared.segments.load();
        for segment in segments.iter() {
            if segment.base != self.active.base && segment.end() > from {
                synced.extend(segment.files()?);
            }
        }
        synced.push(self.active.file.clone());
        synced.extend(self.active.aborted.file()?);
        if let Some(at) = self.snapshot_at
            && at >= from
        {
            let path = files::named(&self.shared.dir, at, files::SNAPSHOT);
            synced.push(self.disk.open(&path, Open::Write)?);
        }
        let metadata = self.shared.dir.join(files::PARTITION_METADATA);
        if self.dir_is_new && self.disk.exists(&metadata) {
            synced.push(self.disk.open(&metadata, Open::Write)?);
        }
        if epochs.is_some() {
            self.shared.epochs.write().saved();
        }
        let flush = Flush {
            up_to,
            cuts: self.cuts,
            disk: self.disk.clone(),
            dir: self.shared.dir.clone(),
            health: self.shared.health.clone(),
            files: synced,
            epochs,
            sync_dir: self.dir_changed,
            sync_parent: self.dir_is_new,
        };
        self.dir_changed = false;
        self.dir_is_new = false;
        Ok(Some(flush))
    }

    /// Takes note of a sync that succeeded.
    pub fn finish_flush(&mut self, flushed: super::flush::Flushed) {
        if flushed.cuts == self.cuts && flushed.up_to > self.recovery_point() {
            self.shared
                .recovery_point
                .store(flushed.up_to.0, Ordering::Release);
        }
    }

    /// Syncs everything that is in the log, here and now.
    pub fn flush(&mut self) -> Result<(), StorageError> {
        if let Some(flush) = self.begin_flush()? {
            let flushed = flush.run()?;
            self.finish_flush(flushed);
        }
        Ok(())
    }

    /// Leaves the directory as a clean stop should: indexes complete, producers saved, all on disk.
    /// Appends are refused from then on; reads go on.
    pub fn close(&mut self) -> Result<(), StorageError> {
        self.check_online()?;
        let size = self.active.size();
        if self.torn || self.config.preallocate {
            self.active.file.set_len(size)?;
        }
        self.active.seal()?;
        let end = self.log_end();
        if !self.producers.is_empty() || self.snapshot_at.is_some() {
            self.take_snapshot(end)?;
        }
        let indexes = self.active.files()?;
        self.flush()?;
        if let Some(epochs) = self.shared.epochs.read().unsaved() {
            epochs::save(&*self.disk, &self.shared.dir, &epochs)?;
        }
        // The flush may have had nothing to do, or not these: index tails were written just now.
        self.sync_or_fail(indexes)?;
        self.shared.closed.store(true, Ordering::Release);
        Ok(())
    }

    fn sync_or_fail(&self, files: Vec<Arc<dyn crate::runtime::File>>) -> Result<(), FlushError> {
        Flush::only(files, &self.disk, &self.shared.dir, &self.shared.health)
            .run()
            .map(|_| ())
    }

    fn check_online(&self) -> Result<(), StorageError> {
        if self.shared.health.is_online() && !self.shared.closed.load(Ordering::Relaxed) {
            Ok(())
        } else {
            Err(StorageError::Offline)
        }
    }

    fn log_dir(&self) -> &Path {
        self.shared.dir.parent().unwrap_or(&self.shared.dir)
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    pub(super) fn producers_mut(&mut self) -> &mut Producers {
        &mut self.producers
    }

    pub(super) fn republish_unstable(&self) {
        self.publish_unstable();
    }

    fn segment_bytes(&self) -> u64 {
        self.config.segment_bytes.min(RELATIVE_OFFSET_MAX as u64)
    }

    fn index_limits(&self) -> IndexLimits {
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
