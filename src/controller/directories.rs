//! Where replicas lie (`AssignReplicasToDirs`), and which nobody serves because a log directory has failed
//! (`ReplicationControlManager.handleDirectoriesOffline`).

use super::change::{Election, NextPartition};
use super::placement;
use crate::metadata::{
    ELIGIBLE_LEADER_REPLICAS, MetadataImage, MetadataRecord, PartitionImage, TopicImage,
};
use crate::protocol::messages::{BrokerRegistrationChangeRecord, PartitionChangeRecord};
use crate::replica::ReplicaPlace;
use crate::types::{NodeId, Uuid};

/// Notes where replicas of `broker` lie. Those that the metadata does not have are left out.
pub(super) fn plan_assignments(
    image: &MetadataImage,
    broker: NodeId,
    places: &[ReplicaPlace],
) -> Vec<MetadataRecord> {
    let change = |place: &ReplicaPlace| {
        let topic = image.topic_by_id(&place.topic_id)?;
        let now = topic.partition(place.partition)?;
        if !now.replicas.contains(&broker) || now.directory_of(broker) == place.directory {
            return None;
        }
        let directory = |id: &NodeId| match *id == broker {
            true => place.directory,
            false => now.directory_of(*id),
        };
        let record = PartitionChangeRecord {
            topic_id: place.topic_id,
            partition_id: place.partition,
            directories: Some(now.replicas.iter().map(directory).collect()),
            ..PartitionChangeRecord::default()
        };
        Some(record.into())
    };
    places.iter().filter_map(change).collect()
}

/// Of the directories of `broker` only `online` are left: what it led in the others is led by those in
/// sync, or by nobody. `unclean` says whether a topic may be led by replicas that are not in sync.
pub(super) fn plan_failure(
    image: &MetadataImage,
    broker: NodeId,
    online: &[Uuid],
    unclean: impl Fn(&str) -> bool,
) -> Vec<MetadataRecord> {
    let registered = image.brokers.get(&broker);
    let Some(registered) = registered.filter(|it| it.directories != online) else {
        return Vec::new();
    };
    let change: MetadataRecord = BrokerRegistrationChangeRecord {
        broker_id: broker.get(),
        broker_epoch: registered.epoch,
        log_dirs: online.to_vec(),
        ..BrokerRegistrationChangeRecord::default()
    }
    .into();
    let mut after = image.clone();
    if after.apply(&change).is_err() {
        return Vec::new();
    }
    let mut records = vec![change];
    records.extend(plan_unserved(&after, broker, unclean));
    records
}

/// Takes `broker` out of the partitions whose replicas it has lost with their directories.
pub(super) fn plan_unserved(
    image: &MetadataImage,
    broker: NodeId,
    unclean: impl Fn(&str) -> bool,
) -> Vec<MetadataRecord> {
    let Some(registered) = image.brokers.get(&broker) else {
        return Vec::new();
    };
    let mut records = Vec::new();
    for topic in image.topics() {
        let lost = topic.numbered().filter(|(_, now)| {
            now.isr.contains(&broker) && !registered.has_online(now.directory_of(broker))
        });
        let election = if unclean(topic.name.as_str()) {
            Election::Unclean
        } else {
            Election::Clean
        };
        records.extend(lost.filter_map(|(number, now)| {
            Some(without(image, topic, number, now, broker, election)?.into())
        }));
    }
    records
}

