//! The host of shards: decide, append, replay, answer when committed; load and unload; timers.
//!
//! Each shard stands behind a lock of its own, held while one decision is made, appended (a write into
//! the page cache) and replayed, never across `.await`. What must wait for the commit waits in the
//! caller's future, or in a short task if the shard itself has to go on afterwards; with one replica
//! nothing waits. One task serves the deadlines of all shards and sleeps while there are none.

use super::{
    Appended, Committed, Now, Outcome, Position, ReplayError, ReplyId, Shard, ShardError, ShardLog,
    Tick, WriteError,
};
use crate::record::control::{self, ControlRecord, TransactionResult};
use crate::record::{
    BatchBuilder, BatchOptions, Batches, Compression, DecodeLimits, NewRecord, ValidBatch,
};
use crate::runtime::{Clock, Instant, Tasks, sleep_until};
use crate::types::{LeaderEpoch, Offset, ProducerId};
use parking_lot::{Mutex, RwLock};
use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{Notify, oneshot};
use tracing::{error, info, warn};

/// Most bytes of records in one batch, where a list may be split. Half of Kafka's default
/// `max.message.bytes`, which the internal topics have too.
const SPLIT_BYTES: usize = 512 * 1024;

/// A result that may have to wait until what it tells of is committed.
pub enum Written<R> {
    Now(R),
    Later(Pin<Box<dyn Future<Output = Result<R, ShardError>> + Send>>),
}

impl<R: Send + 'static> Written<R> {
    /// Changes the result, whenever it comes.
    pub fn map<U: Send + 'static>(
        self,
        change: impl FnOnce(R) -> U + Send + 'static,
    ) -> Written<U> {
        match self {
            Written::Now(result) => Written::Now(change(result)),
            Written::Later(later) => {
                Written::Later(Box::pin(async move { later.await.map(change) }))
            }
        }
    }
}

/// An answer that a shard owes.
pub struct Waiting<R> {
    receiver: oneshot::Receiver<Result<R, ShardError>>,
}

impl<R> Waiting<R> {
    /// The answer, if it has come.
    pub fn now(&mut self) -> Option<Result<R, ShardError>> {
        self.receiver.try_recv().ok()
    }

    /// The answer when it comes; [`ShardError::NotCoordinator`] if the shard is given up first.
    pub async fn get(self) -> Result<R, ShardError> {
        self.receiver
            .await
            .unwrap_or(Err(ShardError::NotCoordinator))
    }
}

/// How a host runs its shards.
#[derive(Clone, Copy, Debug)]
pub struct HostSettings {
    /// How long an answer waits for its records to be committed.
    pub commit_timeout_ms: i32,
    /// Bytes read at a time while a shard is loaded.
    pub load_bytes: usize,
    /// How the coordinator's own batches are compressed.
    pub compression: Compression,
}

/// Owns the shards of one internal topic that this broker coordinates. Cheap to clone.
pub struct Host<S: Shard> {
    inner: Arc<Inner<S>>,
}

impl<S: Shard> Clone for Host<S> {
    fn clone(&self) -> Host<S> {
        Host {
            inner: self.inner.clone(),
        }
    }
}

struct Inner<S: Shard> {
    /// For the log: what is hosted.
    topic: &'static str,
    settings: HostSettings,
    new_shard: Box<dyn Fn() -> S + Send + Sync>,
    clock: Arc<dyn Clock>,
    tasks: Tasks,
    started: Instant,
    /// Read on every request, changed when leadership does; held for one lookup.
    slots: RwLock<BTreeMap<i32, Arc<Slot<S>>>>,
    next_reply: AtomicU64,
    timer: Timer,
}

/// One partition of the topic.
struct Slot<S: Shard> {
    partition: i32,
    /// Held while one decision is made and appended.
    state: Mutex<SlotState<S>>,
}

enum SlotState<S: Shard> {
    /// Another broker leads the partition, or it could not be loaded.
    Gone,
    Loading {
        epoch: LeaderEpoch,
    },
    Active(Active<S>),
}

