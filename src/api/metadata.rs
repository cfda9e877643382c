//! Metadata, key 3, versions 0–13.
//!
//! Names the brokers that have the listener of the request, and the topics asked for: an empty list
//! means all in version 0 and none from 1 on, where null means all. A topic that may be created is
//! created beside the answer, which says UNKNOWN_TOPIC_OR_PARTITION until it is there.
//! v4: auto-creation can be turned off. v10: topics may be named by id, and from 12 on only by id.
//! v8: asks for allowed operations; without an authorizer everything is allowed.

use super::context::{RequestContext, Staged};
use super::{Identity, operations};
use crate::controller::Creations;
use crate::metadata::{BrokerImage, ImageHandle, MetadataImage, PartitionImage, TopicImage};
use crate::protocol::messages::metadata_request::MetadataRequestTopic;
use crate::protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use crate::protocol::messages::{MetadataRequest, MetadataResponse};
use crate::protocol::{ErrorCode, Text};
use crate::types::{NodeId, TopicName, Uuid};
use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

/// What the handler works on.
pub(super) struct Parts<'a> {
    pub(super) identity: &'a Identity,
    pub(super) image: &'a ImageHandle,
    pub(super) creations: &'a Creations,
    /// `auto.create.topics.enable`
    pub(super) auto_create: bool,
}

pub(super) fn handle(
    request: MetadataRequest,
    context: &RequestContext,
    parts: &Parts<'_>,
) -> Staged<MetadataResponse> {
    let image = parts.image.load();
    let version = context.version;
    let all = match &request.topics {
        None => true,
        Some(topics) => version == 0 && topics.is_empty(),
    };
    let view = View {
        image: &image,
        context,
        operations: request.include_topic_authorized_operations,
    };
    let topics = if all {
        image.topics().map(|topic| view.topic(topic)).collect()
    } else {
        let asked = request.topics.unwrap_or_default();
        if version < BY_ID && asked.iter().any(|topic| !is_plain_name(topic)) {
            return Staged::Ready(whole_refusal(asked, ErrorCode::InvalidRequest));
        }
        let creating = parts.auto_create && request.allow_auto_topic_creation;
        view.asked(asked, creating.then_some(parts.creations))
    };
    let cluster_operations = if request.include_cluster_authorized_operations {
        operations::CLUSTER
    } else {
        operations::NOT_ASKED
    };
    Staged::Ready(MetadataResponse {
        brokers: view.brokers(),
        cluster_id: Some(Text::copy(&parts.identity.cluster_id)),
        controller_id: view.controller(),
        topics,
        cluster_authorized_operations: cluster_operations,
        ..MetadataResponse::default()
    })
}

/// The first version in which topics may be named by id. The field came two versions earlier.
const BY_ID: i16 = 12;

fn is_plain_name(topic: &MetadataRequestTopic) -> bool {
    topic.name.is_some() && topic.topic_id.is_zero()
}

fn whole_refusal(asked: Vec<MetadataRequestTopic>, error: ErrorCode) -> MetadataResponse {
    let refused = |topic: MetadataRequestTopic| MetadataResponseTopic {
        error_code: error.code(),
        name: Some(topic.name.unwrap_or_default()),
        topic_id: topic.topic_id,
        topic_authorized_operations: operations::NOT_ASKED,
        ..MetadataResponseTopic::default()
    };
    MetadataResponse {
        topics: asked.into_iter().map(refused).collect(),
        cluster_authorized_operations: operations::NOT_ASKED,
        error_code: error.code(),
        ..MetadataResponse::default()
    }
}

struct View<'a> {
    image: &'a MetadataImage,
    context: &'a RequestContext,
    operations: bool,
}

