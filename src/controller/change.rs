//! What a partition becomes: its replicas, who is in sync, who leads (`PartitionChangeBuilder`).

use crate::metadata::{BrokerImage, MetadataImage, PartitionImage};
use crate::protocol::messages::PartitionChangeRecord;
use crate::types::{NodeId, Uuid};

/// Who may be made leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Election {
    /// The first replica if it is in sync.
    Preferred,
    /// Whoever is in sync; the present leader if it still is.
    Clean,
    /// If nobody is in sync, anyone who is there: what only the others had is lost.
    Unclean,
}

/// The state that a partition is to have. Begins as it is.
pub(super) struct NextPartition<'a> {
    pub(super) now: &'a PartitionImage,
    pub(super) replicas: Vec<NodeId>,
    pub(super) isr: Vec<NodeId>,
    pub(super) removing: Vec<NodeId>,
    pub(super) adding: Vec<NodeId>,
    pub(super) election: Election,
}

struct Elected {
    leader: Option<NodeId>,
    unclean: bool,
}

/// `leader_recovery_state`: the leader was elected without being in sync.
const RECOVERING: i8 = 1;
/// The record's value for "nobody leads".
const NO_LEADER: i32 = -1;

impl<'a> NextPartition<'a> {
    pub(super) fn of(now: &'a PartitionImage) -> NextPartition<'a> {
        NextPartition {
            now,
            replicas: now.replicas.clone(),
            isr: now.isr.clone(),
            removing: now.removing.clone(),
            adding: now.adding.clone(),
            election: Election::Clean,
        }
    }

    /// The record that brings the partition there; `None` if it is there already.
    pub(super) fn record(
        mut self,
        topic_id: Uuid,
        partition_id: i32,
        image: &MetadataImage,
        may_lead: impl Fn(NodeId) -> bool,
    ) -> Option<PartitionChangeRecord> {
        self.complete_reassignment();
        let now = self.now;
        let mut record = PartitionChangeRecord::default();
        let elected = self.elect(may_lead);
        if elected.leader != now.leader {
            record.leader = elected.leader.map_or(NO_LEADER, NodeId::get);
            if let Some(leader) = elected.leader.filter(|id| !self.isr.contains(id)) {
                self.isr = vec![leader];
                // What the leader writes from now on, the others lack.
                record.eligible_leader_replicas = cleared(&now.eligible_leaders);
                record.last_known_elr = cleared(&now.last_known_leaders);
            }
            if elected.leader.is_some() && elected.unclean {
                record.leader_recovery_state = RECOVERING;
            }
        } else if !now.replicas.iter().all(|id| self.replicas.contains(id)) {
            // Who leaves must not go on as if nothing had happened: a new epoch tells it.
            record.leader = now.leader.map_or(NO_LEADER, NodeId::get);
        }
        // Who was in sync last stays on record until somebody else is.
        if !self.isr.is_empty() {
            record.isr = changed(&self.isr, &now.isr);
        }
        record.replicas = changed(&self.replicas, &now.replicas);
        record.removing_replicas = changed(&self.removing, &now.removing);
        record.adding_replicas = changed(&self.adding, &now.adding);
        if record.replicas.is_some() {
            record.directories = Some(self.directories(image));
        }
        (record != PartitionChangeRecord::default()).then_some(PartitionChangeRecord {
            topic_id,
            partition_id,
            ..record
        })
    }

    /// A reassignment is over once all that come are in sync, and enough of those that stay.
    fn complete_reassignment(&mut self) {
        if self.removing.is_empty() && self.adding.is_empty() {
            return;
        }
        let stays = |id: &&NodeId| !self.removing.contains(id);
        let replicas: Vec<NodeId> = self.replicas.iter().filter(stays).copied().collect();
        let isr: Vec<NodeId> = self.isr.iter().filter(stays).copied().collect();
        let all_in_sync = |ids: &[NodeId]| ids.iter().all(|id| isr.contains(id));
        let shrinks = self.adding.len() < self.removing.len();
        if isr.is_empty() || !all_in_sync(&self.adding) || (shrinks && !all_in_sync(&replicas)) {
            return;
        }
        self.replicas = replicas;
        self.isr = isr;
        self.removing = Vec::new();
        self.adding = Vec::new();
    }

    /// In sync is also, once nobody is left who is, who had everything that was acknowledged when it left
    /// (KIP-966's eligible leader replicas). Without those, a single last known leader leads uncleanly.
    fn elect(&self, may_lead: impl Fn(NodeId) -> bool) -> Elected {
        let complete = if self.isr.is_empty() {
            &self.now.eligible_leaders
        } else {
            &self.isr
        };
        let in_sync = |id: &NodeId| complete.contains(id) && may_lead(*id);
        let preferred = match self.election {
            Election::Preferred => self.replicas.first(),
            Election::Clean | Election::Unclean => None,
        };
        let candidates = preferred.into_iter().chain(&self.now.leader);
        let clean = candidates
            .chain(&self.replicas)
            .copied()
            .find(|id| in_sync(id));
        let last_known = match self.now.last_known_leaders[..] {
            [only] if complete.is_empty() && may_lead(only) => Some(only),
            _ => None,
        };
        let anyone = match self.election {
            Election::Unclean => self.replicas.iter().copied().find(|id| may_lead(*id)),
            Election::Preferred | Election::Clean => None,
        };
        Elected {
            leader: clean.or(last_known).or(anyone),
            unclean: clean.is_none(),
        }
    }

    /// Where each replica lies: as now, and for new ones where their broker puts them.
    fn directories(&self, image: &MetadataImage) -> Vec<Uuid> {
        let directory = |id: &NodeId| {
            let mut known = self.now.replicas.iter().zip(&self.now.directories);
            let present = known.find(|(replica, _)| *replica == id);
            present.map_or_else(
                || default_directory(image.brokers.get(id).map(|broker| &**broker)),
                |(_, directory)| *directory,
            )
        };
        self.replicas.iter().map(directory).collect()
    }
}

/// The directory of a new replica: a broker with one directory has no choice, one with more says later
/// which it took.
pub(super) fn default_directory(broker: Option<&BrokerImage>) -> Uuid {
    match broker.map(|broker| broker.directories.as_slice()) {
        Some([only]) => *only,
        _ => Uuid::ZERO,
    }
}

fn cleared(now: &[NodeId]) -> Option<Vec<i32>> {
    changed(&[], now)
}

fn changed(next: &[NodeId], now: &[NodeId]) -> Option<Vec<i32>> {
    (next != now).then(|| next.iter().map(|id| id.get()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controller::world::brokers;
    use crate::types::LeaderEpoch;

    fn ids(ids: &[i32]) -> Vec<NodeId> {
        ids.iter().copied().map(NodeId).collect()
    }

    fn partition(replicas: &[i32], isr: &[i32], leader: Option<i32>) -> PartitionImage {
        PartitionImage {
            replicas: ids(replicas),
            isr: ids(isr),
            leader: leader.map(NodeId),
            leader_recovery_state: 0,
            leader_epoch: LeaderEpoch(0),
            partition_epoch: 0,
            directories: vec![Uuid::ZERO; replicas.len()],
            removing: Vec::new(),
            adding: Vec::new(),
            eligible_leaders: Vec::new(),
            last_known_leaders: Vec::new(),
        }
    }

    fn elect(
        now: &PartitionImage,
        election: Election,
        there: &[i32],
    ) -> Option<PartitionChangeRecord> {
        let next = NextPartition {
            election,
            ..NextPartition::of(now)
        };
        let there = ids(there);
        next.record(Uuid::ZERO, 0, &MetadataImage::default(), |id| {
            there.contains(&id)
        })
    }

    #[test]
    fn a_leader_that_is_in_sync_and_there_stays() {
        let now = partition(&[1, 2], &[1, 2], Some(2));
        assert_eq!(elect(&now, Election::Clean, &[1, 2]), None);
        assert_eq!(elect(&now, Election::Unclean, &[1, 2]), None);
    }

    #[test]
    fn the_preferred_leader_is_the_first_replica_if_it_is_in_sync_and_there() {
        let now = partition(&[1, 2], &[1, 2], Some(2));
        assert_eq!(elect(&now, Election::Preferred, &[1, 2]).unwrap().leader, 1);
        assert_eq!(elect(&now, Election::Preferred, &[2]), None);
        let out_of_sync = partition(&[1, 2], &[2], Some(2));
        assert_eq!(elect(&out_of_sync, Election::Preferred, &[1, 2]), None);
    }

    #[test]
    fn only_an_unclean_election_makes_a_replica_lead_that_is_not_in_sync() {
        let now = partition(&[1, 2], &[2], None);
        assert_eq!(elect(&now, Election::Clean, &[1]), None);
        let record = elect(&now, Election::Unclean, &[1]).unwrap();
        assert_eq!((record.leader, record.isr), (1, Some(vec![1])));
        assert_eq!(record.leader_recovery_state, RECOVERING);
    }

    /// A broker of Apache Kafka that stops leaves its partitions without anybody in sync and names itself as
    /// eligible; its directory opened here had no leaders.
    #[test]
    fn who_is_eligible_leads_when_nobody_is_in_sync() {
        let mut now = partition(&[1, 2], &[], None);
        now.eligible_leaders = ids(&[2]);
        now.last_known_leaders = ids(&[1]);
        assert_eq!(elect(&now, Election::Clean, &[1]), None);
        let record = elect(&now, Election::Clean, &[1, 2]).unwrap();
        assert_eq!((record.leader, record.isr), (2, Some(vec![2])));
        assert_eq!(record.leader_recovery_state, -1);
        assert_eq!(record.eligible_leader_replicas, Some(vec![]));
        assert_eq!(record.last_known_elr, Some(vec![]));
    }

    #[test]
    fn the_last_known_leader_leads_uncleanly_when_nobody_is_eligible() {
        let mut now = partition(&[1, 2], &[], None);
        now.last_known_leaders = ids(&[2]);
        assert_eq!(elect(&now, Election::Clean, &[1]), None);
        let record = elect(&now, Election::Clean, &[1, 2]).unwrap();
        assert_eq!((record.leader, record.isr), (2, Some(vec![2])));
        assert_eq!(record.leader_recovery_state, RECOVERING);
    }

    #[test]
    fn the_last_one_in_sync_stays_on_record_when_it_goes() {
        let now = partition(&[1], &[1], Some(1));
        let next = NextPartition {
            isr: Vec::new(),
            ..NextPartition::of(&now)
        };
        let record = next
            .record(Uuid::ZERO, 0, &MetadataImage::default(), |_| false)
            .unwrap();
        assert_eq!((record.leader, record.isr), (NO_LEADER, None));
    }

    #[test]
    fn a_reassignment_that_only_drops_replicas_is_done_at_once_in_a_new_epoch() {
        let now = partition(&[1, 2], &[1], Some(1));
        let next = NextPartition {
            removing: ids(&[2]),
            ..NextPartition::of(&now)
        };
        let record = next
            .record(Uuid::ZERO, 0, &brokers(&[1]), |_| true)
            .unwrap();
        assert_eq!(record.replicas, Some(vec![1]));
        assert_eq!((record.leader, record.removing_replicas), (1, None));
        assert_eq!(record.directories.map(|found| found.len()), Some(1));
    }

    #[test]
    fn a_reassignment_goes_on_until_those_that_come_are_in_sync() {
        let mut now = partition(&[1], &[1], Some(1));
        let next = NextPartition {
            replicas: ids(&[2, 1]),
            removing: ids(&[1]),
            adding: ids(&[2]),
            ..NextPartition::of(&now)
        };
        let record = next
            .record(Uuid::ZERO, 0, &brokers(&[1, 2]), |_| true)
            .unwrap();
        assert_eq!(record.replicas, Some(vec![2, 1]));
        assert_eq!(record.adding_replicas, Some(vec![2]));
        assert_eq!((record.leader, record.isr), (-2, None));

        now.replicas = ids(&[2, 1]);
        now.directories = vec![Uuid::ZERO; 2];
        now.removing = ids(&[1]);
        now.adding = ids(&[2]);
        let next = NextPartition {
            isr: ids(&[1, 2]),
            ..NextPartition::of(&now)
        };
        let record = next
            .record(Uuid::ZERO, 0, &brokers(&[1, 2]), |_| true)
            .unwrap();
        assert_eq!((record.leader, record.isr), (2, Some(vec![2])));
        assert_eq!(record.replicas, Some(vec![2]));
        assert_eq!(record.adding_replicas, Some(vec![]));
    }
}
