//! Why the log directories cannot be used.

use crate::log::errors::OpenError;
use crate::types::{NodeId, TopicPartition};
use std::io;
use std::path::PathBuf;

/// Why the broker cannot start on its log directories. Nothing was changed, but for directories made.
#[derive(Debug, thiserror::Error)]
pub enum ManagerError {
    #[error("no log directory is configured")]
    NoDirectory,
    #[error("log directory {} is configured twice", dir.display())]
    Twice { dir: PathBuf },
    #[error("log directory {} cannot be used: {source}", dir.display())]
    Unusable { dir: PathBuf, source: io::Error },
    #[error("log directory {} is in use by another broker, which holds its lock", dir.display())]
    Locked { dir: PathBuf },
    #[error("{} cannot be understood: {reason}", path.display())]
    MetaProperties { path: PathBuf, reason: String },
    #[error(
        "{} belongs to cluster {found}, this broker to cluster {expected}",
        path.display()
    )]
    OtherCluster {
        path: PathBuf,
        found: String,
        expected: String,
    },
    #[error("{} belongs to node {found}, this broker is node {expected}", path.display())]
    OtherNode {
        path: PathBuf,
        found: NodeId,
        expected: NodeId,
    },
    #[error("log directory {} is not formatted: it has no meta.properties", dir.display())]
    NotFormatted { dir: PathBuf },
    #[error("log directories {} and {} have the same directory.id", one.display(), other.display())]
    SameDirectoryId { one: PathBuf, other: PathBuf },
    #[error("metadata.log.dir {} is not one of the log directories", dir.display())]
    MetadataDir { dir: PathBuf },
}

/// Why the partitions could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error(
        "{} is not the name of a partition's directory (topic-number); log directories may hold nothing else",
        path.display()
    )]
    ForeignDirectory { path: PathBuf },
    #[error("{partition} lies both in {} and in {}; remove one of them", one.display(), other.display())]
    TwoDirectories {
        partition: TopicPartition,
        one: PathBuf,
        other: PathBuf,
    },
    #[error("loading the logs panicked")]
    Panicked,
}

/// Why a partition could not be created.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    #[error("all log directories are offline")]
    AllOffline,
    #[error("the topic name is too long")]
    NameTooLong,
    #[error(transparent)]
    Open(#[from] OpenError),
}
