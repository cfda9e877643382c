//! All partitions of this broker, and what the metadata says they should be.

use super::cleaner::CleanerState;
use super::moving::Moves;
use super::partition::{Partition, PartitionSettings};
use super::topic_config::log_config;
use crate::config::{CleanerConfig, InForce, LiveConfig, TopicConfig};
use crate::log::{LoadError, Loaded, LoadedLog, Log, LogConfig, LogManager, LogView, Wanted};
use crate::metadata::{
    Delta, ImageHandle, MetadataImage, MetadataListener, PartitionImage, TopicImage,
};
use crate::runtime::{Runtime, Tasks};
use crate::types::{NodeId, TopicName, TopicPartition, Uuid};
use parking_lot::{Mutex, RwLock};
use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::Notify;
use tracing::{error, info, warn};

/// The partitions that this broker keeps.
pub struct Replicas {
    runtime: Runtime,
    node: NodeId,
    config: Arc<LiveConfig>,
    logs: LogManager,
    /// Read on every request, changed by metadata; held for one lookup or one exchange.
    hosted: RwLock<Hosted>,
    /// Held while the log starts are gathered and written, so that older ones never replace newer ones.
    writing_log_starts: Mutex<()>,
    /// The same for where logs are clean.
    writing_cleaned_ends: Mutex<()>,
    pub(super) cleaner: CleanerState,
    pub(super) moves: Moves,
    /// Told when a partition lies elsewhere than the metadata says.
    pub(super) placed: Notify,
}

#[derive(Default)]
struct Hosted {
    by_name: HashMap<TopicName, Arc<HostedTopic>>,
    by_id: HashMap<Uuid, Arc<HostedTopic>>,
}

/// One topic's partitions, by number; `None` where another broker has them, or the log is offline.
#[derive(Clone)]
struct HostedTopic {
    name: TopicName,
    id: Uuid,
    partitions: Vec<Option<Arc<Partition>>>,
}

/// Why there is no partition to work on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LookupError {
    #[error("this server does not host this topic-partition")]
    UnknownTopicOrPartition,
    #[error("this server does not host a topic with this id")]
    UnknownTopicId,
    #[error("another broker leads the partition")]
    NotLeader,
    #[error("the partition's log is offline")]
    Offline,
}

impl Replicas {
    /// Opens every log in the data directories, recovers what needs it, and matches them with the
    /// metadata: a log of no known topic is set aside, a partition without a log gets one.
    pub async fn open(
        runtime: Runtime,
        logs: LogManager,
        image: Arc<MetadataImage>,
        config: Arc<LiveConfig>,
    ) -> Result<Arc<Replicas>, LoadError> {
        let replicas = Arc::new(Replicas {
            node: config.load().config.node_id,
            runtime,
            config,
            logs,
            hosted: RwLock::default(),
            writing_log_starts: Mutex::default(),
            writing_cleaned_ends: Mutex::default(),
            cleaner: CleanerState::default(),
            moves: Moves::default(),
            placed: Notify::new(),
        });
        let now = replicas.runtime.clock.wall();
        let config_of =
            |partition: &TopicPartition| replicas.log_config_of(&image, &partition.topic);
        let threads = replicas.config.load().config.logs.recovery_threads_per_dir as usize;
        let loaded = replicas.logs.load(now, threads, config_of).await?;
        for partition in &loaded.offline {
            error!(%partition, "the log directory failed; the partition is offline");
        }
        let matching = replicas.clone();
        let matched = replicas
            .tasks()
            .blocking(move || matching.host_all(&image, loaded))
            .await;
        matched.ok_or(LoadError::Panicked)?;
        Ok(replicas)
    }

    fn host_all(&self, image: &MetadataImage, loaded: Loaded) {
        let mut by_partition: BTreeMap<TopicPartition, Log> = BTreeMap::new();
        for log in self.keep_ours(image, loaded.logs) {
            by_partition.insert(log.partition().clone(), log);
        }
        let mut copies = Vec::new();
        for copy in self.keep_ours(image, loaded.copies) {
            if by_partition.contains_key(copy.partition()) {
                copies.push(copy);
            } else if let Some(log) = self.promoted(image, copy) {
                by_partition.insert(log.partition().clone(), log);
            }
        }
        for topic in image.topics() {
            self.host(topic, image, Some(&mut by_partition));
        }
        for copy in copies {
            let name = copy.partition().clone();
            let state = image.partition(name.topic.as_str(), name.partition);
            let original = self.hosted(&name);
            if let (Some(state), Some(original)) = (state, original) {
                self.resume_move(&original, copy, state.directory_of(self.node));
            }
        }
        // Partitions that are gone must be gone from there too, or new ones of the same name would count as
        // clean, and as on the disk, up to an offset of the old ones.
        let _ = self.write_places();
    }

