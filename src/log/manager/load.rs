//! Loading the partitions at start, several at a time.

use super::directory::LogDirectory;
use super::errors::LoadError;
use super::{CLUSTER_METADATA, LogManager, checkpoint};
use crate::log::config::LogConfig;
use crate::log::files::{DirName, parse_dir_name};
use crate::log::health::Trash;
use crate::log::log::{Broken, Log, Opening};
use crate::log::recovery::Recovered;
use crate::runtime::Runtime;
use crate::types::{Offset, Timestamp, TopicPartition, Uuid};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;

/// A partition that was found on disk.
pub struct LoadedLog {
    pub log: Log,
    /// `None` if `partition.metadata` is missing or broken: then only the name tells the topic.
    pub topic_id: Option<Uuid>,
    pub recovered: Recovered,
}

/// What the log directories hold.
pub struct Loaded {
    /// In the order of their names.
    pub logs: Vec<LoadedLog>,
    /// Copies that were on their way from one directory to another.
    pub copies: Vec<LoadedLog>,
    /// Partitions of directories that failed while they were loaded.
    pub offline: Vec<TopicPartition>,
}

struct Job {
    path: PathBuf,
    is_copy: bool,
    opening: Opening,
}

struct Outcome {
    partition: TopicPartition,
    is_copy: bool,
    log: Option<LoadedLog>,
}

/// What the threads share.
struct Work {
    runtime: Runtime,
    /// Held to take one job or to add one outcome.
    jobs: Mutex<Vec<Job>>,
    outcomes: Mutex<Vec<Outcome>>,
}

impl LogManager {
    /// Opens every partition but the metadata log, each with the configuration that `config` gives it.
    /// So many threads recover the partitions of one directory
    /// (`num.recovery.threads.per.data.dir`); at least one.
    pub async fn load(
        &self,
        now: Timestamp,
        threads_per_dir: usize,
        config: impl Fn(&TopicPartition) -> LogConfig,
    ) -> Result<Loaded, LoadError> {
        let mut seen: HashMap<TopicPartition, PathBuf> = HashMap::new();
        let mut works = Vec::new();
        for directory in self.directories.iter().filter(|dir| dir.is_online()) {
            let mut jobs = self.jobs_of(directory, now, &config)?;
            for job in jobs.iter().filter(|job| !job.is_copy) {
                let partition = job.opening.partition.clone();
                if let Some(other) = seen.insert(partition.clone(), job.path.clone()) {
                    return Err(LoadError::TwoDirectories {
                        partition,
                        one: other,
                        other: job.path.clone(),
                    });
                }
            }
            directory.partitions.store(jobs.len(), Ordering::Relaxed);
            jobs.reverse(); // taken from the back
            works.push(Arc::new(Work {
                runtime: self.runtime.clone(),
                jobs: Mutex::new(jobs),
                outcomes: Mutex::default(),
            }));
        }
        let threads = works.iter().flat_map(|work| {
            (0..threads_per_dir.max(1)).map(|_| {
                let work = work.clone();
                self.runtime.tasks.blocking(move || work.run())
            })
        });
        let ends = join_all(threads.map(|thread| Box::pin(thread) as _).collect()).await;
        if ends.iter().any(Option::is_none) {
            return Err(LoadError::Panicked);
        }
        let mut loaded = Loaded {
            logs: Vec::new(),
            copies: Vec::new(),
            offline: Vec::new(),
        };
        for work in works {
            for outcome in std::mem::take(&mut *work.outcomes.lock()) {
                match outcome.log {
                    Some(copy) if outcome.is_copy => loaded.copies.push(copy),
                    Some(log) => loaded.logs.push(log),
                    None if outcome.is_copy => {}
                    None => loaded.offline.push(outcome.partition),
                }
            }
        }
        (loaded.logs).sort_by(|a, b| a.log.partition().cmp(b.log.partition()));
        loaded.offline.sort();
        Ok(loaded)
    }

