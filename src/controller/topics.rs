//! Creating and deleting topics (rules of `ReplicationControlManager`): pure, on an image.

use super::assignment::{self, AssignmentError};
use super::change::default_directory;
use super::placement::{self, PlacementError};
use crate::config::{self, BrokerConfig, ConfigError, TopicConfig};
use crate::metadata::{ConfigKind, MetadataImage, MetadataRecord};
use crate::protocol::messages::{ConfigRecord, PartitionRecord, RemoveTopicRecord, TopicRecord};
use crate::quorum::QuorumError;
use crate::runtime::Rng;
use crate::types::{NodeId, TopicName, TopicNameError, Uuid};
use std::collections::{BTreeMap, BTreeSet};

/// Partitions that one request may create.
pub(super) const PARTITIONS_PER_REQUEST_MAX: usize = 10_000;

/// The metadata log: no topic of this name can be created.
const METADATA_TOPIC: &str = "__cluster_metadata";

/// A topic as somebody wants it.
#[derive(Clone, Debug, Default)]
pub struct CreateTopic {
    pub name: String,
    /// −1: the broker's default.
    pub partitions: i32,
    /// −1: the broker's default.
    pub replication_factor: i16,
    /// Replicas of each partition, chosen by hand; then the two numbers above must be −1.
    pub assignments: Vec<(i32, Vec<i32>)>,
    pub configs: Vec<(String, Option<String>)>,
}

/// A topic that was created, or could be.
#[derive(Clone, Debug)]
pub struct CreatedTopic {
    pub id: Uuid,
    pub partitions: usize,
    pub replication_factor: usize,
    /// What was set, by name.
    pub configs: BTreeMap<String, String>,
    pub(super) records: Vec<MetadataRecord>,
}

/// What a topic gets where a request leaves it open.
#[derive(Clone, Debug)]
pub struct TopicDefaults {
    pub partitions: u32,
    pub replication_factor: u16,
    pub config: TopicConfig,
    /// Where replicas may go that are not placed by hand.
    pub brokers: Vec<NodeId>,
}

impl TopicDefaults {
    /// What a broker with this configuration gives.
    pub fn of(config: &BrokerConfig, image: &MetadataImage) -> TopicDefaults {
        TopicDefaults {
            partitions: config.topics.partitions_default,
            replication_factor: config.topics.replication_factor_default,
            config: config.topic_defaults.clone(),
            brokers: placement::usable(image, config),
        }
    }
}

/// A topic by name or by id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TopicRef {
    Name(String),
    Id(Uuid),
}

/// Why a topic is not created.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CreateTopicError {
    #[error("Topic name is invalid: {0}")]
    Name(#[from] TopicNameError),
    #[error("Topic '{name}' collides with existing topic: {existing}")]
    Collides { name: String, existing: TopicName },
    #[error("Topic '{0}' already exists.")]
    Exists(String),
    #[error("Topic '{0}' is named more than once in the request.")]
    NamedTwice(String),
    #[error("Topic '{0}' is the metadata log and cannot be created.")]
    Metadata(String),
    #[error("Number of partitions must be at least 1, or -1 for the default; it is {0}.")]
    Partitions(i32),
    #[error("Replication factor must be at least 1, or -1 for the default; it is {0}.")]
    ReplicationFactor(i16),
    #[error("Unable to replicate the partition {factor} time(s): {reason}")]
    Placement { factor: u16, reason: PlacementError },
    #[error(
        "Replicas are assigned by hand, so number of partitions and replication factor must be -1."
    )]
    AssignmentAndCounts,
    #[error("{0}")]
    Assignment(#[from] AssignmentError),
    #[error("Found multiple manual partition assignments for partition {0}")]
    AssignedTwice(i32),
    #[error("partitions should be a consecutive 0-based integer sequence")]
    AssignmentGap,
    #[error("{0}")]
    Config(ConfigError),
    #[error("Config '{0}' has no value.")]
    ConfigNull(String),
    #[error("The request would create {0} partitions; {PARTITIONS_PER_REQUEST_MAX} are allowed.")]
    TooManyPartitions(usize),
    #[error("{0}")]
    Quorum(QuorumError),
}