    /// Sets aside the logs of partitions that this broker does not have.
    fn keep_ours(&self, image: &MetadataImage, found: Vec<LoadedLog>) -> Vec<Log> {
        let mut ours = Vec::new();
        for found in found {
            let name = found.log.partition().clone();
            if self.is_ours(image, &name, found.topic_id) {
                ours.push(found.log);
                continue;
            }
            warn!(partition = %name, "set aside a log that belongs to no known topic");
            if let Err(error) = self.logs.set_stray(found.log) {
                error!(partition = %name, %error, "could not set aside a log");
            }
        }
        ours
    }

    /// Makes a copy without an original the partition's log, if the metadata says that it had become that:
    /// then the last stop came between the two renames.
    fn promoted(&self, image: &MetadataImage, copy: Log) -> Option<Log> {
        let name = copy.partition().clone();
        let state = image.partition(name.topic.as_str(), name.partition)?;
        let directory = self.logs.directory_of(&copy.view())?.id();
        if state.directory_of(self.node) != directory {
            warn!(partition = %name, "left a copy alone whose original is not there");
            return None;
        }
        let now = self.runtime.clock.wall();
        let config = self.log_config_of(image, &name.topic);
        let promoted = self.logs.promote(copy, config, now);
        promoted
            .inspect_err(|error| error!(partition = %name, %error, "could not end a move"))
            .ok()
    }

    /// The partition, if its log is open here.
    fn hosted(&self, name: &TopicPartition) -> Option<Arc<Partition>> {
        let hosted = self.hosted.read();
        hosted.by_name.get(&name.topic)?.get(name.partition)
    }

    fn is_ours(&self, image: &MetadataImage, name: &TopicPartition, id: Option<Uuid>) -> bool {
        image.topic(name.topic.as_str()).is_some_and(|topic| {
            id.is_none_or(|id| id == topic.id)
                && topic
                    .partition(name.partition)
                    .is_some_and(|partition| partition.replicas.contains(&self.node))
        })
    }

    /// The partition of a topic by name.
    pub fn find(
        &self,
        topic: &str,
        partition: i32,
        image: &ImageHandle,
    ) -> Result<Arc<Partition>, LookupError> {
        let found = self
            .hosted
            .read()
            .by_name
            .get(topic)
            .and_then(|topic| topic.get(partition));
        match found {
            Some(found) => found.serving(),
            None => Err(missing(image.load().topic(topic), partition, self.node)
                .unwrap_or(LookupError::UnknownTopicOrPartition)),
        }
    }

    /// The partition of a topic by id.
    pub fn find_by_id(
        &self,
        id: &Uuid,
        partition: i32,
        image: &ImageHandle,
    ) -> Result<Arc<Partition>, LookupError> {
        let found = self
            .hosted
            .read()
            .by_id
            .get(id)
            .and_then(|topic| topic.get(partition));
        match found {
            Some(found) => found.serving(),
            None => Err(missing(image.load().topic_by_id(id), partition, self.node)
                .unwrap_or(LookupError::UnknownTopicId)),
        }
    }

    /// Every partition, in no order.
    pub fn all(&self) -> Vec<Arc<Partition>> {
        let hosted = self.hosted.read();
        let topics = hosted.by_name.values();
        topics
            .flat_map(|topic| topic.partitions.iter().flatten().cloned())
            .collect()
    }

    pub fn tasks(&self) -> &Tasks {
        &self.runtime.tasks
    }

    pub(super) fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    pub(super) fn node(&self) -> NodeId {
        self.node
    }

    pub(super) fn config(&self) -> Arc<InForce> {
        self.config.load()
    }

    pub(super) fn cleaner_config(&self) -> CleanerConfig {
        self.config.load().config.cleaner.clone()
    }

    pub(super) fn logs(&self) -> &LogManager {
        &self.logs
    }

    /// `log.dirs`, with those that the disk refused at start.
    pub(super) fn configured_directories(&self) -> Vec<PathBuf> {
        self.config.load().config.directories.log_dirs.clone()
    }

    /// Whether this directory of `log.dirs` takes no new partitions.
    pub(super) fn is_cordoned(&self, directory: &PathBuf) -> bool {
        let config = &self.config.load().config;
        config.directories.cordoned.contains(directory)
    }

