//! A broker that compacts its topics while clients use them.

#![expect(
    clippy::disallowed_methods,
    reason = "it looks at the files behind the broker"
)]

use crate::common::client::{Client, fetch_request, keyed};
use crate::common::local::{End, Local, get};
use crate::common::{awaited, names_in, until};
use bytes::Bytes;
use ottla::metadata::ConfigKind;
use ottla::protocol::messages::{
    FetchResponse, OffsetCommitRequest, OffsetCommitResponse, offset_commit_request as commit,
};
use ottla::record::{Batches, DecodeLimits};
use ottla::runtime::os;
use std::collections::BTreeMap;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::net::TcpStream;

const TOPIC: &str = "prices";

/// The cleaner looks for work all the time.
const EAGER: [(&str, &str); 2] = [
    ("log.cleaner.backoff.ms", "20"),
    ("log.retention.check.interval.ms", "100"),
];

const COMPACTED: [(&str, &str); 3] = [
    ("cleanup.policy", "compact"),
    ("internal.segment.bytes", "2000"),
    ("min.cleanable.dirty.ratio", "0.01"),
];

type Values = BTreeMap<String, String>;

async fn put(client: &mut Client<TcpStream>, topic: &str, key: &str, value: Option<&str>) {
    let batch = keyed(os::runtime().clock.wall(), key, value);
    client.produce(topic, 0, 1, batch).await.unwrap().unwrap();
}

/// Values of ten keys, one after the other; what a reader must find in the end.
async fn fill(client: &mut Client<TcpStream>, topic: &str, count: u32) -> Values {
    let mut newest = Values::new();
    for n in 0..count {
        let (key, value) = (format!("key {}", n % 10), format!("value {n}"));
        put(client, topic, &key, Some(&value)).await;
        newest.insert(key, value);
    }
    newest
}

/// What a reader finds who begins at the front: how many records, and the last value of each key.
async fn read(client: &mut Client<TcpStream>, topic: &str) -> (usize, Values) {
    let (mut next, mut count, mut values) = (0, 0, Values::new());
    loop {
        let request = fetch_request(topic, 0, next);
        let response: FetchResponse = client.call(&request, 12).await.unwrap();
        let partition = &response.responses[0].partitions[0];
        assert_eq!(partition.error_code, 0);
        for batch in Batches::of(partition.records.clone().unwrap_or_default()) {
            let batch = batch.unwrap();
            batch.check_crc().unwrap();
            assert!(batch.header().next_offset().0 > next);
            for record in batch.records(DecodeLimits::default()) {
                let record = record.unwrap();
                let text = |bytes: Bytes| String::from_utf8(bytes.to_vec()).unwrap();
                let key = text(record.key.unwrap());
                count += 1;
                match record.value {
                    Some(value) => values.insert(key, text(value)),
                    None => values.remove(&key),
                };
            }
            next = batch.header().next_offset().0;
        }
        if next >= partition.high_watermark {
            return (count, values);
        }
    }
}

/// Waits until a reader finds at most `most` records.
async fn wait_for_at_most(client: &mut Client<TcpStream>, topic: &str, most: usize) -> Values {
    let compacted = async || {
        let (count, values) = read(client, topic).await;
        (count <= most).then_some(values)
    };
    awaited(&format!("the compaction of {topic}"), compacted).await
}

