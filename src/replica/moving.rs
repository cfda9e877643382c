//! Moving replicas between log directories (KIP-113): a copy grows in the other directory beside the
//! original, follows it, and takes its place once the metadata says where it will lie.

use super::directories::MoveError;
use super::manager::Replicas;
use super::partition::{Partition, Swapped};
use super::throttle::Throttle;
use crate::log::{CopyError, Log, LogDirectory, LogView, StorageError};
use crate::metadata::TopicImage;
use crate::runtime::{Instant, sleep_until};
use crate::types::{TopicPartition, Uuid};
use parking_lot::Mutex;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::Notify;
use tracing::{error, info, warn};

/// Copied at a time; a slow disk then still lets a move be stopped soon.
const STEP_BYTES: usize = 1 << 20;
/// Wait for the metadata, for the cleaner to be done with the log, or for space on a full disk.
const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// Directories remembered for partitions that do not exist yet. Anyone may ask for any number of them.
const PREFERRED_MAX: usize = 10_000;

/// What is moved, and where partitions are to lie that do not exist yet.
#[derive(Default)]
pub(super) struct Moves {
    /// Held for one look-up, or to make the empty copy of one log.
    under_way: Mutex<BTreeMap<TopicPartition, Arc<Move>>>,
    preferred: Mutex<HashMap<TopicPartition, Uuid>>,
    /// Copying now; at most `num.replica.alter.log.dirs.threads`.
    copying: Mutex<usize>,
    throttle: Mutex<Throttle>,
    /// The configuration of the broker has changed.
    pub(super) reconfigured: Notify,
}

/// One replica on its way to another directory.
pub(super) struct Move {
    partition: Arc<Partition>,
    destination: Uuid,
    /// `None` once it has taken its place or was given up. Held for one step.
    copy: Mutex<Option<Log>>,
    /// What readers of the copy use.
    view: LogView,
    /// Where the replica lies in the words of the metadata.
    told: Mutex<Uuid>,
    /// The copy was complete once: the metadata may say that the replica lies there.
    complete: AtomicBool,
    cancelled: AtomicBool,
    /// Something of the above has changed.
    changed: Notify,
}

enum Step {
    Copied {
        bytes: u64,
    },
    /// There is nothing to do, or no room to do it.
    Wait,
    Over,
}

impl Moves {
    /// Where to make a partition that somebody wanted to move before it existed; zero if nobody did.
    pub(super) fn take_preferred(&self, partition: &TopicPartition) -> Uuid {
        let preferred = self.preferred.lock().remove(partition);
        preferred.unwrap_or(Uuid::ZERO)
    }

    pub(super) fn prefer(&self, partition: TopicPartition, directory: Uuid) {
        let mut preferred = self.preferred.lock();
        if preferred.len() < PREFERRED_MAX {
            preferred.insert(partition, directory);
        }
    }

    /// Where a partition is moved to, from when its copy is complete.
    pub(super) fn destination(&self, partition: &TopicPartition) -> Option<Uuid> {
        let under_way = self.under_way.lock();
        let found = under_way.get(partition)?;
        found
            .complete
            .load(Ordering::Acquire)
            .then_some(found.destination)
    }

    /// All copies, and how many offsets each is behind.
    pub(super) fn copies(&self) -> Vec<(LogView, i64)> {
        let under_way = self.under_way.lock();
        let copies = under_way.values().map(|moved| {
            let lag = moved.partition.log_end().get() - moved.view.log_end().get();
            (moved.view.clone(), lag)
        });
        copies.collect()
    }

    /// Takes note of where the metadata says that the replicas of a topic lie.
    pub(super) fn told(&self, topic: &TopicImage, directory_of: impl Fn(i32) -> Option<Uuid>) {
        for moved in self.under_way.lock().values() {
            let number = moved.partition.name().partition;
            if moved.partition.topic_id() == topic.id
                && let Some(directory) = directory_of(number)
            {
                *moved.told.lock() = directory;
                moved.changed.notify_one();
            }
        }
    }

    /// Has a partition stay where it is, if it is moved.
    pub(super) fn cancel(&self, partition: &TopicPartition) {
        if let Some(moved) = self.under_way.lock().remove(partition) {
            moved.cancel();
        }
    }

    /// Closes the copies in good order.
    pub(super) fn close(&self) {
        for moved in self.under_way.lock().values() {
            if let Some(Err(error)) = moved.copy.lock().as_mut().map(Log::close) {
                error!(partition = %moved.partition.name(), %error, "could not close a copy");
            }
        }
    }
}

