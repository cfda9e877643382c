//! One partition of this broker: its log, what of it consumers may see, who waits, and who leads.

use super::cleaning_state::CleaningState;
use super::waiters::Waiters;
use crate::log::{self, ActiveProducer, Appended, FlushDue, Log, LogConfig, LogView};
use crate::record::{InvalidBatch, ValidBatch, ZstdUse};
use crate::runtime::{Clock, Runtime, Tasks, sleep_until};
use crate::types::{LeaderEpoch, Offset, Timestamp, TopicPartition, Uuid};
use arc_swap::{ArcSwap, Guard};
use bytes::Bytes;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicI64, Ordering};
use std::time::Duration;
use tokio::sync::Notify;
use tracing::error;

/// Pause before a sync that could not begin is tried again.
const FLUSH_RETRY: Duration = Duration::from_millis(100);

/// A partition with its log on this broker.
pub struct Partition {
    name: TopicPartition,
    topic_id: Uuid,
    /// The owner of the files; `None` once it was closed. Held for one append or one act of upkeep,
    /// never across `.await`.
    log: Mutex<Option<Log>>,
    /// What readers use beside the writer. Another one once the log has moved to another directory.
    view: ArcSwap<LogView>,
    leader_epoch: AtomicI32,
    config: ArcSwap<LogConfig>,
    waiters: Waiters,
    state: State,
    /// What the cleaner does with the log.
    pub(super) cleaning: CleaningState,
    clock: Arc<dyn Clock>,
    tasks: Tasks,
    /// When the log was last known to be on the disk, by the wall clock.
    flushed_at: AtomicI64,
    /// Held for one sync, by whoever runs it. Others wait and mostly find that it has covered theirs: one
    /// sync for many acknowledgements.
    flushing: Mutex<()>,
    /// A sync in the background was asked for and has not begun: it will cover what is appended until then.
    flush_asked: AtomicBool,
    /// Told after each sync, and when there will be none any more.
    synced: Notify,
}

/// What a partition is made of, beside its log.
pub struct PartitionSettings {
    pub name: TopicPartition,
    pub topic_id: Uuid,
    pub config: LogConfig,
}

/// What came of [`Partition::swap_log`].
pub(super) enum Swapped {
    Yes(Log),
    /// Not now: this is the log as before.
    No(Log),
    /// There is no log any more.
    Lost,
}

/// What a partition serves.
#[derive(Default)]
struct State {
    /// This broker leads the partition.
    leads: AtomicBool,
    /// The topic is gone, or the broker stops. For good.
    closed: AtomicBool,
    /// The directory has failed, or a promise about the log was broken. For good.
    offline: AtomicBool,
}

/// The reader knows another leader epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EpochError {
    #[error("the reader's leader epoch is older than the partition's")]
    Fenced,
    #[error("the reader's leader epoch is newer than the partition's")]
    Unknown,
}

/// Who writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writer {
    Client,
    /// Kafka lets a client of this name write to internal topics (`__admin_client`).
    Admin,
}

/// What else a produce request says of a batch.
#[derive(Clone, Copy, Debug)]
pub struct ProduceFrom {
    pub writer: Writer,
    pub now: Timestamp,
    /// Produce 7 and later.
    pub knows_zstd: bool,
}

/// A batch was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Produced {
    pub base: Offset,
    /// Set where the topic stamps its own time.
    pub log_append_time: Option<Timestamp>,
    pub log_start: Offset,
    pub records: u32,
    pub durability: Durability,
}

/// What must still happen before a batch is acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Nothing: the operating system has it.
    AsWritten,
    /// A sync up to here, see [`Partition::synced`]: the topic's `flush.messages` says so.
    NeedsSync(Offset),
}

