//! The log directories as administrators see them: how full they are and what lies in them.

use super::manager::{LookupError, Replicas};
use crate::metadata::ImageHandle;
use crate::runtime::Space;
use crate::types::TopicPartition;
use std::path::{Path, PathBuf};

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
