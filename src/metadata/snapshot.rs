//! An image as records: whoever folds them has the same image.

use super::features::METADATA_VERSION_NAME;
use super::image::{BrokerImage, ConfigResource, MetadataImage, PartitionImage, TopicImage};
use super::record::MetadataRecord;
use crate::protocol::messages as schema;
use crate::types::{NodeId, Uuid};

impl MetadataImage {
    /// All that the image says, in the order of Kafka's snapshots: `metadata.version` first, topics before
    /// their partitions.
    pub fn records(&self) -> impl Iterator<Item = MetadataRecord> {
        let brokers = self.brokers.values().map(|broker| register(broker).into());
        let topics = self.topics().flat_map(|topic| topic_records(topic));
        let configs = self.configs().flat_map(|(resource, values)| {
            let values = values.iter();
            values.map(move |(name, value)| config(resource, name, value).into())
        });
        (self.feature_records())
            .chain(brokers)
            .chain(topics)
            .chain(configs)
            .chain(self.producer_ids().map(MetadataRecord::from))
            .chain(self.kept.records())
    }

    fn feature_records(&self) -> impl Iterator<Item = MetadataRecord> {
        let is_first = |name: &String| name == METADATA_VERSION_NAME;
        let first = self.features.iter().filter(move |(name, _)| is_first(name));
        let others = (self.features.iter()).filter(move |(name, _)| !is_first(name));
        first.chain(others).map(|(name, level)| {
            let record = schema::FeatureLevelRecord {
                name: name.clone().into(),
                feature_level: *level,
            };
            record.into()
        })
    }

    fn producer_ids(&self) -> Option<schema::ProducerIdsRecord> {
        // Nobody was given any: Kafka's snapshots do not name a broker either.
        (self.producer_id_next > 0).then_some(schema::ProducerIdsRecord {
            broker_id: -1,
            broker_epoch: -1,
            next_producer_id: self.producer_id_next,
        })
    }
}

fn register(broker: &BrokerImage) -> schema::RegisterBrokerRecord {
    let endpoints = broker.endpoints.iter();
    let features = broker.features.iter();
    schema::RegisterBrokerRecord {
        broker_id: broker.id.get(),
        incarnation_id: broker.incarnation,
        broker_epoch: broker.epoch,
        end_points: endpoints
            .map(|endpoint| schema::register_broker_record::BrokerEndpoint {
                name: endpoint.listener.clone().into(),
                host: endpoint.host.clone().into(),
                port: endpoint.port,
                security_protocol: endpoint.security,
            })
            .collect(),
        features: features
            .map(
                |(name, (min, max))| schema::register_broker_record::BrokerFeature {
                    name: name.clone().into(),
                    min_supported_version: *min,
                    max_supported_version: *max,
                },
            )
            .collect(),
        rack: broker.rack.clone().map(Into::into),
        fenced: broker.fenced,
        in_controlled_shutdown: broker.shutting_down,
        log_dirs: broker.directories.clone(),
        cordoned_log_dirs: broker.cordoned.clone(),
        ..schema::RegisterBrokerRecord::default()
    }
}

fn topic_records(topic: &TopicImage) -> impl Iterator<Item = MetadataRecord> {
    let first = schema::TopicRecord {
        name: topic.name.to_string().into(),
        topic_id: topic.id,
    };
    let partitions = topic
        .numbered()
        .map(|(number, state)| partition(topic.id, number, state).into());
    std::iter::once(first.into()).chain(partitions)
}

fn partition(topic_id: Uuid, number: i32, state: &PartitionImage) -> schema::PartitionRecord {
    let some = |nodes: &[NodeId]| (!nodes.is_empty()).then(|| ids(nodes));
    schema::PartitionRecord {
        partition_id: number,
        topic_id,
        replicas: ids(&state.replicas),
        isr: ids(&state.isr),
        removing_replicas: ids(&state.removing),
        adding_replicas: ids(&state.adding),
        leader: state.leader.map_or(-1, |leader| leader.get()),
        leader_recovery_state: state.leader_recovery_state,
        leader_epoch: state.leader_epoch.get(),
        partition_epoch: state.partition_epoch,
        directories: state.directories.clone(),
        eligible_leader_replicas: some(&state.eligible_leaders),
        last_known_elr: some(&state.last_known_leaders),
    }
}

fn config(resource: &ConfigResource, name: &str, value: &str) -> schema::ConfigRecord {
    schema::ConfigRecord {
        resource_type: resource.kind as i8,
        resource_name: resource.name.clone().into(),
        name: name.to_owned().into(),
        value: Some(value.to_owned().into()),
    }
}

