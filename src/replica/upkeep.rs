//! What partitions need from time to time: retention, checkpoints, flushes by age, removal of deleted
//! files. One task does it all, on a blocking thread, and sleeps in between.

use super::Replicas;
use crate::config::BrokerConfig;
use crate::runtime::{Instant, Runtime, sleep_until};
use std::sync::Arc;
use std::time::Duration;

/// How often the deleted files are looked through.
const REMOVAL: Duration = Duration::from_secs(10);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Chore {
    Retention,
    HighWatermarks,
    RecoveryPoints,
    LogStarts,
    FlushByAge,
    Removal,
}

/// Starts the task; it ends when the broker's tasks are told to stop.
pub fn start_upkeep(replicas: Arc<Replicas>, runtime: &Runtime, config: &BrokerConfig) {
    let logs = &config.logs;
    let every = Duration::from_millis;
    let mut chores = vec![
        (Chore::Retention, every(logs.retention_check_interval_ms)),
        (
            Chore::HighWatermarks,
            every(logs.high_watermark_checkpoint_interval_ms),
        ),
        (
            Chore::RecoveryPoints,
            every(logs.recovery_point_checkpoint_interval_ms),
        ),
        (
            Chore::LogStarts,
            every(logs.log_start_checkpoint_interval_ms),
        ),
        (Chore::Removal, REMOVAL),
    ];
    chores.extend(
        logs.flush_check_interval_ms
            .map(|ms| (Chore::FlushByAge, every(ms))),
    );
    let first = runtime.clock.monotonic() + every(logs.initial_task_delay_ms);
    let mut due: Vec<(Instant, Chore, Duration)> = chores
        .into_iter()
        .map(|(chore, every)| (first, chore, every.max(Duration::from_millis(1))))
        .collect();
    let runtime = runtime.clone();
    let tasks = runtime.tasks.clone();
    runtime.tasks.spawn(async move {
        while let Some(next) = due.iter_mut().min_by_key(|(at, ..)| *at) {
            tokio::select! {
                biased;
                () = tasks.stopping() => return,
                () = sleep_until(next.0) => {}
            }
            let (chore, replicas) = (next.1, replicas.clone());
            next.0 = runtime.clock.monotonic() + next.2;
            tasks.blocking(move || replicas.perform(chore)).await;
        }
    });
}

impl Replicas {
    fn perform(&self, chore: Chore) {
        let now = self.runtime().clock.wall();
        match chore {
            Chore::Retention => {
                for partition in self.all() {
                    partition.remove_old(now);
                }
            }
            Chore::FlushByAge => {
                for partition in self.all() {
                    partition.flush_if_old(now);
                }
            }
            Chore::HighWatermarks => self.write_high_watermarks(),
            // A failure has been logged; there is a next time.
            Chore::RecoveryPoints => drop(self.write_recovery_points()),
            Chore::LogStarts => drop(self.write_log_starts()),
            Chore::Removal => {
                self.logs().empty_trash(now);
                self.logs().keep_spare();
            }
        }
    }
}
