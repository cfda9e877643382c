//! Which brokers hold which replicas of a new topic.

use crate::config::BrokerConfig;
use crate::metadata::{MetadataImage, PartitionImage};
use crate::runtime::Rng;
use crate::types::NodeId;

/// Why replicas find no place. The texts are Kafka's: its tools print them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlacementError {
    #[error("All brokers are currently fenced, or have all their log directories cordoned.")]
    NoBroker,
    #[error(
        "The target replication factor of {wanted} cannot be reached because only {live} broker(s) \
         are registered or some brokers have all their log directories cordoned."
    )]
    TooFewBrokers { wanted: usize, live: usize },
}

/// Whether the broker may be given new replicas and lead them.
pub(super) fn is_live(image: &MetadataImage, id: NodeId) -> bool {
    image
        .brokers
        .get(&id)
        .is_some_and(|broker| !broker.fenced && !broker.shutting_down)
}

/// Whether the broker may lead the partition: it is live, and so is the directory of its replica.
pub(super) fn may_lead(image: &MetadataImage, partition: &PartitionImage, id: NodeId) -> bool {
    let directory = partition.directory_of(id);
    is_live(image, id)
        && image
            .brokers
            .get(&id)
            .is_some_and(|it| it.has_online(directory))
}

/// Brokers that may be given new replicas: the live ones, except `own` if all its log directories are
/// cordoned.
pub(super) fn usable(image: &MetadataImage, own: &BrokerConfig) -> Vec<NodeId> {
    let is_full = |id: NodeId| id == own.node_id && own.directories.all_cordoned();
    let brokers = image.brokers.keys().copied();
    brokers
        .filter(|id| is_live(image, *id) && !is_full(*id))
        .collect()
}

/// Replicas for `partitions` partitions on brokers that are [`usable`], the preferred leader first.
/// Leaders go round the brokers from one drawn by chance, followers follow in the same order.
pub(super) fn place(
    usable: &[NodeId],
    partitions: usize,
    factor: usize,
    rng: &dyn Rng,
) -> Result<Vec<Vec<NodeId>>, PlacementError> {
    if usable.is_empty() {
        return Err(PlacementError::NoBroker);
    }
    if factor > usable.len() {
        return Err(PlacementError::TooFewBrokers {
            wanted: factor,
            live: usable.len(),
        });
    }
    let first = usize::try_from(rng.next_u64() % usable.len() as u64).unwrap_or(0);
    let replicas = |partition: usize| {
        (0..factor)
            .map(|follower| usable[(first + partition + follower) % usable.len()])
            .collect()
    };
    Ok((0..partitions).map(replicas).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controller::world::brokers;
    use crate::runtime::os::OsRng;
    use std::collections::BTreeMap;
    use std::path::PathBuf;

    #[test]
    fn leaders_are_spread_evenly_and_no_broker_holds_a_partition_twice() {
        let placed = place(&[0, 1, 2].map(NodeId), 9, 2, &OsRng).unwrap();
        let mut led = BTreeMap::new();
        for replicas in placed {
            assert_ne!(replicas[0], replicas[1]);
            *led.entry(replicas[0]).or_insert(0) += 1;
        }
        assert_eq!(led.values().copied().collect::<Vec<i32>>(), [3, 3, 3]);
    }

    #[test]
    fn a_broker_whose_directories_are_all_cordoned_takes_no_replicas() {
        let mut own = BrokerConfig {
            node_id: NodeId(1),
            ..BrokerConfig::default()
        };
        own.directories.log_dirs = ["/a", "/b"].map(PathBuf::from).to_vec();
        let image = brokers(&[0, 1]);
        for (cordoned, want) in [(&["/a"][..], &[0, 1][..]), (&["/a", "/b"], &[0])] {
            own.directories.cordoned = cordoned.iter().map(PathBuf::from).collect();
            let usable = usable(&image, &own);
            assert!(usable.iter().map(|id| id.get()).eq(want.iter().copied()));
        }
    }

    #[test]
    fn without_enough_brokers_nothing_is_placed() {
        assert_eq!(place(&[], 1, 1, &OsRng), Err(PlacementError::NoBroker));
        let error = PlacementError::TooFewBrokers { wanted: 3, live: 2 };
        assert_eq!(place(&[0, 1].map(NodeId), 1, 3, &OsRng), Err(error));
    }
}
