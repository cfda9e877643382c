//! Compaction in the background: as many tasks as `log.cleaner.threads` says. Each takes the dirtiest log
//! that nobody has, cleans it a step at a time on a blocking thread, and looks for the next.

use super::manager::Replicas;
use super::partition::Partition;
use super::throttle::Throttle;
use crate::config::CleanerConfig;
use crate::log::{
    Cleanable, Cleaning, CleaningError, CleaningLimits, CleaningStats, MapLimits, Progress,
    Replaced,
};
use crate::runtime::{Instant, Runtime, sleep_until};
use crate::types::Timestamp;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tracing::{debug, error, info, warn};

/// What the cleaners share. The locks are held for a few assignments.
#[derive(Default)]
pub(super) struct CleanerState {
    /// Tasks that run.
    running: Mutex<u32>,
    reconfigured: Notify,
    throttle: Mutex<Throttle>,
    last: Mutex<LastRun>,
}

/// What is told of the newest round and the newest cleaning.
#[derive(Clone, Copy, Default)]
struct LastRun {
    at: Option<Timestamp>,
    dirtiest_ratio: f64,
    /// The longest time for which a log has waited beyond `max.compaction.lag.ms`.
    delay_ms: i64,
    stats: CleaningStats,
    took: Duration,
}

/// Figures for people, under Kafka's names.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CleanerFigures {
    pub max_dirty_percent: u32,
    pub time_since_last_run_ms: i64,
    /// Bytes written of those read, in the newest cleaning.
    pub recopy_percent: u32,
    pub max_clean_time_secs: u64,
    pub max_buffer_utilization_percent: u32,
    pub max_compaction_delay_secs: i64,
    /// Cleaners that a panic has ended; a change of the cleaner's configuration starts others.
    pub dead_threads: u32,
    /// By log directory.
    pub uncleanable: BTreeMap<PathBuf, Uncleanable>,
}

/// What could not be cleaned and is left alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Uncleanable {
    pub partitions: usize,
    /// That would be cleaned otherwise.
    pub bytes: u64,
}

/// A cleaner that runs, until a panic ends it.
struct Alive<'a>(&'a CleanerState);

impl Drop for Alive<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            *self.0.running.lock() -= 1;
        }
    }
}

impl CleanerState {
    /// The configuration of the broker has changed.
    pub(super) fn reconfigured(&self) {
        self.reconfigured.notify_waiters();
    }

    /// Whether one of the tasks is to go on. The one that is told no ends.
    fn is_wanted(&self, threads: u32) -> bool {
        let mut running = self.running.lock();
        let wanted = *running <= threads;
        *running -= u32::from(!wanted);
        wanted
    }
}

/// Starts the cleaners, now and whenever there are to be more. They end when the broker's tasks are told
/// to stop.
pub fn start_cleaners(replicas: Arc<Replicas>) {
    if !replicas.cleaner_config().enable {
        warn!("log.cleaner.enable is false: compacted topics only grow");
        return;
    }
    let tasks = replicas.tasks().clone();
    replicas.tasks().clone().spawn(async move {
        loop {
            let reconfigured = replicas.cleaner.reconfigured.notified();
            start_missing(&replicas);
            tokio::select! {
                biased;
                () = tasks.stopping() => return,
                () = reconfigured => {}
            }
        }
    });
}

fn start_missing(replicas: &Arc<Replicas>) {
    let threads = replicas.cleaner_config().threads;
    let mut running = replicas.cleaner.running.lock();
    while *running < threads {
        *running += 1;
        replicas.tasks().spawn(run(replicas.clone()));
    }
}

