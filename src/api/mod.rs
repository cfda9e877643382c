//! Kafka's APIs: one file each. A handler translates in, calls one part, translates out.
//!
//! [`ROWS`] is the table: what is here is served, in these versions, and mostly advertised; everything
//! else closes the connection, as Kafka does. Versions that only Kafka before 4.0 had are served too where
//! they cost no more than a schema (`codegen/old-versions.txt`), and advertised where a setting says so. To
//! add an API: its schema, its file, its row, its arm in [`Api::dispatch`], and a compatibility scenario.
//!
//! **Invariant:** only this folder turns our errors into Kafka's codes, and nothing below it knows
//! that a connection exists.

mod acls;
mod alter_configs;
mod alter_partition_reassignments;
mod alter_replica_log_dirs;
mod answer;
mod api_versions;
mod config_changes;
mod context;
mod create_partitions;
mod create_topics;
mod delete_groups;
mod delete_records;
mod delete_topics;
mod describe_cluster;
mod describe_configs;
mod describe_groups;
mod describe_log_dirs;
mod describe_producers;
mod describe_quorum;
mod describe_topic_partitions;
mod describe_transactions;
mod elect_leaders;
mod errors;
mod fetch;
mod fetch_response;
mod find_coordinator;
mod groups;
mod heartbeat;
mod incremental_alter_configs;
mod init_producer_id;
mod join_group;
mod leave_group;
mod list_config_resources;
mod list_groups;
mod list_offsets;
mod list_offsets_before;
mod list_partition_reassignments;
mod list_transactions;
mod metadata;
mod meters;
mod offset_commit;
mod offset_delete;
mod offset_fetch;
mod offset_for_leader_epoch;
mod operations;
mod produce;
mod sasl;
mod sync_group;
mod telemetry;
mod unregister_broker;
mod update_features;

pub use answer::{Outcome, Refusal};
pub use context::{RequestContext, Staged};
pub use meters::Meters;

use crate::config::{BrokerConfig, LiveConfig, OldVersions};
use crate::controller::{Controller, Creations, ProducerIds};
use crate::coordinator::group::GroupCoordinator;
use crate::metadata::ImageHandle;
use crate::protocol::messages::{
    DescribeAclsRequest, SaslAuthenticateRequest, SaslHandshakeRequest,
};
use crate::protocol::{ApiKey, Reader, RequestHeader};
use crate::replica::{Replicas, Sessions};
use crate::runtime::{Reply, Runtime};
use crate::telemetry::Telemetry;
use crate::types::NodeId;
use answer::Call;
use bytes::Bytes;
use std::net::SocketAddr;
use std::sync::Arc;

/// One API that is served.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    pub key: ApiKey,
    /// The lowest version of Apache Kafka 4.3.1.
    pub min: i16,
    pub max: i16,
    /// The lowest version whose body is read: below `min` for clients of Kafka before 2.1 (KIP-896).
    pub old_min: i16,
}

const fn row(key: ApiKey, min: i16, max: i16) -> Row {
    Row {
        key,
        min,
        max,
        old_min: min,
    }
}

