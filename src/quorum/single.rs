//! A quorum of one: the metadata log on this node's own disk, synced before anybody is told.

use super::load::{self, LoadError, Loaded};
use super::snapshot::{Contents, Retention, Snapshot, Voters};
use super::{MetadataQuorum, QuorumError, QuorumStatus, VoterStatus, control_value};
use crate::config::MetadataLogConfig;
use crate::log::{Log, LogDirectory};
use crate::metadata::{
    Delta, ImageHandle, METADATA_VERSION_NAME, MetadataImage, MetadataListener, MetadataRecord,
};
use crate::protocol::messages::LeaderChangeMessage;
use crate::protocol::messages::leader_change_message::Voter;
use crate::record::control::{self, ControlType};
use crate::record::{BatchBuilder, BatchOptions, NewRecord};
use crate::runtime::{self, Instant, Runtime, sleep_until};
use crate::types::{LeaderEpoch, NodeId, Offset, Timestamp, Uuid};
use parking_lot::{Mutex, RwLock};
use std::future::Future;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;
use tracing::{error, info};

/// How often, at least, is looked for snapshots that time makes due, or too old (`KafkaRaftClient`).
const UPKEEP: Duration = Duration::from_secs(60);

/// The file that remembers the quorum's epoch over restarts.
const QUORUM_STATE: &str = "quorum-state";

/// The metadata log of a cluster of one node. Cheap to clone.
#[derive(Clone)]
pub struct SingleQuorum(Arc<Inner>);

struct Inner {
    runtime: Runtime,
    node: NodeId,
    /// The log directory that the log lies in.
    directory: Arc<LogDirectory>,
    epoch: LeaderEpoch,
    image: ImageHandle,
    end: AtomicI64,
    config: MetadataLogConfig,
    voters: Voters,
    /// Held for a few stores.
    progress: Mutex<Progress>,
    /// `None` once it was closed. Held from encoding a batch until everybody has acted on it; taken on blocking threads only.
    log: Mutex<Option<Log>>,
    /// Read on every change; written while the broker starts.
    listeners: RwLock<Vec<Arc<dyn MetadataListener>>>,
}

/// What is new since the last snapshot.
struct Progress {
    /// Bytes of records.
    bytes: u64,
    /// When the newest of them was written.
    newest: Timestamp,
    /// When the last snapshot was begun, or the broker started.
    since: Instant,
    /// One is being written.
    is_writing: bool,
}

impl SingleQuorum {
    /// Replays the newest snapshot beside `log`, which lies in `directory`, and the log behind it, takes the lead
    /// in a new epoch, and publishes the image. The log of a new cluster begins with what `first` makes of that which
    /// its directory was formatted with.
    pub fn open(
        runtime: Runtime,
        mut log: Log,
        directory: Arc<LogDirectory>,
        node: NodeId,
        image: ImageHandle,
        first: impl FnOnce(Option<MetadataImage>) -> Vec<MetadataRecord>,
        config: &MetadataLogConfig,
    ) -> Result<SingleQuorum, LoadError> {
        let path = log.dir().join(QUORUM_STATE);
        let (leader, epoch) = read_state(&runtime, &path)?;
        if leader >= 0 && leader != node.get() {
            return Err(LoadError::OtherLeader {
                found: leader,
                expected: node,
            });
        }
        let latest = log.view().latest_epoch().unwrap_or(LeaderEpoch::NONE);
        let epoch = LeaderEpoch(epoch.max(latest.get()) + 1);
        write_state(&runtime, &path, node, epoch)?;

        let Loaded {
            image: loaded,
            voters,
            bytes,
        } = load::load(&runtime, &mut log)?;
        // The leader of a cluster's first epoch may have stopped before it wrote them.
        let is_new = !loaded.features.contains_key(METADATA_VERSION_NAME);
        let first = match is_new {
            true => first(load::formatted(&runtime, directory.path())?),
            false => Vec::new(),
        };
        info!(end = %loaded.end, topics = loaded.topic_count(), %epoch, "metadata loaded");
        image.publish(Arc::new(loaded));
        let progress = Progress {
            bytes,
            newest: runtime.clock.wall(),
            since: runtime.clock.monotonic(),
            is_writing: false,
        };
        let quorum = Arc::new(Inner {
            runtime,
            node,
            directory,
            epoch,
            image,
            end: AtomicI64::new(log.log_end().get()),
            config: config.clone(),
            voters,
            progress: Mutex::new(progress),
            log: Mutex::new(Some(log)),
            listeners: RwLock::default(),
        });
        quorum.announce().map_err(LoadError::Append)?;
        if is_new {
            quorum.write(&first).map_err(LoadError::Append)?;
        }
        Ok(SingleQuorum(quorum))
    }

