//! `cordoned.log.dirs` (KIP-1066): a directory takes no new partitions, and keeps those it has.

use crate::common::client::{Client, Refused, batch};
use crate::common::local::{End, Local};
use crate::common::names_in;
use ottla::metadata::ConfigKind;
use ottla::protocol::ErrorCode;
use ottla::protocol::messages::{
    CreatePartitionsRequest, CreatePartitionsResponse, CreateTopicsRequest, CreateTopicsResponse,
    create_partitions_request as grow, create_topics_request as create,
};
use ottla::types::Timestamp;
use std::path::Path;
use tempfile::TempDir;
use tokio::net::TcpStream;

struct Cluster {
    a: TempDir,
    b: TempDir,
    broker: Local,
    client: Client<TcpStream>,
}

fn text(dir: &TempDir) -> &str {
    dir.path().to_str().unwrap()
}

impl Cluster {
    /// One broker with two log directories.
    async fn start() -> Cluster {
        let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let both = format!("{},{}", text(&a), text(&b));
        let broker = Local::start(&[("node.id", "1"), ("log.dirs", &both)]).await;
        let client = broker.connect().await;
        Cluster {
            a,
            b,
            broker,
            client,
        }
    }

    async fn cordon(&mut self, directories: Option<&str>) -> ErrorCode {
        let client = &mut self.client;
        let set = client.set_config(ConfigKind::Broker, "1", "cordoned.log.dirs", directories);
        match set.await.unwrap() {
            Ok(()) => ErrorCode::None,
            Err(Refused(code)) => code,
        }
    }

    /// Asks for a topic of one partition, placed by the controller or by hand; the code and the text.
    async fn create(&mut self, topic: &'static str, by_hand: bool) -> (ErrorCode, Option<String>) {
        let mut topic = create::CreatableTopic {
            name: topic.into(),
            num_partitions: 1,
            replication_factor: 1,
            ..Default::default()
        };
        if by_hand {
            (topic.num_partitions, topic.replication_factor) = (-1, -1);
            topic.assignments = vec![create::CreatableReplicaAssignment {
                partition_index: 0,
                broker_ids: vec![1],
            }];
        }
        let request = CreateTopicsRequest {
            topics: vec![topic],
            timeout_ms: 30_000,
            validate_only: false,
        };
        let response: CreateTopicsResponse = self.client.call(&request, 7).await.unwrap();
        let answer = &response.topics[0];
        let message = answer.error_message.as_deref().map(str::to_owned);
        (ErrorCode::from_code(answer.error_code).unwrap(), message)
    }

    async fn grow(&mut self, topic: &'static str, count: i32) -> ErrorCode {
        let request = CreatePartitionsRequest {
            topics: vec![grow::CreatePartitionsTopic {
                name: topic.into(),
                count,
                assignments: None,
            }],
            timeout_ms: 30_000,
            validate_only: false,
        };
        let response: CreatePartitionsResponse = self.client.call(&request, 3).await.unwrap();
        ErrorCode::from_code(response.results[0].error_code).unwrap()
    }

    /// Which of the two directories say that they are cordoned.
    async fn described(&mut self) -> [bool; 2] {
        let results = self.client.log_dirs().await.unwrap();
        [&self.a, &self.b].map(|dir| {
            let mut results = results.iter();
            let result = results.find(|result| &*result.log_dir == text(dir));
            result.unwrap().is_cordoned
        })
    }
}

fn partitions(dir: &Path, topic: &str) -> usize {
    let names = names_in(dir).into_iter();
    names.filter(|name| name.starts_with(topic)).count()
}

#[tokio::test]
async fn new_partitions_go_where_nothing_is_cordoned_and_old_ones_stay_in_use() {
    let mut cluster = Cluster::start().await;
    let (a, b) = (text(&cluster.a).to_owned(), text(&cluster.b).to_owned());
    cluster.client.make_topic("old", 2, &[]).await;
    assert_eq!(
        [&cluster.a, &cluster.b].map(|dir| partitions(dir.path(), "old")),
        [1, 1]
    );

    assert_eq!(cluster.cordon(Some(&a)).await, ErrorCode::None);
    assert_eq!(cluster.described().await, [true, false]);
    cluster.client.make_topic("new", 4, &[]).await;
    assert_eq!(partitions(cluster.a.path(), "new"), 0);
    assert_eq!(partitions(cluster.b.path(), "new"), 4);
    for partition in 0..2 {
        let written = cluster
            .client
            .produce("old", partition, -1, batch(Timestamp(1), &["a"]));
        assert_eq!(written.await.unwrap(), Ok(0));
    }

    assert_eq!(cluster.cordon(Some(&b)).await, ErrorCode::None);
    cluster.client = cluster.broker.restart(End::Stop).await;
    assert_eq!(cluster.described().await, [false, true]);
    cluster.client.make_topic("last", 2, &[]).await;
    assert_eq!(partitions(cluster.a.path(), "last"), 2);
}

#[tokio::test]
async fn with_all_directories_cordoned_only_an_assignment_by_hand_goes_through() {
    let mut cluster = Cluster::start().await;
    cluster.client.make_topic("old", 1, &[]).await;
    assert_eq!(cluster.cordon(Some("*")).await, ErrorCode::None);
    assert_eq!(cluster.described().await, [true, true]);
    let why = "Unable to replicate the partition 1 time(s): All brokers are currently fenced, or have all \
               their log directories cordoned.";
    let refused = (ErrorCode::InvalidReplicationFactor, Some(why.to_owned()));
    assert_eq!(cluster.create("new", false).await, refused);
    assert_eq!(
        cluster.grow("old", 2).await,
        ErrorCode::InvalidReplicationFactor
    );
    assert_eq!(cluster.create("by-hand", true).await.0, ErrorCode::None);

    assert_eq!(cluster.cordon(None).await, ErrorCode::None);
    assert_eq!(cluster.create("new", false).await.0, ErrorCode::None);
    assert_eq!(cluster.grow("old", 2).await, ErrorCode::None);
}

#[tokio::test]
async fn nothing_is_moved_to_a_cordoned_directory_and_only_log_directories_can_be_cordoned() {
    let mut cluster = Cluster::start().await;
    cluster.client.make_topic("t", 1, &[]).await;
    assert_eq!(
        cluster.cordon(Some("/elsewhere")).await,
        ErrorCode::InvalidRequest
    );
    let here = if partitions(cluster.a.path(), "t-") == 1 {
        text(&cluster.a).to_owned()
    } else {
        text(&cluster.b).to_owned()
    };
    let moved = cluster.client.move_replica("t", 0, Path::new(&here)).await;
    assert_eq!(moved.unwrap(), Ok(()));
    assert_eq!(cluster.cordon(Some(&here)).await, ErrorCode::None);
    let moved = cluster.client.move_replica("t", 0, Path::new(&here)).await;
    let refused = Err(Refused(ErrorCode::InvalidReplicaAssignment));
    assert_eq!(moved.unwrap(), refused);
}