/// What is served: Apache Kafka 4.3.1's versions, and older ones of some.
pub const ROWS: &[Row] = &[
    row(ApiKey::Produce, 3, 13),
    row(ApiKey::Fetch, 4, 18),
    row(ApiKey::ListOffsets, 1, 11).and_from(0),
    row(ApiKey::Metadata, 0, 13),
    row(ApiKey::OffsetCommit, 2, 10).and_from(1),
    row(ApiKey::OffsetFetch, 1, 10),
    row(ApiKey::FindCoordinator, 0, 6),
    row(ApiKey::JoinGroup, 0, 9),
    row(ApiKey::Heartbeat, 0, 4),
    row(ApiKey::LeaveGroup, 0, 5),
    row(ApiKey::SyncGroup, 0, 5),
    row(ApiKey::DescribeGroups, 0, 6),
    row(ApiKey::ListGroups, 0, 5),
    row(ApiKey::SaslHandshake, 0, 1),
    row(ApiKey::ApiVersions, 0, 4),
    row(ApiKey::CreateTopics, 2, 7).and_from(0),
    row(ApiKey::DeleteTopics, 1, 6).and_from(0),
    row(ApiKey::DeleteRecords, 0, 2),
    row(ApiKey::InitProducerId, 0, 5),
    row(ApiKey::OffsetForLeaderEpoch, 2, 4).and_from(0),
    row(ApiKey::DescribeAcls, 1, 3).and_from(0),
    row(ApiKey::CreateAcls, 1, 3).and_from(0),
    row(ApiKey::DeleteAcls, 1, 3).and_from(0),
    row(ApiKey::DescribeConfigs, 1, 4).and_from(0),
    row(ApiKey::AlterConfigs, 0, 2),
    row(ApiKey::AlterReplicaLogDirs, 1, 2),
    row(ApiKey::DescribeLogDirs, 1, 5).and_from(0),
    row(ApiKey::SaslAuthenticate, 0, 2),
    row(ApiKey::CreatePartitions, 0, 3),
    row(ApiKey::DeleteGroups, 0, 2),
    row(ApiKey::ElectLeaders, 0, 2),
    row(ApiKey::IncrementalAlterConfigs, 0, 1),
    row(ApiKey::AlterPartitionReassignments, 0, 1),
    row(ApiKey::ListPartitionReassignments, 0, 0),
    row(ApiKey::OffsetDelete, 0, 0),
    row(ApiKey::DescribeQuorum, 0, 2),
    row(ApiKey::UpdateFeatures, 0, 2),
    row(ApiKey::DescribeCluster, 0, 2),
    row(ApiKey::DescribeProducers, 0, 0),
    row(ApiKey::UnregisterBroker, 0, 0),
    row(ApiKey::DescribeTransactions, 0, 0),
    row(ApiKey::ListTransactions, 0, 2),
    row(ApiKey::GetTelemetrySubscriptions, 0, 0),
    row(ApiKey::PushTelemetry, 0, 0),
    row(ApiKey::ListConfigResources, 0, 1),
    row(ApiKey::DescribeTopicPartitions, 0, 0),
];

impl Row {
    /// Reads older versions than the release, too.
    const fn and_from(self, old_min: i16) -> Row {
        assert!(old_min < self.min);
        Row { old_min, ..self }
    }

    /// The lowest version in the answer to ApiVersions. librdkafka stops compressing when Produce 0
    /// is not listed, so Kafka lists it although it refuses it (KAFKA-18659).
    pub fn advertised_min(&self, old_versions: OldVersions) -> i16 {
        match old_versions {
            _ if self.key == ApiKey::Produce => 0,
            OldVersions::Advertised => self.old_min,
            OldVersions::Quiet => self.min,
        }
    }

    /// Whether the answer to ApiVersions has it. Kafka tells of telemetry only where something takes it up,
    /// but answers who asks all the same.
    pub fn is_advertised(&self) -> bool {
        !matches!(
            self.key,
            ApiKey::GetTelemetrySubscriptions | ApiKey::PushTelemetry
        )
    }
}

/// Who and where this broker is.
#[derive(Clone, Debug)]
pub struct Identity {
    pub cluster_id: Arc<str>,
    pub node_id: NodeId,
}

/// The parts that handlers work on; each handler is given only the one that it names.
pub struct Api {
    pub identity: Identity,
    /// What the broker was started with, for keys that are read once.
    pub config: Arc<BrokerConfig>,
    /// What is in force now.
    pub live: Arc<LiveConfig>,
    pub runtime: Runtime,
    pub image: ImageHandle,
    pub replicas: Arc<Replicas>,
    pub sessions: Arc<Sessions>,
    pub controller: Controller,
    pub producer_ids: Arc<ProducerIds>,
    pub creations: Creations,
    pub groups: Arc<GroupCoordinator>,
    pub meters: Arc<Meters>,
    pub telemetry: Telemetry,
}

impl Api {
    /// Takes one request. An answer that is ready is put behind what `reply` holds.
    pub fn call(
        &self,
        peer: SocketAddr,
        listener: &Arc<str>,
        frame: Bytes,
        reply: &mut Reply,
    ) -> Outcome {
        let outcome = match self.header(frame, peer, listener) {
            Ok(call) => self.dispatch(call, reply),
            Err(refusal) => Outcome::Close(refusal),
        };
        if matches!(outcome, Outcome::Close(_)) {
            self.meters.refused();
        }
        outcome
    }

