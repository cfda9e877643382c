//! The log directories as administrators see them: how full they are and what lies in them.

use super::manager::{LookupError, Replicas};
use super::partition::Partition;
use crate::log::{LogDirectory, LogManager, LogView};
use crate::metadata::{ImageHandle, MetadataImage};
use crate::runtime::Space;
use crate::types::{TopicName, TopicPartition, Uuid};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// One entry of `log.dirs`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectoryState {
    /// Absolute.
    pub path: PathBuf,
    /// `None` if the directory is offline.
    pub contents: Option<DirectoryContents>,
    /// It takes no new partitions.
    pub cordoned: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectoryContents {
    /// Of the file system that the directory lies on.
    pub space: Space,
    /// What lies there, by name.
    pub logs: Vec<HostedLog>,
}

/// A log in a directory: a replica, or its copy on the way from another directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostedLog {
    pub partition: TopicPartition,
    /// Of its segments, in bytes.
    pub size: u64,
    /// Offsets that a copy is behind its original.
    pub lag: i64,
    pub is_copy: bool,
}

/// A replica of this broker lies in a log directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplicaPlace {
    pub topic_id: Uuid,
    pub partition: i32,
    pub directory: Uuid,
}

/// Why a partition is not moved to a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MoveError {
    #[error("the broker has no such log directory")]
    UnknownDirectory,
    #[error("the log directory is offline")]
    OfflineDirectory,
    #[error("the log directory is cordoned")]
    CordonedDirectory,
    #[error("{0}")]
    Lookup(#[from] LookupError),
    #[error("the topic name is too long")]
    NameTooLong,
}

impl Replicas {
    /// Ids of the log directories that work.
    pub fn directory_ids(&self) -> Vec<Uuid> {
        self.online().map(|directory| directory.id()).collect()
    }

    fn online(&self) -> impl Iterator<Item = &Arc<LogDirectory>> {
        let directories = self.logs().directories().iter();
        directories.filter(|directory| directory.is_online())
    }

    /// Whether the log directory with this id works.
    pub(super) fn has_online(&self, id: Uuid) -> bool {
        self.online().any(|directory| directory.id() == id)
    }

    /// Has each log directory keep some space for the time when its disk is full. Blocks.
    pub fn keep_spare(&self) {
        self.logs().keep_spare();
    }

    /// Log directories of the configuration that do not work.
    pub fn offline_directory_count(&self) -> usize {
        self.config().config.directories.log_dirs.len() - self.online().count()
    }

    /// Returns once something has changed in the log directories since the last time: one has failed, or
    /// a replica lies elsewhere than the metadata says. For one caller.
    pub async fn directories_changed(&self) {
        tokio::select! {
            () = self.logs().directory_failed() => {}
            () = self.placed.notified() => {}
        }
    }

    /// The replicas that do not lie where the metadata says.
    pub fn misplaced(&self, image: &MetadataImage) -> Vec<ReplicaPlace> {
        let place = |partition: Arc<Partition>| {
            let topic_id = partition.topic_id();
            let number = partition.name().partition;
            let destination = self.moves.destination(partition.name());
            let directory = destination.or_else(|| self.directory_of(&partition))?;
            let told = image.topic_by_id(&topic_id)?.partition(number)?;
            (told.directory_of(self.node()) != directory).then_some(ReplicaPlace {
                topic_id,
                partition: number,
                directory,
            })
        };
        self.all().into_iter().filter_map(place).collect()
    }

    /// The directory that a partition lies in, online or not.
    pub(super) fn directory_of(&self, partition: &Partition) -> Option<Uuid> {
        let directory = self.logs().directory_of(&partition.view());
        directory.map(|directory| directory.id())
    }

    /// Why the broker cannot go on, if it cannot: the metadata, or everything, is lost to it.
    pub fn fatal_failure(&self) -> Option<String> {
        let metadata = self.logs().metadata_directory();
        let (path, failure) = (metadata.path().display(), metadata.failure()?);
        Some(format!(
            "the log directory of the metadata, {path}, has failed: {failure}"
        ))
    }

    /// Every log directory of the configuration. Blocks.
    pub fn describe_directories(&self) -> Vec<DirectoryState> {
        let mut logs: Vec<(PathBuf, HostedLog)> = Vec::new();
        let mut add = |view: &LogView, lag, is_copy| {
            let hosted = HostedLog {
                partition: view.partition().clone(),
                size: view.size(),
                lag,
                is_copy,
            };
            logs.push((view.log_dir().to_owned(), hosted));
        };
        for partition in self.all() {
            add(&partition.view(), 0, false);
        }
        for (copy, lag) in self.moves.copies() {
            add(&copy, lag, true);
        }
        logs.sort_by(|(_, one), (_, other)| one.partition.cmp(&other.partition));
        let describe = |configured: &PathBuf| {
            let lying_here = |(directory, hosted): &(PathBuf, HostedLog)| {
                (directory == configured).then(|| hosted.clone())
            };
            let contents = self
                .online_at(configured)
                .and_then(|_| self.runtime().disk.space(configured).ok())
                .map(|space| DirectoryContents {
                    space,
                    logs: logs.iter().filter_map(lying_here).collect(),
                });
            DirectoryState {
                path: absolute(configured),
                contents,
                cordoned: self.is_cordoned(configured),
            }
        };
        self.configured_directories().iter().map(describe).collect()
    }

    fn online_at(&self, configured: &Path) -> Option<&LogDirectory> {
        let found = self
            .online()
            .find(|directory| directory.path() == configured);
        found.map(|directory| &**directory)
    }

    /// Begins to move the partition to `directory`, an absolute path, in the background; one that lies
    /// there already stays, and is moved nowhere else. Blocks.
    ///
    /// A partition that does not exist yet will be made there, and is an error now.
    pub fn move_to_directory(
        self: &Arc<Replicas>,
        topic: &str,
        partition: i32,
        directory: &str,
        image: &ImageHandle,
    ) -> Result<(), MoveError> {
        if !LogManager::can_be_copied(topic, partition) {
            return Err(MoveError::NameTooLong);
        }
        // As text: another name of the same directory is none that Kafka knows.
        let mut configured = self.configured_directories().into_iter();
        let wanted = configured
            .find(|configured| absolute(configured).as_os_str() == directory)
            .ok_or(MoveError::UnknownDirectory)?;
        let directory = self.online_at(&wanted).ok_or(MoveError::OfflineDirectory)?;
        if self.is_cordoned(&wanted) {
            return Err(MoveError::CordonedDirectory);
        }
        let name = TopicName::parse(topic).ok();
        let name = name.map(|topic| TopicPartition::new(topic, partition));
        match (self.find(topic, partition, image), name) {
            (Ok(partition), _) => self.begin_move(&partition, directory),
            (Err(error), Some(name)) if error != LookupError::Offline => {
                self.moves.prefer(name, directory.id());
                Err(error.into())
            }
            (Err(error), _) => Err(error.into()),
        }
    }
}

/// As Kafka names a directory in its answers.
fn absolute(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    // Without a slash at the end.
    absolute.components().collect()
}