    /// Starts the task that writes the snapshots which time makes due, and removes old ones. It ends when the
    /// broker's tasks are told to stop.
    pub fn start_upkeep(&self) {
        let quorum = self.0.clone();
        let tasks = quorum.runtime.tasks.clone();
        let interval = quorum.config.snapshot_interval();
        tasks.clone().spawn(async move {
            loop {
                let cleaned = quorum.clone();
                tasks.blocking(move || cleaned.clean()).await;
                quorum.snapshot_if_due();
                let pause = interval.map_or(UPKEEP, |interval| interval.min(UPKEEP));
                let next = quorum.runtime.clock.monotonic() + pause;
                tokio::select! {
                    biased;
                    () = tasks.stopping() => return,
                    () = sleep_until(next) => {}
                }
            }
        });
    }

    /// From now on `listener` acts on changes, before readers see them.
    pub fn follow(&self, listener: Arc<dyn MetadataListener>) {
        self.0.listeners.write().push(listener);
    }

    /// Closes the log in good order.
    pub fn close(&self) {
        if let Some(Err(error)) = self.0.log.lock().take().map(|mut log| log.close()) {
            error!(%error, "could not close the metadata log");
        }
    }
}

impl Inner {
    /// Each epoch begins with a control record that names its leader.
    fn announce(&self) -> Result<(), QuorumError> {
        let voter = Voter {
            voter_id: self.node.get(),
            ..Voter::default()
        };
        let message = LeaderChangeMessage {
            leader_id: self.node.get(),
            voters: vec![voter.clone()],
            granting_voters: vec![voter],
            ..LeaderChangeMessage::default()
        };
        let value =
            control_value(&message).map_err(|error| QuorumError::Encode(error.to_string()))?;
        let now = self.runtime.clock.wall();
        let batch = control::raft(ControlType::LeaderChange, &value, self.epoch, now);
        let mut guard = self.log.lock();
        let log = guard.as_mut().ok_or(QuorumError::Stopping)?;
        self.append_durably(log, batch)?;
        let mut image = (*self.image.load()).clone();
        image.end = log.log_end();
        self.image.publish(Arc::new(image));
        Ok(())
    }

    /// Appends, syncs, folds, has everybody act, publishes.
    fn write(self: &Arc<Inner>, records: &[MetadataRecord]) -> Result<(), QuorumError> {
        let mut guard = self.log.lock();
        let log = guard.as_mut().ok_or(QuorumError::Stopping)?;
        let before = self.image.load();
        let end = Offset(log.log_end().get() + i64::try_from(records.len()).unwrap_or(i64::MAX));
        // Folded before it is written: records that contradict the image never reach the log.
        let (image, delta) = Delta::fold(&before, records, end)?;
        let now = self.runtime.clock.wall();
        let options = BatchOptions {
            leader_epoch: self.epoch,
            ..BatchOptions::default()
        };
        let level = before.metadata_version();
        let mut builder = BatchBuilder::new(options);
        for record in records {
            let value = record
                .encode(level)
                .map_err(|e| QuorumError::Encode(e.to_string()))?;
            builder.push(
                now,
                NewRecord {
                    value: Some(&value),
                    ..NewRecord::default()
                },
            );
        }
        let batch = builder
            .build()
            .map_err(|e| QuorumError::Encode(e.to_string()))?;
        let bytes = batch.size() as u64;
        self.append_durably(log, batch)?;
        assert_eq!(log.log_end(), end, "one offset for each metadata record");
        for listener in self.listeners.read().iter() {
            listener.on_change(&delta, &image);
        }
        self.image.publish(Arc::new(image));
        {
            let mut progress = self.progress.lock();
            progress.bytes += bytes;
            progress.newest = now;
        }
        self.snapshot_if_due();
        Ok(())
    }

    /// Begins a snapshot in the background, once enough has changed, or what has changed is old enough.
    fn snapshot_if_due(self: &Arc<Inner>) {
        let now = self.runtime.clock.monotonic();
        let mut progress = self.progress.lock();
        let interval = self.config.snapshot_interval();
        let is_old = interval.is_some_and(|interval| now - progress.since >= interval);
        let is_due = progress.bytes >= self.config.snapshot_bytes || (is_old && progress.bytes > 0);
        if !is_due || progress.is_writing {
            return;
        }
        progress.is_writing = true;
        progress.bytes = 0;
        progress.since = now;
        let quorum = self.clone();
        self.runtime.tasks.spawn_blocking(move || {
            quorum.snapshot();
            quorum.progress.lock().is_writing = false;
            quorum.clean();
        });
    }

