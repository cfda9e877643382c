//! An independent reading of the same schemas: crate `kafka-protocol`. Drawn values of every message
//! and version that it has are decoded by it and encoded again, to the same bytes.
//!
//! It is a witness, not a model: it stops at the schemas of 4.1 and trusts lengths off the wire.

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages as m;
use kafka_protocol::protocol::{Decodable, Encodable, Message as Witnessed};
use ottla_protocol_tests::codec;
use ottla_protocol_tests::sample::{Draw, sample, schemas};
use std::collections::BTreeMap;

/// Values drawn per message and version.
const SEEDS: u64 = 12;

/// Messages that it misreads: they have a field called Version, which it takes for the version of
/// the schema. Kafka's own vectors speak for these.
const MISREAD: [&str; 2] = ["LeaderChangeMessage", "VotersRecord"];

struct Witness {
    versions: std::ops::RangeInclusive<i16>,
    /// Decodes, and encodes what it understood.
    rewrite: fn(Bytes, i16) -> Result<Bytes, String>,
}

fn witness<T: Witnessed + Decodable + Encodable>() -> Witness {
    Witness {
        versions: T::VERSIONS.min..=T::VERSIONS.max,
        rewrite: |mut bytes, version| {
            let message = T::decode(&mut bytes, version).map_err(|why| why.to_string())?;
            if !bytes.is_empty() {
                return Err(format!("{} bytes left", bytes.len()));
            }
            let mut out = BytesMut::new();
            message
                .encode(&mut out, version)
                .map_err(|why| why.to_string())?;
            Ok(out.freeze())
        },
    }
}

macro_rules! witnesses {
    ($($name:ident)*) => {
        fn witnesses() -> BTreeMap<&'static str, Witness> {
            BTreeMap::from([$((stringify!($name), witness::<m::$name>())),*])
        }
    };
}

