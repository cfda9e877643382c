//! What else administrators ask of a broker that is alone, over the wire.

use crate::common::client::{Client, Refused, batch, idempotent_batch};
use crate::common::local::{End, Local};
use ottla::protocol::messages::{
    AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse, ApiVersionsRequest,
    ApiVersionsResponse, DescribeLogDirsRequest, DescribeLogDirsResponse, DescribeProducersRequest,
    DescribeProducersResponse, DescribeQuorumRequest, DescribeQuorumResponse,
    DescribeTransactionsRequest, DescribeTransactionsResponse, ElectLeadersRequest,
    ElectLeadersResponse, GetTelemetrySubscriptionsRequest, GetTelemetrySubscriptionsResponse,
    MetadataRequest, MetadataResponse, PushTelemetryRequest, PushTelemetryResponse,
    SaslAuthenticateRequest, SaslAuthenticateResponse, SaslHandshakeRequest, SaslHandshakeResponse,
    UnregisterBrokerRequest, UnregisterBrokerResponse, UpdateFeaturesRequest,
    UpdateFeaturesResponse, alter_partition_reassignments_request as reassign,
    describe_log_dirs_request as log_dirs, describe_producers_request as producers,
    describe_quorum_request as quorum, elect_leaders_request as elect,
    update_features_request as features,
};
use ottla::protocol::{ApiKey, ErrorCode};
use ottla::runtime::os;
use ottla::types::{Timestamp, Uuid};
use tokio::net::TcpStream;

const TOPIC: &str = "orders";

fn code(code: i16) -> ErrorCode {
    ErrorCode::from_code(code).unwrap()
}

async fn with_topic(settings: &[(&str, &str)]) -> (Local, Client<TcpStream>) {
    let broker = Local::start(settings).await;
    let mut client = broker.connect().await;
    client.make_topic(TOPIC, 2, &[]).await;
    (broker, client)
}

async fn describe_dirs(
    client: &mut Client<TcpStream>,
    topics: Option<Vec<log_dirs::DescribableLogDirTopic>>,
) -> DescribeLogDirsResponse {
    let request = DescribeLogDirsRequest { topics };
    client.call(&request, 5).await.unwrap()
}

#[tokio::test]
async fn a_log_directory_is_described_with_its_room_and_its_partitions() {
    let (broker, mut client) = with_topic(&[]).await;
    let five = batch(Timestamp(1), &["a", "b", "c", "d", "e"]);
    let size = i64::try_from(five.len()).unwrap();
    client.produce(TOPIC, 1, -1, five).await.unwrap().unwrap();

    let all = describe_dirs(&mut client, None).await;
    assert_eq!(all.results.len(), 1);
    let directory = &all.results[0];
    assert_eq!(&*directory.log_dir, broker.dir().to_str().unwrap());
    assert!(directory.total_bytes >= directory.usable_bytes && directory.usable_bytes > 0);
    let [topic] = &directory.topics[..] else {
        panic!("one topic: {:?}", directory.topics)
    };
    let sizes: Vec<(i32, i64)> = topic
        .partitions
        .iter()
        .map(|partition| (partition.partition_index, partition.partition_size))
        .collect();
    assert_eq!((&*topic.name, sizes), (TOPIC, vec![(0, 0), (1, size)]));

    let asked = log_dirs::DescribableLogDirTopic {
        topic: TOPIC.into(),
        partitions: vec![1, 7],
    };
    let some = describe_dirs(&mut client, Some(vec![asked])).await;
    assert_eq!(some.results[0].topics[0].partitions.len(), 1);
    let none = describe_dirs(&mut client, Some(Vec::new())).await;
    assert!(none.results[0].topics.is_empty());
}