async fn run(replicas: Arc<Replicas>) {
    let Runtime { tasks, clock, .. } = replicas.runtime().clone();
    let _alive = Alive(&replicas.cleaner);
    while !tasks.is_stopping() {
        let reconfigured = replicas.cleaner.reconfigured.notified();
        let config = replicas.cleaner_config();
        if !replicas.cleaner.is_wanted(config.threads) {
            return;
        }
        let has_cleaned = clean_dirtiest(&replicas).await;
        let removing = replicas.clone();
        tasks
            .blocking(move || removing.remove_old_of_compacted())
            .await;
        if !has_cleaned {
            let later = clock.monotonic() + Duration::from_millis(config.backoff_ms);
            tokio::select! {
                biased;
                () = tasks.stopping() => return,
                () = reconfigured => {}
                () = sleep_until(later) => {}
            }
        }
    }
}

/// `false` if there was nothing to clean, or it could not be.
async fn clean_dirtiest(replicas: &Arc<Replicas>) -> bool {
    let choosing = replicas.clone();
    let chosen = (replicas.tasks()).blocking(move || choosing.take_dirtiest());
    match chosen.await.flatten() {
        Some(job) => job.run().await,
        None => false,
    }
}

impl Replicas {
    /// The dirtiest log that is due, and its cleaning begun.
    fn take_dirtiest(self: &Arc<Replicas>) -> Option<Job> {
        let now = self.runtime().clock.wall();
        let mut dirty: Vec<(Arc<Partition>, Cleanable)> = (self.all().into_iter())
            .filter(|partition| partition.may_be_cleaned())
            .filter_map(|partition| {
                let cleanable = self.cleanable(&partition, now)?;
                Some((partition, cleanable))
            })
            .collect();
        dirty.sort_by(|one, other| other.1.ratio().total_cmp(&one.1.ratio()));
        {
            let mut last = self.cleaner.last.lock();
            last.at = Some(now);
            last.dirtiest_ratio = dirty.first().map_or(0.0, |(_, dirtiest)| dirtiest.ratio());
            let delays = dirty.iter().map(|(_, cleanable)| cleanable.delay_ms);
            last.delay_ms = delays.max().unwrap_or(0);
        }
        dirty
            .into_iter()
            .filter(|(partition, cleanable)| cleanable.is_due(&partition.config()))
            .find_map(|(partition, _)| self.take(partition, now))
    }

    fn cleanable(&self, partition: &Partition, now: Timestamp) -> Option<Cleanable> {
        let disk = &*self.runtime().disk;
        let found = (partition.view()).cleanable(disk, &partition.config(), now);
        let give_up = |error: &io::Error| partition.give_up_cleaning(error);
        found.inspect_err(give_up).ok()
    }

    /// Begins to clean a log, unless somebody else has begun or just done it.
    fn take(self: &Arc<Replicas>, partition: Arc<Partition>, now: Timestamp) -> Option<Job> {
        if !partition.cleaning.claim() {
            return None;
        }
        let cleanable = (self.cleanable(&partition, now))
            .filter(|cleanable| cleanable.is_due(&partition.config()));
        let cleaning = cleanable.and_then(|cleanable| {
            if partition.view().recovery_point() < cleanable.first_uncleanable {
                partition.flush().ok()?;
            }
            let limits = limits(&self.cleaner_config());
            let rng = &self.runtime().rng;
            let seed = [rng.next_u64(), rng.next_u64()];
            partition.with_log(|log| log.begin_cleaning(&cleanable, limits, seed, now))?
        });
        // Before offsets go, the checkpoint says that some may be missing.
        let cleaning = cleaning.filter(|_| self.write_cleaned_ends().is_ok());
        let Some(cleaning) = cleaning else {
            partition.cleaning.release();
            return None;
        };
        debug!(partition = %partition.name(), from = cleaning.first_dirty().0, "cleaning");
        Some(Job {
            replicas: self.clone(),
            started: self.runtime().clock.monotonic(),
            partition,
            cleaning,
        })
    }

    fn remove_old_of_compacted(&self) {
        let now = self.runtime().clock.wall();
        for partition in self.all() {
            if partition.config().cleanup.compact {
                partition.remove_old(now);
            }
        }
    }

