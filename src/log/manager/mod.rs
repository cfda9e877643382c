//! The log directories of a broker, and the partitions in them.

mod checkpoint;
mod directory;
mod errors;
mod load;
mod meta_properties;
mod moving;
mod spare;

pub use directory::LogDirectory;
pub use errors::{CreateError, LoadError, ManagerError};
pub use load::{Loaded, LoadedLog};
pub use meta_properties::{META_PROPERTIES, MetaProperties};

use super::config::LogConfig;
use super::errors::{OpenError, StorageError};
use super::files;
use super::health::Trash;
use super::log::{Broken, Log, Opening};
use super::partition_metadata;
use super::recovery::Recovered;
use super::view::LogView;
use crate::runtime::Runtime;
use crate::types::{NodeId, Offset, Timestamp, TopicName, TopicPartition, Uuid};
use checkpoint::Offsets;
use directory::claim;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::sync::Notify;

/// The topic of the metadata log.
const CLUSTER_METADATA: &str = "__cluster_metadata";

/// What to do with a directory that has no `meta.properties`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unformatted {
    Refuse,
    /// Format it. The cluster id counts only if no other directory has one.
    FormatAs {
        cluster_id: String,
    },
}

/// Which directories a broker uses.
#[derive(Clone, Debug)]
pub struct ManagerOptions {
    /// `log.dirs`.
    pub dirs: Vec<PathBuf>,
    /// `metadata.log.dir`; the first of `dirs` if not set. One of `dirs`.
    pub metadata_dir: Option<PathBuf>,
    pub node_id: NodeId,
    pub unformatted: Unformatted,
}

/// Where a new partition is to lie.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wanted<'a> {
    /// In this one if it is online; if not, or if it is zero, in the online one that has the fewest.
    pub directory: Uuid,
    /// In none of these if it can be. Who assigned the partition may not have known that all are.
    pub cordoned: &'a [PathBuf],
}

/// Holds the log directories: their locks, checkpoints and the sign of a clean stop.
///
/// Owns no log: each belongs to its partition's owner, which hands [`LogView`]s back for checkpoints.
pub struct LogManager {
    runtime: Runtime,
    directories: Vec<Arc<LogDirectory>>,
    metadata_dir: Arc<LogDirectory>,
    cluster_id: String,
    trash: Arc<Trash>,
    /// Told when a directory goes offline.
    failed: Arc<Notify>,
}

impl LogManager {
    /// Locks the directories and checks whose they are; nothing is changed until all are found right.
    /// Where there are several, those that the disk refuses are left out.
    pub fn open(runtime: &Runtime, options: ManagerOptions) -> Result<LogManager, ManagerError> {
        let ManagerOptions {
            dirs,
            metadata_dir,
            node_id,
            unformatted,
        } = options;
        let first = dirs.first().ok_or(ManagerError::NoDirectory)?.clone();
        let mut claimed = Vec::new();
        let mut refused = None;
        for (at, dir) in dirs.iter().enumerate() {
            if dirs.iter().take(at).any(|other| other == dir) {
                return Err(ManagerError::Twice { dir: dir.clone() });
            }
            match claim(&*runtime.disk, dir) {
                Ok(directory) => claimed.push(directory),
                Err(error @ ManagerError::Unusable { .. }) => {
                    tracing::error!(%error, "log directory is offline");
                    refused.get_or_insert(error);
                }
                Err(error) => return Err(error),
            }
        }
        let metadata_dir = metadata_dir.unwrap_or(first);
        if !claimed
            .iter()
            .any(|directory| directory.path == metadata_dir)
        {
            // Without its metadata log a broker can do nothing.
            return Err(refused.unwrap_or(ManagerError::MetadataDir { dir: metadata_dir }));
        }
        let found = (claimed.iter())
            .find_map(|directory| Some(directory.meta.as_ref()?.cluster_id.clone()));
        let cluster_id = match (found, &unformatted) {
            (Some(found), _) => found,
            (None, Unformatted::FormatAs { cluster_id }) => cluster_id.clone(),
            (None, Unformatted::Refuse) => {
                return Err(ManagerError::NotFormatted { dir: metadata_dir });
            }
        };
        for directory in &claimed {
            directory.check(&cluster_id, node_id)?;
            if directory.meta.is_none() && unformatted == Unformatted::Refuse {
                return Err(ManagerError::NotFormatted {
                    dir: directory.path.clone(),
                });
            }
        }
        let failed = Arc::new(Notify::new());
        let mut directories: Vec<Arc<LogDirectory>> = Vec::new();
        for directory in claimed {
            let entered = Arc::new(directory.enter(runtime, &cluster_id, node_id, &failed)?);
            if let Some(other) = directories.iter().find(|other| other.id == entered.id) {
                return Err(ManagerError::SameDirectoryId {
                    one: other.path.clone(),
                    other: entered.path.clone(),
                });
            }
            directories.push(entered);
        }
        let metadata_dir = (directories.iter())
            .find(|directory| directory.path == metadata_dir)
            .expect("it was claimed")
            .clone();
        Ok(LogManager {
            runtime: runtime.clone(),
            directories,
            metadata_dir,
            cluster_id,
            trash: Arc::default(),
            failed,
        })
    }