/// A topic's recovery points stayed in the checkpoint when it was deleted: one of the same name, made later,
/// counted as on the disk up to there, and was not checked after a crash.
#[expect(
    clippy::disallowed_methods,
    reason = "a test looks at what the broker left on the disk"
)]
#[tokio::test]
async fn a_deleted_topic_leaves_nothing_in_the_checkpoints() {
    let (mut broker, mut client) = with_topic(&[]).await;
    let two = batch(Timestamp(1), &["a", "b"]);
    client.produce(TOPIC, 1, -1, two).await.unwrap().unwrap();
    let mut client = broker.restart(End::Stop).await;
    let checkpoint = broker.dir().join("recovery-point-offset-checkpoint");
    let has_topic = || {
        let text = std::fs::read_to_string(&checkpoint).unwrap();
        text.lines().any(|line| line.starts_with(TOPIC))
    };
    assert!(has_topic(), "a proper end notes what is on the disk");
    client.delete_topic(TOPIC).await.unwrap().unwrap();
    assert!(!has_topic());
}

#[tokio::test]
async fn idempotent_producers_are_described_and_remembered_over_a_restart() {
    let (mut broker, mut client) = with_topic(&[]).await;
    let producer = client.producer_id().await.unwrap().unwrap();
    // A producer that has been silent for a day is forgotten.
    let now = os::runtime().clock.wall();
    let three = idempotent_batch(now, producer, 0, &["a", "b", "c"]);
    client.produce(TOPIC, 0, -1, three).await.unwrap().unwrap();
    let request = DescribeProducersRequest {
        topics: vec![
            producers::TopicRequest {
                name: TOPIC.into(),
                partition_indexes: vec![0, 1, 2],
            },
            producers::TopicRequest {
                name: "a b".into(),
                partition_indexes: vec![0],
            },
        ],
    };
    let mut described = Vec::new();
    for _ in 0..2 {
        let response: DescribeProducersResponse = client.call(&request, 0).await.unwrap();
        let partitions = &response.topics[0].partitions;
        let state = &partitions[0].active_producers[0];
        assert_eq!((state.producer_id, state.last_sequence), (producer.0, 2));
        assert_eq!(state.producer_epoch, i32::from(producer.1));
        assert_eq!(state.last_timestamp, now.get());
        assert_eq!(state.current_txn_start_offset, -1);
        assert!(partitions[1].active_producers.is_empty());
        let unknown = code(partitions[2].error_code);
        assert_eq!(unknown, ErrorCode::UnknownTopicOrPartition);
        let bad_name = code(response.topics[1].partitions[0].error_code);
        assert_eq!(bad_name, ErrorCode::InvalidTopicException);
        described.push(response);
        client = broker.restart(End::Stop).await;
    }
    assert_eq!(described[0], described[1]);
}

async fn elections(
    client: &mut Client<TcpStream>,
    election_type: i8,
    topics: Option<Vec<elect::TopicPartitions>>,
) -> (ErrorCode, Vec<(i32, ErrorCode)>) {
    let request = ElectLeadersRequest {
        election_type,
        topic_partitions: topics,
        timeout_ms: 30_000,
    };
    let response: ElectLeadersResponse = client.call(&request, 2).await.unwrap();
    let topics = response.replica_election_results.iter();
    let partitions = topics.flat_map(|topic| &topic.partition_result);
    let results = partitions.map(|result| (result.partition_id, code(result.error_code)));
    (code(response.error_code), results.collect())
}

fn of(topic: &'static str, partitions: &[i32]) -> Option<Vec<elect::TopicPartitions>> {
    Some(vec![elect::TopicPartitions {
        topic: topic.into(),
        partitions: partitions.to_vec(),
    }])
}