/// Why a topic is not deleted.
#[derive(Clone, Debug, thiserror::Error)]
pub enum DeleteTopicError {
    #[error("This server does not host a topic with this id.")]
    UnknownId,
    #[error("{0}")]
    Quorum(QuorumError),
}

/// Decides for each wanted topic by itself; names are compared within the request too.
pub(super) fn plan_creations(
    image: &MetadataImage,
    wanted: &[CreateTopic],
    defaults: &TopicDefaults,
    rng: &dyn Rng,
) -> Vec<Result<CreatedTopic, CreateTopicError>> {
    let total: usize = wanted
        .iter()
        .map(|topic| partitions_asked(topic, defaults))
        .sum();
    if total > PARTITIONS_PER_REQUEST_MAX {
        let error = CreateTopicError::TooManyPartitions(total);
        return wanted.iter().map(|_| Err(error.clone())).collect();
    }
    let mut names = BTreeSet::new();
    let mut twice = BTreeSet::new();
    for topic in wanted {
        if !names.insert(&topic.name) {
            twice.insert(&topic.name);
        }
    }
    let mut plans = Vec::with_capacity(wanted.len());
    for topic in wanted {
        let plan = if twice.contains(&topic.name) {
            Err(CreateTopicError::NamedTwice(topic.name.clone()))
        } else {
            plan_creation(image, topic, defaults, rng)
        };
        plans.push(plan);
    }
    plans
}

pub(super) fn plan_deletion(
    image: &MetadataImage,
    id: &Uuid,
) -> Result<MetadataRecord, DeleteTopicError> {
    image.topic_by_id(id).ok_or(DeleteTopicError::UnknownId)?;
    Ok(RemoveTopicRecord { topic_id: *id }.into())
}

fn partitions_asked(topic: &CreateTopic, defaults: &TopicDefaults) -> usize {
    if !topic.assignments.is_empty() {
        return topic.assignments.len();
    }
    match topic.partitions {
        -1 => defaults.partitions as usize,
        count => usize::try_from(count).unwrap_or(0),
    }
}

fn plan_creation(
    image: &MetadataImage,
    wanted: &CreateTopic,
    defaults: &TopicDefaults,
    rng: &dyn Rng,
) -> Result<CreatedTopic, CreateTopicError> {
    if wanted.name == METADATA_TOPIC {
        return Err(CreateTopicError::Metadata(wanted.name.clone()));
    }
    let name = TopicName::parse(&wanted.name)?;
    if image.topic(name.as_str()).is_some() {
        return Err(CreateTopicError::Exists(wanted.name.clone()));
    }
    // Only topics that are there count: two that collide within a request slip through, as in Kafka.
    if let Some(existing) = image.colliding_topic(&name) {
        let existing = existing.clone();
        return Err(CreateTopicError::Collides {
            name: wanted.name.clone(),
            existing,
        });
    }
    let configs = checked_configs(&wanted.configs, &defaults.config)?;
    let replicas = placed(image, wanted, defaults, rng)?;

    let id = rng.uuid();
    let mut records: Vec<MetadataRecord> = vec![
        TopicRecord {
            name: name.to_string().into(),
            topic_id: id,
        }
        .into(),
    ];
    for (config, value) in &configs {
        let record = ConfigRecord {
            resource_type: ConfigKind::Topic as i8,
            resource_name: name.to_string().into(),
            name: config.clone().into(),
            value: Some(value.clone().into()),
        };
        records.push(record.into());
    }
    for (partition, replicas) in (0..).zip(&replicas) {
        records.push(new_partition(image, id, partition, replicas).into());
    }
    Ok(CreatedTopic {
        id,
        partitions: replicas.len(),
        replication_factor: replicas.first().map_or(0, Vec::len),
        configs,
        records,
    })
}

