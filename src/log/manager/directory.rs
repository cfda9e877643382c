//! One log directory (an entry of `log.dirs`).

use super::checkpoint::{self, Offsets};
use super::errors::ManagerError;
use super::meta_properties::{META_PROPERTIES, MetaProperties};
use super::spare::Spare;
use crate::log::files::remove_if_there;
use crate::log::health::Health;
use crate::log::log::Shutdown;
use crate::runtime::{Disk, Lock, Runtime, read_whole, write_whole};
use crate::types::{NodeId, Uuid};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use tokio::sync::Notify;

const LOCK: &str = ".lock";
const CLEAN_SHUTDOWN: &str = ".kafka_cleanshutdown";

/// A log directory that this process holds.
pub struct LogDirectory {
    pub(super) path: PathBuf,
    pub(super) id: Uuid,
    pub(super) health: Arc<Health>,
    pub(super) shutdown: Shutdown,
    /// Sent when the broker registers: tells the controller that the last stop was clean (KIP-966).
    pub(super) previous_broker_epoch: Option<i64>,
    pub(super) spare: Spare,
    /// Decides where the next partition goes.
    pub(super) partitions: AtomicUsize,
    /// What each checkpoint file says, so that an idle broker does not write. Held for one checkpoint.
    pub(super) written: Mutex<HashMap<&'static str, String>>,
    /// The lock file, held for as long as the process lives.
    pub(super) _lock: Box<dyn Lock>,
}

/// What a directory was found to be, before anything in it is changed.
pub(super) struct Claimed {
    pub(super) path: PathBuf,
    pub(super) lock: Box<dyn Lock>,
    pub(super) meta: Option<MetaProperties>,
}

/// Makes `path` so that a power loss cannot take it, and all that will be synced in it, away again.
fn create_durably(disk: &dyn Disk, path: &Path) -> io::Result<()> {
    let is_missing = |dir: &&Path| !dir.as_os_str().is_empty() && !disk.exists(dir);
    let missing: Vec<&Path> = path.ancestors().take_while(is_missing).collect();
    disk.create_dir_all(path)?;
    for parent in missing.iter().filter_map(|dir| dir.parent()) {
        let is_here = parent.as_os_str().is_empty();
        disk.sync_dir(if is_here { Path::new(".") } else { parent })?;
    }
    Ok(())
}

/// Makes the directory if need be, takes its lock and reads whose it is.
pub(super) fn claim(disk: &dyn Disk, path: &Path) -> Result<Claimed, ManagerError> {
    let unusable = |source| ManagerError::Unusable {
        dir: path.to_owned(),
        source,
    };
    create_durably(disk, path).map_err(unusable)?;
    let lock = disk.lock(&path.join(LOCK)).map_err(|error| {
        if error.kind() == io::ErrorKind::WouldBlock {
            ManagerError::Locked {
                dir: path.to_owned(),
            }
        } else {
            unusable(error)
        }
    })?;
    let meta = MetaProperties::read(disk, path).map_err(|source| {
        if source.kind() == io::ErrorKind::InvalidData {
            ManagerError::MetaProperties {
                path: path.join(META_PROPERTIES),
                reason: source.to_string(),
            }
        } else {
            unusable(source)
        }
    })?;
    Ok(Claimed {
        path: path.to_owned(),
        lock,
        meta,
    })
}

impl Claimed {
    /// Refuses a directory of another cluster or node.
    pub(super) fn check(&self, cluster_id: &str, node_id: NodeId) -> Result<(), ManagerError> {
        let Some(meta) = &self.meta else {
            return Ok(());
        };
        let path = || self.path.join(META_PROPERTIES);
        if meta.cluster_id != cluster_id {
            return Err(ManagerError::OtherCluster {
                path: path(),
                found: meta.cluster_id.clone(),
                expected: cluster_id.to_owned(),
            });
        }
        if meta.node_id != node_id {
            return Err(ManagerError::OtherNode {
                path: path(),
                found: meta.node_id,
                expected: node_id,
            });
        }
        Ok(())
    }