struct Active<S: Shard> {
    epoch: LeaderEpoch,
    shard: S,
    log: Arc<dyn ShardLog>,
    /// The offset after the last record that the shard has replayed.
    end: Offset,
    /// Callers who wait for an answer that the shard owes them.
    waiting: BTreeMap<ReplyId, oneshot::Sender<Result<S::Reply, ShardError>>>,
}

/// Until when the timer task sleeps.
#[derive(Default)]
struct Timer {
    /// `None`: until it is woken.
    armed: Mutex<Option<Tick>>,
    wake: Notify,
}

impl<S: Shard> Host<S> {
    /// A host without shards, and its timer task, which ends when `tasks` stop.
    pub fn new(
        topic: &'static str,
        settings: HostSettings,
        clock: Arc<dyn Clock>,
        tasks: &Tasks,
        new_shard: impl Fn() -> S + Send + Sync + 'static,
    ) -> Host<S> {
        let host = Host {
            inner: Arc::new(Inner {
                topic,
                settings,
                new_shard: Box::new(new_shard),
                started: clock.monotonic(),
                clock,
                tasks: tasks.clone(),
                slots: RwLock::new(BTreeMap::new()),
                next_reply: AtomicU64::new(0),
                timer: Timer::default(),
            }),
        };
        let timers = host.clone();
        tasks.spawn(async move { timers.run_timers().await });
        host
    }

