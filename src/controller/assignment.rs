//! Replicas that an administrator chose by hand (`validateManualPartitionAssignment`).

use super::placement;
use crate::metadata::MetadataImage;
use crate::types::NodeId;

/// Why a list of brokers cannot hold a partition's replicas. The texts are Kafka's: its tools print them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AssignmentError {
    #[error("The manual partition assignment includes an empty replica list.")]
    Empty,
    #[error(
        "The manual partition assignment includes broker {0}, but no such broker is registered."
    )]
    NotRegistered(NodeId),
    #[error("The manual partition assignment includes the broker {0} more than once.")]
    Twice(NodeId),
    #[error(
        "The manual partition assignment includes a partition with {found} replica(s), but this is \
         not consistent with previous partitions, which have {expected} replica(s)."
    )]
    Factor { found: usize, expected: usize },
    #[error(
        "All brokers specified in the manual partition assignment for partition {0} are fenced or \
         in controlled shutdown."
    )]
    AllFenced(i32),
}

/// The replicas, if they are registered brokers, each named once, and as many as `factor` says.
pub(super) fn check(
    image: &MetadataImage,
    ids: &[i32],
    factor: Option<usize>,
) -> Result<Vec<NodeId>, AssignmentError> {
    let replicas: Vec<NodeId> = ids.iter().copied().map(NodeId).collect();
    if replicas.is_empty() {
        return Err(AssignmentError::Empty);
    }
    let mut sorted = replicas.clone();
    sorted.sort();
    let mut previous = None;
    for id in sorted {
        if !image.brokers.contains_key(&id) {
            return Err(AssignmentError::NotRegistered(id));
        }
        if previous == Some(id) {
            return Err(AssignmentError::Twice(id));
        }
        previous = Some(id);
    }
    match factor {
        Some(expected) if expected != replicas.len() => Err(AssignmentError::Factor {
            found: replicas.len(),
            expected,
        }),
        _ => Ok(replicas),
    }
}

/// As [`check`], for a partition that is new: somebody must be there to lead it.
pub(super) fn check_new(
    image: &MetadataImage,
    partition: i32,
    ids: &[i32],
    factor: Option<usize>,
) -> Result<Vec<NodeId>, AssignmentError> {
    let replicas = check(image, ids, factor)?;
    if replicas.iter().any(|id| placement::is_live(image, *id)) {
        Ok(replicas)
    } else {
        Err(AssignmentError::AllFenced(partition))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controller::world::brokers;

    #[test]
    fn replicas_are_registered_brokers_each_named_once() {
        let image = brokers(&[1, 2]);
        assert_eq!(check(&image, &[2, 1], None), Ok(vec![NodeId(2), NodeId(1)]));
        for (ids, error) in [
            (&[][..], AssignmentError::Empty),
            (&[2, 9], AssignmentError::NotRegistered(NodeId(9))),
            (&[1, 2, 1], AssignmentError::Twice(NodeId(1))),
        ] {
            assert_eq!(check(&image, ids, None), Err(error));
        }
        let error = AssignmentError::Factor {
            found: 1,
            expected: 2,
        };
        assert_eq!(check(&image, &[1], Some(2)), Err(error));
    }
}