    /// As in `meta.properties`.
    pub fn cluster_id(&self) -> &str {
        &self.cluster_id
    }

    /// The directories that are in use; without those that the disk refused at start.
    pub fn directories(&self) -> &[Arc<LogDirectory>] {
        &self.directories
    }

    /// Returns once a directory has gone offline since the last time; for one caller.
    pub async fn directory_failed(&self) {
        self.failed.notified().await;
    }

    /// Where the metadata log lies.
    pub fn metadata_directory(&self) -> &Arc<LogDirectory> {
        &self.metadata_dir
    }

    /// The broker epoch of the last run, if every directory was stopped cleanly.
    pub fn previous_broker_epoch(&self) -> Option<i64> {
        let mut epochs = self.directories.iter().map(|dir| dir.previous_broker_epoch);
        let first = epochs.next()??;
        epochs.all(|epoch| epoch == Some(first)).then_some(first)
    }

    /// The directory that a log lies in.
    pub fn directory_of(&self, view: &LogView) -> Option<&Arc<LogDirectory>> {
        (self.directories.iter()).find(|directory| directory.path == view.log_dir())
    }

    /// Opens `__cluster_metadata-0`, made if need be. It is read again from its start every time: it is
    /// short, and everything else rests on it. Its quorum syncs every append before the next.
    pub fn open_metadata_log(
        &self,
        config: LogConfig,
        now: Timestamp,
    ) -> Result<(Log, Recovered), OpenError> {
        let topic = TopicName::parse(CLUSTER_METADATA).expect("a good name");
        let partition = TopicPartition::new(topic, 0);
        let directory = &self.metadata_dir;
        let path = directory.path.join(partition.to_string());
        self.prepare(&path, Uuid::METADATA_TOPIC)?;
        let opening = Opening {
            broken: Broken::Refused,
            health: directory.health.clone(),
            trash: self.trash.clone(),
            ..Opening::new(partition, config, now)
        };
        Log::open(&self.runtime, &path, opening)
    }

    /// Creates a partition where `wanted` says. Where that leaves a choice, a directory that cannot take one more
    /// directory gives way to the next.
    pub fn create(
        &self,
        partition: TopicPartition,
        topic_id: Uuid,
        config: LogConfig,
        wanted: Wanted<'_>,
        now: Timestamp,
    ) -> Result<Log, CreateError> {
        let (directory, path) = self.create_directory(&partition, wanted)?;
        self.prepare(&path, topic_id)?;
        let opening = Opening {
            health: directory.health.clone(),
            trash: self.trash.clone(),
            ..Opening::new(partition, config, now)
        };
        let (log, _) = Log::open(&self.runtime, &path, opening)?;
        directory.partitions.fetch_add(1, Ordering::Relaxed);
        Ok(log)
    }

    /// Makes the partition's own directory in the first that takes it. Only this may fail and be tried elsewhere: of
    /// what comes later something may stay, and the next start would find the partition twice.
    fn create_directory(
        &self,
        partition: &TopicPartition,
        wanted: Wanted<'_>,
    ) -> Result<(&LogDirectory, PathBuf), CreateError> {
        let disk = &*self.runtime.disk;
        let mut refused = CreateError::AllOffline;
        for directory in self.candidates(wanted) {
            directory.make_room(disk);
            let path = directory.path.join(partition.to_string());
            match disk.create_dir_all(&path) {
                Ok(()) => return Ok((directory, path)),
                Err(source) => {
                    directory.health.fail_unless_full(&directory.path, &source);
                    refused = OpenError { dir: path, source }.into();
                }
            }
        }
        Err(refused)
    }

    /// Where a new partition may lie, the best place first.
    fn candidates(&self, wanted: Wanted<'_>) -> Vec<&LogDirectory> {
        let online = self.directories.iter().filter(|dir| dir.is_online());
        let mut candidates: Vec<&LogDirectory> = online.map(|directory| &**directory).collect();
        let is_cordoned = |directory: &LogDirectory| wanted.cordoned.contains(&directory.path);
        if candidates.iter().any(|dir| dir.id == wanted.directory) {
            candidates.retain(|directory| directory.id == wanted.directory);
        } else if !candidates.iter().all(|directory| is_cordoned(directory)) {
            candidates.retain(|directory| !is_cordoned(directory));
        }
        candidates.sort_by_key(|directory| directory.partitions.load(Ordering::Relaxed));
        candidates
    }