    fn jobs_of(
        &self,
        directory: &Arc<LogDirectory>,
        now: Timestamp,
        config: &impl Fn(&TopicPartition) -> LogConfig,
    ) -> Result<Vec<Job>, LoadError> {
        let disk = &*self.runtime.disk;
        let entries = match disk.list(&directory.path) {
            Ok(entries) => entries,
            Err(error) => {
                directory.health.fail(&directory.path, &error);
                return Ok(Vec::new());
            }
        };
        let recovery_points = directory.checkpointed(disk, checkpoint::RECOVERY_POINTS);
        let high_watermarks = directory.checkpointed(disk, checkpoint::HIGH_WATERMARKS);
        let log_starts = directory.checkpointed(disk, checkpoint::LOG_STARTS);
        let cleaned_ends = directory.checkpointed(disk, checkpoint::CLEANED_ENDS);
        let mut jobs = Vec::new();
        for entry in entries.into_iter().filter(|entry| entry.is_dir) {
            let path = directory.path.join(&entry.name);
            let (partition, is_copy) = match parse_dir_name(&entry.name) {
                DirName::Partition(partition) => (partition, false),
                DirName::Future(partition) => (partition, true),
                DirName::Delete => {
                    self.trash.put(now, path);
                    continue;
                }
                DirName::Stray => {
                    tracing::warn!(path = %path.display(), "left a stray partition alone");
                    continue;
                }
                DirName::Foreign if is_harmless(&entry.name) => continue,
                DirName::Foreign => return Err(LoadError::ForeignDirectory { path }),
            };
            if partition.topic.as_str() == CLUSTER_METADATA {
                continue;
            }
            let at = |offsets: &checkpoint::Offsets| {
                offsets.get(&partition).copied().unwrap_or(Offset::ZERO)
            };
            let opening = Opening {
                config: config(&partition),
                shutdown: directory.shutdown,
                recovery_point: at(&recovery_points),
                log_start: at(&log_starts),
                high_watermark: at(&high_watermarks),
                cleaned_end: cleaned_ends.get(&partition).copied(),
                broken: Broken::CutOff,
                now,
                health: directory.health.clone(),
                trash: Arc::<Trash>::clone(&self.trash),
                partition,
            };
            jobs.push(Job {
                path,
                is_copy,
                opening,
            });
        }
        Ok(jobs)
    }
}

/// Kafka's index cache of tiered storage, and what ext4 puts at the root of a file system.
fn is_harmless(name: &str) -> bool {
    matches!(name, "remote-log-index-cache" | "lost+found")
}

impl Work {
    fn run(&self) {
        loop {
            let Some(job) = self.jobs.lock().pop() else {
                return;
            };
            let partition = job.opening.partition.clone();
            let outcome = Outcome {
                partition,
                is_copy: job.is_copy,
                log: self.open(job),
            };
            self.outcomes.lock().push(outcome);
        }
    }

    fn open(&self, job: Job) -> Option<LoadedLog> {
        let health = job.opening.health.clone();
        let opened =
            Log::open(&self.runtime, &job.path, job.opening).and_then(|(log, recovered)| {
                let topic_id = log.topic_id().map_err(|source| crate::log::OpenError {
                    dir: job.path.clone(),
                    source,
                })?;
                Ok(LoadedLog {
                    log,
                    topic_id,
                    recovered,
                })
            });
        match opened {
            Ok(loaded) => Some(loaded),
            Err(error) => {
                tracing::error!(%error, "could not load a partition");
                let dir = job.path.parent().unwrap_or(&job.path);
                health.fail(dir, &error.source);
                None
            }
        }
    }
}

type Thread<'a> = Pin<Box<dyn Future<Output = Option<()>> + Send + 'a>>;

async fn join_all(mut waiting: Vec<Thread<'_>>) -> Vec<Option<()>> {
    let mut ends = Vec::new();
    std::future::poll_fn(move |cx| {
        waiting.retain_mut(|thread| match thread.as_mut().poll(cx) {
            Poll::Ready(end) => {
                ends.push(end);
                false
            }
            Poll::Pending => true,
        });
        if waiting.is_empty() {
            Poll::Ready(std::mem::take(&mut ends))
        } else {
            Poll::Pending
        }
    })
    .await
}