fn checked_configs(
    configs: &[(String, Option<String>)],
    defaults: &TopicConfig,
) -> Result<BTreeMap<String, String>, CreateTopicError> {
    let mut checked = BTreeMap::new();
    for (name, value) in configs {
        let value = value
            .as_ref()
            .ok_or_else(|| CreateTopicError::ConfigNull(name.clone()))?;
        config::validate_topic_config(name, value).map_err(CreateTopicError::Config)?;
        checked.insert(name.clone(), value.clone());
    }
    // Some values only make sense together.
    TopicConfig::resolve(defaults, &checked).map_err(CreateTopicError::Config)?;
    Ok(checked)
}

fn placed(
    image: &MetadataImage,
    wanted: &CreateTopic,
    defaults: &TopicDefaults,
    rng: &dyn Rng,
) -> Result<Vec<Vec<NodeId>>, CreateTopicError> {
    if !wanted.assignments.is_empty() {
        return placed_by_hand(image, wanted);
    }
    if wanted.replication_factor == 0 || wanted.replication_factor < -1 {
        return Err(CreateTopicError::ReplicationFactor(
            wanted.replication_factor,
        ));
    }
    if wanted.partitions == 0 || wanted.partitions < -1 {
        return Err(CreateTopicError::Partitions(wanted.partitions));
    }
    let factor = u16::try_from(wanted.replication_factor).unwrap_or(defaults.replication_factor);
    let count = u32::try_from(wanted.partitions).unwrap_or(defaults.partitions);
    placement::place(&defaults.brokers, count as usize, usize::from(factor), rng)
        .map_err(|reason| CreateTopicError::Placement { factor, reason })
}

fn placed_by_hand(
    image: &MetadataImage,
    wanted: &CreateTopic,
) -> Result<Vec<Vec<NodeId>>, CreateTopicError> {
    if wanted.replication_factor != -1 || wanted.partitions != -1 {
        return Err(CreateTopicError::AssignmentAndCounts);
    }
    let mut by_partition = BTreeMap::new();
    let mut factor = None;
    for (partition, replicas) in &wanted.assignments {
        if by_partition.contains_key(partition) {
            return Err(CreateTopicError::AssignedTwice(*partition));
        }
        let replicas = assignment::check_new(image, *partition, replicas, factor)?;
        factor = Some(replicas.len());
        by_partition.insert(*partition, replicas);
    }
    let mut numbered = (0..).zip(by_partition.keys());
    if numbered.any(|(expected, partition)| expected != *partition) {
        return Err(CreateTopicError::AssignmentGap);
    }
    Ok(by_partition.into_values().collect())
}

fn live<'a>(image: &'a MetadataImage, ids: &'a [i32]) -> impl Iterator<Item = NodeId> + 'a {
    ids.iter()
        .copied()
        .map(NodeId)
        .filter(|id| placement::is_live(image, *id))
}

