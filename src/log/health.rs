//! Whether a log directory still works, and files that wait for their removal.

use super::files;
use crate::runtime::Disk;
use crate::types::Timestamp;
use parking_lot::Mutex;
use rustix::io::Errno;
use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use tokio::sync::Notify;

/// Whether there was only no room, on the disk or within a limit, such as that of open files.
pub(super) fn is_full(error: &io::Error) -> bool {
    let is_out_of_handles = matches!(
        Errno::from_io_error(error),
        Some(Errno::MFILE | Errno::NFILE)
    );
    is_out_of_handles
        || matches!(
            error.kind(),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
        )
}

/// One log directory's state, shared by all logs in it.
#[derive(Debug, Default)]
pub struct Health {
    failure: OnceLock<String>,
    /// Told of a failure; the same for all directories of a broker.
    failed: Arc<Notify>,
}

impl Health {
    pub(super) fn telling(failed: Arc<Notify>) -> Health {
        Health {
            failure: OnceLock::new(),
            failed,
        }
    }

    pub fn is_online(&self) -> bool {
        self.failure.get().is_none()
    }

    /// Why it went offline.
    pub fn failure(&self) -> Option<&str> {
        self.failure.get().map(String::as_str)
    }

    /// As [`Health::fail`], unless the disk is only full: what was written before stands then, and the
    /// next time works once there is room.
    pub fn fail_unless_full(&self, dir: &Path, error: &io::Error) {
        if !is_full(error) {
            self.fail(dir, error);
        }
    }

    /// Takes the directory offline, for good: only a restart brings it back.
    pub fn fail(&self, dir: &Path, error: &io::Error) {
        if self.failure.set(error.to_string()).is_ok() {
            tracing::error!(dir = %dir.display(), %error, "log directory is offline");
            self.failed.notify_one();
        }
    }
}

/// Files and directories to be removed once nobody can still be opening them.
#[derive(Debug, Default)]
pub struct Trash {
    /// Held for one push or pop; deleting happens outside.
    waiting: Mutex<VecDeque<(Timestamp, PathBuf)>>,
}

impl Trash {
    pub fn put(&self, due: Timestamp, path: PathBuf) {
        self.waiting.lock().push_back((due, path));
    }

    /// Removes what is due at `now`; how many things went. What cannot be removed is tried again at the
    /// next start.
    pub fn empty(&self, disk: &dyn Disk, now: Timestamp) -> usize {
        let due: Vec<PathBuf> = {
            let mut waiting = self.waiting.lock();
            let (due, later) = waiting.drain(..).partition(|(due, _)| *due <= now);
            *waiting = later;
            due.into_iter().map(|(_, path)| path).collect()
        };
        for path in &due {
            let is_dir = disk.metadata(path).is_ok_and(|found| found.is_dir);
            let removed = if is_dir {
                disk.remove_dir_all(path)
            } else {
                files::remove_if_there(disk, path)
            };
            if let Err(error) = removed {
                tracing::warn!(path = %path.display(), %error, "could not remove a deleted file");
            }
        }
        due.len()
    }
}