    /// Formats the directory if it is not, and takes down the sign of a clean stop: from here on, a
    /// crash is a crash. `failed` is told when the directory goes offline.
    pub(super) fn enter(
        self,
        runtime: &Runtime,
        cluster_id: &str,
        node_id: NodeId,
        failed: &Arc<Notify>,
    ) -> Result<LogDirectory, ManagerError> {
        let disk = &*runtime.disk;
        let path = self.path;
        let known = self.meta.as_ref().and_then(|meta| meta.directory_id);
        let entered = (|| {
            // First of all: a full disk must not keep the broker from starting.
            let spare = Spare::open(disk, &path)?;
            let id = match known {
                Some(id) => id,
                None => {
                    let id = runtime.rng.uuid();
                    let meta = MetaProperties {
                        cluster_id: cluster_id.to_owned(),
                        node_id,
                        directory_id: Some(id),
                    };
                    meta.write(disk, &path)?;
                    id
                }
            };
            Ok((spare, id, take_clean_shutdown(disk, &path)?))
        })();
        let (spare, id, clean) = entered.map_err(|source| ManagerError::Unusable {
            dir: path.clone(),
            source,
        })?;
        Ok(LogDirectory {
            path,
            id,
            health: Arc::new(Health::telling(failed.clone())),
            shutdown: match clean {
                Some(_) => Shutdown::Clean,
                None => Shutdown::Unclean,
            },
            previous_broker_epoch: clean.flatten(),
            spare,
            partitions: AtomicUsize::new(0),
            written: Mutex::default(),
            _lock: self.lock,
        })
    }
}

/// Reads and removes the sign of a clean stop. The broker epoch in it may be missing.
fn take_clean_shutdown(disk: &dyn Disk, dir: &Path) -> io::Result<Option<Option<i64>>> {
    let path = dir.join(CLEAN_SHUTDOWN);
    let bytes = match read_whole(disk, &path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    remove_if_there(disk, &path)?;
    disk.sync_dir(dir)?;
    let json: Option<serde_json::Value> = serde_json::from_slice(&bytes).ok();
    Ok(Some(
        json.and_then(|json| json.get("brokerEpoch")?.as_i64()),
    ))
}

impl LogDirectory {
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// `directory.id` in `meta.properties`.
    pub fn id(&self) -> Uuid {
        self.id
    }

    /// Gives back some of the space kept in reserve if the disk is full, for work that is to succeed all the same.
    pub fn make_room(&self, disk: &dyn Disk) {
        self.spare.make_room(disk);
    }

    pub fn is_online(&self) -> bool {
        self.health.is_online()
    }

    /// Why it went offline.
    pub fn failure(&self) -> Option<&str> {
        self.health.failure()
    }

    pub(super) fn checkpointed(&self, disk: &dyn Disk, name: &'static str) -> Offsets {
        match checkpoint::read(disk, &self.path.join(name)) {
            Ok(offsets) => {
                (self.written.lock()).insert(name, checkpoint::text(&offsets));
                offsets
            }
            Err(error) => {
                // Every checkpoint only saves work or is raised again by what the logs say.
                tracing::warn!(dir = %self.path.display(), name, %error, "ignored a checkpoint");
                Offsets::new()
            }
        }
    }

    /// Writes a checkpoint, unless it already says this.
    pub(super) fn checkpoint(
        &self,
        disk: &dyn Disk,
        name: &'static str,
        offsets: &Offsets,
    ) -> io::Result<()> {
        let text = checkpoint::text(offsets);
        let mut written = self.written.lock();
        if written.get(name) == Some(&text) {
            return Ok(());
        }
        checkpoint::write(disk, &self.path.join(name), &text)
            .inspect_err(|error| self.health.fail_unless_full(&self.path, error))?;
        written.insert(name, text);
        Ok(())
    }

    /// Puts up the sign of a clean stop: the last thing that is written.
    pub(super) fn sign_clean(&self, disk: &dyn Disk, broker_epoch: i64) -> io::Result<()> {
        let text = format!("{{\"version\":0,\"brokerEpoch\":{broker_epoch}}}");
        write_whole(disk, &self.path.join(CLEAN_SHUTDOWN), text.as_bytes())
    }
}