fn log_files(dir: &Path) -> Vec<PathBuf> {
    let names = names_in(dir).into_iter();
    let logs = names.filter(|name| name.ends_with(".log"));
    logs.map(|name| dir.join(name)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_newest_value_of_each_key_stays_and_a_kill_changes_nothing() {
    let mut broker = Local::start(&EAGER).await;
    let mut client = broker.connect().await;
    client.make_topic(TOPIC, 1, &COMPACTED).await;
    let newest = fill(&mut client, TOPIC, 400).await;
    // The active segment holds about twenty records.
    assert_eq!(wait_for_at_most(&mut client, TOPIC, 40).await, newest);
    let checkpoint = std::fs::read_to_string(broker.dir().join("cleaner-offset-checkpoint"));
    assert!(checkpoint.unwrap().contains("prices 0 "));

    let mut client = broker.restart(End::Kill).await;
    assert_eq!(read(&mut client, TOPIC).await.1, newest);
    let newer = fill(&mut client, TOPIC, 400).await;
    assert_eq!(wait_for_at_most(&mut client, TOPIC, 40).await, newer);
    let mut client = broker.restart(End::Stop).await;
    assert_eq!(read(&mut client, TOPIC).await.1, newer);
}

/// Sets a key for all brokers.
async fn set(client: &mut Client<TcpStream>, key: &str, value: &str) {
    let set = client.set_config(ConfigKind::Broker, "", key, Some(value));
    set.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cleaner_keeps_to_its_rate_and_to_another_one_as_soon_as_it_is_set() {
    let mut settings = EAGER.to_vec();
    settings.push(("log.cleaner.io.max.bytes.per.second", "1"));
    let broker = Local::start(&settings).await;
    let mut client = broker.connect().await;
    client.make_topic(TOPIC, 1, &COMPACTED).await;
    let newest = fill(&mut client, TOPIC, 400).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(read(&mut client, TOPIC).await.0, 400);
    set(&mut client, "log.cleaner.io.max.bytes.per.second", "1e9").await;
    assert_eq!(wait_for_at_most(&mut client, TOPIC, 40).await, newest);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cleaner_that_waits_begins_at_once_when_its_pause_is_shortened() {
    let broker = Local::start(&[("log.cleaner.backoff.ms", "3600000")]).await;
    let mut client = broker.connect().await;
    client.make_topic(TOPIC, 1, &COMPACTED).await;
    let newest = fill(&mut client, TOPIC, 400).await;
    assert_eq!(read(&mut client, TOPIC).await.0, 400);
    set(&mut client, "log.cleaner.backoff.ms", "20").await;
    set(&mut client, "log.cleaner.threads", "2").await;
    assert_eq!(wait_for_at_most(&mut client, TOPIC, 40).await, newest);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_key_is_gone_and_its_tombstone_later_too() {
    let broker = Local::start(&EAGER).await;
    let mut client = broker.connect().await;
    let mut settings = COMPACTED.to_vec();
    settings.push(("delete.retention.ms", "200"));
    client.make_topic(TOPIC, 1, &settings).await;
    for n in 0..40 {
        put(&mut client, TOPIC, &format!("gone {n}"), Some("value")).await;
        put(&mut client, TOPIC, &format!("gone {n}"), None).await;
    }
    // Every round makes the log dirty again, so that tombstones are met a second time.
    for _ in 0..20 {
        let newest = fill(&mut client, TOPIC, 40).await;
        let (count, values) = read(&mut client, TOPIC).await;
        assert_eq!(values, newest);
        if count < 80 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("the tombstones are still there");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_is_compacted_and_deleted_loses_its_old_segments_too() {
    let broker = Local::start(&EAGER).await;
    let mut client = broker.connect().await;
    let settings = [
        ("cleanup.policy", "compact,delete"),
        ("internal.segment.bytes", "2000"),
        ("min.cleanable.dirty.ratio", "0.01"),
        ("retention.ms", "300"),
    ];
    client.make_topic(TOPIC, 1, &settings).await;
    for n in 0..100 {
        put(&mut client, TOPIC, &format!("key {n}"), Some("never again")).await;
    }
    until("the deletion of the oldest segment", async || {
        let files = log_files(&broker.dir().join("prices-0"));
        !files[0].ends_with("00000000000000000000.log")
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_cannot_be_cleaned_is_left_alone_and_the_others_go_on() {
    let mut settings = EAGER.to_vec();
    settings.push(("log.cleaner.enable", "false"));
    let mut broker = Local::start(&settings).await;
    let mut client = broker.connect().await;
    for topic in [TOPIC, "broken"] {
        client.make_topic(topic, 1, &COMPACTED).await;
        fill(&mut client, topic, 200).await;
    }
    let uncleaned = read(&mut client, "broken").await;
    assert_eq!(uncleaned.0, 200, "the cleaner is off");
    broker.end(End::Stop).await;
    let first = &log_files(&broker.dir().join("broken-0"))[0];
    flip_last_byte(first);
    broker.set("log.cleaner.enable", "true");
    broker.resume().await;
    let page = broker.serve_http().await;
    let mut client = broker.connect().await;
    wait_for_at_most(&mut client, TOPIC, 40).await;
    let figure = async |name: &str| {
        let metrics = get(page, "/metrics").await;
        let name = format!("kafka_log_logcleaner{name}");
        let line = metrics.lines().find(|line| line.starts_with(&name));
        let (_, value) = line.unwrap().rsplit_once(' ').unwrap();
        value.parse::<u64>().unwrap()
    };
    until("word that a log cannot be cleaned", async || {
        figure("manager_uncleanable_partitions_count").await == 1
    })
    .await;
    assert!(log_files(&broker.dir().join("broken-0")).len() > 5);
    assert!(figure("manager_uncleanable_bytes").await > 10_000);
    assert_eq!(figure("_deadthreadcount").await, 0);
}

fn flip_last_byte(path: &Path) {
    let mut options = std::fs::OpenOptions::new();
    let mut file = options.read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.seek(SeekFrom::End(-1)).unwrap();
    file.read_exact(&mut byte).unwrap();
    file.seek(SeekFrom::End(-1)).unwrap();
    file.write_all(&[byte[0] ^ 1]).unwrap();
}

/// Offsets with as much text as a commit may carry, so that the smallest segment fills soon.
async fn commit_with_text(client: &mut Client<TcpStream>, offset: i64) {
    let request = OffsetCommitRequest {
        group_id: "group".into(),
        topics: vec![commit::OffsetCommitRequestTopic {
            name: TOPIC.into(),
            partitions: vec![commit::OffsetCommitRequestPartition {
                partition_index: 0,
                committed_offset: offset,
                committed_metadata: Some("x".repeat(4_000).into()),
                ..Default::default()
            }],
            ..Default::default()
        }],
        ..Default::default()
    };
    let response: OffsetCommitResponse = client.call(&request, 8).await.unwrap();
    assert_eq!(response.topics[0].partitions[0].error_code, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn committed_offsets_are_compacted_and_still_right_after_a_kill() {
    let mut settings = EAGER.to_vec();
    settings.extend([
        ("offsets.topic.num.partitions", "1"),
        ("offsets.topic.segment.bytes", "1048576"),
    ]);
    let mut broker = Local::start(&settings).await;
    let mut client = broker.connect().await;
    client.make_topic(TOPIC, 1, &[]).await;
    client.await_coordinator("group").await;
    commit_with_text(&mut client, 7).await;
    for offset in 0..600 {
        commit_with_text(&mut client, offset).await;
    }
    let dir = broker.dir().join("__consumer_offsets-0");
    until("an oldest segment without its old commits", async || {
        let first = &log_files(&dir)[0];
        first.ends_with("00000000000000000000.log") && first.metadata().unwrap().len() < 10_000
    })
    .await;
    let mut client = broker.restart(End::Kill).await;
    let committed = client.committed_when_loaded("group", TOPIC, 0).await;
    assert_eq!(committed, 599);
}