    /// The time as shards are told it.
    pub fn now(&self) -> Now {
        let elapsed = self.inner.clock.monotonic() - self.inner.started;
        Now {
            wall: self.inner.clock.wall(),
            tick: Tick(u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)),
        }
    }

    // ---- requests ----

    /// Asks for an answer that the shard gives when it has one. Nobody need wait for it: it is then
    /// dropped when it comes.
    pub fn ask(
        &self,
        partition: i32,
        decide: impl FnOnce(&mut S, ReplyId, Now) -> Outcome<S>,
    ) -> Result<Waiting<S::Reply>, ShardError> {
        let (answer, receiver) = oneshot::channel();
        let reply = ReplyId(self.inner.next_reply.fetch_add(1, Ordering::Relaxed));
        let now = self.now();
        self.with_active(partition, |slot, active| {
            let outcome = decide(&mut active.shard, reply, now);
            active.waiting.insert(reply, answer);
            if let Err(error) = self.perform(slot, active, outcome, now)
                && let Some(answer) = active.waiting.remove(&reply)
            {
                // The shard has no better answer to a failed write.
                let _ = answer.send(Err(error.into()));
            }
        })?;
        Ok(Waiting { receiver })
    }

    /// Makes a decision whose result is told once its records are committed. A decision without
    /// records is told at once.
    pub fn write<R: Send + 'static>(
        &self,
        partition: i32,
        decide: impl FnOnce(&mut S, Now) -> (Outcome<S>, R),
    ) -> Result<Written<R>, ShardError> {
        let now = self.now();
        self.with_active(partition, |slot, active| {
            let (outcome, result) = decide(&mut active.shard, now);
            let has_records = !outcome.records.is_empty();
            self.perform(slot, active, outcome, now)?;
            Ok(if has_records {
                self.when_committed(active, result)
            } else {
                Written::Now(result)
            })
        })?
    }

    /// Reads. The result is told once everything it has seen is committed, so that nobody sees an
    /// offset that a change of leader could take back.
    pub fn read<R: Send + 'static>(
        &self,
        partition: i32,
        read: impl FnOnce(&S) -> R,
    ) -> Result<Written<R>, ShardError> {
        self.with_active(partition, |_, active| {
            let result = read(&active.shard);
            self.when_committed(active, result)
        })
    }

    fn when_committed<R: Send + 'static>(&self, active: &Active<S>, result: R) -> Written<R> {
        match active.log.committed(active.end) {
            Committed::Already => Written::Now(result),
            Committed::Later(commit) => {
                let deadline = self.commit_deadline();
                Written::Later(Box::pin(async move {
                    committed_by(commit, deadline).await?;
                    Ok(result)
                }))
            }
        }
    }

    fn commit_deadline(&self) -> Instant {
        let ms = self.inner.settings.commit_timeout_ms.max(0).unsigned_abs();
        self.inner.clock.monotonic() + Duration::from_millis(u64::from(ms))
    }

    /// Has every shard that is loaded decide on something that nobody waits for.
    pub fn act_on_all(&self, mut decide: impl FnMut(&mut S, Now) -> Outcome<S>) {
        for slot in self.slots() {
            let now = self.now();
            // A shard that is not loaded, or cannot write, has nothing to act on.
            let _ = self.with_active(slot.partition, |slot, active| {
                let outcome = decide(&mut active.shard, now);
                self.perform(slot, active, outcome, now)
            });
        }
    }

    /// The partitions whose shards can be asked, or are being loaded.
    pub fn partitions(&self) -> Vec<i32> {
        self.slots()
            .iter()
            .filter(|slot| !matches!(*slot.state.lock(), SlotState::Gone))
            .map(|slot| slot.partition)
            .collect()
    }

    /// In order of their partitions, so that one seed is one order of events.
    fn slots(&self) -> Vec<Arc<Slot<S>>> {
        self.inner.slots.read().values().cloned().collect()
    }

    fn with_active<R>(
        &self,
        partition: i32,
        act: impl FnOnce(&Arc<Slot<S>>, &mut Active<S>) -> R,
    ) -> Result<R, ShardError> {
        let slot = self.inner.slots.read().get(&partition).cloned();
        let slot = slot.ok_or(ShardError::NotCoordinator)?;
        let mut state = slot.state.lock();
        match &mut *state {
            SlotState::Gone => Err(ShardError::NotCoordinator),
            SlotState::Loading { .. } => Err(ShardError::Loading),
            SlotState::Active(active) => {
                let result = act(&slot, active);
                if let Some(at) = active.shard.next_deadline() {
                    self.inner.timer.arm(at);
                }
                Ok(result)
            }
        }
    }

    // ---- effects ----

    /// Appends, replays, answers; then what comes after. An error means that the first outcome's
    /// records were not written.
    fn perform(
        &self,
        slot: &Arc<Slot<S>>,
        active: &mut Active<S>,
        outcome: Outcome<S>,
        now: Now,
    ) -> Result<(), WriteError> {
        let mut result = None;
        let mut outcomes = VecDeque::from([outcome]);
        while let Some(outcome) = outcomes.pop_front() {
            let Outcome {
                records,
                replies,
                after,
                splittable,
            } = outcome;
            let written = if records.is_empty() {
                Ok(())
            } else {
                active.append(records, splittable, self.inner.settings.compression, now)
            };
            if let Err(error) = written {
                warn!(topic = self.inner.topic, partition = slot.partition, %error,
                    "could not write a coordinator's records");
                // What the shard says now goes before what it had decided.
                if let Some(after) = after {
                    let mut failed = active.shard.on_written(after, Err(error), now);
                    active.answer(std::mem::take(&mut failed.replies));
                    outcomes.push_back(failed);
                }
                active.answer(replies);
            } else {
                active.answer(replies);
                if let Some(after) = after {
                    match active.log.committed(active.end) {
                        Committed::Already => {
                            outcomes.push_back(active.shard.on_written(after, Ok(()), now));
                        }
                        Committed::Later(commit) => {
                            self.go_on_when_committed(slot.clone(), active.epoch, after, commit);
                        }
                    }
                }
            }
            result.get_or_insert(written);
        }
        result.unwrap_or(Ok(()))
    }

    /// A task for one outcome that waits for other replicas; ends at the commit timeout at the latest.
    fn go_on_when_committed(
        &self,
        slot: Arc<Slot<S>>,
        epoch: LeaderEpoch,
        after: S::After,
        commit: Pin<Box<dyn Future<Output = Result<(), WriteError>> + Send>>,
    ) {
        let deadline = self.commit_deadline();
        let host = self.clone();
        self.inner.tasks.spawn(async move {
            let written = committed_by(commit, deadline).await;
            let now = host.now();
            let mut state = slot.state.lock();
            if let SlotState::Active(active) = &mut *state
                && active.epoch == epoch
            {
                let outcome = active.shard.on_written(after, written, now);
                // Its failure has been logged, and told to whom it concerns.
                let _ = host.perform(&slot, active, outcome, now);
                if let Some(at) = active.shard.next_deadline() {
                    host.inner.timer.arm(at);
                }
            }
        });
    }

    // ---- leadership ----

    /// This broker leads a partition of the topic: loads its shard, in the background unless the log is
    /// empty. Until then requests get [`ShardError::Loading`].
    pub fn lead(&self, partition: i32, epoch: LeaderEpoch, log: Arc<dyn ShardLog>) {
        let slot = self
            .inner
            .slots
            .write()
            .entry(partition)
            .or_insert_with(|| {
                Arc::new(Slot {
                    partition,
                    state: Mutex::new(SlotState::Gone),
                })
            })
            .clone();
        {
            let mut state = slot.state.lock();
            match &*state {
                SlotState::Loading { epoch: known } if *known >= epoch => return,
                SlotState::Active(active) if active.epoch >= epoch => return,
                SlotState::Gone | SlotState::Loading { .. } | SlotState::Active(_) => {}
            }
            dismiss(&mut state, SlotState::Loading { epoch });
        }
        if log.start() == log.end() {
            let end = log.end();
            return self.activate(&slot, epoch, log, (self.inner.new_shard)(), end);
        }
        let host = self.clone();
        self.inner.tasks.spawn(async move {
            let started = host.inner.clock.monotonic();
            match host.load(log.clone()).await {
                Ok((shard, end)) => {
                    info!(topic = host.inner.topic, partition, %epoch, end = %end,
                        ms = (host.inner.clock.monotonic() - started).as_millis(), "loaded");
                    host.activate(&slot, epoch, log, shard, end);
                }
                Err(error) => {
                    error!(topic = host.inner.topic, partition, %epoch, %error,
                        "could not be loaded; this broker does not coordinate it");
                    let mut state = slot.state.lock();
                    if matches!(&*state, SlotState::Loading { epoch: known } if *known == epoch) {
                        dismiss(&mut state, SlotState::Gone);
                    }
                }
            }
        });
    }

    /// This broker leads a partition no more, as of `epoch`: whoever waits is sent to look for the
    /// coordinator again.
    pub fn resign(&self, partition: i32, epoch: LeaderEpoch) {
        let slot = self.inner.slots.read().get(&partition).cloned();
        let Some(slot) = slot else { return };
        let mut state = slot.state.lock();
        let is_outdated = match &*state {
            SlotState::Gone => false,
            SlotState::Loading { epoch: known } => *known <= epoch,
            SlotState::Active(active) => active.epoch <= epoch,
        };
        if is_outdated {
            info!(topic = self.inner.topic, partition, %epoch, "unloaded");
            dismiss(&mut state, SlotState::Gone);
        }
    }

    /// Gives up every partition.
    pub fn stop(&self) {
        for slot in self.slots() {
            dismiss(&mut slot.state.lock(), SlotState::Gone);
        }
    }

    async fn load(&self, log: Arc<dyn ShardLog>) -> Result<(S, Offset), LoadError> {
        let mut shard = (self.inner.new_shard)();
        let mut next = log.start();
        let load_bytes = self.inner.settings.load_bytes;
        // Only the coordinator writes, and it waits for us: the end does not move.
        while next < log.end() {
            let reader = log.clone();
            let step = self.inner.tasks.blocking(move || {
                let bytes = reader.read(next, load_bytes)?;
                let end = replay_batches(&mut shard, next, bytes)?;
                Ok::<_, LoadError>((shard, end))
            });
            let (loaded, end) = step.await.ok_or(LoadError::Panicked)??;
            shard = loaded;
            if end == next {
                break; // what is left cannot be read yet
            }
            next = end;
        }
        Ok((shard, next))
    }

    fn activate(
        &self,
        slot: &Arc<Slot<S>>,
        epoch: LeaderEpoch,
        log: Arc<dyn ShardLog>,
        shard: S,
        end: Offset,
    ) {
        let now = self.now();
        let mut state = slot.state.lock();
        if !matches!(&*state, SlotState::Loading { epoch: known } if *known == epoch) {
            return; // resigned, or elected again, meanwhile
        }
        let mut active = Active {
            epoch,
            shard,
            log,
            end,
            waiting: BTreeMap::new(),
        };
        for outcome in active.shard.on_loaded(now) {
            let _ = self.perform(slot, &mut active, outcome, now);
        }
        if let Some(at) = active.shard.next_deadline() {
            self.inner.timer.arm(at);
        }
        *state = SlotState::Active(active);
    }

    /// A transaction's marker was written to the partition, up to `end`.
    pub fn end_transaction(
        &self,
        partition: i32,
        producer: ProducerId,
        result: TransactionResult,
        end: Offset,
    ) {
        // Who does not coordinate the partition reads the marker when it loads.
        let _ = self.with_active(partition, |_, active| {
            active.shard.end_transaction(producer, result);
            active.end = active.end.max(end);
        });
    }

    // ---- timers ----

    async fn run_timers(&self) {
        while !self.inner.tasks.is_stopping() {
            self.inner.timer.start_scan();
            let mut earliest: Option<Tick> = None;
            for slot in self.slots() {
                let now = self.now();
                let mut state = slot.state.lock();
                let SlotState::Active(active) = &mut *state else {
                    continue;
                };
                while let Some(outcome) = active.shard.on_timer(now) {
                    // Its failure has been logged, and told to whom it concerns.
                    let _ = self.perform(&slot, active, outcome, now);
                }
                earliest = [earliest, active.shard.next_deadline()]
                    .into_iter()
                    .flatten()
                    .min();
            }
            let until = self.inner.timer.end_scan(earliest);
            let wake = self.inner.timer.wake.notified();
            let stopping = self.inner.tasks.stopping();
            match until {
                Some(at) => {
                    let deadline = self.inner.started + Duration::from_millis(at.0);
                    tokio::select! {
                        biased;
                        () = sleep_until(deadline) => {}
                        () = wake => {}
                        () = stopping => {}
                    }
                }
                None => tokio::select! {
                    biased;
                    () = wake => {}
                    () = stopping => {}
                },
            }
        }
    }
}