/// Why a batch was not taken. Nothing of it was written.
#[derive(Debug, thiserror::Error)]
pub enum ProduceError {
    #[error("{0}")]
    Invalid(#[from] InvalidBatch),
    #[error("{0}")]
    Append(#[from] AppendError),
    #[error("clients may not write to an internal topic")]
    Internal,
    #[error("a transactional batch of a producer that is in no transaction")]
    NotInTransaction,
}

/// Why the log does not take a batch.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    #[error("{0}")]
    Log(#[from] log::AppendError),
    #[error("the partition is not led by this broker")]
    NotLeader,
}

/// The log could not be read, or not be brought to the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StorageFailed {
    #[error("the log has failed")]
    Storage,
}

impl Partition {
    /// A partition around its log, not led yet.
    pub fn new(settings: PartitionSettings, mut log: Log, runtime: &Runtime) -> Partition {
        let PartitionSettings {
            name,
            topic_id,
            config,
        } = settings;
        // What was recovered may be in the page cache only. If this fails, it is neither shown nor added to.
        if log.is_flush_due()
            && let Err(error) = log.flush()
        {
            error!(partition = %name, %error, "the log has failed");
        }
        // The only replica is in sync by itself: all that it has is committed.
        log.advance_high_watermark(log.committable_end());
        let view = ArcSwap::from_pointee(log.view());
        Partition {
            name,
            topic_id,
            log: Mutex::new(Some(log)),
            view,
            leader_epoch: AtomicI32::new(LeaderEpoch::NONE.get()),
            config: ArcSwap::from_pointee(config),
            waiters: Waiters::default(),
            state: State::default(),
            cleaning: CleaningState::default(),
            clock: runtime.clock.clone(),
            tasks: runtime.tasks.clone(),
            flushed_at: AtomicI64::new(runtime.clock.wall().get()),
            flushing: Mutex::new(()),
            flush_asked: AtomicBool::new(false),
            synced: Notify::new(),
        }
    }

    pub fn name(&self) -> &TopicPartition {
        &self.name
    }

    pub fn topic_id(&self) -> Uuid {
        self.topic_id
    }

    /// What readers of the log use.
    pub(super) fn view(&self) -> Guard<Arc<LogView>> {
        self.view.load()
    }

    /// Fetches that wait for more.
    pub fn waiters(&self) -> &Waiters {
        &self.waiters
    }

    pub fn leader_epoch(&self) -> LeaderEpoch {
        LeaderEpoch(self.leader_epoch.load(Ordering::Acquire))
    }

    /// The offset below which every record is committed.
    pub fn high_watermark(&self) -> Offset {
        self.view().high_watermark()
    }

    /// The first offset of an open transaction, or the high watermark.
    pub fn last_stable(&self) -> Offset {
        self.view().last_stable_offset()
    }

    pub fn log_start(&self) -> Offset {
        self.view().log_start()
    }

    pub fn log_end(&self) -> Offset {
        self.view().log_end()
    }

    /// Bytes of the log's segments.
    pub fn size(&self) -> u64 {
        self.view().size()
    }

    /// The topic is gone, or the broker stops: nobody should wait any longer.
    pub fn is_closed(&self) -> bool {
        self.state.closed.load(Ordering::Acquire) || self.is_offline()
    }

    pub(super) fn is_offline(&self) -> bool {
        self.state.offline.load(Ordering::Acquire) || !self.view().is_online()
    }

    /// Whether this broker leads the partition.
    pub fn leads(&self) -> bool {
        self.state.leads.load(Ordering::Acquire)
    }

    /// The partition itself if it can serve.
    pub(super) fn serving(self: Arc<Partition>) -> Result<Arc<Partition>, super::LookupError> {
        if self.is_offline() {
            Err(super::LookupError::Offline)
        } else if !self.leads() {
            Err(super::LookupError::NotLeader)
        } else {
            Ok(self)
        }
    }

    /// Leads in `epoch` from the log's end on. A lower epoch than the present one is old news.
    pub fn lead(&self, epoch: LeaderEpoch) {
        if epoch <= self.leader_epoch() {
            return;
        }
        let mut log = self.log.lock();
        let Some(log) = log.as_mut() else { return };
        log.assign_epoch_start(epoch);
        self.leader_epoch.store(epoch.get(), Ordering::Release);
        self.state.leads.store(true, Ordering::Release);
        self.waiters.wake_all();
    }

    /// Leads no longer: nobody writes or reads here until a later epoch.
    pub fn resign(&self) {
        // Under the lock: an append that is under way ends before the broker says that it has resigned.
        let _log = self.log.lock();
        self.state.leads.store(false, Ordering::Release);
        self.waiters.wake_all();
    }

    /// Whether whoever asks knows the same leader epoch; −1 is not compared.
    pub fn check_epoch(&self, known: i32) -> Result<(), EpochError> {
        match known.cmp(&self.leader_epoch().get()) {
            _ if known == LeaderEpoch::NONE.get() => Ok(()),
            std::cmp::Ordering::Equal => Ok(()),
            std::cmp::Ordering::Less => Err(EpochError::Fenced),
            std::cmp::Ordering::Greater => Err(EpochError::Unknown),
        }
    }

    /// Other rules from now on.
    pub(super) fn configure(&self, config: LogConfig) {
        if let Some(log) = self.log.lock().as_mut() {
            log.set_config(config.clone());
        }
        self.config.store(Arc::new(config));
    }