witnesses! {
    AddOffsetsToTxnRequest
    AddOffsetsToTxnResponse
    AddPartitionsToTxnRequest
    AddPartitionsToTxnResponse
    AddRaftVoterRequest
    AddRaftVoterResponse
    AllocateProducerIdsRequest
    AllocateProducerIdsResponse
    AlterClientQuotasRequest
    AlterClientQuotasResponse
    AlterConfigsRequest
    AlterConfigsResponse
    AlterPartitionReassignmentsRequest
    AlterPartitionReassignmentsResponse
    AlterPartitionRequest
    AlterPartitionResponse
    AlterReplicaLogDirsRequest
    AlterReplicaLogDirsResponse
    AlterShareGroupOffsetsRequest
    AlterShareGroupOffsetsResponse
    AlterUserScramCredentialsRequest
    AlterUserScramCredentialsResponse
    ApiVersionsRequest
    ApiVersionsResponse
    AssignReplicasToDirsRequest
    AssignReplicasToDirsResponse
    BeginQuorumEpochRequest
    BeginQuorumEpochResponse
    BrokerHeartbeatRequest
    BrokerHeartbeatResponse
    BrokerRegistrationRequest
    BrokerRegistrationResponse
    ConsumerGroupDescribeRequest
    ConsumerGroupDescribeResponse
    ConsumerGroupHeartbeatRequest
    ConsumerGroupHeartbeatResponse
    ConsumerProtocolAssignment
    ConsumerProtocolSubscription
    ControllerRegistrationRequest
    ControllerRegistrationResponse
    CreateAclsRequest
    CreateAclsResponse
    CreateDelegationTokenRequest
    CreateDelegationTokenResponse
    CreatePartitionsRequest
    CreatePartitionsResponse
    CreateTopicsRequest
    CreateTopicsResponse
    DefaultPrincipalData
    DeleteAclsRequest
    DeleteAclsResponse
    DeleteGroupsRequest
    DeleteGroupsResponse
    DeleteRecordsRequest
    DeleteRecordsResponse
    DeleteShareGroupOffsetsRequest
    DeleteShareGroupOffsetsResponse
    DeleteShareGroupStateRequest
    DeleteShareGroupStateResponse
    DeleteTopicsRequest
    DeleteTopicsResponse
    DescribeAclsRequest
    DescribeAclsResponse
    DescribeClientQuotasRequest
    DescribeClientQuotasResponse
    DescribeClusterRequest
    DescribeClusterResponse
    DescribeConfigsRequest
    DescribeConfigsResponse
    DescribeDelegationTokenRequest
    DescribeDelegationTokenResponse
    DescribeGroupsRequest
    DescribeGroupsResponse
    DescribeLogDirsRequest
    DescribeLogDirsResponse
    DescribeProducersRequest
    DescribeProducersResponse
    DescribeQuorumRequest
    DescribeQuorumResponse
    DescribeShareGroupOffsetsRequest
    DescribeShareGroupOffsetsResponse
    DescribeTopicPartitionsRequest
    DescribeTopicPartitionsResponse
    DescribeTransactionsRequest
    DescribeTransactionsResponse
    DescribeUserScramCredentialsRequest
    DescribeUserScramCredentialsResponse
    ElectLeadersRequest
    ElectLeadersResponse
    EndQuorumEpochRequest
    EndQuorumEpochResponse
    EndTxnMarker
    EndTxnRequest
    EndTxnResponse
    EnvelopeRequest
    EnvelopeResponse
    ExpireDelegationTokenRequest
    ExpireDelegationTokenResponse
    FetchRequest
    FetchResponse
    FetchSnapshotRequest
    FetchSnapshotResponse
    FindCoordinatorRequest
    FindCoordinatorResponse
    GetTelemetrySubscriptionsRequest
    GetTelemetrySubscriptionsResponse
    HeartbeatRequest
    HeartbeatResponse
    IncrementalAlterConfigsRequest
    IncrementalAlterConfigsResponse
    InitProducerIdRequest
    InitProducerIdResponse
    InitializeShareGroupStateRequest
    InitializeShareGroupStateResponse
    JoinGroupRequest
    JoinGroupResponse
    KRaftVersionRecord
    LeaderChangeMessage
    LeaveGroupRequest
    LeaveGroupResponse
    ListConfigResourcesRequest
    ListConfigResourcesResponse
    ListGroupsRequest
    ListGroupsResponse
    ListOffsetsRequest
    ListOffsetsResponse
    ListPartitionReassignmentsRequest
    ListPartitionReassignmentsResponse
    ListTransactionsRequest
    ListTransactionsResponse
    MetadataRequest
    MetadataResponse
    OffsetCommitRequest
    OffsetCommitResponse
    OffsetDeleteRequest
    OffsetDeleteResponse
    OffsetFetchRequest
    OffsetFetchResponse
    OffsetForLeaderEpochRequest
    OffsetForLeaderEpochResponse
    ProduceRequest
    ProduceResponse
    PushTelemetryRequest
    PushTelemetryResponse
    ReadShareGroupStateRequest
    ReadShareGroupStateResponse
    ReadShareGroupStateSummaryRequest
    ReadShareGroupStateSummaryResponse
    RemoveRaftVoterRequest
    RemoveRaftVoterResponse
    RenewDelegationTokenRequest
    RenewDelegationTokenResponse
    RequestHeader
    ResponseHeader
    SaslAuthenticateRequest
    SaslAuthenticateResponse
    SaslHandshakeRequest
    SaslHandshakeResponse
    ShareAcknowledgeRequest
    ShareAcknowledgeResponse
    ShareFetchRequest
    ShareFetchResponse
    ShareGroupDescribeRequest
    ShareGroupDescribeResponse
    ShareGroupHeartbeatRequest
    ShareGroupHeartbeatResponse
    SnapshotFooterRecord
    SnapshotHeaderRecord
    SyncGroupRequest
    SyncGroupResponse
    TxnOffsetCommitRequest
    TxnOffsetCommitResponse
    UnregisterBrokerRequest
    UnregisterBrokerResponse
    UpdateFeaturesRequest
    UpdateFeaturesResponse
    UpdateRaftVoterRequest
    UpdateRaftVoterResponse
    VoteRequest
    VoteResponse
    VotersRecord
    WriteShareGroupStateRequest
    WriteShareGroupStateResponse
    WriteTxnMarkersRequest
    WriteTxnMarkersResponse
}

#[test]
fn a_second_codec_agrees_wherever_it_has_the_version() {
    let witnesses = witnesses();
    let (mut versions, mut complaints) = (0, Vec::new());
    for message in schemas()
        .iter()
        .filter(|message| !MISREAD.contains(&message.name.as_str()))
    {
        let Some(witness) = witnesses.get(message.name.as_str()) else {
            continue;
        };
        let codec = codec::find(&message.name).expect("generated");
        for version in message
            .versions
            .iter()
            .filter(|v| witness.versions.contains(v))
        {
            versions += 1;
            for draw in (0..SEEDS).map(Draw::Seed).chain([Draw::Defaults]) {
                let bytes = Bytes::from(sample(message, version, draw).bytes);
                let ours = (codec.rewrite)(bytes.clone(), version).expect("our own sample");
                match (witness.rewrite)(bytes.clone(), version) {
                    Ok(theirs) if theirs == ours => {}
                    Ok(_) => complaints
                        .push(format!("{} v{version} {draw:?}: other bytes", message.name)),
                    Err(why) => {
                        complaints.push(format!("{} v{version} {draw:?}: {why}", message.name))
                    }
                }
            }
        }
    }
    assert!(
        complaints.is_empty(),
        "{} complaints:\n{}",
        complaints.len(),
        complaints.join("\n")
    );
    assert!(versions > 450, "only {versions} versions have a witness");
}
