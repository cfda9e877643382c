//! The log directories as administrators see them: how full they are and what lies in them.

use super::manager::{LookupError, Replicas};
use super::partition::Partition;
use crate::metadata::{ImageHandle, MetadataImage};
use crate::runtime::Space;
use crate::types::{TopicPartition, Uuid};
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
    /// Bytes in the segments of each partition, by name.
    pub partitions: Vec<(TopicPartition, u64)>,
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
    #[error("partitions cannot be moved between log directories")]
    Unsupported,
}

impl Replicas {
    /// Ids of the log directories that work.
    pub fn directory_ids(&self) -> Vec<Uuid> {
        let online = self.logs().directories().iter().filter(|it| it.is_online());
        online.map(|directory| directory.id()).collect()
    }

    /// Log directories of the configuration that do not work.
    pub fn offline_directory_count(&self) -> usize {
        self.configured_directories().len() - self.directory_ids().len()
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
            let directory = self.directory_of(&partition)?;
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
        let directory = self.logs().directory_of(partition.view());
        directory.map(|directory| directory.id())
    }

    /// Why the broker cannot go on, if it cannot: the metadata, or everything, is lost to it.
    pub fn fatal_failure(&self) -> Option<String> {
        let metadata = self.logs().metadata_directory();
        if let Some(failure) = metadata.failure() {
            let path = metadata.path().display();
            return Some(format!(
                "the log directory of the metadata, {path}, has failed: {failure}"
            ));
        }
        None
    }

    /// Every log directory of the configuration. Blocks.
    pub fn describe_directories(&self) -> Vec<DirectoryState> {
        let mut partitions: Vec<_> = self.all();
        partitions.sort_by(|one, other| one.name().cmp(other.name()));
        let describe = |configured: &PathBuf| {
            let mut directories = self.logs().directories().iter();
            let contents = directories
                .find(|directory| directory.path() == configured && directory.is_online())
                .and_then(|_| self.runtime().disk.space(configured).ok())
                .map(|space| DirectoryContents {
                    space,
                    partitions: partitions
                        .iter()
                        .filter(|partition| partition.view().log_dir() == configured)
                        .map(|partition| (partition.name().clone(), partition.view().size()))
                        .collect(),
                });
            DirectoryState {
                path: absolute(configured),
                contents,
                cordoned: self.is_cordoned(configured),
            }
        };
        self.configured_directories().iter().map(describe).collect()
    }

    /// Checks that the partition lies in `directory`, an absolute path, where it is wanted.
    ///
    /// Errors: it lies in another one. Nothing is moved.
    pub fn move_to_directory(
        &self,
        topic: &str,
        partition: i32,
        directory: &str,
        image: &ImageHandle,
    ) -> Result<(), MoveError> {
        let mut configured = self.configured_directories().into_iter();
        let wanted = configured
            .find(|configured| absolute(configured) == Path::new(directory))
            .ok_or(MoveError::UnknownDirectory)?;
        let mut directories = self.logs().directories().iter();
        directories
            .find(|directory| directory.path() == wanted && directory.is_online())
            .ok_or(MoveError::OfflineDirectory)?;
        if self.is_cordoned(&wanted) {
            return Err(MoveError::CordonedDirectory);
        }
        let partition = self.find(topic, partition, image)?;
        if partition.view().log_dir() == wanted {
            Ok(())
        } else {
            Err(MoveError::Unsupported)
        }
    }
}

/// As Kafka names a directory in its answers.
fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}