#[tokio::test]
async fn a_partition_that_has_its_leader_needs_no_election() {
    let (_broker, mut client) = with_topic(&[]).await;
    for election in [0, 1] {
        let (all, results) = elections(&mut client, election, of(TOPIC, &[0, 9])).await;
        assert_eq!(all, ErrorCode::None);
        let expected = [
            (0, ErrorCode::ElectionNotNeeded),
            (9, ErrorCode::UnknownTopicOrPartition),
        ];
        assert_eq!(results, expected);
        let everything = elections(&mut client, election, None).await;
        assert_eq!(everything, (ErrorCode::None, vec![]));
    }
    let (all, results) = elections(&mut client, 5, of(TOPIC, &[0])).await;
    assert_eq!(all, ErrorCode::InvalidRequest);
    assert_eq!(results, [(0, ErrorCode::InvalidRequest)]);
}

#[tokio::test]
async fn a_partition_can_only_be_assigned_to_the_broker_that_there_is() {
    let (_broker, mut client) = with_topic(&[]).await;
    for (partition, replicas, allowed, expected) in [
        (0, Some(vec![1]), true, ErrorCode::None),
        (0, Some(vec![2]), true, ErrorCode::InvalidReplicaAssignment),
        (0, Some(vec![]), true, ErrorCode::InvalidReplicaAssignment),
        (
            0,
            Some(vec![1, 1]),
            true,
            ErrorCode::InvalidReplicaAssignment,
        ),
        (0, None, true, ErrorCode::NoReassignmentInProgress),
        (9, Some(vec![1]), true, ErrorCode::UnknownTopicOrPartition),
        (0, Some(vec![1]), false, ErrorCode::None),
    ] {
        let request = AlterPartitionReassignmentsRequest {
            allow_replication_factor_change: allowed,
            topics: vec![reassign::ReassignableTopic {
                name: TOPIC.into(),
                partitions: vec![reassign::ReassignablePartition {
                    partition_index: partition,
                    replicas,
                }],
            }],
            ..Default::default()
        };
        let response: AlterPartitionReassignmentsResponse = client.call(&request, 1).await.unwrap();
        assert_eq!(response.allow_replication_factor_change, allowed);
        let answer = &response.responses[0].partitions[0];
        assert_eq!(code(answer.error_code), expected, "{:?}", request.topics);
    }
}

async fn unregister(client: &mut Client<TcpStream>, broker_id: i32) -> UnregisterBrokerResponse {
    let request = UnregisterBrokerRequest { broker_id };
    client.call(&request, 0).await.unwrap()
}

#[tokio::test]
async fn a_broker_that_was_unregistered_leads_nothing_until_it_starts_again() {
    let (mut broker, mut client) = with_topic(&[]).await;
    let unknown = unregister(&mut client, 9).await;
    assert_eq!(code(unknown.error_code), ErrorCode::BrokerIdNotRegistered);
    let text = "Broker ID 9 is not currently registered";
    assert_eq!(unknown.error_message.as_deref(), Some(text));

    assert_eq!(
        unregister(&mut client, 1).await,
        UnregisterBrokerResponse::default()
    );
    let metadata: MetadataResponse = client
        .call(
            &MetadataRequest {
                topics: None,
                ..Default::default()
            },
            9,
        )
        .await
        .unwrap();
    assert!(metadata.brokers.is_empty());
    assert_eq!(metadata.topics[0].partitions[0].leader_id, -1);
    let refused = client.produce(TOPIC, 0, -1, batch(Timestamp(1), &["a"]));
    let not_leader = Err(Refused(ErrorCode::NotLeaderOrFollower));
    assert_eq!(refused.await.unwrap(), not_leader);
    let nobody = elections(&mut client, 0, of(TOPIC, &[0])).await;
    let expected = [(0, ErrorCode::PreferredLeaderNotAvailable)];
    assert_eq!(nobody.1, expected);

    for end in [End::Stop, End::Kill] {
        let mut client = broker.restart(end).await;
        let taken = client.produce(TOPIC, 0, -1, batch(Timestamp(1), &["a"]));
        assert!(taken.await.unwrap().is_ok());
    }
}