    /// Closes every log, writes the checkpoints, and marks the directories as cleanly shut down by the
    /// broker that was registered as `broker_epoch`.
    pub fn close(&self, broker_epoch: i64) {
        for partition in self.all() {
            partition.close_log();
        }
        self.moves.close();
        if let Err(error) = self.logs.close(&self.views(), broker_epoch) {
            error!(%error, "could not mark a clean shutdown; the next start recovers");
        }
    }

    /// Of all logs, and of their copies in other directories.
    fn views(&self) -> Vec<LogView> {
        let partitions = self.all();
        let logs = partitions.iter().map(|it| LogView::clone(&it.view()));
        let copies = self.moves.copies().into_iter().map(|(copy, _)| copy);
        logs.chain(copies).collect()
    }

    pub(super) fn write_high_watermarks(&self) {
        if let Err(error) = self.logs.checkpoint_high_watermarks(&self.views()) {
            error!(%error, "could not write the high watermarks");
        }
    }

    pub(super) fn write_recovery_points(&self) -> io::Result<()> {
        let written = self.logs.checkpoint_recovery(&self.views());
        written.inspect_err(|error| error!(%error, "could not write the recovery points"))
    }

    /// Afterwards no crash takes back the start of any log.
    pub(super) fn write_log_starts(&self) -> io::Result<()> {
        let _writing = self.writing_log_starts.lock();
        let written = self.logs.checkpoint_log_starts(&self.views());
        written.inspect_err(|error| error!(%error, "could not write the log starts"))
    }

    /// Afterwards a crash does not change from where each log is dirty.
    pub(super) fn write_cleaned_ends(&self) -> io::Result<()> {
        let _writing = self.writing_cleaned_ends.lock();
        let written = self.logs.checkpoint_cleaned_ends(&self.views());
        written.inspect_err(|error| error!(%error, "could not write where logs are clean"))
    }

    /// Makes `topic` what the metadata says: new partitions get a log, leaders an epoch. `loaded` is what
    /// the start has found; later there is nothing to be found.
    fn host(
        &self,
        topic: &TopicImage,
        image: &MetadataImage,
        mut loaded: Option<&mut BTreeMap<TopicPartition, Log>>,
    ) {
        let before = self.hosted.read().by_id.get(&topic.id).cloned();
        let known_before = before.as_ref().map_or(0, |before| before.partitions.len());
        let starts = loaded.is_some();
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for (number, state) in topic.numbered() {
            let name = TopicPartition::new(topic.name.clone(), number);
            let known = before.as_ref().and_then(|before| before.get(number));
            partitions.push(match known {
                Some(partition) => {
                    self.take_role(&partition, state);
                    self.check_place(&partition, state);
                    Some(partition)
                }
                None => {
                    let found = loaded.as_mut().and_then(|loaded| loaded.remove(&name));
                    let is_new = !starts && partitions.len() >= known_before;
                    let config = self.log_config_of(image, &name.topic);
                    let settings = PartitionSettings {
                        name,
                        topic_id: topic.id,
                        config,
                    };
                    let log = match found {
                        Some(found) => Some(found),
                        None => self.create_log(&settings, state, is_new),
                    };
                    log.map(|log| self.open_partition(settings, log, state))
                }
            });
        }
        (self.moves).told(topic, |number| {
            Some(topic.partition(number)?.directory_of(self.node))
        });
        let hosted = Arc::new(HostedTopic {
            name: topic.name.clone(),
            id: topic.id,
            partitions,
        });
        let mut all = self.hosted.write();
        all.by_name.insert(topic.name.clone(), hosted.clone());
        all.by_id.insert(topic.id, hosted);
    }

    /// An empty log for a replica of this broker, unless its records may lie where nobody can look.
    fn create_log(
        &self,
        settings: &PartitionSettings,
        state: &PartitionImage,
        is_new: bool,
    ) -> Option<Log> {
        let PartitionSettings {
            name,
            topic_id,
            config,
        } = settings;
        if !state.replicas.contains(&self.node) {
            return None;
        }
        let assigned = state.directory_of(self.node);
        if !self.may_be_empty(assigned, is_new) {
            error!(partition = %name, directory = %assigned, "the log directory is offline; so is the partition");
            return None;
        }
        let preferred = self.moves.take_preferred(name);
        let wanted = Wanted {
            directory: if assigned.is_zero() {
                preferred
            } else {
                assigned
            },
            cordoned: &self.config.load().config.directories.cordoned,
        };
        let now = self.runtime.clock.wall();
        let created = (self.logs).create(name.clone(), *topic_id, config.clone(), wanted, now);
        created
            .inspect_err(|error| {
                error!(partition = %name, %error, "could not create a log; the partition is offline");
            })
            .ok()
    }