    /// Takes one batch that a producer sent.
    pub fn produce(
        self: &Arc<Partition>,
        records: &Bytes,
        from: ProduceFrom,
    ) -> Result<Produced, ProduceError> {
        if self.name.topic.is_internal() && from.writer != Writer::Admin {
            return Err(ProduceError::Internal);
        }
        let zstd = if from.knows_zstd {
            ZstdUse::Allowed
        } else {
            ZstdUse::Refused
        };
        // The checksum is taken before the lock: it is the longest part that needs no order.
        let rules = self.config.load().produce_rules(from.now, zstd);
        let batch = ValidBatch::parse(records, &rules)?;
        if batch.header().attributes.is_transactional() {
            return Err(ProduceError::NotInTransaction);
        }
        let records = u32::try_from(batch.header().records_count).unwrap_or(0);
        let appended = self.append_in_epoch(batch, self.leader_epoch())?;
        let (base, log_append_time) = match appended {
            Appended::Fresh {
                base,
                log_append_time,
                ..
            } => (base, log_append_time),
            // Kafka gives the time of the batch here also where producers stamp it.
            Appended::Duplicate {
                base, timestamp, ..
            } => (base, Some(timestamp)),
        };
        let durability = match appended.flush() {
            FlushDue::Now => Durability::NeedsSync(appended.end()),
            FlushDue::No | FlushDue::Soon => Durability::AsWritten,
        };
        Ok(Produced {
            base,
            log_append_time,
            log_start: self.log_start(),
            records,
            durability,
        })
    }

    /// Appends a checked batch, if this broker still leads in `epoch`.
    pub fn append_in_epoch(
        self: &Arc<Partition>,
        batch: ValidBatch,
        epoch: LeaderEpoch,
    ) -> Result<Appended, AppendError> {
        let bytes = batch.size() as u64;
        let now = self.clock.wall();
        let mut guard = self.log.lock();
        let leads = self.leads() && epoch == self.leader_epoch();
        let Some(log) = guard.as_mut().filter(|_| leads) else {
            return Err(AppendError::NotLeader);
        };
        if self.is_offline() {
            return Err(log::AppendError::Offline.into());
        }
        let broken = Broken(&self.state.offline);
        let appended = log.append_as_leader(batch, epoch, now);
        if appended.is_ok() {
            log.advance_high_watermark(log.committable_end());
        }
        broken.not();
        drop(guard);
        let appended = appended?;
        match (&appended, appended.flush()) {
            // Those who wait for it are woken after the sync.
            (_, FlushDue::Now) => self.flush_soon(),
            (Appended::Fresh { .. }, flush) => {
                self.waiters.appended(bytes);
                if flush == FlushDue::Soon {
                    self.flush_soon();
                }
            }
            (Appended::Duplicate { .. }, _) => {}
        }
        Ok(appended)
    }

    /// Waits until all below `end` is on the disk. Whatever needs a sync has asked for one when it was appended.
    pub async fn synced(&self, end: Offset) -> Result<(), StorageFailed> {
        loop {
            // Hears of every sync from here on.
            let next = self.synced.notified();
            if self.view().recovery_point() >= end {
                return Ok(());
            }
            if self.is_closed() {
                return Err(StorageFailed::Storage);
            }
            next.await;
        }
    }

    /// Brings the log to the disk, and shows what was held back until then. Blocks; a sync that fails is final
    /// for the directory.
    pub fn flush(&self) -> Result<(), StorageFailed> {
        let _flushing = self.flushing.lock();
        let flushed = self.sync();
        self.synced.notify_waiters();
        flushed
    }

    fn sync(&self) -> Result<(), StorageFailed> {
        let begun = match self.log.lock().as_mut() {
            Some(log) => log.begin_flush(),
            None => return Ok(()),
        };
        // The sync itself runs without the lock: appends go on meanwhile.
        let flushed = match begun {
            Ok(Some(flush)) => flush.run(),
            Ok(None) => return Ok(()),
            Err(error) => return Err(self.failed(&error)),
        };
        let flushed = flushed.map_err(|error| self.failed(&error))?;
        let mut is_more_visible = false;
        if let Some(log) = self.log.lock().as_mut() {
            log.finish_flush(flushed);
            is_more_visible = log.advance_high_watermark(log.committable_end());
        }
        if is_more_visible {
            self.waiters.wake_all();
        }
        self.flushed_at
            .store(self.clock.wall().get(), Ordering::Relaxed);
        Ok(())
    }