#[tokio::test]
async fn a_quorum_of_one_is_described_with_the_directory_of_its_log() {
    let (broker, mut client) = with_topic(&[]).await;
    let ask = |topic: &'static str| DescribeQuorumRequest {
        topics: vec![quorum::TopicData {
            topic_name: topic.into(),
            partitions: vec![quorum::PartitionData { partition_index: 0 }],
        }],
    };
    let request = ask("__cluster_metadata");
    let before: DescribeQuorumResponse = client.call(&request, 2).await.unwrap();
    client.make_topic("more", 1, &[]).await;
    let after: DescribeQuorumResponse = client.call(&request, 2).await.unwrap();
    let [before, after] = [&before, &after].map(|response| &response.topics[0].partitions[0]);
    assert_eq!(
        (after.leader_id, after.leader_epoch),
        (1, before.leader_epoch)
    );
    // A topic of one partition is two records.
    assert_eq!(after.high_watermark, before.high_watermark + 2);
    let [voter] = &after.current_voters[..] else {
        panic!("one voter: {:?}", after.current_voters)
    };
    assert_eq!(
        (voter.replica_id, voter.log_end_offset),
        (1, after.high_watermark)
    );
    assert_eq!(
        voter.replica_directory_id.to_string(),
        directory_id(&broker)
    );
    assert!(after.observers.is_empty());

    let other: DescribeQuorumResponse = client.call(&ask(TOPIC), 2).await.unwrap();
    let refused = code(other.topics[0].partitions[0].error_code);
    assert_eq!(refused, ErrorCode::UnknownTopicOrPartition);
}

#[expect(
    clippy::disallowed_methods,
    reason = "the test looks at what the broker left on disk"
)]
fn directory_id(broker: &Local) -> String {
    let text = std::fs::read_to_string(broker.dir().join("meta.properties")).unwrap();
    let mut lines = text.lines();
    let id = lines.find_map(|line| line.strip_prefix("directory.id="));
    id.unwrap().to_owned()
}