    /// Whether a partition without a log may begin with an empty one.
    fn may_be_empty(&self, assigned: Uuid, is_new: bool) -> bool {
        self.offline_directory_count() == 0
            || self.has_online(assigned)
            || (is_new && assigned.is_zero())
    }

    fn open_partition(
        &self,
        settings: PartitionSettings,
        log: Log,
        state: &PartitionImage,
    ) -> Arc<Partition> {
        let partition = Partition::new(settings, log, &self.runtime);
        self.take_role(&partition, state);
        self.check_place(&partition, state);
        Arc::new(partition)
    }

    /// Has the metadata told where the partition lies, if it says otherwise.
    fn check_place(&self, partition: &Partition, state: &PartitionImage) {
        if self.directory_of(partition) != Some(state.directory_of(self.node)) {
            self.placed.notify_one();
        }
    }

    fn take_role(&self, partition: &Partition, state: &PartitionImage) {
        if state.leader == Some(self.node) {
            partition.lead(state.leader_epoch);
        } else {
            partition.resign();
        }
    }

    fn remove(&self, topic: &TopicImage) {
        let removed = {
            let mut all = self.hosted.write();
            // A topic of the same name may have been made since.
            if all
                .by_name
                .get(&topic.name)
                .is_some_and(|hosted| hosted.id == topic.id)
            {
                all.by_name.remove(&topic.name);
            }
            all.by_id.remove(&topic.id)
        };
        let Some(removed) = removed else { return };
        let now = self.runtime.clock.wall();
        for partition in removed.partitions.iter().flatten() {
            self.moves.cancel(partition.name());
            let Some(log) = partition.take_log() else {
                continue;
            };
            if let Err(error) = self.logs.delete(log, now) {
                error!(partition = %partition.name(), %error, "could not delete a log");
            }
        }
        info!(topic = %removed.name, "deleted");
    }

    /// Topics that obey other settings now.
    fn reconfigured(&self, delta: &Delta) -> Vec<Arc<HostedTopic>> {
        let hosted = self.hosted.read();
        if delta.broker_configs_changed {
            // What a broker gives to all topics reaches those that have no value of their own.
            return hosted.by_name.values().cloned().collect();
        }
        let changed = delta.topic_configs_changed.iter();
        changed
            .filter_map(|name| hosted.by_name.get(name.as_str()).cloned())
            .collect()
    }

    /// Has the open logs of a topic obey what is set now.
    fn reconfigure(&self, topic: &HostedTopic, image: &MetadataImage) {
        let config = self.log_config_of(image, &topic.name);
        for partition in topic.partitions.iter().flatten() {
            partition.configure(config.clone());
        }
    }

    fn log_config_of(&self, image: &MetadataImage, topic: &TopicName) -> LogConfig {
        let overrides = image.topic_config(topic.as_str());
        let broker = self.config.load().config.clone();
        let defaults = &broker.topic_defaults;
        let config = TopicConfig::resolve(defaults, &overrides).unwrap_or_else(|error| {
            // Checked before it was recorded; another release may have had other ranges.
            warn!(%topic, %error, "ignored a topic's configuration");
            defaults.clone()
        });
        log_config(&config, broker.logs.producer_id_expiration_ms)
    }
}

impl MetadataListener for Replicas {
    fn on_change(&self, delta: &Delta, image: &MetadataImage) {
        for topic in &delta.topics_removed {
            self.remove(topic);
        }
        if !delta.topics_removed.is_empty() {
            // A topic of the same name, made later, is neither on the disk nor clean where this one was.
            let _ = self.write_places();
        }
        for id in &delta.topics_changed {
            if let Some(topic) = image.topic_by_id(id) {
                self.host(topic, image, None);
            }
        }
        for topic in self.reconfigured(delta) {
            self.reconfigure(&topic, image);
        }
        if delta.broker_configs_changed {
            self.cleaner.reconfigured();
            self.moves.reconfigured.notify_waiters();
        }
    }
}

impl HostedTopic {
    fn get(&self, partition: i32) -> Option<Arc<Partition>> {
        self.partitions
            .get(usize::try_from(partition).ok()?)?
            .clone()
    }
}

/// Why a partition that the metadata has is not hosted here; `None` if the metadata has it not.
fn missing(topic: Option<&Arc<TopicImage>>, partition: i32, node: NodeId) -> Option<LookupError> {
    let partition = topic?.partition(partition);
    let Some(partition) = partition else {
        return Some(LookupError::UnknownTopicOrPartition);
    };
    // Ours, and not there: its log could not be opened or made.
    let ours = partition.replicas.contains(&node);
    Some(if ours {
        LookupError::Offline
    } else {
        LookupError::NotLeader
    })
}