    /// Has the log brought to the disk in the background: one sync for all that is appended until it begins.
    fn flush_soon(self: &Arc<Partition>) {
        if self.flush_asked.swap(true, Ordering::AcqRel) {
            return;
        }
        let partition = self.clone();
        self.tasks.spawn_blocking(move || {
            // Before the sync begins: what is appended from here on asks for another.
            partition.flush_asked.swap(false, Ordering::AcqRel);
            if partition.flush().is_err() && !partition.is_closed() {
                partition.flush_later();
            }
        });
    }

    /// A sync that fails takes the directory offline. One that could not even begin, for want of file handles
    /// or of room, is tried again: whoever waits for it waits on.
    fn flush_later(self: Arc<Partition>) {
        let at = self.clock.monotonic() + FLUSH_RETRY;
        let tasks = self.tasks.clone();
        tasks.clone().spawn(async move {
            tokio::select! {
                biased;
                () = tasks.stopping() => {}
                () = sleep_until(at) => self.flush_soon(),
            }
        });
    }

    /// Works on the log under its lock. `None` if it was closed. A panic takes the partition offline.
    pub(super) fn with_log<T>(&self, work: impl FnOnce(&mut Log) -> T) -> Option<T> {
        let mut guard = self.log.lock();
        let log = guard.as_mut()?;
        let broken = Broken(&self.state.offline);
        let done = work(log);
        broken.not();
        Some(done)
    }

    /// The producers that the partition remembers, by id.
    pub fn producers(&self) -> Vec<ActiveProducer> {
        let mut producers = self
            .with_log(|log| log.active_producers())
            .unwrap_or_default();
        producers.sort_by_key(|producer| producer.id);
        producers
    }

    /// The rules that the log obeys.
    pub(super) fn config(&self) -> Arc<LogConfig> {
        self.config.load_full()
    }

    /// Removes segments that the topic no longer keeps.
    pub(super) fn remove_old(&self, now: Timestamp) {
        let mut log = self.log.lock();
        let Some(log) = log.as_mut() else { return };
        log.expire_producers(now);
        if self.cleaning.is_busy() {
            return; // the cleaner asks again when it is done
        }
        if let Err(error) = log.delete_old_segments(now) {
            error!(partition = %self.name, %error, "could not remove old segments");
        }
    }

    /// Brings the log to the disk if `flush.ms` has passed since the last time.
    pub(super) fn flush_if_old(&self, now: Timestamp) {
        let age = now.ms_since(Timestamp(self.flushed_at.load(Ordering::Relaxed)));
        let is_dirty = self.view().recovery_point() < self.log_end();
        if is_dirty && age >= self.config.load().flush_ms {
            // A failure has been logged, and has taken the directory offline.
            let _ = self.flush();
        }
    }

    /// Nobody reads or writes from now on; what was the log is the caller's. `None` if it was closed.
    pub(super) fn take_log(&self) -> Option<Log> {
        self.state.closed.store(true, Ordering::Release);
        let log = self.log.lock().take();
        self.waiters.wake_all();
        self.synced.notify_waiters();
        log
    }

    /// Has `swap` put another log in the place of this one. Nobody writes meanwhile.
    pub(super) fn swap_log(&self, swap: impl FnOnce(Log) -> Swapped) {
        // A sync of the one must not count for the other.
        let _flushing = self.flushing.lock();
        let mut guard = self.log.lock();
        let Some(log) = guard.take() else { return };
        let broken = Broken(&self.state.offline);
        match swap(log) {
            Swapped::Yes(mut log) => {
                log.advance_high_watermark(log.committable_end());
                self.view.store(Arc::new(log.view()));
                *guard = Some(log);
                broken.not();
            }
            Swapped::No(log) => {
                *guard = Some(log);
                broken.not();
            }
            Swapped::Lost => drop(broken), // as after a panic
        }
        drop(guard);
        // What was written before is on the disk by now, or will never be.
        self.waiters.wake_all();
        self.synced.notify_waiters();
    }

    /// Closes the log in good order.
    pub(super) fn close_log(&self) {
        if let Some(Err(error)) = self.take_log().map(|mut log| log.close()) {
            error!(partition = %self.name, %error, "could not close a log");
        }
    }

    pub(super) fn failed(&self, error: &dyn std::fmt::Display) -> StorageFailed {
        error!(partition = %self.name, %error, "the log has failed");
        StorageFailed::Storage
    }
}

/// Takes a partition offline if a panic passes through while its log is being changed: nobody can
/// say then what state it is in. The files are checked at the next start.
struct Broken<'a>(&'a AtomicBool);

impl Broken<'_> {
    fn not(self) {
        std::mem::forget(self);
    }
}

impl Drop for Broken<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}