impl Timer {
    /// A shard has a deadline at `at`.
    fn arm(&self, at: Tick) {
        let mut armed = self.armed.lock();
        if armed.is_none_or(|until| at < until) {
            *armed = Some(at);
            self.wake.notify_one();
        }
    }

    /// What is armed from here on counts for the sleep after the scan.
    fn start_scan(&self) {
        *self.armed.lock() = None;
    }

    fn end_scan(&self, earliest: Option<Tick>) -> Option<Tick> {
        let mut armed = self.armed.lock();
        *armed = [*armed, earliest].into_iter().flatten().min();
        *armed
    }
}

impl<S: Shard> Active<S> {
    fn append(
        &mut self,
        records: Vec<S::Record>,
        splittable: bool,
        compression: Compression,
        now: Now,
    ) -> Result<(), WriteError> {
        let new_builder = || {
            BatchBuilder::new(BatchOptions {
                compression,
                ..BatchOptions::default()
            })
        };
        let mut pending: Vec<S::Record> = Vec::new();
        let mut builder = new_builder();
        for record in records {
            if splittable && builder.size_uncompressed() >= SPLIT_BYTES {
                let full = std::mem::replace(&mut builder, new_builder());
                self.append_batch(full, std::mem::take(&mut pending))?;
            }
            let (key, value) = S::encode(&record);
            let encoded = NewRecord {
                key: Some(&key),
                value: value.as_deref(),
                headers: &[],
            };
            builder.push(now.wall, encoded);
            pending.push(record);
        }
        self.append_batch(builder, pending)
    }

