//! Bringing a log to the disk, without the writer's lock.

use super::epochs;
use super::errors::{FlushError, StorageError};
use super::files;
use super::health::Health;
use super::log::Log;
use crate::runtime::{Disk, File, Open, Sync};
use crate::types::Offset;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// A sync that is prepared. See [`Log::begin_flush`].
#[must_use]
pub struct Flush {
    pub(super) up_to: Offset,
    pub(super) cuts: u64,
    pub(super) disk: Arc<dyn Disk>,
    pub(super) dir: PathBuf,
    pub(super) health: Arc<Health>,
    pub(super) files: Vec<Arc<dyn File>>,
    /// The epoch checkpoint's new text.
    pub(super) epochs: Option<String>,
    /// Changes of the directory that it covers.
    pub(super) dir_changes: u64,
    pub(super) sync_dir: bool,
    pub(super) sync_parent: bool,
}

/// Proof of a sync.
#[must_use]
#[derive(Debug)]
pub struct Flushed {
    pub(super) up_to: Offset,
    pub(super) cuts: u64,
    pub(super) epochs: Option<String>,
    pub(super) dir_changes: u64,
}

impl Flush {
    /// A sync of some files and nothing else.
    pub(super) fn only(
        files: Vec<Arc<dyn File>>,
        disk: &Arc<dyn Disk>,
        dir: &std::path::Path,
        health: &Arc<Health>,
    ) -> Flush {
        Flush {
            up_to: Offset::ZERO,
            cuts: 0,
            disk: disk.clone(),
            dir: dir.to_owned(),
            health: health.clone(),
            files,
            epochs: None,
            dir_changes: 0,
            sync_dir: true,
            sync_parent: false,
        }
    }

    /// The log's end that this sync covers.
    pub fn up_to(&self) -> Offset {
        self.up_to
    }

    /// Syncs; blocks for as long as the disk takes.
    pub fn run(self) -> Result<Flushed, FlushError> {
        let log_dir = self.dir.parent().unwrap_or(&self.dir);
        let flushed = match self.save_epochs() {
            // Where there is no room for the checkpoint, the next flush begins anew.
            Err(error) => Err((self.health.fail_unless_full(log_dir, &error), error)),
            // After a failed sync the kernel may drop the dirty pages and report success next time, so
            // there is no second try: the whole log directory goes offline.
            Ok(()) => (self.sync()).map_err(|error| (self.health.fail(log_dir, &error), error)),
        };
        match flushed {
            Ok(()) => Ok(Flushed {
                up_to: self.up_to,
                cuts: self.cuts,
                epochs: self.epochs,
                dir_changes: self.dir_changes,
            }),
            Err(((), source)) => Err(FlushError {
                dir: self.dir,
                source,
            }),
        }
    }

    /// Before anything else: once the recovery point has passed a batch, nothing else tells its epoch.
    fn save_epochs(&self) -> io::Result<()> {
        match &self.epochs {
            Some(text) => epochs::save(&*self.disk, &self.dir, text),
            None => Ok(()),
        }
    }

    fn sync(&self) -> io::Result<()> {
        for file in &self.files {
            file.sync(Sync::Data)?;
        }
        if self.sync_dir {
            self.disk.sync_dir(&self.dir)?;
        }
        if self.sync_parent
            && let Some(parent) = self.dir.parent()
        {
            self.disk.sync_dir(parent)?;
        }
        Ok(())
    }
}

impl Log {
    /// Prepares a sync of everything that is in the log now. `None` if there is nothing to sync.
    ///
    /// The sync itself ([`Flush::run`]) takes long and needs no lock; [`Log::finish_flush`] then moves
    /// the recovery point.
    pub fn begin_flush(&mut self) -> Result<Option<Flush>, StorageError> {
        self.check_online()?;
        let (from, up_to) = (self.recovery_point(), self.log_end());
        let epochs = self.shared.epochs.read().unsaved();
        if from == up_to && epochs.is_none() {
            return Ok(None);
        }
        let mut synced = Vec::new();
        let segments = self.shared.segments.load();
        for segment in segments.iter() {
            // One that ends at the recovery point was synced before it was closed, without its indexes.
            if segment.base != self.active.base && segment.end() >= from {
                synced.extend(segment.files()?);
            }
        }
        synced.push(self.active.file.clone());
        synced.extend(self.active.aborted.file()?);
        if let Some(at) = self.snapshot_at
            && at >= from
        {
            let path = files::named(&self.shared.dir, at, files::SNAPSHOT);
            synced.push(self.disk.open(&path, Open::Write)?);
        }
        let metadata = self.shared.dir.join(files::PARTITION_METADATA);
        if self.never_synced && self.disk.exists(&metadata) {
            synced.push(self.disk.open(&metadata, Open::Write)?);
        }
        Ok(Some(Flush {
            up_to,
            cuts: self.cuts,
            disk: self.disk.clone(),
            dir: self.shared.dir.clone(),
            health: self.shared.health.clone(),
            files: synced,
            epochs,
            dir_changes: self.dir_changes,
            sync_dir: self.dir_changes > self.dir_changes_synced || self.never_synced,
            sync_parent: self.never_synced,
        }))
    }

    /// Takes note of a sync that succeeded.
    pub fn finish_flush(&mut self, flushed: Flushed) {
        if flushed.cuts == self.cuts && flushed.up_to > self.recovery_point() {
            self.shared
                .recovery_point
                .store(flushed.up_to.0, Ordering::Release);
        }
        self.dir_changes_synced = self.dir_changes_synced.max(flushed.dir_changes);
        self.never_synced = false;
        if let Some(text) = flushed.epochs {
            self.shared.epochs.write().saved(&text);
        }
    }

    /// Syncs everything that is in the log, here and now.
    pub fn flush(&mut self) -> Result<(), StorageError> {
        if let Some(flush) = self.begin_flush()? {
            let flushed = flush.run()?;
            self.finish_flush(flushed);
        }
        Ok(())
    }

    /// Leaves the directory as a clean stop should: indexes complete, producers saved, all on disk.
    /// Appends are refused from then on; reads go on.
    pub fn close(&mut self) -> Result<(), StorageError> {
        self.check_online()?;
        self.trim()?;
        self.active.seal()?;
        let end = self.log_end();
        if !self.producers.is_empty() || self.snapshot_at.is_some() {
            self.take_snapshot(end)?;
        }
        let indexes = self.active.files()?;
        self.flush()?;
        if let Some(epochs) = self.shared.epochs.read().unsaved() {
            epochs::save(&*self.disk, &self.shared.dir, &epochs)?;
        }
        // The flush may have had nothing to do, or not these: index tails were written just now.
        self.sync_or_fail(indexes)?;
        self.shared.closed.store(true, Ordering::Release);
        Ok(())
    }

    fn sync_or_fail(&self, files: Vec<Arc<dyn File>>) -> Result<(), FlushError> {
        Flush::only(files, &self.disk, &self.shared.dir, &self.shared.health)
            .run()
            .map(|_| ())
    }
}
