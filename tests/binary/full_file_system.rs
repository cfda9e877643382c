//! A file system that is really full: a small one in memory, which this test mounts where only it and the
//! broker see it (a user and a mount namespace of their own; `unshare` is in util-linux). The broker is the
//! binary, so that it can be killed.

#![expect(clippy::disallowed_methods, reason = "it fills a file system")]

use crate::common::client::{Client, Read, Refused, batch};
use crate::common::process::Broker;
use ottla::protocol::ErrorCode;
use ottla::types::Timestamp;
use std::path::Path;
use std::process::Command;
use tokio::net::TcpStream;

const TOPIC: &str = "orders";
const GROUP: &str = "readers";
/// Where the small file system is, for the process that has one.
const PLACE: &str = "OTTLA_TEST_SMALL_FILE_SYSTEM";

type Connected = Client<TcpStream>;

/// The binary on the small file system.
fn start(data: &Path) -> Broker {
    Broker::start(data, &["offsets.topic.num.partitions=1", "node.id=1"])
}

/// Writes batches until one is refused, then smaller ones, until not even the smallest is taken.
async fn fill(client: &mut Connected, written: &mut Vec<Read>) {
    for size in [100_000, 4_000, 100, 1] {
        loop {
            let value = format!("{}/{}", written.len(), "x".repeat(size)).into_bytes();
            match write(client, &value).await {
                Ok(offset) => written.push(Read { offset, value }),
                Err(refused) => {
                    assert_eq!(refused, Refused(ErrorCode::KafkaStorageError));
                    break;
                }
            }
        }
    }
}

async fn write(client: &mut Connected, value: &[u8]) -> Result<i64, Refused> {
    let batch = batch(Timestamp(1), &[value]);
    client.produce(TOPIC, 0, -1, batch).await.unwrap()
}

async fn read(client: &mut Connected) -> Vec<Read> {
    client.read_all(TOPIC, 0, 0).await.unwrap().unwrap()
}

async fn committed(client: &mut Connected) -> i64 {
    client.committed_when_loaded(GROUP, TOPIC, 0).await
}

async fn commit(client: &mut Connected, offset: i64) -> Result<(), Refused> {
    client.commit(GROUP, TOPIC, 0, offset).await.unwrap()
}

#[test]
fn a_full_file_system_refuses_writes_serves_reads_and_resumes_by_itself() {
    match std::env::var_os(PLACE) {
        Some(place) => scene(Path::new(&place)),
        None => on_a_small_file_system(
            "full_file_system::a_full_file_system_refuses_writes_serves_reads_and_resumes_by_itself",
        ),
    }
}

/// Runs this test again, in a process that has a file system of a few megabytes.
fn on_a_small_file_system(test: &str) {
    let place = tempfile::tempdir().unwrap();
    let script = "mount -t tmpfs -o size=8m none \"$1\" && exec \"$2\" --exact \"$3\" --nocapture";
    let output = Command::new("unshare")
        .args([
            "--user",
            "--map-root-user",
            "--mount",
            "sh",
            "-c",
            script,
            "sh",
        ])
        .arg(place.path())
        .arg(std::env::current_exe().unwrap())
        .arg(test)
        .env(PLACE, place.path())
        .output()
        .expect("this test needs `unshare`, of util-linux");
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(
        output.status.success() && out.contains("1 passed"),
        "with a file system of its own, for which the machine must allow user namespaces:\n{out}\n{err}"
    );
}

#[tokio::main(flavor = "current_thread")]
async fn scene(place: &Path) {
    let data = place.join("data");
    // Space that is given back later.
    let ballast = place.join("ballast");
    std::fs::write(&ballast, vec![1; 2 << 20]).unwrap();
    let mut broker = start(&data);
    let mut client = broker.connect().await;
    client.make_topic(TOPIC, 1, &[]).await;
    client.await_coordinator(GROUP).await;
    let mut acknowledged = committed(&mut client).await;
    let mut written = Vec::new();

    fill(&mut client, &mut written).await;
    for round in 0..4 {
        assert_eq!(read(&mut client).await, written, "round {round}");
        assert_eq!(committed(&mut client).await, acknowledged);
        let mut refused = None;
        for offset in acknowledged + 1..acknowledged + 10_000 {
            refused = commit(&mut client, offset).await.err();
            if refused.is_some() {
                break;
            }
            acknowledged = offset;
        }
        assert!(refused.is_some(), "commits need space, too");
        assert_eq!(committed(&mut client).await, acknowledged);
        // What makes room must not need room; nor is a topic left half made.
        let names = [format!("short-{round}"), format!("long-{round}")];
        for name in &names {
            client.make_topic(name, 1, &[]).await;
        }
        client.delete_topic(&names[0]).await.unwrap().unwrap();
        fill(&mut client, &mut written).await;
        broker.kill();
        broker = start(&data);
        client = broker.connect().await;
    }
    assert_eq!(read(&mut client).await, written);

    std::fs::remove_file(&ballast).unwrap();
    let value = b"after".to_vec();
    let offset = write(&mut client, &value).await.unwrap();
    written.push(Read { offset, value });
    assert_eq!(commit(&mut client, acknowledged + 1).await, Ok(()));
    for round in 0..4 {
        let name = format!("long-{round}");
        let batch = batch(Timestamp(1), &["kept"]);
        let first = client.produce(&name, 0, -1, batch).await.unwrap();
        assert_eq!(first, Ok(0), "{name}");
    }
    broker.kill();
    let broker = start(&data);
    let mut client = broker.connect().await;
    assert_eq!(read(&mut client).await, written);
    assert_eq!(committed(&mut client).await, acknowledged + 1);
    broker.kill();
}
