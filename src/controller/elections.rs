//! Leader elections that an administrator asks for.

use super::change::{Election, NextPartition};
use super::placement;
use crate::metadata::{MetadataImage, MetadataRecord, PartitionImage};
use crate::types::Uuid;

/// What came of the elections of one topic's partitions, in the order that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicElections {
    pub topic: String,
    pub partitions: Vec<(i32, Result<(), ElectionError>)>,
}

/// Why a partition keeps its leader, or has none. The texts are Kafka's: its tools print them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ElectionError {
    #[error("No such topic as {0}")]
    UnknownTopic(String),
    #[error("No such partition as {topic}-{partition}")]
    UnknownPartition { topic: String, partition: i32 },
    #[error("Leader election not needed for topic partition.")]
    NotNeeded,
    #[error("The preferred leader was not available.")]
    PreferredNotAvailable,
    #[error("Eligible topic partition leaders are not available.")]
    NobodyAvailable,
}

/// Elects leaders of the partitions of `wanted`; of all partitions that need one, if it is `None`.
pub(super) fn plan(
    image: &MetadataImage,
    wanted: Option<&[(String, Vec<i32>)]>,
    election: Election,
) -> (Vec<MetadataRecord>, Vec<TopicElections>) {
    let mut records = Vec::new();
    let mut held = |topic: &str, partition: i32| {
        let elected = elect(image, topic, partition, election);
        elected.map(|record| records.push(record))
    };
    let Some(wanted) = wanted else {
        let elections = image.topics().map(|topic| TopicElections {
            topic: topic.name.to_string(),
            partitions: topic
                .numbered()
                .map(|(number, _)| (number, held(topic.name.as_str(), number)))
                .filter(|(_, elected)| *elected != Err(ElectionError::NotNeeded))
                .collect(),
        });
        let elections = elections.collect();
        return (records, elections);
    };
    let elections = wanted.iter().map(|(topic, numbers)| TopicElections {
        topic: topic.clone(),
        partitions: numbers.iter().map(|n| (*n, held(topic, *n))).collect(),
    });
    let elections = elections.collect();
    (records, elections)
}

fn elect(
    image: &MetadataImage,
    name: &str,
    partition: i32,
    election: Election,
) -> Result<MetadataRecord, ElectionError> {
    let topic = image
        .topic(name)
        .ok_or_else(|| ElectionError::UnknownTopic(name.to_owned()))?;
    let now = topic
        .partition(partition)
        .ok_or_else(|| ElectionError::UnknownPartition {
            topic: name.to_owned(),
            partition,
        })?;
    let is_needed = match election {
        Election::Preferred => now.leader.is_none() || now.leader.as_ref() != now.replicas.first(),
        Election::Clean | Election::Unclean => now.leader.is_none(),
    };
    if !is_needed {
        return Err(ElectionError::NotNeeded);
    }
    record(image, topic.id, partition, now, election).ok_or(match election {
        Election::Preferred => ElectionError::PreferredNotAvailable,
        Election::Clean | Election::Unclean => ElectionError::NobodyAvailable,
    })
}

fn record(
    image: &MetadataImage,
    topic_id: Uuid,
    partition: i32,
    now: &PartitionImage,
    election: Election,
) -> Option<MetadataRecord> {
    let next = NextPartition {
        election,
        ..NextPartition::of(now)
    };
    let may_lead = |id| placement::may_lead(image, now, id);
    Some(next.record(topic_id, partition, image, may_lead)?.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controller::world::{brokers, with_topic};
    use crate::types::NodeId;

    fn elect_one(
        image: &MetadataImage,
        partition: i32,
        election: Election,
    ) -> Result<MetadataImage, ElectionError> {
        let wanted = [("t".to_owned(), vec![partition])];
        let (records, mut elections) = plan(image, Some(&wanted), election);
        elections.remove(0).partitions.remove(0).1?;
        let mut image = image.clone();
        for record in &records {
            image.apply(record).unwrap();
        }
        Ok(image)
    }

    fn leader(image: &MetadataImage) -> Option<i32> {
        image.partition("t", 0).unwrap().leader.map(NodeId::get)
    }

    #[test]
    fn the_preferred_leader_takes_over_from_another_one() {
        let image = with_topic(brokers(&[1, 2]), &[(&[1, 2], &[1, 2], 2)]);
        let image = elect_one(&image, 0, Election::Preferred).unwrap();
        assert_eq!(leader(&image), Some(1));
        let error = elect_one(&image, 0, Election::Preferred).unwrap_err();
        assert_eq!(error, ElectionError::NotNeeded);
    }

    #[test]
    fn without_anybody_in_sync_only_an_unclean_election_gives_a_leader() {
        let image = with_topic(brokers(&[1]), &[(&[1, 2], &[2], -1)]);
        let error = elect_one(&image, 0, Election::Preferred).unwrap_err();
        assert_eq!(error, ElectionError::PreferredNotAvailable);
        let image = elect_one(&image, 0, Election::Unclean).unwrap();
        assert_eq!(leader(&image), Some(1));
        let nobody = with_topic(brokers(&[]), &[(&[1], &[1], -1)]);
        let error = elect_one(&nobody, 0, Election::Unclean).unwrap_err();
        assert_eq!(error, ElectionError::NobodyAvailable);
    }

    #[test]
    fn what_does_not_exist_is_named() {
        let image = with_topic(brokers(&[1]), &[(&[1], &[1], 1)]);
        let error = elect_one(&image, 4, Election::Preferred).unwrap_err();
        assert_eq!(error.to_string(), "No such partition as t-4");
        let error = elect_one(&brokers(&[1]), 0, Election::Unclean).unwrap_err();
        assert_eq!(error.to_string(), "No such topic as t");
    }

    #[test]
    fn of_all_partitions_only_those_that_needed_an_election_are_told() {
        let image = with_topic(
            brokers(&[1, 2]),
            &[(&[1, 2], &[1, 2], 1), (&[2, 1], &[1, 2], 1)],
        );
        let (records, elections) = plan(&image, None, Election::Preferred);
        assert_eq!((records.len(), elections.len()), (1, 1));
        assert_eq!(elections[0].partitions, [(1, Ok(()))]);
    }
}