/// A partition that has never been led: its first live replica leads, in epoch 0.
pub(super) fn new_partition(
    image: &MetadataImage,
    topic_id: Uuid,
    partition: i32,
    replicas: &[NodeId],
) -> PartitionRecord {
    let ids: Vec<i32> = replicas.iter().map(|id| id.get()).collect();
    let isr: Vec<i32> = live(image, &ids).map(NodeId::get).collect();
    let directory = |id: &NodeId| default_directory(image.brokers.get(id).map(|broker| &**broker));
    PartitionRecord {
        partition_id: partition,
        topic_id,
        leader: isr.first().copied().unwrap_or(-1),
        isr,
        leader_epoch: 0,
        partition_epoch: 0,
        directories: replicas.iter().map(directory).collect(),
        replicas: ids,
        ..PartitionRecord::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controller::world::brokers;
    use crate::runtime::os::OsRng;

    fn one_broker() -> MetadataImage {
        brokers(&[1])
    }

    fn defaults(image: &MetadataImage) -> TopicDefaults {
        TopicDefaults {
            partitions: 3,
            ..TopicDefaults::of(&BrokerConfig::default(), image)
        }
    }

    fn topic(name: &str) -> CreateTopic {
        CreateTopic {
            name: name.to_owned(),
            partitions: -1,
            replication_factor: -1,
            ..CreateTopic::default()
        }
    }

    fn plan(image: &MetadataImage, wanted: CreateTopic) -> Result<CreatedTopic, CreateTopicError> {
        plan_creations(image, &[wanted], &defaults(image), &OsRng).remove(0)
    }

    #[test]
    fn a_topic_gets_the_defaults_that_it_does_not_name() {
        let created = plan(&one_broker(), topic("a")).unwrap();
        assert_eq!((created.partitions, created.replication_factor), (3, 1));
        let mut image = one_broker();
        for record in &created.records {
            image.apply(record).unwrap();
        }
        let partition = image.partition("a", 2).unwrap();
        assert_eq!(partition.leader, Some(NodeId(1)));
        assert_eq!(partition.isr, [NodeId(1)]);
        assert_eq!(image.partition_count(), 3);
    }

    #[test]
    fn more_replicas_than_brokers_are_refused() {
        let wanted = CreateTopic {
            replication_factor: 2,
            ..topic("a")
        };
        let error = plan(&one_broker(), wanted).unwrap_err();
        assert!(matches!(
            error,
            CreateTopicError::Placement { factor: 2, .. }
        ));
    }

    #[test]
    fn a_name_given_twice_creates_neither() {
        let plans = plan_creations(
            &one_broker(),
            &[topic("a"), topic("a")],
            &defaults(&one_broker()),
            &OsRng,
        );
        assert!(
            plans
                .iter()
                .all(|p| matches!(p, Err(CreateTopicError::NamedTwice(_))))
        );
    }

    #[test]
    fn assignments_by_hand_must_be_complete_and_alone() {
        let by_hand = |assignments: Vec<(i32, Vec<i32>)>| CreateTopic {
            assignments,
            ..topic("a")
        };
        assert!(plan(&one_broker(), by_hand(vec![(0, vec![1]), (1, vec![1])])).is_ok());
        let refusal = |bad| plan(&one_broker(), by_hand(bad)).unwrap_err();
        for bad in [vec![(0, vec![9])], vec![(0, vec![1, 1])], vec![(0, vec![])]] {
            let error = refusal(bad);
            assert!(matches!(error, CreateTopicError::Assignment(_)), "{error}");
        }
        let error = refusal(vec![(1, vec![1])]);
        assert!(matches!(error, CreateTopicError::AssignmentGap));
        let error = refusal(vec![(0, vec![1]), (0, vec![1])]);
        assert!(matches!(error, CreateTopicError::AssignedTwice(0)));
        let counted = CreateTopic {
            partitions: 1,
            ..by_hand(vec![(0, vec![1])])
        };
        let error = plan(&one_broker(), counted).unwrap_err();
        assert!(matches!(error, CreateTopicError::AssignmentAndCounts));
    }

    #[test]
    fn a_config_that_is_unknown_wrong_or_null_is_refused() {
        for (name, value) in [
            ("no.such.config", Some("1")),
            ("retention.ms", Some("soon")),
            ("retention.ms", None),
        ] {
            let configs = vec![(name.to_owned(), value.map(str::to_owned))];
            let error = plan(
                &one_broker(),
                CreateTopic {
                    configs,
                    ..topic("a")
                },
            )
            .unwrap_err();
            assert!(matches!(
                error,
                CreateTopicError::Config(_) | CreateTopicError::ConfigNull(_)
            ));
        }
    }

    #[test]
    fn a_request_for_more_than_ten_thousand_partitions_is_refused_whole() {
        let wanted = [
            CreateTopic {
                partitions: 10_000,
                ..topic("a")
            },
            topic("b"),
        ];
        let plans = plan_creations(&one_broker(), &wanted, &defaults(&one_broker()), &OsRng);
        assert!(
            plans
                .iter()
                .all(|p| matches!(p, Err(CreateTopicError::TooManyPartitions(10_003))))
        );
    }
}