    fn header(&self, frame: Bytes, peer: SocketAddr, listener: &Arc<str>) -> Result<Call, Refusal> {
        let mut body = Reader::new(frame);
        let (key, header) = RequestHeader::parse(&mut body).map_err(Refusal::Header)?;
        let Some(place) = ROWS.iter().position(|row| row.key == key) else {
            return Err(Refusal::NotServed(key.name()));
        };
        let row = &ROWS[place];
        let version = header.request_api_version;
        let known = (row.old_min..=row.max).contains(&version);
        // Only ApiVersions is answered in a version that we do not have: it is how clients ask.
        if !known && key != ApiKey::ApiVersions {
            return Err(Refusal::UnsupportedVersion {
                api: key.name(),
                version,
            });
        }
        self.meters.request(place);
        let context = RequestContext {
            version,
            correlation_id: header.correlation_id,
            client_id: header.client_id,
            peer,
            listener: listener.clone(),
            now: self.runtime.clock.wall(),
        };
        Ok(Call {
            key,
            known,
            context,
            body,
        })
    }

    fn dispatch(&self, call: Call, reply: &mut Reply) -> Outcome {
        match call.key {
            ApiKey::Produce => produce::serve(call, reply, &self.produce_parts()),
            ApiKey::Fetch => fetch::serve(call, reply, &self.fetch_parts()),
            ApiKey::ApiVersions => {
                api_versions::serve(call, reply, &self.image, self.config.old_versions)
            }
            ApiKey::ListOffsets => call.answer(reply, |request, context| {
                list_offsets::handle(request, context, &self.replicas, &self.image)
            }),
            ApiKey::Metadata => call.answer(reply, |request, context| {
                metadata::handle(request, context, &self.metadata_parts())
            }),
            ApiKey::FindCoordinator => call.answer(reply, |request, context| {
                let create = || self.creations.begin_offsets_topic();
                find_coordinator::handle(request, context, &self.image.load(), create)
            }),
            ApiKey::JoinGroup => call.answer(reply, |request, context| {
                join_group::handle(&request, context, &self.groups)
            }),
            ApiKey::SyncGroup => call.answer(reply, |request, context| {
                sync_group::handle(&request, context, &self.groups)
            }),
            ApiKey::Heartbeat => call.answer(reply, |request, context| {
                heartbeat::handle(&request, context, &self.groups)
            }),
            ApiKey::LeaveGroup => call.answer(reply, |request, context| {
                leave_group::handle(request, context, &self.groups)
            }),
            ApiKey::OffsetCommit => call.answer(reply, |request, context| {
                offset_commit::handle(&request, context, &self.groups, &self.image.load())
            }),
            ApiKey::OffsetFetch => call.answer(reply, |request, context| {
                offset_fetch::handle(request, context, &self.groups, &self.image)
            }),
            ApiKey::OffsetDelete => call.answer(reply, |request, _| {
                offset_delete::handle(&request, &self.groups, &self.image.load())
            }),
            ApiKey::DescribeGroups => call.answer(reply, |request, context| {
                describe_groups::handle(request, context, &self.groups)
            }),
            ApiKey::ListGroups => call.answer(reply, |request, _| {
                list_groups::handle(request, &self.groups)
            }),
            ApiKey::DeleteGroups => call.answer(reply, |request, _| {
                delete_groups::handle(request, &self.groups)
            }),
            ApiKey::CreateTopics => call.answer(reply, |request, context| {
                create_topics::handle(&request, context, &self.controller, &self.live)
            }),
            ApiKey::DeleteTopics => call.answer(reply, |request, context| {
                delete_topics::handle(
                    &request,
                    context,
                    &self.controller,
                    &self.image,
                    &self.config,
                )
            }),
            ApiKey::InitProducerId => call.answer(reply, |request, context| {
                init_producer_id::handle(&request, context, &self.producer_ids)
            }),
            ApiKey::OffsetForLeaderEpoch => call.answer(reply, |request, _| {
                offset_for_leader_epoch::handle(request, &self.replicas, &self.image)
            }),
            ApiKey::DescribeConfigs => call.answer(reply, |request, context| {
                describe_configs::handle(&request, context, &self.config_parts())
            }),
            ApiKey::AlterConfigs => call.answer(reply, |request, _| {
                alter_configs::handle(request, &self.config_parts())
            }),
            ApiKey::IncrementalAlterConfigs => call.answer(reply, |request, _| {
                incremental_alter_configs::handle(request, &self.config_parts())
            }),
            ApiKey::ListConfigResources => call.answer(reply, |request, context| {
                list_config_resources::handle(&request, context, &self.image.load())
            }),
            ApiKey::ListPartitionReassignments => call.answer(reply, |request, _| {
                list_partition_reassignments::handle(&request, &self.image.load())
            }),
            ApiKey::DescribeCluster => call.answer(reply, |request, context| {
                describe_cluster::handle(&request, context, &self.image.load(), &self.identity)
            }),
            ApiKey::DescribeTopicPartitions => call.answer(reply, |request, context| {
                let limit = self.config.fetch.describe_partitions_max;
                describe_topic_partitions::handle(&request, context, &self.image.load(), limit)
            }),
            ApiKey::CreatePartitions => call.answer(reply, |request, _| {
                create_partitions::handle(&request, &self.controller)
            }),
            ApiKey::DeleteRecords => call.answer(reply, |request, _| {
                delete_records::handle(&request, &self.replicas, &self.image)
            }),
            ApiKey::DescribeLogDirs => call.answer(reply, |request, _| {
                describe_log_dirs::handle(&request, &self.replicas)
            }),
            ApiKey::AlterReplicaLogDirs => call.answer(reply, |request, _| {
                alter_replica_log_dirs::handle(request, &self.replicas, &self.image)
            }),
            ApiKey::DescribeProducers => call.answer(reply, |request, _| {
                describe_producers::handle(&request, &self.replicas, &self.image)
            }),
            ApiKey::DescribeQuorum => call.answer(reply, |request, context| {
                describe_quorum::handle(&request, context, &self.controller.quorum())
            }),
            ApiKey::ElectLeaders => call.answer(reply, |request, context| {
                elect_leaders::handle(&request, context, &self.controller)
            }),
            ApiKey::AlterPartitionReassignments => call.answer(reply, |request, _| {
                alter_partition_reassignments::handle(request, &self.controller)
            }),
            ApiKey::UnregisterBroker => call.answer(reply, |request, _| {
                unregister_broker::handle(&request, &self.controller)
            }),
            ApiKey::UpdateFeatures => call.answer(reply, |request, context| {
                update_features::handle(&request, context, &self.controller)
            }),
            ApiKey::DescribeTransactions => {
                call.answer(reply, |request, _| describe_transactions::handle(request))
            }
            ApiKey::ListTransactions => {
                call.answer(reply, |request, _| list_transactions::handle(request))
            }
            ApiKey::DescribeAcls => {
                call.answer(reply, |_: DescribeAclsRequest, _| acls::describe())
            }
            ApiKey::CreateAcls => call.answer(reply, |request, _| acls::create(&request)),
            ApiKey::DeleteAcls => call.answer(reply, |request, _| acls::delete(&request)),
            ApiKey::GetTelemetrySubscriptions => call.answer(reply, |request, context| {
                telemetry::subscriptions(&request, context, &self.telemetry)
            }),
            ApiKey::PushTelemetry => call.answer(reply, |request, context| {
                telemetry::push(&request, context, &self.telemetry)
            }),
            ApiKey::SaslHandshake => {
                call.answer(reply, |_: SaslHandshakeRequest, _| sasl::handshake())
            }
            ApiKey::SaslAuthenticate => {
                call.answer(reply, |_: SaslAuthenticateRequest, _| sasl::authenticate())
            }
            other => unreachable!("{} is in the table and has no handler", other.name()),
        }
    }

    fn produce_parts(&self) -> produce::Parts<'_> {
        produce::Parts {
            replicas: &self.replicas,
            image: &self.image,
            meters: &self.meters,
        }
    }

    fn fetch_parts(&self) -> fetch::Parts<'_> {
        fetch::Parts {
            replicas: &self.replicas,
            sessions: &self.sessions,
            image: &self.image,
            runtime: &self.runtime,
            meters: &self.meters,
            bytes_max: self.config.fetch.bytes_max,
        }
    }

    fn config_parts(&self) -> config_changes::Parts<'_> {
        config_changes::Parts {
            node: self.identity.node_id,
            controller: &self.controller,
            image: &self.image,
            live: &self.live,
            loggers: &*self.runtime.loggers,
        }
    }

    fn metadata_parts(&self) -> metadata::Parts<'_> {
        metadata::Parts {
            identity: &self.identity,
            image: &self.image,
            creations: &self.creations,
            auto_create: self.config.topics.auto_create,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_each_api_once_in_the_order_of_its_key() {
        let keys: Vec<i16> = ROWS.iter().map(|row| row.key.code()).collect();
        assert!(keys.is_sorted_by(|a, b| a < b));
    }
}
