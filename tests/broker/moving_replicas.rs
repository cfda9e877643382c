//! Replicas that are moved between log directories (AlterReplicaLogDirs, KIP-113) while clients use them.

#![expect(clippy::disallowed_methods, reason = "it looks where partitions lie")]

use crate::common::client::{Client, Refused, batch, keyed};
use crate::common::local::{End, Local};
use crate::common::{names_in, until};
use ottla::metadata::ConfigKind;
use ottla::protocol::ErrorCode;
use ottla::types::Timestamp;
use std::path::Path;
use tempfile::TempDir;
use tokio::net::TcpStream;

const TOPIC: &str = "orders";
const RATE: &str = "replica.alter.log.dirs.io.max.bytes.per.second";

struct Cluster {
    dirs: [TempDir; 2],
    broker: Local,
    client: Client<TcpStream>,
}

impl Cluster {
    /// One broker with two log directories.
    async fn start(settings: &[(&str, &str)]) -> Cluster {
        let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let both = format!("{},{}", dirs[0].path().display(), dirs[1].path().display());
        let mut all = vec![("node.id", "1"), ("log.dirs", &both)];
        all.extend(settings);
        let broker = Local::start(&all).await;
        let client = broker.connect().await;
        Cluster {
            dirs,
            broker,
            client,
        }
    }

    /// A cluster whose partition leaves a directory, so slowly that it takes the better part of an hour; which.
    async fn moving_slowly() -> (Cluster, usize) {
        let mut cluster = Cluster::start(&[]).await;
        cluster.create(&[]).await;
        cluster.write_many(3_000).await;
        let from = cluster.home();
        cluster.throttle(Some("1000")).await;
        cluster.move_to(1 - from).await.unwrap();
        (cluster, from)
    }

    async fn create(&mut self, configs: &[(&'static str, &'static str)]) {
        self.client.make_topic(TOPIC, 1, configs).await;
    }

    async fn write(&mut self, value: &str) -> i64 {
        let batch = batch(Timestamp(1), &[value]);
        let written = self.client.produce(TOPIC, 0, -1, batch).await.unwrap();
        written.unwrap()
    }

    async fn write_many(&mut self, count: usize) {
        for n in 0..count {
            self.write(&format!("{n}/{}", "x".repeat(900))).await;
        }
    }

    async fn values(&mut self) -> Vec<Vec<u8>> {
        let found = self.client.read_all(TOPIC, 0, 0).await.unwrap().unwrap();
        found.into_iter().map(|read| read.value).collect()
    }

    /// Which of the two directories holds the partition, going by the name of its directory.
    fn home(&self) -> usize {
        let homes = [0, 1].map(|at| self.names(at).contains(&"orders-0".to_owned()));
        match homes {
            [true, false] => 0,
            [false, true] => 1,
            _ => panic!("the partition lies in {homes:?}"),
        }
    }

    fn names(&self, at: usize) -> Vec<String> {
        names_in(self.dirs[at].path())
    }

    fn has_copy(&self) -> bool {
        [0, 1].iter().any(|at| {
            let names = self.names(*at);
            names.iter().any(|name| name.ends_with("-future"))
        })
    }

    async fn move_to(&mut self, at: usize) -> Result<(), Refused> {
        let path = self.dirs[at].path().to_owned();
        let moved = self.client.move_replica(TOPIC, 0, &path).await;
        moved.unwrap()
    }

    async fn throttle(&mut self, rate: Option<&str>) {
        let set = self.client.set_config(ConfigKind::Broker, "", RATE, rate);
        set.await.unwrap().unwrap();
    }

    /// Size and lag of the copy, and in which directory it grows.
    async fn copy(&mut self) -> Option<(usize, i64, i64)> {
        let results = self.client.log_dirs().await.unwrap();
        let mut copies = (0..).zip(&results).flat_map(|(at, result)| {
            let partitions = result.topics.iter().flat_map(|topic| &topic.partitions);
            let copies = partitions.filter(|partition| partition.is_future_key);
            copies.map(move |copy| (at, copy.partition_size, copy.offset_lag))
        });
        copies.next()
    }

    async fn wait_until_moved(&mut self, to: usize) {
        until("the end of the move", async || {
            self.copy().await.is_none() && !self.has_copy()
        })
        .await;
        assert_eq!(self.home(), to);
    }

    async fn restart(&mut self, end: End) {
        self.client = self.broker.restart(end).await;
    }
}

