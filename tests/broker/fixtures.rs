//! Data that a released format left behind stays readable for ever: each directory of `tests/fixtures/` is copied, opened,
//! read and written on. They never change; a later format adds one (tests/fixtures/README.md).

#![expect(
    clippy::disallowed_methods,
    reason = "the test copies its fixture behind the broker's back"
)]

use crate::common::client::{Client, batch};
use crate::common::local::{End, Local};
use ottla::protocol::messages::{
    ApiVersionsRequest, ApiVersionsResponse, FetchRequest, FetchResponse, fetch_request as fetch,
};
use ottla::types::Timestamp;
use std::path::Path;
use tokio::net::TcpStream;

/// A broker on a copy of a fixture.
async fn opened(fixture: &str) -> Local {
    let from = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(fixture);
    let to = tempfile::tempdir().unwrap();
    copy(&from, to.path());
    Local::start_on(to, &[("offsets.retention.minutes", "2147483647")]).await
}

fn copy(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            std::fs::create_dir(&target).unwrap();
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Offsets and values of all records.
async fn values(client: &mut Client<TcpStream>, topic: &str, partition: i32) -> Vec<(i64, String)> {
    let records = client.read_all(topic, partition, 0).await.unwrap().unwrap();
    let text = |value| String::from_utf8(value).unwrap();
    let read = records.into_iter();
    read.map(|record| (record.offset, text(record.value)))
        .collect()
}

fn owned(values: &[(i64, &str)]) -> Vec<(i64, String)> {
    let values = values.iter();
    values
        .map(|(offset, value)| (*offset, (*value).to_owned()))
        .collect()
}

/// What every fixture holds (tests/fixtures/Fixture.java), before and after the broker was killed.
async fn check_what_all_have(broker: &mut Local) {
    for killed in [false, true] {
        let mut client = if killed {
            broker.restart(End::Kill).await
        } else {
            broker.connect().await
        };
        for partition in [0, 1] {
            let expected = ["none", "gzip", "snappy", "lz4", "zstd"].into_iter();
            let expected =
                expected.flat_map(|codec| [0, 2].map(|i| format!("{codec}-{}", i + partition)));
            let expected: Vec<(i64, String)> = (0..).zip(expected).collect();
            let mut orders = values(&mut client, "orders", partition).await;
            orders.truncate(10);
            assert_eq!(orders, expected);
        }
        let compacted = owned(&[(9, "a3"), (10, "b3"), (11, "c3"), (12, "")]);
        assert_eq!(values(&mut client, "prices", 0).await, compacted);
        for (partition, committed) in [(0, 7), (1, 3)] {
            let found = client.committed_when_loaded("billing", "orders", partition);
            assert_eq!(found.await, committed);
        }
        let next = client.produce("orders", 0, -1, batch(Timestamp(1), &["next"]));
        assert_eq!(next.await.unwrap(), Ok(10 + i64::from(killed)));
    }
}

#[tokio::test]
async fn what_apache_kafka_4_3_1_wrote_is_read_and_written_on() {
    let mut broker = opened("apache-kafka-4.3.1").await;
    check_what_all_have(&mut broker).await;
    let mut client = broker.connect().await;
    let read_committed = FetchRequest {
        max_wait_ms: 0,
        min_bytes: 1,
        max_bytes: 1 << 20,
        isolation_level: 1,
        topics: vec![fetch::FetchTopic {
            topic: "payments".into(),
            partitions: vec![fetch::FetchPartition {
                partition_max_bytes: 1 << 20,
                ..Default::default()
            }],
            ..Default::default()
        }],
        ..Default::default()
    };
    let answer: FetchResponse = client.call(&read_committed, 12).await.unwrap();
    let partition = &answer.responses[0].partitions[0];
    let aborted = partition.aborted_transactions.as_ref().unwrap();
    let aborted: Vec<i64> = aborted.iter().map(|one| one.first_offset).collect();
    assert_eq!((partition.last_stable_offset, aborted), (4, vec![2]));
    // Offsets that were committed in a transaction.
    let committed = client.committed_when_loaded("auditing", "payments", 0);
    assert_eq!(committed.await, 1);
}

#[tokio::test]
async fn what_ottla_0_1_wrote_is_read_and_written_on() {
    let mut broker = opened("ottla-0.1").await;
    check_what_all_have(&mut broker).await;
    let mut client = broker.connect().await;
    let payments = values(&mut client, "payments", 0).await;
    assert_eq!(payments, owned(&[(0, "committed")]));
}

/// `bootstrap.checkpoint` was not read: a cluster formatted for an older release got the newest `metadata.version`, from
/// which that release could not take it back.
#[tokio::test]
async fn a_directory_formatted_by_apache_kafka_begins_with_the_features_it_was_given() {
    let mut broker = opened("apache-kafka-4.3.1-formatted").await;
    for _ in 0..2 {
        let mut client = broker.restart(End::Stop).await;
        let request = ApiVersionsRequest {
            client_software_name: "test".into(),
            client_software_version: "1".into(),
        };
        let response: ApiVersionsResponse = client.call(&request, 4).await.unwrap();
        let features = response.finalized_features.iter();
        let levels = features.map(|it| (it.name.to_string(), it.max_version_level));
        let expected = [
            ("eligible.leader.replicas.version", 1),
            ("metadata.version", 25),
        ];
        let expected = expected.map(|(name, level)| (name.to_owned(), level));
        assert_eq!(levels.collect::<Vec<_>>(), expected);
    }
    let mut client = broker.connect().await;
    client.make_topic("orders", 1, &[]).await;
    broker.end(End::Stop).await;
}