    /// How the cleaners are doing.
    pub fn cleaner_figures(&self) -> CleanerFigures {
        let last = *self.cleaner.last.lock();
        let now = self.runtime().clock.wall();
        let mut uncleanable: BTreeMap<PathBuf, Uncleanable> =
            (self.configured_directories().into_iter())
                .map(|directory| (directory, Uncleanable::default()))
                .collect();
        for partition in self.all() {
            if partition.cleaning.is_uncleanable() {
                let view = partition.view();
                let found = uncleanable.entry(view.log_dir().to_owned()).or_default();
                found.partitions += 1;
                // What is too broken to be looked at counts as a partition only.
                let cleanable = view.cleanable(&*self.runtime().disk, &partition.config(), now);
                found.bytes += cleanable.map_or(0, |cleanable| cleanable.cleanable_bytes);
            }
        }
        let CleaningStats {
            bytes_read,
            bytes_written,
            map_utilization,
        } = last.stats;
        #[expect(clippy::cast_precision_loss, reason = "a ratio")]
        let recopied = bytes_written as f64 / bytes_read.max(1) as f64;
        let CleanerConfig {
            enable, threads, ..
        } = self.cleaner_config();
        let wanted = if enable { threads } else { 0 };
        CleanerFigures {
            max_dirty_percent: percent(last.dirtiest_ratio),
            time_since_last_run_ms: last.at.map_or(0, |at| now.ms_since(at)),
            recopy_percent: percent(recopied),
            max_clean_time_secs: last.took.as_secs(),
            max_buffer_utilization_percent: percent(map_utilization),
            max_compaction_delay_secs: last.delay_ms / 1000,
            dead_threads: wanted.saturating_sub(*self.cleaner.running.lock()),
            uncleanable,
        }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a small positive number"
)]
fn percent(ratio: f64) -> u32 {
    (ratio * 100.0) as u32
}

/// What one of the cleaners may use.
fn limits(config: &CleanerConfig) -> CleaningLimits {
    let threads = config.threads.max(1);
    CleaningLimits {
        map: MapLimits {
            bytes: config.dedupe_bytes / u64::from(threads),
            load_factor: config.load_factor,
        },
        // Half for what is read, half for what is written.
        chunk_bytes: (config.io_buffer_bytes / threads / 2) as usize,
    }
}

impl Partition {
    fn may_be_cleaned(&self) -> bool {
        self.config().cleanup.compact
            && !self.is_closed()
            && self.view().is_online()
            && !self.cleaning.is_busy()
            && !self.cleaning.is_uncleanable()
    }

    fn give_up_cleaning(&self, error: &dyn std::fmt::Display) {
        self.cleaning.give_up();
        warn!(
            partition = %self.name(), %error,
            "the log cannot be cleaned; it is left as it is until the broker starts again"
        );
    }
}

/// One log being cleaned.
struct Job {
    replicas: Arc<Replicas>,
    partition: Arc<Partition>,
    cleaning: Cleaning,
    started: Instant,
}

/// Why a cleaning ended before its end.
enum End {
    /// The broker stops, or the log is gone, offline, not what it was or not compacted any more.
    Gone,
    /// The disk is full. There may be room the next time.
    Full,
    Failed(CleaningError),
}

impl Job {
    async fn run(mut self) -> bool {
        let tasks = self.replicas.tasks().clone();
        let partition = self.partition.clone();
        loop {
            let stepped = tasks.blocking(move || {
                let outcome = self.step();
                (self, outcome)
            });
            let Some((job, outcome)) = stepped.await else {
                partition.give_up_cleaning(&"the cleaner panicked");
                return false;
            };
            self = job;
            match outcome {
                Ok(Some(bytes)) => self.wait_for_more(bytes).await,
                Ok(None) => {
                    tasks.blocking(move || self.finish()).await;
                    return true;
                }
                Err(end) => {
                    tasks.blocking(move || self.abandon(&end)).await;
                    return false;
                }
            }
        }
    }

