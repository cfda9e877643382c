//! A broker whose directories or port cannot be had says so in one sentence, and leaves them as they are.

#![expect(clippy::disallowed_methods, reason = "the scene is files of its own")]

use crate::common::client::{Client, batch};
use crate::common::local::config;
use crate::common::names_in;
use ottla::runtime::{Disk, Runtime, os};
use ottla::sim::{Fault, Operation, SimClock, SimDisk};
use ottla::types::Timestamp;
use ottla::{Server, StartError};
use rustix::io::Errno;
use std::path::Path;
use std::sync::Arc;

async fn start(dirs: &str) -> Result<Server, StartError> {
    Server::start(config(&[("log.dirs", dirs)]), os::runtime()).await
}

/// The sentence with which a start is refused.
fn refusal(started: Result<Server, StartError>) -> String {
    match started {
        Ok(_) => panic!("the broker started"),
        Err(error) => error.to_string(),
    }
}

async fn write_one(server: &Server) {
    let mut client = Client::to(server.bootstrap()).await;
    client.make_topic("orders", 1, &[]).await;
    let batch = batch(Timestamp(1), &["kept"]);
    client
        .produce("orders", 0, -1, batch)
        .await
        .unwrap()
        .unwrap();
}

async fn assert_kept(server: &Server) {
    let mut client = Client::to(server.bootstrap()).await;
    let found = client.read_all("orders", 0, 0).await.unwrap().unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].value, b"kept");
}

#[tokio::test]
async fn a_second_broker_on_a_directory_is_refused_and_the_first_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_str().unwrap();
    let first = start(path).await.unwrap();
    write_one(&first).await;
    let sentence = refusal(start(path).await);
    assert!(sentence.contains(path), "{sentence}");
    assert_kept(&first).await;
    first.stop().await;
    let next = start(path).await.unwrap();
    assert_kept(&next).await;
    next.stop().await;
}

#[tokio::test]
async fn a_killed_broker_leaves_no_lock_behind() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_str().unwrap();
    let first = start(path).await.unwrap();
    write_one(&first).await;
    first.kill().await;
    let next = start(path).await.unwrap();
    assert_kept(&next).await;
    next.stop().await;
}

#[tokio::test]
async fn directories_of_two_clusters_are_refused_and_both_ids_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let (one, two) = (dir.path().join("one"), dir.path().join("two"));
    let (one, two) = (one.to_str().unwrap(), two.to_str().unwrap());
    let mut ids = Vec::new();
    for path in [one, two] {
        let server = start(path).await.unwrap();
        if path == one {
            write_one(&server).await;
        }
        ids.push(server.cluster_id().to_owned());
        server.stop().await;
    }
    let sentence = refusal(start(&format!("{one},{two}")).await);
    for id in &ids {
        assert!(sentence.contains(id), "{sentence}");
    }
    let again = start(one).await.unwrap();
    assert_eq!(again.cluster_id(), ids[0]);
    assert_kept(&again).await;
    again.stop().await;
}

#[tokio::test]
async fn a_directory_of_another_node_is_refused_and_both_ids_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_str().unwrap();
    let first = start(path).await.unwrap();
    let node = first.node_id().to_string();
    first.stop().await;
    let other = config(&[
        ("log.dirs", path),
        ("node.id", "77"),
        ("controller.quorum.voters", "77@localhost:9093"),
    ]);
    let sentence = refusal(Server::start(other, os::runtime()).await);
    assert!(
        sentence.contains("77") && sentence.contains(&node),
        "{sentence}"
    );
}

#[tokio::test]
async fn a_file_where_a_directory_should_be_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("data");
    std::fs::write(&path, b"not a directory").unwrap();
    let sentence = refusal(start(path.to_str().unwrap()).await);
    assert!(sentence.contains(path.to_str().unwrap()), "{sentence}");
    assert_eq!(std::fs::read(&path).unwrap(), b"not a directory");
}

#[tokio::test]
async fn a_port_in_use_is_named_and_nothing_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_str().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let listeners = format!("PLAINTEXT://{address}");
    let config = config(&[("log.dirs", path), ("listeners", &listeners)]);
    let sentence = refusal(Server::start(config, os::runtime()).await);
    assert!(sentence.contains(&address.to_string()), "{sentence}");
    assert_eq!(names_in(dir.path()), [""; 0]);
}

#[tokio::test]
async fn a_directory_that_cannot_be_written_is_named() {
    for (on, error) in [
        (Operation::Create, Errno::ROFS),
        (Operation::Create, Errno::ACCESS),
        (Operation::Sync, Errno::IO),
        (Operation::Write, Errno::NOSPC),
    ] {
        let disk = SimDisk::new(SimClock::manual());
        disk.create_dir_all(Path::new("/data")).unwrap();
        disk.fail(Fault {
            times: u64::MAX,
            ..Fault::once(on, "/data", error)
        });
        let runtime = Runtime {
            disk: Arc::new(disk.clone()),
            ..os::runtime()
        };
        let config = config(&[("log.dirs", "/data")]);
        let sentence = refusal(Server::start(config, runtime).await);
        assert!(sentence.contains("/data"), "{on:?} {error:?}: {sentence}");
    }
}