fn without(
    image: &MetadataImage,
    topic: &TopicImage,
    number: i32,
    now: &PartitionImage,
    broker: NodeId,
    election: Election,
) -> Option<PartitionChangeRecord> {
    let others = now.isr.iter().filter(|id| **id != broker);
    let isr: Vec<NodeId> = others.copied().collect();
    let was_last = isr.is_empty();
    let next = NextPartition {
        isr,
        election,
        ..NextPartition::of(now)
    };
    let may_lead = |id| placement::may_lead(image, now, id);
    let mut record = next.record(topic.id, number, image, may_lead)?;
    let eligible = image.features.get(ELIGIBLE_LEADER_REPLICAS);
    if was_last && record.isr.is_none() && eligible.is_some_and(|level| *level > 0) {
        // It has everything that was acknowledged: it leads again once its directory is back.
        record.isr = Some(Vec::new());
        record.eligible_leader_replicas = Some(vec![broker.get()]);
        record.last_known_elr = Some(vec![broker.get()]);
    }
    Some(record)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controller::world::{TOPIC, brokers, with_topic};
    use crate::protocol::messages::FeatureLevelRecord;

    const GOOD: Uuid = Uuid::from_bytes([1; 16]);
    const BAD: Uuid = Uuid::from_bytes([2; 16]);

    fn apply(image: &mut MetadataImage, records: &[MetadataRecord]) {
        for record in records {
            image.apply(record).unwrap();
        }
    }

    fn place(partition: i32, directory: Uuid) -> ReplicaPlace {
        ReplicaPlace {
            topic_id: TOPIC,
            partition,
            directory,
        }
    }

    /// Three partitions of broker 1: in a good directory, in a bad one, and the last shared with broker 2.
    fn image() -> MetadataImage {
        let partitions: &[(&[i32], &[i32], i32)] =
            &[(&[1], &[1], 1), (&[1], &[1], 1), (&[1, 2], &[1, 2], 1)];
        let mut image = with_topic(brokers(&[1, 2]), partitions);
        let places = [place(0, GOOD), place(1, BAD), place(2, BAD)];
        let assigned = plan_assignments(&image, NodeId(1), &places);
        apply(&mut image, &assigned);
        let both = plan_failure(&image, NodeId(1), &[GOOD, BAD], |_| false);
        assert_eq!(both.len(), 1, "nothing has failed");
        apply(&mut image, &both);
        image
    }

    fn leader(image: &MetadataImage, partition: i32) -> Option<NodeId> {
        image.partition("t", partition).unwrap().leader
    }

    #[test]
    fn a_place_is_noted_once_and_only_for_a_replica_that_there_is() {
        let image = image();
        let places = [place(0, GOOD), place(9, GOOD)];
        assert_eq!(plan_assignments(&image, NodeId(1), &places), vec![]);
        assert_eq!(
            plan_assignments(&image, NodeId(3), &[place(0, BAD)]),
            vec![]
        );
        assert_eq!(
            image.partition("t", 2).unwrap().directories,
            [BAD, Uuid::ZERO]
        );
    }

    #[test]
    fn what_lay_in_a_failed_directory_is_led_by_others_in_sync_or_by_nobody() {
        let mut image = image();
        let records = plan_failure(&image, NodeId(1), &[GOOD], |_| false);
        apply(&mut image, &records);
        assert_eq!(leader(&image, 0), Some(NodeId(1)));
        assert_eq!(leader(&image, 1), None);
        assert_eq!(image.partition("t", 1).unwrap().isr, [NodeId(1)]);
        assert_eq!(leader(&image, 2), Some(NodeId(2)));
        assert_eq!(image.partition("t", 2).unwrap().isr, [NodeId(2)]);
        let again = plan_failure(&image, NodeId(1), &[GOOD], |_| false);
        assert_eq!(again, vec![], "told once");
    }

    #[test]
    fn where_leaders_may_be_eligible_the_last_one_in_sync_becomes_that() {
        let mut image = image();
        let feature = FeatureLevelRecord {
            name: ELIGIBLE_LEADER_REPLICAS.into(),
            feature_level: 1,
        };
        apply(&mut image, &[feature.into()]);
        let records = plan_failure(&image, NodeId(1), &[GOOD], |_| false);
        apply(&mut image, &records);
        let lost = image.partition("t", 1).unwrap();
        assert_eq!((lost.leader, &lost.isr[..]), (None, &[][..]));
        assert_eq!(lost.eligible_leaders, [NodeId(1)]);
        assert_eq!(lost.last_known_leaders, [NodeId(1)]);
    }
}