    /// Does a little; gives how many bytes that moved. `None`: the cleaning is done.
    fn step(&mut self) -> Result<Option<u64>, End> {
        let is_compacted = self.partition.config().cleanup.compact;
        let is_stopping = self.partition.is_closed() || self.replicas.tasks().is_stopping();
        if is_stopping || !is_compacted {
            return Err(End::Gone);
        }
        let progress = (self.cleaning.step()).map_err(|error| self.end_of(error))?;
        let replacement = match progress {
            Progress::Moved { bytes } => return Ok(Some(bytes)),
            Progress::Done => return Ok(None),
            Progress::Complete(replacement) => replacement,
        };
        let now = self.replicas.runtime().clock.wall();
        let replaced = (self.partition).with_log(|log| log.replace_segments(replacement, now));
        match replaced {
            Some(Ok(Replaced::Yes(sync))) => match sync.run() {
                Ok(_) => Ok(Some(0)),
                Err(error) => Err(self.end_of(error.into())),
            },
            Some(Ok(Replaced::Outdated)) | None => Err(End::Gone),
            Some(Err(error)) => Err(self.end_of(error.into())),
        }
    }

    fn end_of(&self, error: CleaningError) -> End {
        let is_current = (self.partition).with_log(|log| log.is_current(&self.cleaning));
        match error {
            // A failed directory has been told of.
            _ if is_current != Some(true) || !self.partition.view().is_online() => End::Gone,
            CleaningError::Io(error) if error.kind() == io::ErrorKind::StorageFull => End::Full,
            error => End::Failed(error),
        }
    }

    /// Keeps to `log.cleaner.io.max.bytes.per.second`.
    async fn wait_for_more(&self, bytes: u64) {
        let reconfigured = self.replicas.cleaner.reconfigured.notified();
        let rate = self.replicas.cleaner_config().io_bytes_per_second_max;
        let now = self.replicas.runtime().clock.monotonic();
        let next = (self.replicas.cleaner.throttle.lock()).used(bytes, rate, now);
        if next > now {
            tokio::select! {
                biased;
                () = self.replicas.tasks().stopping() => {}
                () = reconfigured => {} // perhaps to another rate
                () = sleep_until(next) => {}
            }
        }
    }

    fn finish(self) {
        let (from, end) = (self.cleaning.first_dirty(), self.cleaning.end());
        let stats = self.cleaning.stats();
        let finished = (self.partition).with_log(|log| log.finish_cleaning(&self.cleaning));
        if finished.is_some() {
            // A failure has been told of; after a crash the same is cleaned again.
            let _ = self.replicas.write_cleaned_ends();
        }
        self.partition.cleaning.release();
        let took = self.replicas.runtime().clock.monotonic() - self.started;
        {
            let mut last = self.replicas.cleaner.last.lock();
            last.stats = stats;
            last.took = took;
        }
        info!(
            partition = %self.partition.name(), from = from.0, end = end.0,
            bytes_read = stats.bytes_read, bytes_written = stats.bytes_written,
            ms = took.as_millis(), "cleaned"
        );
    }

    fn abandon(self, end: &End) {
        if !self.partition.is_closed() {
            // Otherwise the directory may be another partition's by now.
            self.cleaning.abandon();
        }
        match end {
            End::Gone => self.partition.cleaning.release(),
            End::Full => {
                error!(partition = %self.partition.name(), "no space to clean the log");
                self.partition.cleaning.release();
            }
            End::Failed(error) => self.partition.give_up_cleaning(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::panic::catch_unwind;

    #[test]
    fn a_cleaner_that_a_panic_ends_runs_no_more() {
        let state = CleanerState::default();
        *state.running.lock() = 2;
        drop(Alive(&state));
        assert_eq!(
            *state.running.lock(),
            2,
            "it is counted where it ends in order"
        );
        let ended = catch_unwind(std::panic::AssertUnwindSafe(|| {
            let _alive = Alive(&state);
            panic!("on purpose");
        }));
        assert!(ended.is_err());
        assert_eq!(*state.running.lock(), 1);
    }
}
