//! Moving replicas to other brokers.

use super::assignment::{self, AssignmentError};
use super::change::{Election, NextPartition};
use super::placement;
use crate::metadata::{MetadataImage, MetadataRecord, PartitionImage, TopicImage};
use crate::types::NodeId;

/// Where one partition is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reassign {
    pub topic: String,
    pub partition: i32,
    pub to: Destination,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// These brokers, the preferred leader first.
    Brokers(Vec<i32>),
    /// Where it was before the reassignment that is under way.
    Back,
}

/// Whether a reassignment may change how many replicas a partition has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FactorChange {
    Allowed,
    Refused,
}

/// Why a partition stays where it is. The texts are Kafka's: its tools print them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReassignError {
    #[error("Unable to find a topic named {0}.")]
    UnknownTopic(String),
    #[error("Unable to find partition {topic}:{partition}.")]
    UnknownPartition { topic: String, partition: i32 },
    #[error("{0}")]
    Assignment(#[from] AssignmentError),
    #[error("The replication factor is changed from {from} to {to}")]
    FactorChanged { from: usize, to: usize },
    #[error("No partition reassignment is in progress.")]
    NothingUnderWay,
    #[error(
        "Unable to revert partition assignment for {topic}:{partition} because it would require an \
         unclean leader election."
    )]
    RevertUnclean { topic: String, partition: i32 },
}

/// Decides for each partition by itself. `unclean` says whether a topic may be led by replicas that are
/// not in sync.
pub(super) fn plan(
    image: &MetadataImage,
    wanted: &[Reassign],
    factor_change: FactorChange,
    unclean: impl Fn(&str) -> bool,
) -> (Vec<MetadataRecord>, Vec<Result<(), ReassignError>>) {
    let mut records = Vec::new();
    let mut answers = Vec::with_capacity(wanted.len());
    for partition in wanted {
        let planned = plan_one(image, partition, factor_change, unclean(&partition.topic));
        answers.push(planned.map(|record| records.extend(record)));
    }
    (records, answers)
}

fn plan_one(
    image: &MetadataImage,
    wanted: &Reassign,
    factor_change: FactorChange,
    unclean: bool,
) -> Result<Option<MetadataRecord>, ReassignError> {
    let topic = image
        .topic(&wanted.topic)
        .ok_or_else(|| ReassignError::UnknownTopic(wanted.topic.clone()))?;
    let now = topic
        .partition(wanted.partition)
        .ok_or_else(|| ReassignError::UnknownPartition {
            topic: wanted.topic.clone(),
            partition: wanted.partition,
        })?;
    let next = match &wanted.to {
        Destination::Brokers(ids) => forward(image, now, ids, factor_change)?,
        Destination::Back => back(topic, wanted.partition, now, unclean)?,
    };
    let may_lead = |id| placement::may_lead(image, now, id);
    let record = next.record(topic.id, wanted.partition, image, may_lead);
    Ok(record.map(MetadataRecord::from))
}

fn forward<'a>(
    image: &MetadataImage,
    now: &'a PartitionImage,
    ids: &[i32],
    factor_change: FactorChange,
) -> Result<NextPartition<'a>, ReassignError> {
    let target = assignment::check(image, ids, None)?;
    // While one is under way, those that leave do not count.
    let staying = now.replicas.iter().filter(|id| !now.removing.contains(id));
    let from = staying.count();
    if factor_change == FactorChange::Refused && from != target.len() {
        return Err(ReassignError::FactorChanged {
            from,
            to: target.len(),
        });
    }
    let missing_in = |of: &[NodeId], other: &[NodeId]| {
        let mut missing: Vec<NodeId> = of
            .iter()
            .filter(|id| !other.contains(id))
            .copied()
            .collect();
        missing.sort();
        missing
    };
    let removing = missing_in(&now.replicas, &target);
    let adding = missing_in(&target, &now.replicas);
    Ok(NextPartition {
        replicas: target.iter().chain(&removing).copied().collect(),
        removing,
        adding,
        ..NextPartition::of(now)
    })
}

