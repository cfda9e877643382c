//! Images for this folder's tests.

use crate::metadata::MetadataImage;
use crate::protocol::messages::{PartitionRecord, RegisterBrokerRecord, TopicRecord};
use crate::types::Uuid;

/// A cluster of these brokers, all of them live.
pub(super) fn brokers(ids: &[i32]) -> MetadataImage {
    let mut image = MetadataImage::default();
    for id in ids {
        let broker = RegisterBrokerRecord {
            broker_id: *id,
            fenced: false,
            ..RegisterBrokerRecord::default()
        };
        image.apply(&broker.into()).unwrap();
    }
    image
}

/// The id of the topic that [`with_topic`] makes.
pub(super) const TOPIC: Uuid = Uuid::from_bytes([7; 16]);

/// Adds topic `t` with these partitions: replicas, those in sync, the leader (−1 for none).
pub(super) fn with_topic(
    mut image: MetadataImage,
    partitions: &[(&[i32], &[i32], i32)],
) -> MetadataImage {
    let topic = TopicRecord {
        name: "t".into(),
        topic_id: TOPIC,
    };
    image.apply(&topic.into()).unwrap();
    for (partition_id, (replicas, isr, leader)) in (0..).zip(partitions) {
        let partition = PartitionRecord {
            partition_id,
            topic_id: TOPIC,
            replicas: replicas.to_vec(),
            isr: isr.to_vec(),
            leader: *leader,
            directories: vec![Uuid::ZERO; replicas.len()],
            ..PartitionRecord::default()
        };
        image.apply(&partition.into()).unwrap();
    }
    image
}
