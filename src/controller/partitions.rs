//! Leadership of partitions.

use crate::metadata::{MetadataImage, MetadataRecord};
use crate::protocol::messages::PartitionChangeRecord;
use crate::types::NodeId;

/// Records that make `node` the leader again, in a new epoch, of every partition that it leads.
pub fn new_leader_epochs(image: &MetadataImage, node: NodeId) -> Vec<MetadataRecord> {
    let mut records = Vec::new();
    for topic in image.topics() {
        for (partition_id, partition) in topic.numbered() {
            if partition.leader == Some(node) {
                let change = PartitionChangeRecord {
                    partition_id,
                    topic_id: topic.id,
                    leader: node.get(),
                    ..PartitionChangeRecord::default()
                };
                records.push(change.into());
            }
        }
    }
    records
}
