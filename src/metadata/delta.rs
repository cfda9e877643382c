//! What a batch of records changed, for those who act on it.

use super::image::{ApplyError, ConfigKind, MetadataImage, TopicImage};
use super::record::MetadataRecord;
use crate::types::{Offset, Uuid};
use std::collections::BTreeSet;
use std::sync::Arc;

/// The difference between two images, by what it touches.
#[derive(Clone, Debug, Default)]
pub struct Delta {
    /// Topics that are new, or whose partitions changed, and that still exist.
    pub topics_changed: BTreeSet<Uuid>,
    pub topics_removed: Vec<Arc<TopicImage>>,
    /// Names of topics with other configurations.
    pub topic_configs_changed: BTreeSet<String>,
    /// A broker-wide configuration changed.
    pub broker_configs_changed: bool,
}

/// Acts on changes, before readers see the image that has them.
pub trait MetadataListener: Send + Sync + 'static {
    /// May block: files are made and removed here.
    fn on_change(&self, delta: &Delta, image: &MetadataImage);
}

impl Delta {
    /// Folds `records` into `before`; the new image ends at `end`.
    pub fn fold(
        before: &MetadataImage,
        records: &[MetadataRecord],
        end: Offset,
    ) -> Result<(MetadataImage, Delta), ApplyError> {
        let mut image = before.clone();
        let mut delta = Delta::default();
        for record in records {
            match record {
                MetadataRecord::RemoveTopic(removed) => {
                    delta.topics_changed.remove(&removed.topic_id);
                    delta
                        .topics_removed
                        .extend(image.topic_by_id(&removed.topic_id).cloned());
                }
                MetadataRecord::Topic(topic) => {
                    delta.topics_changed.insert(topic.topic_id);
                }
                MetadataRecord::Partition(partition) => {
                    delta.topics_changed.insert(partition.topic_id);
                }
                MetadataRecord::PartitionChange(change) => {
                    delta.topics_changed.insert(change.topic_id);
                }
                MetadataRecord::Config(config) => {
                    match ConfigKind::from_code(config.resource_type) {
                        Some(ConfigKind::Topic) => {
                            delta
                                .topic_configs_changed
                                .insert(config.resource_name.to_string());
                        }
                        Some(ConfigKind::Broker) => delta.broker_configs_changed = true,
                        _ => {}
                    }
                }
                // The rest is read from the image by whoever needs it.
                _ => {}
            }
            image.apply(record)?;
        }
        image.end = end;
        Ok((image, delta))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::messages::{
        ClearElrRecord, PartitionRecord, RemoveTopicRecord, TopicRecord,
    };

    #[test]
    fn a_topic_made_and_removed_in_one_batch_is_only_removed() {
        let topic_id = Uuid::from_bytes([1; 16]);
        let records = [
            TopicRecord {
                name: "a".into(),
                topic_id,
            }
            .into(),
            RemoveTopicRecord { topic_id }.into(),
        ];
        let (image, delta) = Delta::fold(&MetadataImage::default(), &records, Offset(2)).unwrap();
        assert!(delta.topics_changed.is_empty());
        assert_eq!(delta.topics_removed.len(), 1);
        assert_eq!((image.topic_count(), image.end), (0, Offset(2)));
    }

    #[test]
    fn records_that_contradict_the_image_change_nothing() {
        let before = MetadataImage::default();
        let records = [RemoveTopicRecord {
            topic_id: Uuid::from_bytes([1; 16]),
        }
        .into()];
        assert!(Delta::fold(&before, &records, Offset(1)).is_err());
        assert_eq!(before.end, Offset(0));
    }

    #[test]
    fn eligible_leaders_are_forgotten_of_one_topic_or_of_all() {
        let mut records = Vec::new();
        for (byte, name) in [(1, "a"), (2, "b")] {
            let topic_id = Uuid::from_bytes([byte; 16]);
            let name = name.into();
            records.push(TopicRecord { name, topic_id }.into());
            let partition = PartitionRecord {
                topic_id,
                partition_id: 0,
                partition_epoch: 0,
                eligible_leader_replicas: Some(vec![7]),
                ..PartitionRecord::default()
            };
            records.push(partition.into());
        }
        let (before, _) = Delta::fold(&MetadataImage::default(), &records, Offset(4)).unwrap();
        let has = |topic_name: &'static str| {
            let topic_name = topic_name.into();
            let clear = [ClearElrRecord { topic_name }.into()];
            let (image, _) = Delta::fold(&before, &clear, Offset(5)).unwrap();
            ["a", "b"].map(|topic| {
                let partition = image.partition(topic, 0).unwrap();
                (partition.eligible_leaders.len(), partition.partition_epoch)
            })
        };
        assert_eq!(has("a"), [(0, 1), (1, 0)]);
        assert_eq!(has(""), [(0, 1), (0, 1)]);
    }
}
