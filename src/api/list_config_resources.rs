//! ListConfigResources, key 74, versions 0–1.
//!
//! Names what can have a configuration: every topic and broker, and groups and client-metrics
//! subscriptions for which something is set. v0: subscriptions only. v1: by type, none means all.
//! Not done: access control.

use super::context::{RequestContext, Staged};
use crate::metadata::{ConfigKind, MetadataImage};
use crate::protocol::messages::list_config_resources_response::ConfigResource;
use crate::protocol::messages::{ListConfigResourcesRequest, ListConfigResourcesResponse};
use crate::protocol::{ErrorCode, Text};

/// In the order of Kafka's answers.
const KINDS: &[ConfigKind] = &[
    ConfigKind::Group,
    ConfigKind::ClientMetrics,
    ConfigKind::BrokerLogger,
    ConfigKind::Broker,
    ConfigKind::Topic,
];

pub(super) fn handle(
    request: &ListConfigResourcesRequest,
    context: &RequestContext,
    image: &MetadataImage,
) -> Staged<ListConfigResourcesResponse> {
    let known: &[ConfigKind] = if context.version == 0 {
        &[ConfigKind::ClientMetrics]
    } else {
        KINDS
    };
    let asked = &request.resource_types;
    let is_known = |code: &i8| known.iter().any(|kind| *kind as i8 == *code);
    if !asked.iter().all(is_known) {
        return Staged::Ready(ListConfigResourcesResponse {
            error_code: ErrorCode::UnsupportedVersion.code(),
            ..ListConfigResourcesResponse::default()
        });
    }
    let wanted = known
        .iter()
        .filter(|kind| asked.is_empty() || asked.contains(&(**kind as i8)));
    Staged::Ready(ListConfigResourcesResponse {
        config_resources: wanted.flat_map(|kind| resources(*kind, image)).collect(),
        ..ListConfigResourcesResponse::default()
    })
}

fn resources(kind: ConfigKind, image: &MetadataImage) -> Vec<ConfigResource> {
    let names: Vec<String> = match kind {
        ConfigKind::Topic => image.topics().map(|topic| topic.name.to_string()).collect(),
        ConfigKind::Broker | ConfigKind::BrokerLogger => image
            .live_brokers()
            .map(|broker| broker.id.to_string())
            .collect(),
        ConfigKind::Group | ConfigKind::ClientMetrics => image
            .configs()
            .filter(|(resource, _)| resource.kind == kind)
            .map(|(resource, _)| resource.name.clone())
            .collect(),
    };
    let resource = |name: String| ConfigResource {
        resource_name: Text::from(name),
        resource_type: kind as i8,
    };
    names.into_iter().map(resource).collect()
}