impl View<'_> {
    fn endpoint(&self, broker: &BrokerImage) -> Option<(String, u16)> {
        let listener = &*self.context.listener;
        let endpoint = broker.endpoints.iter().find(|e| e.listener == listener)?;
        Some((endpoint.host.clone(), endpoint.port))
    }

    fn brokers(&self) -> Vec<MetadataResponseBroker> {
        let named = |broker: &Arc<BrokerImage>| {
            let (host, port) = self.endpoint(broker)?;
            Some(MetadataResponseBroker {
                node_id: broker.id.get(),
                host: host.into(),
                port: i32::from(port),
                rack: broker.rack.clone().map(Text::from),
            })
        };
        self.image.live_brokers().filter_map(named).collect()
    }

    /// Any live broker: whatever a client sends to "the controller", each of them takes.
    fn controller(&self) -> i32 {
        let live: Vec<NodeId> = self.image.live_brokers().map(|broker| broker.id).collect();
        let spread = usize::try_from(self.context.correlation_id).unwrap_or(0);
        live.get(spread % live.len().max(1))
            .map_or(-1, |id| id.get())
    }

    /// Each topic once. Where one is named by its id, names count for nothing: so Kafka reads it.
    fn asked(
        &self,
        asked: Vec<MetadataRequestTopic>,
        creations: Option<&Creations>,
    ) -> Vec<MetadataResponseTopic> {
        let ids: Vec<Uuid> = asked.iter().map(|topic| topic.topic_id).collect();
        if ids.iter().any(|id| !id.is_zero()) {
            let ids: BTreeSet<Uuid> = ids.into_iter().filter(|id| !id.is_zero()).collect();
            return ids.into_iter().map(|id| self.by_id(id)).collect();
        }
        let mut seen = HashSet::new();
        let names = asked.into_iter().map(|topic| topic.name);
        names
            .filter(|name| seen.insert(name.clone()))
            .map(|name| self.by_name(name, creations))
            .collect()
    }

    fn by_id(&self, id: Uuid) -> MetadataResponseTopic {
        match self.image.topic_by_id(&id) {
            Some(topic) => self.topic(topic),
            None => refused(None, id, ErrorCode::UnknownTopicId),
        }
    }

    fn by_name(&self, name: Option<Text>, creations: Option<&Creations>) -> MetadataResponseTopic {
        let Some(name) = name else {
            return refused(None, Uuid::ZERO, ErrorCode::InvalidRequest);
        };
        match self.image.topic(&name) {
            Some(topic) => self.topic(topic),
            None => MetadataResponseTopic {
                topic_authorized_operations: self.topic_operations(),
                ..self.missing(name, creations)
            },
        }
    }

    fn topic_operations(&self) -> i32 {
        if self.operations {
            operations::TOPIC
        } else {
            operations::NOT_ASKED
        }
    }

    fn missing(&self, name: Text, creations: Option<&Creations>) -> MetadataResponseTopic {
        let error = match TopicName::parse(&name) {
            Err(_) => ErrorCode::InvalidTopicException,
            Ok(valid) => {
                if let Some(creations) = creations {
                    // A second topic of a colliding name would be refused in the background only.
                    if self.image.colliding_topic(&valid).is_some() {
                        return refused(Some(name), Uuid::ZERO, ErrorCode::InvalidTopicException);
                    }
                    creations.begin(valid.as_str());
                }
                ErrorCode::UnknownTopicOrPartition
            }
        };
        refused(Some(name), Uuid::ZERO, error)
    }

    fn topic(&self, topic: &TopicImage) -> MetadataResponseTopic {
        MetadataResponseTopic {
            name: Some(Text::copy(topic.name.as_str())),
            topic_id: topic.id,
            is_internal: topic.name.is_internal(),
            partitions: topic
                .numbered()
                .map(|(index, p)| self.partition(index, p))
                .collect(),
            topic_authorized_operations: self.topic_operations(),
            ..MetadataResponseTopic::default()
        }
    }

    fn partition(&self, index: i32, partition: &PartitionImage) -> MetadataResponsePartition {
        let (error, leader) = leadership(self.image, partition, self.context);
        MetadataResponsePartition {
            error_code: error.code(),
            partition_index: index,
            leader_id: leader,
            leader_epoch: partition.leader_epoch.get(),
            replica_nodes: ids(&partition.replicas),
            isr_nodes: ids(&partition.isr),
            offline_replicas: offline(self.image, partition, &self.context.listener),
        }
    }
}

/// Who leads, as seen through the request's listener, and what is wrong if nobody does.
pub(super) fn leadership(
    image: &MetadataImage,
    partition: &PartitionImage,
    context: &RequestContext,
) -> (ErrorCode, i32) {
    let Some(leader) = partition.leader else {
        return (ErrorCode::LeaderNotAvailable, -1);
    };
    match image.brokers.get(&leader) {
        Some(broker) if broker.fenced => (ErrorCode::LeaderNotAvailable, -1),
        Some(broker) if !has_listener(broker, &context.listener) => {
            // Before version 6 clients did not know the better answer.
            let old = context.version < 6;
            let error = if old {
                ErrorCode::LeaderNotAvailable
            } else {
                ErrorCode::ListenerNotFound
            };
            (error, -1)
        }
        Some(_) => (ErrorCode::None, leader.get()),
        None => (ErrorCode::LeaderNotAvailable, -1),
    }
}

/// Replicas on brokers that are not there for this listener, or in directories that have failed.
pub(super) fn offline(
    image: &MetadataImage,
    partition: &PartitionImage,
    listener: &str,
) -> Vec<i32> {
    let is_offline = |id: &&NodeId| {
        !image.brokers.get(id).is_some_and(|b| {
            let directory = partition.directory_of(**id);
            !b.fenced && has_listener(b, listener) && b.has_online(directory)
        })
    };
    partition
        .replicas
        .iter()
        .filter(is_offline)
        .map(|id| id.get())
        .collect()
}

pub(super) fn ids(nodes: &[NodeId]) -> Vec<i32> {
    nodes.iter().map(|id| id.get()).collect()
}

fn has_listener(broker: &BrokerImage, listener: &str) -> bool {
    broker
        .endpoints
        .iter()
        .any(|endpoint| endpoint.listener == listener)
}

fn refused(name: Option<Text>, id: Uuid, error: ErrorCode) -> MetadataResponseTopic {
    // Up to version 11 a name must be there.
    let is_internal = name
        .as_ref()
        .is_some_and(|name| crate::types::is_internal(name));
    MetadataResponseTopic {
        error_code: error.code(),
        name,
        topic_id: id,
        is_internal,
        topic_authorized_operations: operations::NOT_ASKED,
        ..MetadataResponseTopic::default()
    }
}