    /// Writes what the image says now. Changes go on meanwhile.
    fn snapshot(&self) {
        let (image, newest, snapshot) = {
            let guard = self.log.lock();
            let Some(log) = guard.as_ref() else { return };
            let newest = self.progress.lock().newest;
            let snapshot = Snapshot::new(log.dir(), log.log_end(), self.epoch);
            (self.image.load(), newest, snapshot)
        };
        assert_eq!(image.end, snapshot.end, "the image is as of the log's end");
        let contents = Contents {
            image: &image,
            voters: &self.voters,
            newest,
        };
        match snapshot.write(&self.runtime, &contents) {
            Ok(()) => info!(end = %snapshot.end, "wrote a metadata snapshot"),
            // The log still has all of it.
            Err(error) => error!(%error, "could not write a metadata snapshot"),
        }
    }

    /// Removes the snapshots, and the part of the log, that are not kept any more.
    fn clean(&self) {
        let retention = Retention {
            bytes: self.config.retention_bytes,
            ms: self.config.retention_ms,
        };
        if let Some(log) = self.log.lock().as_mut()
            && let Err(error) = retention.clean(&self.runtime, log)
        {
            error!(%error, "could not remove old metadata");
        }
    }

    fn append_durably(
        &self,
        log: &mut Log,
        batch: crate::record::ValidBatch,
    ) -> Result<(), QuorumError> {
        // On a full disk, too, topics can be deleted and retention be lowered.
        self.directory.make_room(&*self.runtime.disk);
        let now = self.runtime.clock.wall();
        log.append_as_leader(batch, self.epoch, now)
            .map_err(|error| QuorumError::Storage(error.to_string()))?;
        log.advance_high_watermark(log.log_end());
        log.flush()
            .map_err(|error| QuorumError::Storage(error.to_string()))?;
        self.end.store(log.log_end().get(), Ordering::Release);
        Ok(())
    }
}

impl MetadataQuorum for SingleQuorum {
    fn append(
        &self,
        records: Vec<MetadataRecord>,
    ) -> Pin<Box<dyn Future<Output = Result<(), QuorumError>> + Send + '_>> {
        let quorum = self.0.clone();
        Box::pin(async move {
            let tasks = quorum.runtime.tasks.clone();
            let written = tasks.blocking(move || quorum.write(&records)).await;
            written.unwrap_or(Err(QuorumError::Stopping))
        })
    }

    fn end(&self) -> Offset {
        Offset(self.0.end.load(Ordering::Acquire))
    }

    fn leader(&self) -> (NodeId, LeaderEpoch) {
        (self.0.node, self.0.epoch)
    }

    fn status(&self) -> QuorumStatus {
        // The only voter agrees with itself: all that it has counts.
        let end = self.end();
        QuorumStatus {
            leader: self.0.node,
            epoch: self.0.epoch,
            high_watermark: end,
            voters: vec![VoterStatus {
                id: self.0.node,
                directory: self.0.directory.id(),
                log_end: end,
            }],
        }
    }
}

/// Leader and epoch of the last start; −1 and 0 where there was none.
fn read_state(runtime: &Runtime, path: &Path) -> Result<(i32, i32), LoadError> {
    let bytes = match runtime::read_whole(&*runtime.disk, path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((-1, 0)),
        Err(error) => {
            return Err(LoadError::State {
                path: path.to_owned(),
                error,
            });
        }
    };
    let bad = |reason: &str| LoadError::BadState {
        path: path.to_owned(),
        reason: reason.to_owned(),
    };
    let state: serde_json::Value =
        serde_json::from_slice(&bytes).map_err(|error| bad(&error.to_string()))?;
    let number = |name: &str| {
        let field = state.get(name).and_then(serde_json::Value::as_i64);
        field
            .and_then(|value| i32::try_from(value).ok())
            .ok_or_else(|| bad(name))
    };
    Ok((number("leaderId")?, number("leaderEpoch")?))
}

/// As `FileQuorumStateStore` writes it, data version 1.
fn write_state(
    runtime: &Runtime,
    path: &Path,
    node: NodeId,
    epoch: LeaderEpoch,
) -> Result<(), LoadError> {
    let state = serde_json::json!({
        "leaderId": node.get(),
        "leaderEpoch": epoch.get(),
        "votedId": -1,
        "votedDirectoryId": Uuid::ZERO.to_string(),
        "data_version": 1,
    });
    runtime::write_whole(&*runtime.disk, path, state.to_string().as_bytes()).map_err(|error| {
        LoadError::State {
            path: path.to_owned(),
            error,
        }
    })
}