#[tokio::test]
async fn a_replica_moves_while_it_is_written_and_no_record_is_lost_or_refused() {
    let mut cluster = Cluster::start(&[]).await;
    cluster.create(&[("internal.segment.bytes", "20000")]).await;
    cluster.write_many(200).await;
    let from = cluster.home();
    cluster.throttle(Some("400000")).await;
    cluster.move_to(1 - from).await.unwrap();
    let mut seen = Vec::new();
    let mut written = 200;
    while let Some(copy) = cluster.copy().await {
        seen.push(copy);
        cluster.write(&format!("meanwhile {written}")).await;
        written += 1;
    }
    cluster.wait_until_moved(1 - from).await;
    assert!(written > 210, "the move takes its time");
    let (at, _, lag) = seen[0];
    assert_eq!(at, 1 - from, "the copy grows where it is wanted");
    assert!(lag > 0 && seen.last().unwrap().2 < lag, "{seen:?}");
    cluster.write("after").await;
    let values = cluster.values().await;
    assert_eq!(values.len(), written + 1);
    for end in [End::Kill, End::Stop] {
        cluster.restart(end).await;
        assert_eq!(cluster.home(), 1 - from);
        assert_eq!(cluster.values().await, values, "after {end:?}");
    }
}

#[tokio::test]
async fn a_move_goes_on_after_both_ways_to_stop() {
    for end in [End::Kill, End::Stop] {
        let mut cluster = Cluster::start(&[]).await;
        cluster
            .create(&[("internal.segment.bytes", "200000")])
            .await;
        cluster.write_many(3_000).await;
        let from = cluster.home();
        let values = cluster.values().await;
        cluster.throttle(Some("10000")).await;
        cluster.move_to(1 - from).await.unwrap();
        until("the first bytes of the copy", async || {
            cluster.copy().await.is_none_or(|(_, size, _)| size > 0)
        })
        .await;
        cluster.restart(end).await;
        let (at, size, lag) = cluster.copy().await.expect("it still moves");
        assert!(at == 1 - from && size > 0 && lag > 0, "{at} {size} {lag}");
        assert_eq!(cluster.home(), from);
        cluster.throttle(None).await;
        cluster.wait_until_moved(1 - from).await;
        assert_eq!(cluster.values().await, values);
    }
}

#[tokio::test]
async fn a_move_back_to_where_the_replica_lies_ends_the_move() {
    let (mut cluster, from) = Cluster::moving_slowly().await;
    assert!(cluster.has_copy());
    cluster.move_to(1 - from).await.unwrap();
    cluster.move_to(from).await.unwrap();
    cluster.wait_until_moved(from).await;
    assert_eq!(cluster.values().await.len(), 3_000);
}

#[tokio::test]
async fn a_topic_that_is_deleted_on_its_way_leaves_nothing_behind() {
    let (mut cluster, _) = Cluster::moving_slowly().await;
    cluster.client.delete_topic(TOPIC).await.unwrap().unwrap();
    until("the end of the copy", async || !cluster.has_copy()).await;
    for at in [0, 1] {
        let left = cluster.names(at).into_iter();
        let left: Vec<String> = left.filter(|name| name.starts_with(TOPIC)).collect();
        assert!(
            left.iter().all(|name| name.ends_with("-delete")),
            "{left:?}"
        );
    }
}

#[tokio::test]
async fn the_start_of_a_log_moves_with_it_and_survives_a_kill() {
    let mut cluster = Cluster::start(&[]).await;
    cluster.create(&[]).await;
    cluster.write_many(10).await;
    let deleted = cluster.client.delete_records(TOPIC, 0, 7).await.unwrap();
    assert_eq!(deleted, Ok(7));
    let from = cluster.home();
    cluster.move_to(1 - from).await.unwrap();
    cluster.wait_until_moved(1 - from).await;
    for _ in 0..2 {
        let before = cluster.client.fetch(TOPIC, 0, 6).await.unwrap();
        assert_eq!(before, Err(Refused(ErrorCode::OffsetOutOfRange)));
        let (found, _) = cluster.client.fetch(TOPIC, 0, 7).await.unwrap().unwrap();
        assert_eq!(found.last().unwrap().offset, 9);
        cluster.restart(End::Kill).await;
    }
}

/// Offset up to which the log is clean, as a directory's checkpoint says.
fn cleaned_end(dir: &Path) -> Option<i64> {
    let text = std::fs::read_to_string(dir.join("cleaner-offset-checkpoint")).ok()?;
    let mut lines = text.lines();
    lines.find_map(|line| line.strip_prefix("orders 0 ")?.parse().ok())
}

