//! More partitions for topics that exist.

use super::assignment::{self, AssignmentError};
use super::placement::{self, PlacementError};
use super::topics::{PARTITIONS_PER_REQUEST_MAX, new_partition};
use crate::metadata::{MetadataImage, MetadataRecord, TopicImage};
use crate::runtime::Rng;
use crate::types::NodeId;

/// A topic as somebody wants it to grow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrowTopic {
    pub name: String,
    /// Partitions that the topic is to have, with those that it has.
    pub count: i32,
    /// Replicas of each new partition, chosen by hand.
    pub assignments: Option<Vec<Vec<i32>>>,
}

/// Why a topic gets no more partitions. The texts are Kafka's: its tools print them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GrowTopicError {
    #[error("there is no such topic")]
    UnknownTopic,
    #[error("Topic already has {0} partition(s).")]
    SameCount(usize),
    #[error(
        "The topic {name} currently has {has} partition(s); {wanted} would not be an increase."
    )]
    NoIncrease {
        name: String,
        has: usize,
        wanted: i32,
    },
    #[error(
        "Attempted to add {additional} additional partition(s), but only {given} assignment(s) were \
         specified."
    )]
    AssignmentCount { additional: usize, given: usize },
    #[error("{0}")]
    Assignment(#[from] AssignmentError),
    #[error("{0}")]
    Placement(#[from] PlacementError),
    #[error("Unable to perform excessively large batch operation.")]
    TooMany,
}

/// Decides for each topic by itself: one that is refused does not keep others from growing.
pub(super) fn plan(
    image: &MetadataImage,
    usable: &[NodeId],
    wanted: &[GrowTopic],
    rng: &dyn Rng,
) -> (Vec<MetadataRecord>, Vec<Result<(), GrowTopicError>>) {
    let mut records = Vec::new();
    let mut answers = Vec::with_capacity(wanted.len());
    for topic in wanted {
        let left = PARTITIONS_PER_REQUEST_MAX.saturating_sub(records.len());
        let planned = plan_topic(image, usable, topic, left, rng);
        answers.push(planned.map(|partitions| records.extend(partitions)));
    }
    (records, answers)
}

fn plan_topic(
    image: &MetadataImage,
    usable: &[NodeId],
    wanted: &GrowTopic,
    partitions_max: usize,
    rng: &dyn Rng,
) -> Result<Vec<MetadataRecord>, GrowTopicError> {
    let topic = image
        .topic(&wanted.name)
        .ok_or(GrowTopicError::UnknownTopic)?;
    let has = topic.partitions.len();
    let count = usize::try_from(wanted.count).unwrap_or(0);
    if count == has {
        return Err(GrowTopicError::SameCount(has));
    }
    if count < has {
        return Err(GrowTopicError::NoIncrease {
            name: wanted.name.clone(),
            has,
            wanted: wanted.count,
        });
    }
    let additional = count - has;
    let placed = match &wanted.assignments {
        Some(chosen) if chosen.len() != additional => {
            return Err(GrowTopicError::AssignmentCount {
                additional,
                given: chosen.len(),
            });
        }
        _ if additional > partitions_max => return Err(GrowTopicError::TooMany),
        Some(chosen) => chosen_by_hand(image, topic, chosen)?,
        None => placement::place(usable, additional, factor(topic), rng)?,
    };
    let numbered = (i32::try_from(has).unwrap_or(i32::MAX)..).zip(&placed);
    Ok(numbered
        .map(|(number, replicas)| new_partition(image, topic.id, number, replicas).into())
        .collect())
}

/// As many replicas as the topic's first partition has.
fn factor(topic: &TopicImage) -> usize {
    topic.partitions.first().map_or(1, |p| p.replicas.len())
}

fn chosen_by_hand(
    image: &MetadataImage,
    topic: &TopicImage,
    chosen: &[Vec<i32>],
) -> Result<Vec<Vec<NodeId>>, GrowTopicError> {
    let first = i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX);
    let numbered = (first..).zip(chosen);
    let checked = numbered.map(|(number, replicas)| {
        assignment::check_new(image, number, replicas, Some(factor(topic)))
    });
    Ok(checked.collect::<Result<_, AssignmentError>>()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::BrokerConfig;
    use crate::controller::world::{brokers, with_topic};
    use crate::runtime::os::OsRng;

    fn two_partitions() -> MetadataImage {
        with_topic(brokers(&[1]), &[(&[1], &[1], 1), (&[1], &[1], 1)])
    }

    fn usable(image: &MetadataImage) -> Vec<NodeId> {
        placement::usable(image, &BrokerConfig::default())
    }

    fn grow(
        image: &MetadataImage,
        count: i32,
        assignments: Option<Vec<Vec<i32>>>,
    ) -> Result<MetadataImage, GrowTopicError> {
        let wanted = GrowTopic {
            name: "t".to_owned(),
            count,
            assignments,
        };
        let (records, mut answers) = plan(image, &usable(image), &[wanted], &OsRng);
        answers.remove(0)?;
        let mut image = image.clone();
        for record in &records {
            image.apply(record).unwrap();
        }
        Ok(image)
    }

    #[test]
    fn new_partitions_follow_the_old_ones_and_have_as_many_replicas_and_a_leader() {
        let grown = grow(&two_partitions(), 5, None).unwrap();
        let topic = grown.topic("t").unwrap();
        assert_eq!(topic.partitions.len(), 5);
        for partition in &topic.partitions[2..] {
            assert_eq!(partition.replicas, [NodeId(1)]);
            assert_eq!(partition.leader, Some(NodeId(1)));
        }
    }

    #[test]
    fn a_count_that_is_not_larger_is_refused() {
        let image = two_partitions();
        assert_eq!(
            grow(&image, 2, None).unwrap_err(),
            GrowTopicError::SameCount(2)
        );
        for count in [1, 0, -1, i32::MIN] {
            let error = grow(&image, count, None).unwrap_err();
            assert!(matches!(error, GrowTopicError::NoIncrease { has: 2, .. }));
        }
        let none = MetadataImage::default();
        assert_eq!(
            grow(&none, 2, None).unwrap_err(),
            GrowTopicError::UnknownTopic
        );
    }

    #[test]
    fn assignments_by_hand_are_one_for_each_new_partition_and_keep_the_replication_factor() {
        let image = two_partitions();
        assert!(grow(&image, 3, Some(vec![vec![1]])).is_ok());
        let error = grow(&image, 4, Some(vec![vec![1]])).unwrap_err();
        let expected = GrowTopicError::AssignmentCount {
            additional: 2,
            given: 1,
        };
        assert_eq!(error, expected);
        let two_replicas = with_topic(brokers(&[1, 2]), &[(&[1, 2], &[1, 2], 1)]);
        let error = grow(&two_replicas, 2, Some(vec![vec![2]])).unwrap_err();
        assert!(matches!(
            error,
            GrowTopicError::Assignment(AssignmentError::Factor { .. })
        ));
    }

    #[test]
    fn a_partition_that_nobody_can_lead_is_refused() {
        let mut image = two_partitions();
        let fenced = crate::protocol::messages::FenceBrokerRecord {
            id: 1,
            ..Default::default()
        };
        image.apply(&fenced.into()).unwrap();
        let error = grow(&image, 3, Some(vec![vec![1]])).unwrap_err();
        assert_eq!(error, AssignmentError::AllFenced(2).into());
        let error = grow(&image, 3, None).unwrap_err();
        assert_eq!(error, PlacementError::NoBroker.into());
    }

    #[test]
    fn what_is_too_much_for_one_batch_of_records_is_refused_and_leaves_room_for_others() {
        let image = two_partitions();
        let wanted = |count| GrowTopic {
            name: "t".to_owned(),
            count,
            assignments: None,
        };
        let (records, answers) = plan(
            &image,
            &usable(&image),
            &[wanted(10_003), wanted(3)],
            &OsRng,
        );
        assert_eq!(answers, [Err(GrowTopicError::TooMany), Ok(())]);
        assert_eq!(records.len(), 1);
    }
}
