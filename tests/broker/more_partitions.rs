//! CreatePartitions: new partitions can be used as soon as they are answered, and stay.

use crate::common::client::{Client, Refused, batch};
use crate::common::local::{End, Local};
use ottla::protocol::ErrorCode;
use ottla::protocol::messages::{
    CreatePartitionsRequest, CreatePartitionsResponse, MetadataRequest, MetadataResponse,
    create_partitions_request as create, metadata_request,
};
use ottla::types::Timestamp;
use tokio::net::TcpStream;

const TOPIC: &str = "orders";

fn to(name: &'static str, count: i32) -> create::CreatePartitionsTopic {
    create::CreatePartitionsTopic {
        name: name.into(),
        count,
        assignments: None,
    }
}

fn by_hand(count: i32, brokers: &[&[i32]]) -> create::CreatePartitionsTopic {
    let assigned = brokers
        .iter()
        .map(|ids| create::CreatePartitionsAssignment {
            broker_ids: ids.to_vec(),
        });
    create::CreatePartitionsTopic {
        assignments: Some(assigned.collect()),
        ..to(TOPIC, count)
    }
}

/// Code and text for each topic.
async fn ask(
    client: &mut Client<TcpStream>,
    topics: Vec<create::CreatePartitionsTopic>,
    validate_only: bool,
) -> Vec<(ErrorCode, Option<String>)> {
    let request = CreatePartitionsRequest {
        topics,
        timeout_ms: 30_000,
        validate_only,
    };
    let response: CreatePartitionsResponse = client.call(&request, 3).await.unwrap();
    let results = response.results.iter();
    results
        .map(|result| {
            let code = ErrorCode::from_code(result.error_code).unwrap();
            (code, result.error_message.as_deref().map(str::to_owned))
        })
        .collect()
}

async fn grow(client: &mut Client<TcpStream>, topic: create::CreatePartitionsTopic) -> ErrorCode {
    ask(client, vec![topic], false).await.remove(0).0
}

/// Partitions that metadata names, each with a leader.
async fn partitions(client: &mut Client<TcpStream>) -> usize {
    let request = MetadataRequest {
        topics: Some(vec![metadata_request::MetadataRequestTopic {
            name: Some(TOPIC.into()),
            ..Default::default()
        }]),
        ..Default::default()
    };
    let response: MetadataResponse = client.call(&request, 9).await.unwrap();
    let topic = &response.topics[0];
    assert!(
        topic
            .partitions
            .iter()
            .all(|p| p.error_code == 0 && p.leader_id == 1)
    );
    topic.partitions.len()
}

#[tokio::test]
async fn new_partitions_are_written_to_and_read_at_once_and_after_a_kill() {
    let mut broker = Local::start(&[]).await;
    let mut client = broker.connect().await;
    client.make_topic(TOPIC, 1, &[]).await;
    let kept = |value: &'static str| batch(Timestamp(1), &[value]);
    client
        .produce(TOPIC, 0, -1, kept("old"))
        .await
        .unwrap()
        .unwrap();
    let missing = client.produce(TOPIC, 2, -1, kept("new")).await.unwrap();
    assert_eq!(missing, Err(Refused(ErrorCode::UnknownTopicOrPartition)));

    assert_eq!(grow(&mut client, to(TOPIC, 3)).await, ErrorCode::None);
    assert_eq!(
        client.produce(TOPIC, 2, -1, kept("new")).await.unwrap(),
        Ok(0)
    );
    assert_eq!(partitions(&mut client).await, 3);
    for end in [End::Kill, End::Stop] {
        let mut client = broker.restart(end).await;
        assert_eq!(partitions(&mut client).await, 3);
        for (partition, value) in [(0, "old"), (2, "new")] {
            let found = client.read_all(TOPIC, partition, 0).await.unwrap().unwrap();
            assert_eq!(found.len(), 1);
            assert_eq!(found[0].value, value.as_bytes());
        }
    }
}

#[tokio::test]
async fn a_request_that_is_only_checked_makes_nothing() {
    let broker = Local::start(&[]).await;
    let mut client = broker.connect().await;
    client.make_topic(TOPIC, 1, &[]).await;
    let checked = ask(&mut client, vec![to(TOPIC, 5)], true).await;
    assert_eq!(checked, [(ErrorCode::None, None)]);
    assert_eq!(partitions(&mut client).await, 1);
    let refused = ask(&mut client, vec![to(TOPIC, 1)], true).await;
    assert_eq!(refused[0].0, ErrorCode::InvalidPartitions);
}

#[tokio::test]
async fn brokers_chosen_by_hand_hold_the_new_partitions() {
    let broker = Local::start(&[]).await;
    let mut client = broker.connect().await;
    client.make_topic(TOPIC, 1, &[]).await;
    for (topic, code) in [
        (by_hand(3, &[&[1]]), ErrorCode::InvalidReplicaAssignment),
        (by_hand(2, &[&[9]]), ErrorCode::InvalidReplicaAssignment),
        (by_hand(2, &[&[]]), ErrorCode::InvalidReplicaAssignment),
        (by_hand(2, &[&[1, 1]]), ErrorCode::InvalidReplicaAssignment),
        (by_hand(3, &[&[1], &[1]]), ErrorCode::None),
    ] {
        let what = format!("{topic:?}");
        assert_eq!(grow(&mut client, topic).await, code, "{what}");
    }
    assert_eq!(partitions(&mut client).await, 3);
}

#[tokio::test]
async fn refusals_have_kafkas_codes_and_words_and_do_not_keep_others_from_growing() {
    let broker = Local::start(&[]).await;
    let mut client = broker.connect().await;
    client.make_topic(TOPIC, 2, &[]).await;
    client.make_topic("twice", 1, &[]).await;
    let topics = vec![
        to(TOPIC, 3),
        to("nowhere", 3),
        to("twice", 2),
        to("twice", 3),
    ];
    let mut answers = ask(&mut client, topics, false).await;
    answers.sort();
    let twice = Some("Duplicate topic name.".to_owned());
    assert_eq!(
        answers,
        [
            (ErrorCode::None, None),
            (ErrorCode::UnknownTopicOrPartition, None),
            (ErrorCode::InvalidRequest, twice),
        ]
    );
    for (count, text) in [
        (3, "Topic already has 3 partition(s)."),
        (
            2,
            "The topic orders currently has 3 partition(s); 2 would not be an increase.",
        ),
    ] {
        let refused = ask(&mut client, vec![to(TOPIC, count)], false).await;
        let expected = (ErrorCode::InvalidPartitions, Some(text.to_owned()));
        assert_eq!(refused, [expected]);
    }
}
