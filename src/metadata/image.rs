//! The image: topics, brokers, configurations and features as of one offset of the metadata log.

use super::features::{METADATA_VERSION, METADATA_VERSION_NAME};
use super::kept::Kept;
use super::record::MetadataRecord;
use crate::protocol::messages as schema;
use crate::types::{LeaderEpoch, NodeId, Offset, TopicName, TopicNameError, Uuid};
use arc_swap::ArcSwap;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The newest image, for everybody who reads it. Reading takes no lock.
#[derive(Clone)]
pub struct ImageHandle(Arc<ArcSwap<MetadataImage>>);

impl ImageHandle {
    pub fn new(image: MetadataImage) -> ImageHandle {
        ImageHandle(Arc::new(ArcSwap::from_pointee(image)))
    }

    pub fn load(&self) -> Arc<MetadataImage> {
        self.0.load_full()
    }

    /// Only the publisher calls this, with a later image each time.
    pub fn publish(&self, image: Arc<MetadataImage>) {
        self.0.store(image);
    }
}

/// All that the metadata log says up to [`MetadataImage::end`]. Cheap to clone: what did not change
/// is shared.
#[derive(Clone, Debug, PartialEq)]
pub struct MetadataImage {
    /// The offset after the last record applied.
    pub end: Offset,
    topics: imbl::OrdMap<TopicName, Arc<TopicImage>>,
    topic_names: imbl::HashMap<Uuid, TopicName>,
    /// [`TopicName::collision_key`] of every topic.
    collisions: imbl::HashMap<String, TopicName>,
    pub brokers: BTreeMap<NodeId, Arc<BrokerImage>>,
    configs: imbl::OrdMap<ConfigResource, Arc<BTreeMap<String, String>>>,
    /// Finalised features and their levels.
    pub features: BTreeMap<String, i16>,
    /// The first producer id of the next block.
    pub producer_id_next: i64,
    /// What the log says beside all this.
    pub(super) kept: Kept,
    partition_count: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicImage {
    pub name: TopicName,
    pub id: Uuid,
    /// By partition number; they have no gaps.
    pub partitions: Vec<PartitionImage>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionImage {
    pub replicas: Vec<NodeId>,
    pub isr: Vec<NodeId>,
    /// `None` while no replica may lead.
    pub leader: Option<NodeId>,
    /// Kafka's `LeaderRecoveryState`: 1 after an unclean election, until the leader has recovered.
    pub leader_recovery_state: i8,
    pub leader_epoch: LeaderEpoch,
    pub partition_epoch: i32,
    /// Where each replica keeps the partition, in the order of `replicas`.
    pub directories: Vec<Uuid>,
    pub removing: Vec<NodeId>,
    pub adding: Vec<NodeId>,
    pub eligible_leaders: Vec<NodeId>,
    pub last_known_leaders: Vec<NodeId>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerImage {
    pub id: NodeId,
    pub epoch: i64,
    pub incarnation: Uuid,
    pub endpoints: Vec<EndpointImage>,
    /// What it supports of each feature: the lowest and the highest level.
    pub features: BTreeMap<String, (i16, i16)>,
    pub rack: Option<String>,
    pub fenced: bool,
    pub shutting_down: bool,
    /// Those of its log directories that work.
    pub directories: Vec<Uuid>,
    /// Those of `directories` that take no new replicas (KIP-1066); `None` if the broker did not say.
    pub cordoned: Option<Vec<Uuid>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointImage {
    pub listener: String,
    pub host: String,
    pub port: u16,
    /// Kafka's code of the security protocol: 0 PLAINTEXT, 1 SSL, 2 SASL_PLAINTEXT, 3 SASL_SSL.
    pub security: i16,
}

/// What a configuration belongs to (`ConfigResource.Type`, by its code).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(i8)]
pub enum ConfigKind {
    Topic = 2,
    Broker = 4,
    BrokerLogger = 8,
    ClientMetrics = 16,
    Group = 32,
}

impl ConfigKind {
    pub fn from_code(code: i8) -> Option<ConfigKind> {
        match code {
            2 => Some(ConfigKind::Topic),
            4 => Some(ConfigKind::Broker),
            8 => Some(ConfigKind::BrokerLogger),
            16 => Some(ConfigKind::ClientMetrics),
            32 => Some(ConfigKind::Group),
            _ => None,
        }
    }
}

/// One thing that has a configuration. The empty name of a broker means all brokers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConfigResource {
    pub kind: ConfigKind,
    pub name: String,
}

impl ConfigResource {
    pub fn new(kind: ConfigKind, name: impl Into<String>) -> ConfigResource {
        let name = name.into();
        ConfigResource { kind, name }
    }
}

/// A record that does not fit the records before it: the log is not to be trusted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ApplyError {
    #[error("a record names topic {0}, which does not exist")]
    UnknownTopic(Uuid),
    #[error("a record names partition {partition} of topic {topic}, which does not exist")]
    UnknownPartition { topic: TopicName, partition: i32 },
    #[error("partition {partition} of topic {topic} comes out of order")]
    PartitionGap { topic: TopicName, partition: i32 },
    #[error("a record names broker {0}, which is not registered")]
    UnknownBroker(i32),
    #[error("a record names a topic that cannot be: {0}")]
    Name(#[from] TopicNameError),
    #[error("a record names configuration type {0}, which is not known")]
    ConfigKind(i8),
}

impl Default for MetadataImage {
    fn default() -> MetadataImage {
        MetadataImage {
            end: Offset::ZERO,
            topics: imbl::OrdMap::new(),
            topic_names: imbl::HashMap::new(),
            collisions: imbl::HashMap::new(),
            brokers: BTreeMap::new(),
            configs: imbl::OrdMap::new(),
            features: BTreeMap::new(),
            producer_id_next: 0,
            kept: Kept::default(),
            partition_count: 0,
        }
    }
}

impl MetadataImage {
    pub fn topic(&self, name: &str) -> Option<&Arc<TopicImage>> {
        self.topics.get(name)
    }

    pub fn topic_by_id(&self, id: &Uuid) -> Option<&Arc<TopicImage>> {
        self.topics.get(self.topic_names.get(id)?)
    }

    /// Every topic, by name.
    pub fn topics(&self) -> impl Iterator<Item = &Arc<TopicImage>> {
        self.topics.values()
    }

    /// Every topic from `first` on, by name.
    pub fn topics_from(&self, first: &str) -> impl Iterator<Item = &Arc<TopicImage>> {
        use std::ops::Bound;
        self.topics
            .range::<_, str>((Bound::Included(first), Bound::Unbounded))
            .map(|(_, topic)| topic)
    }

    pub fn topic_count(&self) -> usize {
        self.topics.len()
    }

    /// Partitions of all topics.
    pub fn partition_count(&self) -> usize {
        self.partition_count
    }

    /// The topic whose name cannot be told from `name` in a metric, if there is one.
    pub fn colliding_topic(&self, name: &TopicName) -> Option<&TopicName> {
        self.collisions.get(&name.collision_key())
    }

    pub fn partition(&self, topic: &str, partition: i32) -> Option<&PartitionImage> {
        self.topic(topic)?.partition(partition)
    }

    /// What was set for `resource`; nothing that only has its default.
    pub fn config(&self, resource: &ConfigResource) -> Option<&Arc<BTreeMap<String, String>>> {
        self.configs.get(resource)
    }

    /// As [`MetadataImage::config`], by kind and name, and empty where nothing was set.
    pub fn config_of(&self, kind: ConfigKind, name: &str) -> Arc<BTreeMap<String, String>> {
        let resource = ConfigResource::new(kind, name);
        self.config(&resource).cloned().unwrap_or_default()
    }

    pub fn topic_config(&self, topic: &str) -> Arc<BTreeMap<String, String>> {
        self.config_of(ConfigKind::Topic, topic)
    }

    /// Every configured resource.
    pub fn configs(
        &self,
    ) -> impl Iterator<Item = (&ConfigResource, &Arc<BTreeMap<String, String>>)> {
        self.configs.iter()
    }

    /// The level of `metadata.version`: how records are written. A cluster that has not begun has ours.
    pub fn metadata_version(&self) -> i16 {
        let level = self.features.get(METADATA_VERSION_NAME);
        level.copied().unwrap_or(METADATA_VERSION)
    }

    /// Brokers that clients may be sent to.
    pub fn live_brokers(&self) -> impl Iterator<Item = &Arc<BrokerImage>> {
        self.brokers.values().filter(|broker| !broker.fenced)
    }

    /// Folds one record in. The caller moves [`MetadataImage::end`].
    pub fn apply(&mut self, record: &MetadataRecord) -> Result<(), ApplyError> {
        match record {
            MetadataRecord::Topic(topic) => self.apply_topic(topic),
            MetadataRecord::Partition(partition) => self.apply_partition(partition),
            MetadataRecord::PartitionChange(change) => self.apply_partition_change(change),
            MetadataRecord::RemoveTopic(removed) => self.apply_remove_topic(removed),
            MetadataRecord::Config(config) => self.apply_config(config),
            MetadataRecord::RegisterBroker(broker) => {
                self.apply_register_broker(broker);
                Ok(())
            }
            MetadataRecord::BrokerRegistrationChange(change) => {
                self.apply_registration_change(change)
            }
            MetadataRecord::UnregisterBroker(broker) => {
                self.brokers.remove(&NodeId(broker.broker_id));
                Ok(())
            }
            MetadataRecord::FenceBroker(broker) => {
                self.change_broker(broker.id, |broker| broker.fenced = true)
            }
            MetadataRecord::UnfenceBroker(broker) => {
                self.change_broker(broker.id, |broker| broker.fenced = false)
            }
            MetadataRecord::FeatureLevel(feature) => {
                // Level 0 is how a feature is taken back.
                if feature.feature_level == 0 {
                    self.features.remove(&*feature.name);
                } else {
                    self.features
                        .insert(feature.name.to_string(), feature.feature_level);
                }
                Ok(())
            }
            MetadataRecord::ProducerIds(ids) => {
                self.producer_id_next = ids.next_producer_id;
                Ok(())
            }
            MetadataRecord::ClearElr(clear) => {
                self.apply_clear_elr(&clear.topic_name);
                Ok(())
            }
            // Nobody reads them here, but a log of Apache Kafka may have them.
            MetadataRecord::DelegationToken(_)
            | MetadataRecord::UserScramCredential(_)
            | MetadataRecord::ClientQuota(_)
            | MetadataRecord::AccessControlEntry(_)
            | MetadataRecord::RemoveAccessControlEntry(_)
            | MetadataRecord::RemoveUserScramCredential(_)
            | MetadataRecord::RemoveDelegationToken(_)
            | MetadataRecord::RegisterController(_) => {
                self.kept.apply(record);
                Ok(())
            }
            // They say nothing that lasts. Each is named: a new kind must choose.
            MetadataRecord::NoOp(_)
            | MetadataRecord::ZkMigrationState(_)
            | MetadataRecord::BeginTransaction(_)
            | MetadataRecord::EndTransaction(_)
            | MetadataRecord::AbortTransaction(_) => Ok(()),
        }
    }

    fn apply_topic(&mut self, record: &schema::TopicRecord) -> Result<(), ApplyError> {
        let name = TopicName::parse(&record.name)?;
        let topic = TopicImage {
            name: name.clone(),
            id: record.topic_id,
            partitions: Vec::new(),
        };
        self.topic_names.insert(topic.id, name.clone());
        self.collisions.insert(name.collision_key(), name.clone());
        self.topics.insert(name, Arc::new(topic));
        Ok(())
    }

    fn apply_partition(&mut self, record: &schema::PartitionRecord) -> Result<(), ApplyError> {
        let partition = PartitionImage {
            replicas: nodes(&record.replicas),
            isr: nodes(&record.isr),
            leader: (record.leader >= 0).then_some(NodeId(record.leader)),
            leader_recovery_state: record.leader_recovery_state,
            leader_epoch: LeaderEpoch(record.leader_epoch),
            partition_epoch: record.partition_epoch,
            directories: record.directories.clone(),
            removing: nodes(&record.removing_replicas),
            adding: nodes(&record.adding_replicas),
            eligible_leaders: nodes(record.eligible_leader_replicas.as_deref().unwrap_or(&[])),
            last_known_leaders: nodes(record.last_known_elr.as_deref().unwrap_or(&[])),
        };
        let topic = self.topic_mut(&record.topic_id)?;
        let index = usize::try_from(record.partition_id).unwrap_or(usize::MAX);
        if let Some(old) = topic.partitions.get_mut(index) {
            *old = partition;
        } else if index == topic.partitions.len() {
            topic.partitions.push(partition);
            self.partition_count += 1;
        } else {
            let topic = topic.name.clone();
            return Err(ApplyError::PartitionGap {
                topic,
                partition: record.partition_id,
            });
        }
        Ok(())
    }

    fn apply_partition_change(
        &mut self,
        record: &schema::PartitionChangeRecord,
    ) -> Result<(), ApplyError> {
        /// The record's value for "as it was".
        const LEADER_UNCHANGED: i32 = -2;
        let topic = self.topic_mut(&record.topic_id)?;
        let index = usize::try_from(record.partition_id).unwrap_or(usize::MAX);
        let Some(partition) = topic.partitions.get_mut(index) else {
            let topic = topic.name.clone();
            return Err(ApplyError::UnknownPartition {
                topic,
                partition: record.partition_id,
            });
        };
        let change = |field: &mut Vec<NodeId>, new: &Option<Vec<i32>>| {
            if let Some(new) = new {
                *field = nodes(new);
            }
        };
        change(&mut partition.isr, &record.isr);
        change(&mut partition.replicas, &record.replicas);
        change(&mut partition.removing, &record.removing_replicas);
        change(&mut partition.adding, &record.adding_replicas);
        change(
            &mut partition.eligible_leaders,
            &record.eligible_leader_replicas,
        );
        change(&mut partition.last_known_leaders, &record.last_known_elr);
        if let Some(directories) = &record.directories {
            partition.directories.clone_from(directories);
        }
        if record.leader_recovery_state >= 0 {
            partition.leader_recovery_state = record.leader_recovery_state;
        }
        if record.leader != LEADER_UNCHANGED {
            partition.leader = (record.leader >= 0).then_some(NodeId(record.leader));
            partition.leader_epoch = LeaderEpoch(partition.leader_epoch.get() + 1);
        }
        partition.partition_epoch += 1;
        Ok(())
    }

    fn apply_remove_topic(&mut self, record: &schema::RemoveTopicRecord) -> Result<(), ApplyError> {
        let id = record.topic_id;
        let name = self
            .topic_names
            .remove(&id)
            .ok_or(ApplyError::UnknownTopic(id))?;
        if let Some(topic) = self.topics.remove(&name) {
            self.partition_count -= topic.partitions.len();
        }
        self.collisions.remove(&name.collision_key());
        let resource = ConfigResource::new(ConfigKind::Topic, name.as_str());
        self.configs.remove(&resource);
        Ok(())
    }

    fn apply_config(&mut self, record: &schema::ConfigRecord) -> Result<(), ApplyError> {
        let kind = ConfigKind::from_code(record.resource_type)
            .ok_or(ApplyError::ConfigKind(record.resource_type))?;
        let resource = ConfigResource::new(kind, &*record.resource_name);
        let mut values = self
            .configs
            .get(&resource)
            .map_or_else(BTreeMap::new, |v| (**v).clone());
        match &record.value {
            Some(value) => {
                values.insert(record.name.to_string(), value.to_string());
            }
            None => {
                values.remove(&*record.name);
            }
        }
        if values.is_empty() {
            self.configs.remove(&resource);
        } else {
            self.configs.insert(resource, Arc::new(values));
        }
        Ok(())
    }

    /// Nobody outside the in-sync replicas may lead from now on; the empty name means all topics.
    fn apply_clear_elr(&mut self, topic: &str) {
        let has_some = |partition: &PartitionImage| {
            !(partition.eligible_leaders.is_empty() && partition.last_known_leaders.is_empty())
        };
        let cleared: Vec<TopicName> = self
            .topics()
            .filter(|known| topic.is_empty() || known.name.as_str() == topic)
            .filter(|known| known.partitions.iter().any(has_some))
            .map(|known| known.name.clone())
            .collect();
        for name in cleared {
            let Some(topic) = self.topics.get_mut(&name) else {
                continue;
            };
            let partitions = &mut Arc::make_mut(topic).partitions;
            for partition in partitions.iter_mut().filter(|p| has_some(p)) {
                partition.eligible_leaders.clear();
                partition.last_known_leaders.clear();
                partition.partition_epoch += 1;
            }
        }
    }

    fn apply_register_broker(&mut self, record: &schema::RegisterBrokerRecord) {
        let endpoints = record.end_points.iter().map(|endpoint| EndpointImage {
            listener: endpoint.name.to_string(),
            host: endpoint.host.to_string(),
            port: endpoint.port,
            security: endpoint.security_protocol,
        });
        let features = record.features.iter().map(|feature| {
            let levels = (feature.min_supported_version, feature.max_supported_version);
            (feature.name.to_string(), levels)
        });
        let id = NodeId(record.broker_id);
        let broker = BrokerImage {
            id,
            epoch: record.broker_epoch,
            incarnation: record.incarnation_id,
            endpoints: endpoints.collect(),
            features: features.collect(),
            rack: record.rack.as_deref().map(str::to_owned),
            fenced: record.fenced,
            shutting_down: record.in_controlled_shutdown,
            directories: record.log_dirs.clone(),
            cordoned: record.cordoned_log_dirs.clone(),
        };
        self.brokers.insert(id, Arc::new(broker));
    }

    fn apply_registration_change(
        &mut self,
        record: &schema::BrokerRegistrationChangeRecord,
    ) -> Result<(), ApplyError> {
        self.change_broker(record.broker_id, |broker| {
            match record.fenced {
                -1 => broker.fenced = false,
                1 => broker.fenced = true,
                _ => {}
            }
            if record.in_controlled_shutdown == 1 {
                broker.shutting_down = true;
            }
            if !record.log_dirs.is_empty() {
                broker.directories.clone_from(&record.log_dirs);
            }
            if record.cordoned_log_dirs.is_some() {
                broker.cordoned.clone_from(&record.cordoned_log_dirs);
            }
        })
    }

    fn change_broker(
        &mut self,
        id: i32,
        change: impl FnOnce(&mut BrokerImage),
    ) -> Result<(), ApplyError> {
        let broker = self
            .brokers
            .get_mut(&NodeId(id))
            .ok_or(ApplyError::UnknownBroker(id))?;
        change(Arc::make_mut(broker));
        Ok(())
    }

    fn topic_mut(&mut self, id: &Uuid) -> Result<&mut TopicImage, ApplyError> {
        let unknown = ApplyError::UnknownTopic(*id);
        let name = self.topic_names.get(id).ok_or(unknown.clone())?;
        self.topics.get_mut(name).map(Arc::make_mut).ok_or(unknown)
    }
}

/// `DirectoryId.MIGRATING`: known to be placed, but not where.
const MIGRATING: Uuid = Uuid::from_bytes([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]);

impl PartitionImage {
    /// The directory that the replica on `broker` was last said to lie in; zero if nobody has said.
    pub fn directory_of(&self, broker: NodeId) -> Uuid {
        let mut placed = self.replicas.iter().zip(&self.directories);
        let found = placed.find(|(replica, _)| **replica == broker);
        found.map_or(Uuid::ZERO, |(_, directory)| *directory)
    }
}

impl BrokerImage {
    /// Whether the broker can serve a replica that lies in `directory` (`DirectoryId.isOnline`).
    pub fn has_online(&self, directory: Uuid) -> bool {
        directory.is_zero()
            || directory == MIGRATING
            || self.directories.is_empty()
            || self.directories.contains(&directory)
    }
}

impl TopicImage {
    pub fn partition(&self, partition: i32) -> Option<&PartitionImage> {
        self.partitions.get(usize::try_from(partition).ok()?)
    }

    /// Partition numbers with what is known of them.
    pub fn numbered(&self) -> impl Iterator<Item = (i32, &PartitionImage)> {
        (0..).zip(&self.partitions)
    }
}

fn nodes(ids: &[i32]) -> Vec<NodeId> {
    ids.iter().copied().map(NodeId).collect()
}
