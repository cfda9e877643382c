//! Brokers joining the cluster.

use crate::metadata::{EndpointImage, MetadataRecord};
use crate::protocol::messages::register_broker_record::{BrokerEndpoint, BrokerFeature};
use crate::protocol::messages::{BrokerRegistrationChangeRecord, RegisterBrokerRecord};
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
    /// Name, lowest and highest level of each feature that it knows.
    pub features: Vec<(String, i16, i16)>,
    pub rack: Option<String>,
    pub directories: Vec<Uuid>,
}

/// Registered fenced, as Kafka does, and unfenced at once: nothing has to be caught up first.
pub(super) fn plan_registration(registration: &Registration, epoch: i64) -> Vec<MetadataRecord> {
    let endpoint = |endpoint: &EndpointImage| BrokerEndpoint {
        name: endpoint.listener.clone().into(),
        host: endpoint.host.clone().into(),
        port: endpoint.port,
        security_protocol: endpoint.security,
    };
    let feature = |(name, min, max): &(String, i16, i16)| BrokerFeature {
        name: name.clone().into(),
        min_supported_version: *min,
        max_supported_version: *max,
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
    vec![registered.into(), unfenced.into()]
}