fn back<'a>(
    topic: &TopicImage,
    partition: i32,
    now: &'a PartitionImage,
    unclean: bool,
) -> Result<NextPartition<'a>, ReassignError> {
    if now.adding.is_empty() && now.removing.is_empty() {
        return Err(ReassignError::NothingUnderWay);
    }
    let without_new = |ids: &[NodeId]| -> Vec<NodeId> {
        let old = ids.iter().filter(|id| !now.adding.contains(id));
        old.copied().collect()
    };
    let replicas = without_new(&now.replicas);
    let mut isr = without_new(&now.isr);
    if isr.is_empty() {
        if !unclean {
            return Err(ReassignError::RevertUnclean {
                topic: topic.name.to_string(),
                partition,
            });
        }
        isr.extend(replicas.first());
    }
    Ok(NextPartition {
        replicas,
        isr,
        removing: Vec::new(),
        adding: Vec::new(),
        election: if unclean {
            Election::Unclean
        } else {
            Election::Clean
        },
        ..NextPartition::of(now)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controller::world::{brokers, with_topic};

    fn reassign(
        image: &MetadataImage,
        to: Destination,
        factor_change: FactorChange,
    ) -> Result<MetadataImage, ReassignError> {
        let wanted = Reassign {
            topic: "t".to_owned(),
            partition: 0,
            to,
        };
        let (records, mut answers) = plan(image, &[wanted], factor_change, |_| false);
        answers.remove(0)?;
        let mut image = image.clone();
        for record in &records {
            image.apply(record).unwrap();
        }
        Ok(image)
    }

    fn to(ids: &[i32]) -> Destination {
        Destination::Brokers(ids.to_vec())
    }

    #[test]
    fn a_partition_that_is_where_it_should_be_is_not_touched() {
        let image = with_topic(brokers(&[1]), &[(&[1], &[1], 1)]);
        let wanted = [Reassign {
            topic: "t".to_owned(),
            partition: 0,
            to: to(&[1]),
        }];
        let (records, answers) = plan(&image, &wanted, FactorChange::Refused, |_| false);
        assert_eq!((records, answers), (vec![], vec![Ok(())]));
    }

    #[test]
    fn a_move_to_another_broker_is_under_way_and_can_be_taken_back() {
        let image = with_topic(brokers(&[1, 2]), &[(&[1], &[1], 1)]);
        let moving = reassign(&image, to(&[2]), FactorChange::Refused).unwrap();
        let partition = moving.partition("t", 0).unwrap();
        assert_eq!(partition.replicas, [NodeId(2), NodeId(1)]);
        assert_eq!(partition.adding, [NodeId(2)]);
        assert_eq!(partition.removing, [NodeId(1)]);
        assert_eq!(partition.leader, Some(NodeId(1)));

        let back = reassign(&moving, Destination::Back, FactorChange::Refused).unwrap();
        let partition = back.partition("t", 0).unwrap();
        assert_eq!(partition.replicas, [NodeId(1)]);
        assert!(partition.adding.is_empty() && partition.removing.is_empty());
        let error = reassign(&back, Destination::Back, FactorChange::Refused).unwrap_err();
        assert_eq!(error, ReassignError::NothingUnderWay);
    }

    #[test]
    fn a_replica_on_a_broker_that_is_gone_for_good_can_be_dropped() {
        let image = with_topic(brokers(&[1]), &[(&[2, 1], &[1], 1)]);
        let error = reassign(&image, to(&[1]), FactorChange::Refused).unwrap_err();
        assert_eq!(error, ReassignError::FactorChanged { from: 2, to: 1 });
        let image = reassign(&image, to(&[1]), FactorChange::Allowed).unwrap();
        let partition = image.partition("t", 0).unwrap();
        assert_eq!(partition.replicas, [NodeId(1)]);
        assert!(partition.removing.is_empty());
    }

    #[test]
    fn unknown_topics_partitions_and_brokers_are_refused() {
        let image = with_topic(brokers(&[1]), &[(&[1], &[1], 1)]);
        let error = reassign(&image, to(&[9]), FactorChange::Allowed).unwrap_err();
        assert_eq!(error, AssignmentError::NotRegistered(NodeId(9)).into());
        let error = reassign(&brokers(&[1]), to(&[1]), FactorChange::Allowed).unwrap_err();
        assert_eq!(error.to_string(), "Unable to find a topic named t.");
    }
}
