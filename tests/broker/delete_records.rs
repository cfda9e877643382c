//! DeleteRecords: what is below the new start is gone for readers at once, for the disk soon, and for good.

use crate::common::client::{Client, Refused, batch};
use crate::common::local::{End, Local};
use crate::common::{until, world};
use ottla::protocol::ErrorCode;
use ottla::protocol::messages::{
    ListOffsetsRequest, ListOffsetsResponse, list_offsets_request as list,
};
use ottla::sim::{Keep, SimClock, SimDisk};
use ottla::types::Timestamp;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

const TOPIC: &str = "orders";
const HIGH_WATERMARK: i64 = -1;

async fn earliest<S: AsyncRead + AsyncWrite + Unpin>(client: &mut Client<S>) -> i64 {
    let request = ListOffsetsRequest {
        replica_id: -1,
        topics: vec![list::ListOffsetsTopic {
            name: TOPIC.into(),
            partitions: vec![list::ListOffsetsPartition {
                partition_index: 0,
                current_leader_epoch: -1,
                timestamp: -2,
                ..Default::default()
            }],
        }],
        ..Default::default()
    };
    let response: ListOffsetsResponse = client.call(&request, 7).await.unwrap();
    response.topics[0].partitions[0].offset
}

/// Two batches of five records each.
async fn ten_records<S: AsyncRead + AsyncWrite + Unpin>(client: &mut Client<S>) {
    client.make_topic(TOPIC, 1, &[]).await;
    for _ in 0..2 {
        let five = batch(Timestamp(1), &["a", "b", "c", "d", "e"]);
        client.produce(TOPIC, 0, -1, five).await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn readers_begin_at_the_new_start_even_in_the_middle_of_a_batch() {
    let broker = Local::start(&[]).await;
    let mut client = broker.connect().await;
    ten_records(&mut client).await;
    assert_eq!(client.delete_records(TOPIC, 0, 7).await.unwrap(), Ok(7));
    assert_eq!(earliest(&mut client).await, 7);
    let below = client.fetch(TOPIC, 0, 6).await.unwrap();
    assert_eq!(below, Err(Refused(ErrorCode::OffsetOutOfRange)));
    let left = client.read_all(TOPIC, 0, 7).await.unwrap().unwrap();
    let offsets: Vec<i64> = left.iter().map(|record| record.offset).collect();
    assert_eq!(offsets, [7, 8, 9]);

    let back = client.delete_records(TOPIC, 0, 3).await.unwrap();
    assert_eq!(back, Ok(7), "a start never goes back");
    let all = client.delete_records(TOPIC, 0, HIGH_WATERMARK).await;
    assert_eq!(all.unwrap(), Ok(10));
    let next = client.produce(TOPIC, 0, -1, batch(Timestamp(1), &["f"]));
    assert_eq!(next.await.unwrap(), Ok(10));
}

#[tokio::test]
async fn what_cannot_be_deleted_is_refused_with_kafkas_codes() {
    let broker = Local::start(&[]).await;
    let mut client = broker.connect().await;
    ten_records(&mut client).await;
    let compacted = [("cleanup.policy", "compact")];
    let both = [("cleanup.policy", "compact,delete")];
    client.make_topic("compacted", 1, &compacted).await;
    client.make_topic("both", 1, &both).await;
    let _ = client
        .find_coordinator("makes the offsets topic")
        .await
        .unwrap();
    until("the offsets topic", async || {
        let deleted = client.delete_records("__consumer_offsets", 0, 0).await;
        deleted.unwrap() != Err(Refused(ErrorCode::UnknownTopicOrPartition))
    })
    .await;
    for (topic, partition, offset, code) in [
        (TOPIC, 0, 11, ErrorCode::OffsetOutOfRange),
        (TOPIC, 0, -2, ErrorCode::OffsetOutOfRange),
        (TOPIC, 1, 0, ErrorCode::UnknownTopicOrPartition),
        ("nowhere", 0, 0, ErrorCode::UnknownTopicOrPartition),
        ("compacted", 0, 0, ErrorCode::PolicyViolation),
        ("__consumer_offsets", 0, 0, ErrorCode::InvalidTopicException),
    ] {
        let refused = client.delete_records(topic, partition, offset).await;
        assert_eq!(
            refused.unwrap(),
            Err(Refused(code)),
            "{topic}-{partition} to {offset}"
        );
    }
    assert_eq!(client.delete_records("both", 0, 0).await.unwrap(), Ok(0));
    assert_eq!(earliest(&mut client).await, 0, "nothing was deleted");
}

#[tokio::test]
async fn a_start_that_was_answered_survives_a_stop_and_a_kill() {
    let mut broker = Local::start(&[]).await;
    let mut client = broker.connect().await;
    ten_records(&mut client).await;
    assert_eq!(client.delete_records(TOPIC, 0, 2).await.unwrap(), Ok(2));
    let mut client = broker.restart(End::Kill).await;
    assert_eq!(earliest(&mut client).await, 2);
    assert_eq!(client.delete_records(TOPIC, 0, 8).await.unwrap(), Ok(8));
    let mut client = broker.restart(End::Stop).await;
    assert_eq!(earliest(&mut client).await, 8);
    let mut client = broker.restart(End::Kill).await;
    assert_eq!(earliest(&mut client).await, 8);
    let left = client.read_all(TOPIC, 0, 8).await.unwrap().unwrap();
    assert_eq!(left.len(), 2);
}

#[tokio::test]
async fn the_bytes_below_the_start_go_with_the_next_retention_check() {
    let soon = [
        ("log.initial.task.delay.ms", "0"),
        ("log.retention.check.interval.ms", "50"),
    ];
    let broker = Local::start(&soon).await;
    let mut client = broker.connect().await;
    let configs = [("segment.bytes", "1048576"), ("retention.ms", "-1")];
    client.make_topic(TOPIC, 1, &configs).await;
    let large = "x".repeat(600_000);
    for _ in 0..3 {
        let batch = batch(Timestamp(1), &[&large]);
        client.produce(TOPIC, 0, -1, batch).await.unwrap().unwrap();
    }
    assert!(bytes(&mut client).await > 1_800_000);
    assert_eq!(client.delete_records(TOPIC, 0, 2).await.unwrap(), Ok(2));
    until("the deletion of two segments", async || {
        bytes(&mut client).await <= 601_000
    })
    .await;
    let left = client.read_all(TOPIC, 0, 2).await.unwrap().unwrap();
    assert_eq!(left.len(), 1);
}

/// Size of the partition's log, as kafka-log-dirs shows it.
async fn bytes(client: &mut Client<TcpStream>) -> i64 {
    let results = client.log_dirs().await.unwrap();
    let mut topics = results[0].topics.iter();
    let topic = topics.find(|topic| &*topic.name == TOPIC);
    topic.expect("the topic is described").partitions[0].partition_size
}

/// An administrator deletes records because the disk is full, and the new start cannot be written down.
/// That must not take the directory away, and works once there is room.
#[test]
fn on_a_full_disk_a_start_is_answered_once_it_is_written_down() {
    let clock = SimClock::simulated();
    let disk = SimDisk::new(clock.clone());
    let scene = {
        let disk = disk.clone();
        async move {
            let mut client = world::connect().await;
            ten_records(&mut client).await;
            disk.set_capacity(Some(disk.used()));
            let refused = client.delete_records(TOPIC, 0, 5).await?;
            assert_eq!(refused, Err(Refused(ErrorCode::KafkaStorageError)));
            disk.set_capacity(None);
            assert_eq!(client.delete_records(TOPIC, 0, 5).await?, Ok(5));
            let next = batch(Timestamp(1), &["f"]);
            assert_eq!(client.produce(TOPIC, 0, -1, next).await?, Ok(10));
            Ok(())
        }
    };
    world::run(1, &disk, &clock, vec![("client".to_owned(), scene)]).unwrap();
    let next = disk.crash(Keep::Written, 1);
    let reader = async move {
        let mut client = world::connect().await;
        assert_eq!(earliest(&mut client).await, 5);
        Ok(())
    };
    world::run(2, &next, &clock, vec![("reader".to_owned(), reader)]).unwrap();
}
