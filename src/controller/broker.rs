//! Brokers joining and leaving the cluster.

use super::change::{Election, NextPartition};
use super::{directories, placement};
use crate::metadata::{EndpointImage, MetadataImage, MetadataRecord, SupportedFeature};
use crate::protocol::messages::register_broker_record::{BrokerEndpoint, BrokerFeature};
use crate::protocol::messages::{
    BrokerRegistrationChangeRecord, RegisterBrokerRecord, UnregisterBrokerRecord,
};
use crate::types::{NodeId, Uuid};

/// The offset of a broker's registration: tells its incarnations apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BrokerEpoch(pub i64);

/// What a broker says of itself when it starts.
#[derive(Clone, Debug)]
pub struct Registration {
    pub id: NodeId,
    /// New at each start.
    pub incarnation: Uuid,
    /// As clients reach it.
    pub endpoints: Vec<EndpointImage>,
    pub features: Vec<SupportedFeature>,
    pub rack: Option<String>,
    pub directories: Vec<Uuid>,
}

/// The broker is not registered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Broker ID {0} is not currently registered")]
pub struct NotRegistered(pub NodeId);

/// Registered fenced, as Kafka does, and unfenced at once: nothing has to be caught up first. Partitions
/// that have waited for the broker are led again; those in directories that it lacks are not. `unclean` says
/// whether a topic may be led by replicas that are not in sync.
pub(super) fn plan_registration(
    image: &MetadataImage,
    registration: &Registration,
    epoch: i64,
    unclean: impl Fn(&str) -> bool,
) -> Vec<MetadataRecord> {
    let endpoint = |endpoint: &EndpointImage| BrokerEndpoint {
        name: endpoint.listener.clone().into(),
        host: endpoint.host.clone().into(),
        port: endpoint.port,
        security_protocol: endpoint.security,
    };
    let feature = |feature: &SupportedFeature| BrokerFeature {
        name: feature.name.into(),
        min_supported_version: feature.min,
        max_supported_version: feature.max,
    };
    let registered = RegisterBrokerRecord {
        broker_id: registration.id.get(),
        incarnation_id: registration.incarnation,
        broker_epoch: epoch,
        end_points: registration.endpoints.iter().map(endpoint).collect(),
        features: registration.features.iter().map(feature).collect(),
        rack: registration.rack.clone().map(Into::into),
        fenced: true,
        log_dirs: registration.directories.clone(),
        ..RegisterBrokerRecord::default()
    };
    let unfenced = BrokerRegistrationChangeRecord {
        broker_id: registration.id.get(),
        broker_epoch: epoch,
        fenced: -1,
        ..BrokerRegistrationChangeRecord::default()
    };
    let mut records: Vec<MetadataRecord> = vec![registered.into(), unfenced.into()];
    let mut after = image.clone();
    for record in &records {
        (after.apply(record)).expect("a registration contradicts nothing");
    }
    for topic in after.topics() {
        let waiting = topic.numbered().filter(|(_, now)| now.leader.is_none());
        records.extend(waiting.filter_map(|(number, now)| {
            let may_lead = |id| placement::may_lead(&after, now, id);
            let record = NextPartition::of(now).record(topic.id, number, &after, may_lead)?;
            Some(MetadataRecord::from(record))
        }));
    }
    records.extend(directories::plan_unserved(&after, registration.id, unclean));
    records
}

/// Takes the broker out of the cluster; what it led is led by others that are in sync, or by nobody.
/// `unclean` says whether a topic may be led by replicas that are not in sync.
pub(super) fn plan_unregistration(
    image: &MetadataImage,
    broker: NodeId,
    unclean: impl Fn(&str) -> bool,
) -> Result<Vec<MetadataRecord>, NotRegistered> {
    let registered = image.brokers.get(&broker).ok_or(NotRegistered(broker))?;
    let mut records = Vec::new();
    for topic in image.topics() {
        let in_sync = topic
            .numbered()
            .filter(|(_, now)| now.isr.contains(&broker));
        records.extend(in_sync.filter_map(|(number, now)| {
            let others = now.isr.iter().filter(|id| **id != broker);
            let next = NextPartition {
                isr: others.copied().collect(),
                election: if unclean(topic.name.as_str()) {
                    Election::Unclean
                } else {
                    Election::Clean
                },
                ..NextPartition::of(now)
            };
            let may_lead = |id| id != broker && placement::may_lead(image, now, id);
            let record = next.record(topic.id, number, image, may_lead)?;
            Some(MetadataRecord::from(record))
        }));
    }
    let unregistered = UnregisterBrokerRecord {
        broker_id: broker.get(),
        broker_epoch: registered.epoch,
    };
    records.push(unregistered.into());
    Ok(records)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controller::world::{brokers, with_topic};

    fn registration(id: i32) -> Registration {
        Registration {
            id: NodeId(id),
            incarnation: Uuid::ZERO,
            endpoints: Vec::new(),
            features: Vec::new(),
            rack: None,
            directories: Vec::new(),
        }
    }

    fn applied(image: &MetadataImage, records: &[MetadataRecord]) -> MetadataImage {
        let mut image = image.clone();
        for record in records {
            image.apply(record).unwrap();
        }
        image
    }

    #[test]
    fn a_broker_that_leaves_hands_its_partitions_to_those_in_sync() {
        let image = with_topic(
            brokers(&[1, 2]),
            &[(&[1, 2], &[1, 2], 1), (&[1, 2], &[1], 1)],
        );
        let records = plan_unregistration(&image, NodeId(1), |_| false).unwrap();
        let image = applied(&image, &records);
        assert!(!image.brokers.contains_key(&NodeId(1)));
        let first = image.partition("t", 0).unwrap();
        assert_eq!(
            (first.leader, &first.isr[..]),
            (Some(NodeId(2)), &[NodeId(2)][..])
        );
        let second = image.partition("t", 1).unwrap();
        assert_eq!((second.leader, &second.isr[..]), (None, &[NodeId(1)][..]));
    }

    #[test]
    fn what_waited_for_a_broker_is_led_again_when_it_comes_back() {
        let image = with_topic(
            brokers(&[]),
            &[(&[1], &[1], -1), (&[1, 2], &[2], -1), (&[2], &[2], 2)],
        );
        let records = plan_registration(&image, &registration(1), 5, |_| false);
        let image = applied(&image, &records);
        let leader = |partition| image.partition("t", partition).unwrap().leader;
        assert_eq!(leader(0), Some(NodeId(1)));
        assert_eq!(leader(1), None, "it was not in sync");
        assert_eq!(leader(2), Some(NodeId(2)));
    }

    #[test]
    fn a_broker_that_nobody_knows_cannot_leave() {
        let error = plan_unregistration(&brokers(&[1]), NodeId(9), |_| false).unwrap_err();
        assert_eq!(error.to_string(), "Broker ID 9 is not currently registered");
    }
}