    /// Makes the directory, and says in it whose it is before any data is written.
    fn prepare(&self, path: &Path, topic_id: Uuid) -> Result<(), OpenError> {
        let disk = &*self.runtime.disk;
        let prepared = (|| {
            disk.create_dir_all(path)?;
            if partition_metadata::read(disk, path)?.is_none() {
                partition_metadata::write(disk, path, topic_id)?;
            }
            Ok(())
        })();
        prepared.map_err(|source| OpenError {
            dir: path.to_owned(),
            source,
        })
    }

    /// Takes a partition out of use at once; its bytes go after `file.delete.delay.ms`.
    pub fn delete(&self, log: Log, now: Timestamp) -> Result<(), StorageError> {
        let due = now.plus_ms(log.config().file_delete_delay_ms);
        let aside = self.set_aside(log, "-delete")?;
        self.trash.put(due, aside);
        Ok(())
    }

    /// Takes a partition out of use that nobody assigned to this broker. Its bytes stay until a person
    /// removes them.
    pub fn set_stray(&self, log: Log) -> Result<(), StorageError> {
        self.set_aside(log, "-stray").map(|_| ())
    }

    fn set_aside(&self, log: Log, suffix: &str) -> Result<PathBuf, StorageError> {
        let view = log.view();
        let name = files::set_aside_name(log.partition(), self.runtime.rng.uuid(), suffix);
        let aside = view.log_dir().join(name);
        self.runtime.disk.rename(view.dir(), &aside)?;
        if let Some(directory) = self.directory_of(&view) {
            directory.partitions.fetch_sub(1, Ordering::Relaxed);
        }
        drop(log);
        Ok(aside)
    }

    /// Has each directory keep some space for the time when its disk is full, as far as there is any.
    pub fn keep_spare(&self) {
        for directory in self.directories.iter().filter(|dir| dir.is_online()) {
            if let Err(error) = directory.spare.keep(&*self.runtime.disk) {
                directory.health.fail(&directory.path, &error);
            }
        }
    }

    /// Removes the deleted files and directories that are due; how many.
    pub fn empty_trash(&self, now: Timestamp) -> usize {
        self.trash.empty(&*self.runtime.disk, now)
    }

    /// Writes the high watermarks (`replication-offset-checkpoint`). `views` are all partitions.
    pub fn checkpoint_high_watermarks(&self, views: &[LogView]) -> io::Result<()> {
        self.checkpoint(views, checkpoint::HIGH_WATERMARKS, |view| {
            Some(view.high_watermark())
        })
    }

    /// Writes the recovery points (`recovery-point-offset-checkpoint`). `views` are all partitions.
    pub fn checkpoint_recovery(&self, views: &[LogView]) -> io::Result<()> {
        self.checkpoint(views, checkpoint::RECOVERY_POINTS, |view| {
            Some(view.recovery_point())
        })
    }

    /// Writes the log starts (`log-start-offset-checkpoint`): afterwards no crash takes a start back.
    /// `views` are all partitions.
    pub fn checkpoint_log_starts(&self, views: &[LogView]) -> io::Result<()> {
        self.checkpoint(views, checkpoint::LOG_STARTS, |view| {
            let start = view.log_start();
            (start > view.first_base()).then_some(start)
        })
    }

    /// Writes where each compacted log is clean (`cleaner-offset-checkpoint`). `views` are all partitions.
    pub fn checkpoint_cleaned_ends(&self, views: &[LogView]) -> io::Result<()> {
        self.checkpoint(views, checkpoint::CLEANED_ENDS, LogView::cleaned_end)
    }

    /// A directory whose checkpoint cannot be written goes offline, unless it is only full; the others
    /// are still written.
    fn checkpoint(
        &self,
        views: &[LogView],
        name: &'static str,
        offset: impl Fn(&LogView) -> Option<Offset>,
    ) -> io::Result<()> {
        let mut outcome = Ok(());
        for directory in self.directories.iter().filter(|dir| dir.is_online()) {
            let offsets: Offsets = (views.iter())
                .filter(|view| view.log_dir() == directory.path)
                .filter_map(|view| Some((view.partition().clone(), offset(view)?)))
                .collect();
            if let Err(error) = directory.checkpoint(&*self.runtime.disk, name, &offsets) {
                outcome = Err(error);
            }
        }
        outcome
    }

    /// The end of a clean stop. `views` are all partitions; each log was closed ([`Log::close`]). A
    /// directory with a log that was not, or could not be, is checked at the next start.
    pub fn close(&self, views: &[LogView], broker_epoch: i64) -> io::Result<()> {
        self.checkpoint_recovery(views)?;
        self.checkpoint_log_starts(views)?;
        self.checkpoint_high_watermarks(views)?;
        for directory in self.directories.iter().filter(|dir| dir.is_online()) {
            let all_closed = (views.iter())
                .filter(|view| view.log_dir() == directory.path)
                .all(LogView::is_closed);
            if all_closed {
                directory.sign_clean(&*self.runtime.disk, broker_epoch)?;
            }
        }
        Ok(())
    }
}
