//! A log directory that fails takes its partitions with it, and nothing else: rules of KIP-112 and KIP-858.

#![expect(clippy::disallowed_methods, reason = "the scene is files of its own")]

use crate::common::client::{Client, Refused, batch};
use crate::common::local::{End, Local, get};
use crate::common::{names_in, until};
use ottla::protocol::ErrorCode;
use ottla::protocol::messages::{
    MetadataRequest, MetadataResponse, metadata_request::MetadataRequestTopic,
};
use ottla::runtime::{Runtime, os};
use ottla::sim::{Fault, Operation, SimClock, SimDisk};
use ottla::types::Timestamp;
use rustix::io::Errno;
use std::path::Path;
use std::sync::Arc;
use tokio::net::TcpStream;

const TOPIC: &str = "orders";
const PARTITIONS: i32 = 4;

type Connected = Client<TcpStream>;

/// Partitions whose directory lies in `dir`, by the names that `list` gives.
fn lying_in(names: impl Iterator<Item = String>) -> Vec<i32> {
    let partitions = names.filter_map(|name| name.strip_prefix("orders-")?.parse().ok());
    let mut partitions: Vec<i32> = partitions.collect();
    partitions.sort_unstable();
    partitions.dedup();
    partitions
}

fn lying_on(disk: &SimDisk, dir: &str) -> Vec<i32> {
    let files = disk.files().into_iter();
    lying_in(files.filter_map(|(path, _)| {
        let name = path.strip_prefix(dir).ok()?.iter().next()?;
        Some(name.to_str()?.to_owned())
    }))
}

fn lying_really_in(dir: &Path) -> Vec<i32> {
    lying_in(names_in(dir).into_iter())
}

async fn write(client: &mut Connected, partition: i32, value: &str) -> Result<i64, Refused> {
    let batch = batch(Timestamp(1), &[value]);
    client.produce(TOPIC, partition, -1, batch).await.unwrap()
}

/// Makes the topic and writes one record to each partition.
async fn begin(client: &mut Connected) {
    client.make_topic(TOPIC, PARTITIONS, &[]).await;
    for partition in 0..PARTITIONS {
        write(client, partition, "kept").await.unwrap();
    }
}

async fn values(client: &mut Connected, partition: i32) -> Result<Vec<Vec<u8>>, Refused> {
    let found = client.read_all(TOPIC, partition, 0).await.unwrap()?;
    Ok(found.into_iter().map(|read| read.value).collect())
}

/// Leader and offline replicas of each partition.
async fn described(client: &mut Connected) -> Vec<(i32, Vec<i32>)> {
    let request = MetadataRequest {
        topics: Some(vec![MetadataRequestTopic {
            name: Some(TOPIC.into()),
            ..Default::default()
        }]),
        ..Default::default()
    };
    let response: MetadataResponse = client.call(&request, 12).await.unwrap();
    let mut partitions = response.topics[0].partitions.clone();
    partitions.sort_by_key(|partition| partition.partition_index);
    let described = partitions.into_iter();
    described
        .map(|it| (it.leader_id, it.offline_replicas))
        .collect()
}

/// Waits until exactly the partitions of `offline` are without a leader.
async fn leaderless(client: &mut Connected, offline: &[i32]) {
    let expected: Vec<(i32, Vec<i32>)> = (0..PARTITIONS)
        .map(|partition| match offline.contains(&partition) {
            true => (-1, vec![1]),
            false => (1, vec![]),
        })
        .collect();
    let what = format!("leaders and offline replicas {expected:?}");
    until(&what, async || described(client).await == expected).await;
}

/// The error of each log directory.
async fn directory_errors(client: &mut Connected) -> Vec<(String, ErrorCode)> {
    let results = client.log_dirs().await.unwrap().into_iter();
    results
        .map(|it| {
            (
                it.log_dir.to_string(),
                ErrorCode::from_code(it.error_code).unwrap(),
            )
        })
        .collect()
}

async fn start_on(disk: &SimDisk) -> Local {
    let runtime = Runtime {
        disk: Arc::new(disk.clone()),
        ..os::runtime()
    };
    let unused = tempfile::tempdir().unwrap();
    Local::start_in(runtime, unused, &[("log.dirs", "/a,/b")]).await
}

fn break_disk(disk: &SimDisk, on: Operation, path: &'static str) {
    disk.fail(Fault::once(on, path, Errno::IO));
}