async fn update(
    client: &mut Client<TcpStream>,
    (feature, level, upgrade_type): (&'static str, i16, i8),
    validate_only: bool,
) -> UpdateFeaturesResponse {
    let request = UpdateFeaturesRequest {
        timeout_ms: 30_000,
        feature_updates: vec![features::FeatureUpdateKey {
            feature: feature.into(),
            max_version_level: level,
            upgrade_type,
            ..Default::default()
        }],
        validate_only,
    };
    client.call(&request, 2).await.unwrap()
}

async fn finalized(client: &mut Client<TcpStream>) -> (Vec<(String, i16)>, i64) {
    let request = ApiVersionsRequest {
        client_software_name: "test".into(),
        client_software_version: "1".into(),
    };
    let response: ApiVersionsResponse = client.call(&request, 4).await.unwrap();
    let features = response.finalized_features.iter();
    let levels = features.map(|feature| (feature.name.to_string(), feature.max_version_level));
    (levels.collect(), response.finalized_features_epoch)
}

#[tokio::test]
async fn only_features_that_work_are_finalized_and_no_request_changes_that() {
    let (_broker, mut client) = with_topic(&[]).await;
    let (levels, epoch) = finalized(&mut client).await;
    let working = [
        ("eligible.leader.replicas.version", 1),
        ("metadata.version", 30),
    ];
    assert_eq!(
        levels,
        working.map(|(name, level)| (name.to_owned(), level))
    );
    for refused in [
        ("transaction.version", 2, 1),
        ("metadata.version", 31, 1),
        ("metadata.version", 29, 2),
        ("metadata.version", 30, 0),
    ] {
        let response = update(&mut client, refused, false).await;
        assert_eq!(code(response.error_code), ErrorCode::InvalidUpdateVersion);
        let text = response.error_message.unwrap();
        assert!(text.starts_with("The update failed for all features since the following"));
    }
    let checked = update(&mut client, ("metadata.version", 30, 1), true).await;
    assert_eq!(checked, UpdateFeaturesResponse::default());
    assert_eq!(finalized(&mut client).await, (levels.clone(), epoch));
    let done = update(&mut client, ("metadata.version", 30, 1), false).await;
    assert_eq!(done, UpdateFeaturesResponse::default());
    assert_eq!(finalized(&mut client).await, (levels, epoch + 1));
}

#[tokio::test]
async fn every_transactional_id_is_somebody_elses() {
    let (_broker, mut client) = with_topic(&[]).await;
    let request = DescribeTransactionsRequest {
        transactional_ids: vec!["orders-1".into(), "".into()],
    };
    let response: DescribeTransactionsResponse = client.call(&request, 0).await.unwrap();
    let states = response.transaction_states.iter();
    let codes: Vec<ErrorCode> = states.map(|state| code(state.error_code)).collect();
    assert_eq!(
        codes,
        [ErrorCode::NotCoordinator, ErrorCode::InvalidRequest]
    );
}

#[tokio::test]
async fn telemetry_is_not_advertised_but_answered_with_an_id_and_nothing_to_measure() {
    let (broker, mut client) = with_topic(&[("telemetry.max.bytes", "100")]).await;
    let versions: ApiVersionsResponse = client
        .call(&ApiVersionsRequest::default(), 2)
        .await
        .unwrap();
    let is_told = |key: ApiKey| {
        versions
            .api_keys
            .iter()
            .any(|api| api.api_key == key.code())
    };
    assert!(is_told(ApiKey::DescribeQuorum));
    assert!(!is_told(ApiKey::GetTelemetrySubscriptions) && !is_told(ApiKey::PushTelemetry));

    let ask = |client_instance_id| GetTelemetrySubscriptionsRequest { client_instance_id };
    let told: GetTelemetrySubscriptionsResponse = client.call(&ask(Uuid::ZERO), 0).await.unwrap();
    assert_eq!(code(told.error_code), ErrorCode::None);
    assert!(!told.client_instance_id.is_zero() && told.requested_metrics.is_empty());
    assert_eq!(
        (told.push_interval_ms, told.telemetry_max_bytes),
        (300_000, 100)
    );
    let again: GetTelemetrySubscriptionsResponse =
        client.call(&ask(told.client_instance_id), 0).await.unwrap();
    assert_eq!(code(again.error_code), ErrorCode::ThrottlingQuotaExceeded);

    let push = PushTelemetryRequest {
        client_instance_id: told.client_instance_id,
        subscription_id: told.subscription_id,
        metrics: vec![0; 101].into(),
        ..Default::default()
    };
    let large: PushTelemetryResponse = client.call(&push, 0).await.unwrap();
    assert_eq!(code(large.error_code), ErrorCode::TelemetryTooLarge);
    let mut other = broker.connect().await;
    let unknown = PushTelemetryRequest {
        subscription_id: told.subscription_id.wrapping_add(1),
        ..push
    };
    let unknown: PushTelemetryResponse = other.call(&unknown, 0).await.unwrap();
    assert_eq!(code(unknown.error_code), ErrorCode::UnknownSubscriptionId);
}

#[tokio::test]
async fn without_sasl_a_handshake_is_refused_and_the_connection_goes_on() {
    let (_broker, mut client) = with_topic(&[]).await;
    let handshake = SaslHandshakeRequest {
        mechanism: "PLAIN".into(),
    };
    let refused: SaslHandshakeResponse = client.call(&handshake, 1).await.unwrap();
    assert_eq!(code(refused.error_code), ErrorCode::IllegalSaslState);
    assert!(refused.mechanisms.is_empty());
    let authenticate = SaslAuthenticateRequest {
        auth_bytes: b"\0user\0secret"[..].into(),
    };
    let refused: SaslAuthenticateResponse = client.call(&authenticate, 2).await.unwrap();
    assert_eq!(code(refused.error_code), ErrorCode::IllegalSaslState);
    assert!(client.producer_id().await.unwrap().is_ok());
}
