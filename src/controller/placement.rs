//! Which brokers hold which replicas of a new topic.

use crate::metadata::MetadataImage;
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

/// Replicas for `partitions` partitions, the preferred leader first. Leaders go round the brokers
/// from one drawn by chance, followers follow in the same order.
pub(super) fn place(
    image: &MetadataImage,
    partitions: usize,
    factor: usize,
    rng: &dyn Rng,
) -> Result<Vec<Vec<NodeId>>, PlacementError> {
    let live: Vec<NodeId> = image
        .brokers
        .keys()
        .copied()
        .filter(|id| is_live(image, *id))
        .collect();
    if live.is_empty() {
        return Err(PlacementError::NoBroker);
    }
    if factor > live.len() {
        return Err(PlacementError::TooFewBrokers {
            wanted: factor,
            live: live.len(),
        });
    }
    let first = usize::try_from(rng.next_u64() % live.len() as u64).unwrap_or(0);
    let replicas = |partition: usize| {
        (0..factor)
            .map(|follower| live[(first + partition + follower) % live.len()])
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

    #[test]
    fn leaders_are_spread_evenly_and_no_broker_holds_a_partition_twice() {
        let placed = place(&brokers(&[0, 1, 2]), 9, 2, &OsRng).unwrap();
        let mut led = BTreeMap::new();
        for replicas in placed {
            assert_ne!(replicas[0], replicas[1]);
            *led.entry(replicas[0]).or_insert(0) += 1;
        }
        assert_eq!(led.values().copied().collect::<Vec<i32>>(), [3, 3, 3]);
    }

    #[test]
    fn without_enough_brokers_nothing_is_placed() {
        assert_eq!(
            place(&brokers(&[]), 1, 1, &OsRng),
            Err(PlacementError::NoBroker)
        );
        let error = PlacementError::TooFewBrokers { wanted: 3, live: 2 };
        assert_eq!(place(&brokers(&[0, 1]), 1, 3, &OsRng), Err(error));
    }
}
