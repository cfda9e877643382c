//! Which groups this broker coordinates: those whose partition of `__consumer_offsets` it leads.

use super::PartitionShard;
use crate::coordinator::group::{DeletedTopic, GroupCoordinator, OFFSETS_TOPIC};
use crate::metadata::{Delta, ImageHandle, MetadataImage, MetadataListener, TopicImage};
use crate::replica::Replicas;
use crate::types::NodeId;
use std::sync::Arc;

/// Tells the group coordinator what the metadata says. Comes after the replicas, which open the logs.
pub struct Coordination {
    node: NodeId,
    groups: Arc<GroupCoordinator>,
    replicas: Arc<Replicas>,
    image: ImageHandle,
}

impl Coordination {
    /// Takes up what the present image says.
    pub fn start(
        node: NodeId,
        groups: Arc<GroupCoordinator>,
        replicas: Arc<Replicas>,
        image: ImageHandle,
    ) -> Coordination {
        let coordination = Coordination {
            node,
            groups,
            replicas,
            image,
        };
        if let Some(topic) = coordination.image.load().topic(OFFSETS_TOPIC) {
            coordination.take_up(topic);
        }
        coordination
    }

    fn take_up(&self, topic: &TopicImage) {
        self.groups
            .set_partitions(i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX));
        for (number, state) in topic.numbered() {
            if state.leader == Some(self.node) {
                // A partition whose log is offline is not led, whatever the metadata says.
                if let Ok(partition) = self.replicas.find(OFFSETS_TOPIC, number, &self.image) {
                    let log = PartitionShard::new(partition);
                    self.groups.lead(number, state.leader_epoch, Arc::new(log));
                }
            } else {
                self.groups.resign(number, state.leader_epoch);
            }
        }
    }
}

impl MetadataListener for Coordination {
    fn on_change(&self, delta: &Delta, image: &MetadataImage) {
        for topic in &delta.topics_removed {
            if topic.name.as_str() == OFFSETS_TOPIC {
                for (number, state) in topic.numbered() {
                    self.groups.resign(number, state.leader_epoch);
                }
            }
        }
        let deleted: Vec<DeletedTopic> = delta
            .topics_removed
            .iter()
            .map(|topic| DeletedTopic {
                name: topic.name.as_str().into(),
                id: topic.id,
            })
            .collect();
        if !deleted.is_empty() {
            self.groups.topics_deleted(&deleted);
        }
        if let Some(topic) = image.topic(OFFSETS_TOPIC)
            && delta.topics_changed.contains(&topic.id)
        {
            self.take_up(topic);
        }
    }
}