/// A log that was compacted has gaps, which only the cleaner's checkpoint explains once its topic no longer is:
/// without it the next start would take the first gap for the log's end.
#[tokio::test]
async fn a_compacted_log_moves_with_what_is_known_to_be_clean() {
    let mut cluster = Cluster::start(&[("log.cleaner.backoff.ms", "20")]).await;
    let configs = [
        ("cleanup.policy", "compact"),
        ("internal.segment.bytes", "2000"),
        ("min.cleanable.dirty.ratio", "0.01"),
    ];
    cluster.create(&configs).await;
    for n in 0..100 {
        let bytes = keyed(Timestamp(1), &(n % 3).to_string(), Some(&"x".repeat(500)));
        let written = cluster.client.produce(TOPIC, 0, -1, bytes).await.unwrap();
        written.unwrap();
    }
    let from = cluster.home();
    until("a cleaning", async || {
        cleaned_end(cluster.dirs[from].path()).is_some_and(|end| end >= 90)
    })
    .await;
    let client = &mut cluster.client;
    let set = client.set_config(ConfigKind::Topic, TOPIC, "cleanup.policy", Some("delete"));
    set.await.unwrap().unwrap();
    let records = cluster.client.read_all(TOPIC, 0, 0).await.unwrap().unwrap();
    assert!(records.len() < 50, "{} are left", records.len());

    cluster.move_to(1 - from).await.unwrap();
    cluster.wait_until_moved(1 - from).await;
    let ends = [from, 1 - from].map(|at| cleaned_end(cluster.dirs[at].path()));
    assert!(
        ends[0].is_none() && ends[1].is_some_and(|end| end >= 90),
        "{ends:?}"
    );
    cluster.restart(End::Kill).await;
    let found = cluster.client.read_all(TOPIC, 0, 0).await.unwrap().unwrap();
    assert_eq!(found, records);
}

#[tokio::test]
async fn a_partition_that_does_not_exist_yet_is_made_where_it_is_wanted() {
    for at in [0, 1] {
        let mut cluster = Cluster::start(&[]).await;
        let unknown = Err(Refused(ErrorCode::UnknownTopicOrPartition));
        assert_eq!(cluster.move_to(at).await, unknown);
        cluster.create(&[]).await;
        assert_eq!(cluster.home(), at);
    }
}

#[tokio::test]
async fn what_cannot_be_moved_is_refused_with_kafka_s_code() {
    let mut cluster = Cluster::start(&[]).await;
    cluster.create(&[]).await;
    let long: &'static str = "x".repeat(240).leak();
    cluster.client.make_topic(long, 1, &[]).await;
    let invalid: &'static str = "x".repeat(250).leak();
    let here = cluster.dirs[0].path().to_owned();
    let with_slash = here.join("");
    for (topic, partition, path, code) in [
        (TOPIC, 0, Path::new("/elsewhere"), ErrorCode::LogDirNotFound),
        (TOPIC, 0, &with_slash, ErrorCode::LogDirNotFound),
        (TOPIC, 7, &here, ErrorCode::UnknownTopicOrPartition),
        (long, 0, &here, ErrorCode::InvalidTopicException),
        (invalid, 0, &here, ErrorCode::InvalidTopicException),
    ] {
        let moved = cluster.client.move_replica(topic, partition, path).await;
        assert_eq!(moved.unwrap(), Err(Refused(code)), "{topic}-{partition}");
    }
}

#[tokio::test]
async fn the_groups_offsets_move_while_they_are_committed() {
    let mut cluster = Cluster::start(&[("offsets.topic.num.partitions", "1")]).await;
    cluster.create(&[]).await;
    let client = &mut cluster.client;
    client.await_coordinator("g").await;
    until("a commit", async || {
        client.commit("g", TOPIC, 0, 0).await.unwrap().is_ok()
    })
    .await;
    let offsets = "__consumer_offsets";
    let is_home = |cluster: &Cluster, at| cluster.names(at).contains(&format!("{offsets}-0"));
    let mut committed = 0;
    for _ in 0..4 {
        let to = usize::from(is_home(&cluster, 0));
        let path = cluster.dirs[to].path().to_owned();
        let moved = cluster.client.move_replica(offsets, 0, &path).await;
        moved.unwrap().unwrap();
        while cluster.copy().await.is_some() || !is_home(&cluster, to) {
            committed += 1;
            let commit = cluster.client.commit("g", TOPIC, 0, committed).await;
            assert_eq!(commit.unwrap(), Ok(()));
        }
    }
    cluster.restart(End::Kill).await;
    let found = cluster.client.committed_when_loaded("g", TOPIC, 0).await;
    assert_eq!(found, committed);
    assert!(committed > 0);
}