impl Move {
    fn new(partition: Arc<Partition>, destination: Uuid, copy: Log, told: Uuid) -> Arc<Move> {
        Arc::new(Move {
            partition,
            destination,
            view: copy.view(),
            copy: Mutex::new(Some(copy)),
            told: Mutex::new(told),
            complete: AtomicBool::new(false),
            cancelled: AtomicBool::new(false),
            changed: Notify::new(),
        })
    }

    fn cancel(&self) {
        self.cancelled.store(true, Ordering::Release);
        self.changed.notify_one();
    }

    fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Acquire)
    }
}

/// Goes on with the moves that the start has found.
pub fn start_moves(replicas: &Arc<Replicas>) {
    for moved in replicas.moves.under_way.lock().values() {
        replicas.tasks().spawn(run(replicas.clone(), moved.clone()));
    }
}

async fn run(replicas: Arc<Replicas>, moved: Arc<Move>) {
    let tasks = replicas.tasks().clone();
    let clock = replicas.runtime().clock.clone();
    // Until the end the cleaner leaves the log alone: what it changed would be missing in the copy.
    let mut is_claimed = false;
    let mut begun = false;
    loop {
        is_claimed = is_claimed || moved.partition.cleaning.claim();
        let may_copy = is_claimed || moved.partition.cleaning.is_uncleanable();
        let step = if may_copy && replicas.moves.begin_step(replicas.move_threads()) {
            let (replicas, moved) = (replicas.clone(), moved.clone());
            let step = tasks.blocking(move || {
                let step = replicas.step(&moved, begun);
                replicas.moves.end_step();
                step
            });
            begun = true;
            step.await.unwrap_or(Step::Over)
        } else {
            Step::Wait
        };
        let now = clock.monotonic();
        let next = match step {
            Step::Copied { bytes } => replicas.throttle_move(bytes),
            Step::Wait => now + LOOK_AGAIN,
            Step::Over => break,
        };
        let reconfigured = replicas.moves.reconfigured.notified();
        if next > now {
            tokio::select! {
                biased;
                () = tasks.stopping() => {}
                () = moved.changed.notified() => {}
                () = reconfigured => {} // perhaps to another rate
                () = sleep_until(next) => {}
            }
        }
        if tasks.is_stopping() {
            return; // the next start goes on
        }
    }
    if is_claimed {
        moved.partition.cleaning.release();
    }
    replicas.forget(&moved);
}

impl Moves {
    fn begin_step(&self, threads: usize) -> bool {
        let mut copying = self.copying.lock();
        let is_free = *copying < threads;
        *copying += usize::from(is_free);
        is_free
    }

    fn end_step(&self) {
        *self.copying.lock() -= 1;
    }
}

impl Replicas {
    /// Begins to move a partition, goes on with it, or stops it where the partition lies there already.
    /// Blocks.
    pub(super) fn begin_move(
        self: &Arc<Replicas>,
        partition: &Arc<Partition>,
        directory: &LogDirectory,
    ) -> Result<(), MoveError> {
        let moved = {
            let mut under_way = self.moves.under_way.lock();
            if let Some(present) = under_way.get(partition.name()) {
                if present.destination == directory.id()
                    && Arc::ptr_eq(&present.partition, partition)
                {
                    return Ok(());
                }
                present.cancel();
                under_way.remove(partition.name());
            }
            let view = LogView::clone(&partition.view());
            if view.log_dir() == directory.path() {
                return Ok(());
            }
            let config = (*partition.config()).clone();
            let now = self.runtime().clock.wall();
            let copy = (self.logs())
                .create_copy(&view, partition.topic_id(), config, directory, now)
                .map_err(|error| {
                    error!(partition = %partition.name(), %error, "could not begin a copy");
                    MoveError::OfflineDirectory
                })?;
            let here = self.directory_of(partition).unwrap_or_default();
            let moved = Move::new(partition.clone(), directory.id(), copy, here);
            under_way.insert(partition.name().clone(), moved.clone());
            moved
        };
        info!(partition = %partition.name(), to = %directory.path().display(), "moving");
        self.tasks().spawn(run(self.clone(), moved));
        Ok(())
    }

    /// Takes up a copy that the start has found beside its original, which lies in `told` in the words of
    /// the metadata.
    pub(super) fn resume_move(&self, partition: &Arc<Partition>, copy: Log, told: Uuid) {
        let name = partition.name().clone();
        let destination = self.logs().directory_of(&copy.view());
        let destination = destination.map(|directory| directory.id());
        let mut under_way = self.moves.under_way.lock();
        let is_wanted =
            destination != self.directory_of(partition) && !under_way.contains_key(&name);
        match destination.filter(|_| is_wanted) {
            Some(destination) => {
                info!(partition = %name, to = %copy.view().log_dir().display(), "going on moving");
                under_way.insert(name, Move::new(partition.clone(), destination, copy, told));
            }
            None => self.discard(copy),
        }
    }