#[tokio::test]
async fn one_failed_write_takes_a_directory_offline_for_good_and_the_others_go_on() {
    let disk = SimDisk::new(SimClock::manual());
    let mut broker = start_on(&disk).await;
    let mut client = broker.connect().await;
    begin(&mut client).await;
    let (good, bad) = (lying_on(&disk, "/a"), lying_on(&disk, "/b"));
    assert_eq!((good.len(), bad.len()), (2, 2));

    break_disk(&disk, Operation::Write, "/b/orders");
    for attempt in ["refused", "refused again, though the disk would take it"] {
        let refused = write(&mut client, bad[0], attempt).await;
        assert_eq!(
            refused,
            Err(Refused(ErrorCode::KafkaStorageError)),
            "{attempt}"
        );
    }
    leaderless(&mut client, &bad).await;
    for partition in &bad {
        let refused = Err(Refused(ErrorCode::KafkaStorageError));
        assert_eq!(values(&mut client, *partition).await, refused);
    }
    for partition in &good {
        write(&mut client, *partition, "more").await.unwrap();
        let found = values(&mut client, *partition).await.unwrap();
        assert_eq!(found, [b"kept", b"more"]);
    }
    let expected = [
        ("/a".to_owned(), ErrorCode::None),
        ("/b".to_owned(), ErrorCode::KafkaStorageError),
    ];
    assert_eq!(directory_errors(&mut client).await, expected);
    let metrics = get(broker.serve_http().await, "/metrics").await;
    assert!(metrics.contains("\nkafka_log_logmanager_offlinelogdirectorycount 1\n"));

    let mut client = broker.restart(End::Kill).await;
    leaderless(&mut client, &[]).await;
    for partition in &bad {
        assert_eq!(values(&mut client, *partition).await.unwrap(), [b"kept"]);
    }
}

#[tokio::test]
async fn new_partitions_lie_in_the_directories_that_take_them() {
    let disk = SimDisk::new(SimClock::manual());
    let mut broker = start_on(&disk).await;
    let mut client = broker.connect().await;
    break_disk(&disk, Operation::CreateDir, "/b/orders");
    begin(&mut client).await;
    assert_eq!(lying_on(&disk, "/a").len(), PARTITIONS as usize);
    leaderless(&mut client, &[]).await;
    let expected = [
        ("/a".to_owned(), ErrorCode::None),
        ("/b".to_owned(), ErrorCode::KafkaStorageError),
    ];
    assert_eq!(directory_errors(&mut client).await, expected);
    broker.end(End::Stop).await;
}

/// A start without one of the directories made empty logs in another one for the partitions that it held.
/// Their records were as good as gone, and once the directory was back there were two of each.
#[tokio::test]
async fn a_start_without_a_directory_serves_the_others_and_makes_no_empty_logs() {
    let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (a, b) = (a.path(), b.path().join("data"));
    let dirs = format!("{},{}", a.display(), b.display());
    let mut broker = Local::start(&[("node.id", "1"), ("log.dirs", &dirs)]).await;
    let mut client = broker.connect().await;
    begin(&mut client).await;
    leaderless(&mut client, &[]).await;
    let (good, bad) = (lying_really_in(a), lying_really_in(&b));
    broker.end(End::Stop).await;

    let away = b.with_file_name("away");
    std::fs::rename(&b, &away).unwrap();
    std::fs::write(&b, b"not a directory").unwrap();
    broker.resume().await;
    let mut client = broker.connect().await;
    leaderless(&mut client, &bad).await;
    client.make_topic("more", 1, &[]).await;
    for partition in &bad {
        let refused = Err(Refused(ErrorCode::KafkaStorageError));
        assert_eq!(write(&mut client, *partition, "refused").await, refused);
    }
    for partition in &good {
        write(&mut client, *partition, "more").await.unwrap();
    }
    assert_eq!(lying_really_in(a), good);
    broker.end(End::Kill).await;

    std::fs::remove_file(&b).unwrap();
    std::fs::rename(&away, &b).unwrap();
    broker.resume().await;
    let mut client = broker.connect().await;
    leaderless(&mut client, &[]).await;
    for partition in 0..PARTITIONS {
        let found = values(&mut client, partition).await.unwrap();
        assert_eq!(found[0], b"kept");
        assert_eq!(found.len(), if good.contains(&partition) { 2 } else { 1 });
    }
    broker.end(End::Stop).await;
}

#[tokio::test]
async fn the_failure_of_the_metadata_s_directory_ends_the_broker_with_a_reason() {
    let disk = SimDisk::new(SimClock::manual());
    let mut broker = start_on(&disk).await;
    let mut client = broker.connect().await;
    begin(&mut client).await;
    break_disk(&disk, Operation::Sync, "/a/__cluster_metadata-0");
    let refused = client.create_topic("more", 1, &[]).await.unwrap();
    assert_eq!(refused, Err(Refused(ErrorCode::KafkaStorageError)));
    let reason = broker.failed().await;
    assert!(reason.contains("metadata, /a, has failed"), "{reason}");
}
