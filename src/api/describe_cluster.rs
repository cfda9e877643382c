//! DescribeCluster, key 60, versions 0–2.
//!
//! v1: asks for brokers (1) or controllers (2); through a broker's listener only brokers are told
//! (KIP-919). v2: fenced brokers are told too, when asked for.

use super::Identity;
use super::context::{RequestContext, Staged};
use super::operations;
use crate::metadata::MetadataImage;
use crate::protocol::messages::describe_cluster_response::DescribeClusterBroker;
use crate::protocol::messages::{DescribeClusterRequest, DescribeClusterResponse};
use crate::protocol::{ErrorCode, Text};

const BROKERS: i8 = 1;
const CONTROLLERS: i8 = 2;

pub(super) fn handle(
    request: &DescribeClusterRequest,
    context: &RequestContext,
    image: &MetadataImage,
    identity: &Identity,
) -> Staged<DescribeClusterResponse> {
    let refusal = match request.endpoint_type {
        BROKERS => None,
        CONTROLLERS => Some((
            ErrorCode::MismatchedEndpointType,
            "The request was sent to a broker, but it asks for controllers.",
        )),
        _ => Some((ErrorCode::UnsupportedEndpointType, "Unknown endpoint type.")),
    };
    if let Some((code, text)) = refusal {
        return Staged::Ready(DescribeClusterResponse {
            error_code: code.code(),
            error_message: Some(text.into()),
            ..DescribeClusterResponse::default()
        });
    }
    let listed = image
        .brokers
        .values()
        .filter(|b| request.include_fenced_brokers || !b.fenced);
    let brokers: Vec<DescribeClusterBroker> = listed
        .filter_map(|broker| {
            let listener = &*context.listener;
            let endpoint = broker.endpoints.iter().find(|e| e.listener == listener)?;
            Some(DescribeClusterBroker {
                broker_id: broker.id.get(),
                host: endpoint.host.clone().into(),
                port: i32::from(endpoint.port),
                rack: broker.rack.clone().map(Text::from),
                is_fenced: broker.fenced,
            })
        })
        .collect();
    let asked = request.include_cluster_authorized_operations;
    Staged::Ready(DescribeClusterResponse {
        endpoint_type: BROKERS,
        cluster_id: Text::copy(&identity.cluster_id),
        controller_id: image
            .live_brokers()
            .next()
            .map_or(-1, |broker| broker.id.get()),
        brokers,
        cluster_authorized_operations: if asked {
            operations::CLUSTER
        } else {
            operations::NOT_ASKED
        },
        ..DescribeClusterResponse::default()
    })
}