fn ids(nodes: &[NodeId]) -> Vec<i32> {
    nodes.iter().map(|node| node.get()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::METADATA_VERSION;
    use crate::protocol::Text;

    fn fold(records: impl IntoIterator<Item = MetadataRecord>) -> MetadataImage {
        let mut image = MetadataImage::default();
        for record in records {
            image.apply(&record).unwrap();
        }
        image
    }

    fn quota(name: &'static str, value: f64, remove: bool) -> MetadataRecord {
        let part =
            |entity_type: &'static str, entity_name| schema::client_quota_record::EntityData {
                entity_type: entity_type.into(),
                entity_name,
            };
        let record = schema::ClientQuotaRecord {
            entity: vec![
                part("user", Some(Text::from(name))),
                part("client-id", None),
            ],
            key: "consumer_byte_rate".into(),
            value,
            remove,
        };
        record.into()
    }

    /// One of each record that says something.
    fn everything() -> Vec<MetadataRecord> {
        let topic_id = Uuid::from_bytes([1; 16]);
        let feature = |name: &'static str, feature_level| schema::FeatureLevelRecord {
            name: name.into(),
            feature_level,
        };
        let endpoint = schema::register_broker_record::BrokerEndpoint {
            name: "PLAINTEXT".into(),
            host: "localhost".into(),
            port: 9092,
            security_protocol: 0,
        };
        vec![
            feature("eligible.leader.replicas.version", 1).into(),
            feature(METADATA_VERSION_NAME, METADATA_VERSION).into(),
            schema::RegisterBrokerRecord {
                broker_id: 1,
                broker_epoch: 7,
                end_points: vec![endpoint],
                features: vec![schema::register_broker_record::BrokerFeature {
                    name: METADATA_VERSION_NAME.into(),
                    min_supported_version: 7,
                    max_supported_version: METADATA_VERSION,
                }],
                rack: Some("a".into()),
                fenced: false,
                log_dirs: vec![Uuid::from_bytes([2; 16])],
                cordoned_log_dirs: Some(vec![Uuid::from_bytes([2; 16])]),
                ..schema::RegisterBrokerRecord::default()
            }
            .into(),
            schema::TopicRecord {
                name: "a".into(),
                topic_id,
            }
            .into(),
            schema::PartitionRecord {
                partition_id: 0,
                topic_id,
                replicas: vec![1, 2],
                isr: vec![1],
                removing_replicas: vec![2],
                adding_replicas: vec![3],
                leader: 1,
                leader_recovery_state: 1,
                leader_epoch: 4,
                partition_epoch: 9,
                directories: vec![Uuid::from_bytes([2; 16]), Uuid::ZERO],
                eligible_leader_replicas: Some(vec![2]),
                last_known_elr: Some(vec![3]),
            }
            .into(),
            schema::ConfigRecord {
                resource_type: 2,
                resource_name: "a".into(),
                name: "retention.ms".into(),
                value: Some("5".into()),
            }
            .into(),
            schema::ProducerIdsRecord {
                next_producer_id: 2_000,
                ..schema::ProducerIdsRecord::default()
            }
            .into(),
            quota("alice", 10.0, false),
            quota("bob", 20.0, false),
            schema::AccessControlEntryRecord {
                id: Uuid::from_bytes([3; 16]),
                ..schema::AccessControlEntryRecord::default()
            }
            .into(),
            schema::UserScramCredentialRecord {
                name: "alice".into(),
                ..schema::UserScramCredentialRecord::default()
            }
            .into(),
            schema::DelegationTokenRecord {
                token_id: "token".into(),
                ..schema::DelegationTokenRecord::default()
            }
            .into(),
            schema::RegisterControllerRecord {
                controller_id: 1,
                ..schema::RegisterControllerRecord::default()
            }
            .into(),
        ]
    }

    #[test]
    fn an_image_made_of_another_ones_records_is_the_same() {
        let image = fold(everything());
        assert_eq!(image.records().count(), everything().len());
        assert_eq!(fold(image.records()), image);
    }

    #[test]
    fn a_snapshot_begins_with_the_metadata_version() {
        let first = fold(everything()).records().next().unwrap();
        let MetadataRecord::FeatureLevel(first) = first else {
            panic!("not a feature: {first:?}");
        };
        assert_eq!(&*first.name, METADATA_VERSION_NAME);
    }

    #[test]
    fn what_was_removed_or_replaced_is_not_kept() {
        let mut records = everything();
        let before = fold(records.clone()).records().count();
        records.extend([quota("alice", 0.0, true), quota("bob", 30.0, false)]);
        let after: Vec<_> = fold(records).records().collect();
        assert_eq!(after.len(), before - 1);
        assert!(after.contains(&quota("bob", 30.0, false)));
    }
}
