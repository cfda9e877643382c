//! Bringing a log to the disk, without the writer's lock.

use super::epochs;
use super::errors::FlushError;
use super::health::Health;
use crate::runtime::{Disk, File, Sync};
use crate::types::Offset;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

/// A sync that is prepared. See [`super::Log::begin_flush`].
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
    pub(super) sync_dir: bool,
    pub(super) sync_parent: bool,
}

/// Proof of a sync.
#[must_use]
#[derive(Debug)]
pub struct Flushed {
    pub(super) up_to: Offset,
    pub(super) cuts: u64,
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
        match self.sync() {
            Ok(()) => Ok(Flushed {
                up_to: self.up_to,
                cuts: self.cuts,
            }),
            Err(source) => {
                // After a failed sync the kernel may drop the dirty pages and report success next time,
                // so there is no second try: the whole log directory goes offline.
                self.health
                    .fail(self.dir.parent().unwrap_or(&self.dir), &source);
                Err(FlushError {
                    dir: self.dir,
                    source,
                })
            }
        }
    }

    fn sync(&self) -> io::Result<()> {
        // The epochs first: once the recovery point has passed a batch, nothing else tells its epoch.
        if let Some(text) = &self.epochs {
            epochs::save(&*self.disk, &self.dir, text)?;
        }
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
