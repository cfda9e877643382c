//! Moving partitions between log directories: a copy takes the place of its original.
//!
//! The order of the renames is such that a crash leaves either the original, with the copy beside it, or the
//! complete copy alone. Apache Kafka renames the copy first; after a crash in between its next start, and
//! ours, finds the partition twice and refuses.

use super::directory::LogDirectory;
use super::errors::CreateError;
use super::{LogManager, Offset};
use crate::log::config::LogConfig;
use crate::log::errors::{OpenError, StorageError};
use crate::log::files;
use crate::log::log::{Log, Opening, Shutdown};
use crate::log::view::LogView;
use crate::types::{Timestamp, Uuid};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

impl LogManager {
    /// The directory with this id, online or not.
    pub fn directory(&self, id: Uuid) -> Option<&Arc<LogDirectory>> {
        self.directories.iter().find(|directory| directory.id == id)
    }

    /// Whether the directory of a copy of the partition has room for the topic's name, valid or not.
    pub fn can_be_copied(topic: &str, partition: i32) -> bool {
        files::has_room_for_copy(topic, partition)
    }

    /// Begins an empty copy of `original` in `directory`.
    pub fn create_copy(
        &self,
        original: &LogView,
        topic_id: Uuid,
        config: LogConfig,
        directory: &LogDirectory,
        now: Timestamp,
    ) -> Result<Log, CreateError> {
        let partition = original.partition().clone();
        let name = files::copy_name(&partition, self.runtime.rng.uuid());
        let path = directory.path.join(name.ok_or(CreateError::NameTooLong)?);
        self.prepare(&path, topic_id)?;
        let opening = Opening {
            cleaned_end: original.cleaned_end(),
            health: directory.health.clone(),
            trash: self.trash.clone(),
            ..Opening::new(partition, config, now)
        };
        let (copy, _) = Log::open(&self.runtime, &path, opening)?;
        directory.partitions.fetch_add(1, Ordering::Relaxed);
        Ok(copy)
    }

    /// Puts the copy, which has taken over everything ([`Log::take_over`]), in the place of its original,
    /// whose bytes go after `file.delete.delay.ms`.
    ///
    /// Errors: the log directory that failed is offline, and the next start finds what is left.
    pub fn replace(&self, original: Log, copy: Log, now: Timestamp) -> Result<Log, StorageError> {
        let config = original.config().clone();
        let source = original.log_dir().to_owned();
        let gone = self.delete(original, now).and_then(|()| {
            self.runtime.disk.sync_dir(&source)?;
            Ok(())
        });
        if let Err(error) = gone {
            self.fail(&source, &io::Error::other(error.to_string()));
            return Err(error);
        }
        self.promote(copy, config, now)
            .map_err(|error| StorageError::Io(error.source))
    }

    /// Makes a complete copy the partition's log.
    pub fn promote(&self, copy: Log, config: LogConfig, now: Timestamp) -> Result<Log, OpenError> {
        let view = copy.view();
        let path = view.log_dir().join(view.partition().to_string());
        let opening = Opening {
            shutdown: if view.is_closed() {
                Shutdown::Clean
            } else {
                Shutdown::Unclean
            },
            recovery_point: view.recovery_point(),
            log_start: view.log_start(),
            high_watermark: view.high_watermark(),
            cleaned_end: view.cleaned_end(),
            health: view.health().clone(),
            trash: self.trash.clone(),
            ..Opening::new(view.partition().clone(), config, now)
        };
        drop(copy);
        let disk = &self.runtime.disk;
        let renamed = (disk.rename(view.dir(), &path)).and_then(|()| disk.sync_dir(view.log_dir()));
        let opened = renamed
            .map_err(|source| OpenError {
                dir: path.clone(),
                source,
            })
            .and_then(|()| Log::open(&self.runtime, &path, opening));
        let (log, _) = opened.inspect_err(|error| self.fail(view.log_dir(), &error.source))?;
        let (found, expected): (Offset, Offset) = (log.log_end(), view.log_end());
        assert!(
            found == expected,
            "the copy ended at {expected}, now at {found}"
        );
        Ok(log)
    }

    fn fail(&self, path: &Path, error: &io::Error) {
        let mut directories = self.directories.iter();
        if let Some(directory) = directories.find(|directory| directory.path == path) {
            directory.health.fail(path, error);
        }
    }
}