    fn discard(&self, copy: Log) {
        let partition = copy.partition().clone();
        let now = self.runtime().clock.wall();
        if let Err(error) = self.logs().delete(copy, now) {
            error!(%partition, %error, "could not delete a copy");
        }
    }

    /// Does a little of a move. `begun` says whether it is the first time in this process.
    fn step(&self, moved: &Move, begun: bool) -> Step {
        let now = self.runtime().clock.wall();
        let mut guard = moved.copy.lock();
        let partition = &moved.partition;
        let Some(copy) = guard.as_mut() else {
            return Step::Over;
        };
        if moved.is_cancelled() {
            guard.take().into_iter().for_each(|copy| self.discard(copy));
            return Step::Over;
        }
        let original = LogView::clone(&partition.view());
        if partition.is_closed() || !copy.view().is_online() {
            // A directory has failed. Should it come back, the next start goes on.
            guard.take();
            return Step::Over;
        }
        copy.set_config((*partition.config()).clone());
        let copied = if begun {
            copy.copy_from(&original, STEP_BYTES, now)
        } else {
            // What checkpoints say of an earlier replica there must not be taken for this one's.
            self.write_places().map_err(CopyError::from).and_then(|()| {
                copy.align_with(&original, now)?;
                copy.copy_from(&original, STEP_BYTES, now)
            })
        };
        match copied {
            Ok(0) => {}
            Ok(bytes) => return Step::Copied { bytes },
            Err(error) if error.is_full() => return Step::Wait,
            Err(error) => {
                error!(partition = %partition.name(), %error, "could not move; the replica stays where it is");
                guard.take().into_iter().for_each(|copy| self.discard(copy));
                return Step::Over;
            }
        }
        if *moved.told.lock() == moved.destination && moved.complete.load(Ordering::Acquire) {
            return self.swap(moved, &mut guard);
        }
        if !moved.complete.load(Ordering::Acquire) && copy.flush().is_ok() {
            moved.complete.store(true, Ordering::Release);
            self.placed.notify_one();
        }
        Step::Wait
    }

    /// Puts the copy in the place of the original. Nobody writes meanwhile.
    fn swap(&self, moved: &Move, guard: &mut Option<Log>) -> Step {
        let partition = &moved.partition;
        let now = self.runtime().clock.wall();
        partition.swap_log(|original| {
            let Some(mut copy) = guard.take() else {
                return Swapped::No(original);
            };
            if let Err(error) = self.complete(&mut copy, &original) {
                warn!(partition = %partition.name(), %error, "could not end a move; it is tried again");
                *guard = Some(copy);
                return Swapped::No(original);
            }
            match self.logs().replace(original, copy, now) {
                Ok(log) => Swapped::Yes(log),
                Err(error) => {
                    error!(partition = %partition.name(), %error, "a move broke off; the next start ends it");
                    Swapped::Lost
                }
            }
        });
        if guard.is_some() {
            return Step::Wait;
        }
        info!(partition = %partition.name(), to = %partition.view().log_dir().display(), "moved");
        Step::Over
    }

    fn complete(&self, copy: &mut Log, original: &Log) -> Result<(), CopyError> {
        let now = self.runtime().clock.wall();
        while copy.copy_from(&original.view(), STEP_BYTES, now)? > 0 {}
        copy.take_over(original, now)?;
        // No crash from here on takes back where readers may begin, nor what was compacted.
        self.write_places()?;
        Ok(copy.close()?)
    }

    /// Writes from where on each log begins, is dirty, and is checked after a crash.
    pub(super) fn write_places(&self) -> Result<(), StorageError> {
        self.write_log_starts()?;
        self.write_cleaned_ends()?;
        Ok(self.write_recovery_points()?)
    }

    fn forget(&self, moved: &Arc<Move>) {
        {
            let mut under_way = self.moves.under_way.lock();
            let name = moved.partition.name();
            if under_way
                .get(name)
                .is_some_and(|present| Arc::ptr_eq(present, moved))
            {
                under_way.remove(name);
            }
        }
        // A failure has been told of; the next checkpoint drops what no longer is there.
        let _ = self.write_places();
        self.placed.notify_one();
    }

    fn move_threads(&self) -> usize {
        let directories = &self.config().config.directories;
        (directories.move_threads as usize).max(1)
    }

    /// Keeps to `replica.alter.log.dirs.io.max.bytes.per.second`; gives when more may be copied.
    fn throttle_move(&self, bytes: u64) -> Instant {
        #[expect(clippy::cast_precision_loss, reason = "a rate")]
        let rate = self.config().config.directories.move_bytes_per_second_max as f64;
        let now = self.runtime().clock.monotonic();
        self.moves.throttle.lock().used(bytes, rate, now)
    }
}