    fn append_batch(
        &mut self,
        builder: BatchBuilder,
        records: Vec<S::Record>,
    ) -> Result<(), WriteError> {
        let batch: ValidBatch = builder.build().map_err(|error| {
            error!(%error, "a coordinator's batch could not be compressed");
            WriteError::TooLarge
        })?;
        let Appended { base } = self.log.append(batch)?;
        let mut offset = base;
        for record in records {
            let at = Position {
                offset,
                producer: ProducerId::NONE,
            };
            self.shard.replay(at, record);
            offset = offset.next();
        }
        self.end = offset;
        Ok(())
    }

    fn answer(&mut self, replies: Vec<(ReplyId, S::Reply)>) {
        for (reply, answer) in replies {
            if let Some(waiting) = self.waiting.remove(&reply) {
                let _ = waiting.send(Ok(answer)); // the caller may be gone
            }
        }
    }
}

/// Why a shard could not be loaded.
#[derive(Debug, thiserror::Error)]
enum LoadError {
    #[error("reading failed: {0}")]
    Read(#[from] WriteError),
    #[error(transparent)]
    Replay(#[from] ReplayError),
    #[error("replaying panicked")]
    Panicked,
}

/// Replays whole batches from `from` on; the offset after the last one.
fn replay_batches<S: Shard>(
    shard: &mut S,
    from: Offset,
    bytes: bytes::Bytes,
) -> Result<Offset, ReplayError> {
    let unreadable = |offset: Offset, error: &dyn std::fmt::Display| {
        ReplayError::Batch(format!("at offset {offset}: {error}"))
    };
    let mut next = from;
    for batch in Batches::of(bytes) {
        let batch = batch.map_err(|error| unreadable(next, &error))?;
        let header = *batch.header();
        if header.next_offset() <= from {
            continue;
        }
        batch
            .check_crc()
            .map_err(|error| unreadable(header.base_offset, &error))?;
        next = header.next_offset();
        if header.attributes.is_control() {
            if let Some(ControlRecord::EndTransaction(marker)) = control::read(&batch) {
                shard.end_transaction(header.producer_id, marker.result);
            }
            continue;
        }
        let producer = if header.attributes.is_transactional() {
            header.producer_id
        } else {
            ProducerId::NONE
        };
        for record in batch.records(DecodeLimits::default()) {
            let record = record.map_err(|error| unreadable(header.base_offset, &error))?;
            let offset = record.offset;
            if offset < from {
                continue;
            }
            let key = record.key.ok_or(ReplayError::NoType)?;
            if let Some(decoded) = S::decode(&key, record.value.as_ref())? {
                shard.load(Position { offset, producer }, decoded);
            }
        }
    }
    Ok(next)
}

/// Puts a slot into another state; whoever waits for an answer is told to look elsewhere.
fn dismiss<S: Shard>(state: &mut SlotState<S>, next: SlotState<S>) {
    if let SlotState::Active(active) = std::mem::replace(state, next) {
        for (_, waiting) in active.waiting {
            let _ = waiting.send(Err(ShardError::NotCoordinator));
        }
    }
}

async fn committed_by(
    commit: Pin<Box<dyn Future<Output = Result<(), WriteError>> + Send>>,
    deadline: Instant,
) -> Result<(), WriteError> {
    tokio::select! {
        biased;
        result = commit => result,
        () = sleep_until(deadline) => Err(WriteError::TimedOut),
    }
}
