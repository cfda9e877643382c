//! What a topic's configuration says of records is what the broker does with them.

use crate::common::client::{Client, batch, fetch_request, produce_request};
use crate::common::local::{End, Local};
use bytes::Bytes;
use ottla::metadata::ConfigKind;
use ottla::protocol::messages::{
    CreateTopicsRequest, CreateTopicsResponse, FetchResponse, ProduceResponse,
    create_topics_request as create, produce_response::PartitionProduceResponse as Produced,
};
use ottla::protocol::{ErrorCode, Text};
use ottla::record::{
    BatchBuilder, BatchOptions, Batches, Codec, Compression, DecodeLimits, NewRecord,
};
use ottla::runtime::os;
use ottla::types::Timestamp;
use std::os::unix::fs::MetadataExt;
use tokio::net::TcpStream;

const TOPIC: &str = "orders";
const HOUR_MS: i64 = 3_600_000;

fn now() -> Timestamp {
    os::runtime().clock.wall()
}

async fn with_topic(configs: &[(&'static str, &'static str)]) -> (Local, Client<TcpStream>) {
    let broker = Local::start(&[]).await;
    let mut client = broker.connect().await;
    client.make_topic(TOPIC, 1, configs).await;
    (broker, client)
}

async fn produce(client: &mut Client<TcpStream>, topic: &str, batch: Bytes) -> Produced {
    let request = produce_request(topic, 0, 1, batch);
    let mut response: ProduceResponse = client.call(&request, 9).await.unwrap();
    response.responses.remove(0).partition_responses.remove(0)
}

fn code(produced: &Produced) -> ErrorCode {
    ErrorCode::from_code(produced.error_code).unwrap()
}

/// What the log holds, as it lies there.
async fn stored(client: &mut Client<TcpStream>, topic: &str) -> Bytes {
    let request = fetch_request(topic, 0, 0);
    let response: FetchResponse = client.call(&request, 12).await.unwrap();
    response.responses[0].partitions[0].records.clone().unwrap()
}

/// One record of 20,000 bytes that compress, more or less.
fn text() -> Vec<u8> {
    let words = (0..3000u32).map(|n| format!("{}-{};", n % 977, n * n % 1009));
    words.collect::<String>().into_bytes()[..20_000].to_vec()
}

#[tokio::test]
async fn batches_are_stored_in_the_topics_codec_at_its_level() {
    let (_broker, mut client) = with_topic(&[]).await;
    let levels = [
        (Codec::Gzip, "gzip", "compression.gzip.level", ["1", "9"]),
        (Codec::Lz4, "lz4", "compression.lz4.level", ["9", "12"]),
        (Codec::Zstd, "zstd", "compression.zstd.level", ["-50", "19"]),
    ];
    for (codec, name, key, levels) in levels {
        let mut sizes = Vec::new();
        for level in levels {
            let topic = format!("{name}.{level}");
            let configs = [("compression.type", name), (key, level)];
            client.make_topic(&topic, 1, &configs).await;
            let produced = produce(&mut client, &topic, batch(now(), &[text()])).await;
            assert_eq!(code(&produced), ErrorCode::None);
            let bytes = stored(&mut client, &topic).await;
            sizes.push(bytes.len());
            let batch = Batches::of(bytes).next().unwrap().unwrap();
            assert_eq!(batch.header().attributes.codec(), Some(codec));
            let record = batch.records(DecodeLimits::default()).next().unwrap();
            assert_eq!(record.unwrap().value.unwrap(), text());
        }
        assert!(sizes[1] < sizes[0], "{name} at {levels:?}: {sizes:?}");
    }
}

#[tokio::test]
async fn the_size_limit_counts_what_is_stored_and_not_only_what_was_sent() {
    let limits = [
        ("compression.type", "uncompressed"),
        ("max.message.bytes", "10000"),
    ];
    let (_broker, mut client) = with_topic(&limits).await;
    let packed = |len| {
        let mut builder = BatchBuilder::new(BatchOptions {
            compression: Compression::of(Codec::Gzip),
            ..BatchOptions::default()
        });
        let value = vec![b'x'; len];
        builder.push(
            now(),
            NewRecord {
                value: Some(&value),
                ..NewRecord::default()
            },
        );
        builder.build().unwrap().to_bytes()
    };
    let large = packed(10_000);
    assert!(large.len() < 1000, "it is small on the wire");
    let refused = produce(&mut client, TOPIC, large).await;
    assert_eq!(code(&refused), ErrorCode::MessageTooLarge);
    let taken = produce(&mut client, TOPIC, packed(9_000)).await;
    assert_eq!((code(&taken), taken.base_offset), (ErrorCode::None, 0));
}

#[tokio::test]
async fn on_a_topic_of_log_append_time_the_broker_says_when() {
    let configs = [("message.timestamp.type", "LogAppendTime")];
    let (_broker, mut client) = with_topic(&configs).await;
    let before = now().0;
    let produced = produce(&mut client, TOPIC, batch(Timestamp(5), &["a", "b"])).await;
    let stamp = produced.log_append_time_ms;
    assert!((before..=now().0).contains(&stamp), "{stamp}");
    let bytes = stored(&mut client, TOPIC).await;
    for batch in Batches::of(bytes) {
        for record in batch.unwrap().records(DecodeLimits::default()) {
            assert_eq!(record.unwrap().timestamp, Timestamp(stamp));
        }
    }
}

#[tokio::test]
async fn on_a_topic_of_create_time_the_answer_has_no_time() {
    let (_broker, mut client) = with_topic(&[]).await;
    let produced = produce(&mut client, TOPIC, batch(Timestamp(5), &["a"])).await;
    assert_eq!(produced.log_append_time_ms, -1);
}

#[tokio::test]
async fn records_may_be_as_old_and_as_early_as_the_topic_says() {
    let (_broker, mut client) = with_topic(&[]).await;
    let at = |offset_ms: i64| batch(Timestamp(now().0 + offset_ms), &["a"]);
    // By default as old as they like, and an hour in the future.
    for (offset_ms, want) in [
        (-1000 * HOUR_MS, ErrorCode::None),
        (HOUR_MS - 60_000, ErrorCode::None),
        (HOUR_MS + 60_000, ErrorCode::InvalidTimestamp),
    ] {
        let produced = produce(&mut client, TOPIC, at(offset_ms)).await;
        assert_eq!(code(&produced), want, "{offset_ms}");
    }
    set(&mut client, "message.timestamp.before.max.ms", "3600000").await;
    set(&mut client, "message.timestamp.after.max.ms", "7200000").await;
    for (offset_ms, want) in [
        (-HOUR_MS - 60_000, ErrorCode::InvalidTimestamp),
        (-HOUR_MS + 60_000, ErrorCode::None),
        (HOUR_MS + 60_000, ErrorCode::None),
        (2 * HOUR_MS + 60_000, ErrorCode::InvalidTimestamp),
    ] {
        let produced = produce(&mut client, TOPIC, at(offset_ms)).await;
        assert_eq!(code(&produced), want, "{offset_ms}");
        let listed = usize::from(want != ErrorCode::None);
        assert_eq!(produced.record_errors.len(), listed, "the record is named");
    }
}

async fn set(client: &mut Client<TcpStream>, key: &str, value: &str) {
    let set = client.set_config(ConfigKind::Topic, TOPIC, key, Some(value));
    set.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_preallocated_segment_has_its_room_from_the_start_and_gives_it_back() {
    let configs = [("preallocate", "true"), ("segment.bytes", "1048576")];
    let (mut broker, mut client) = with_topic(&configs).await;
    produce(&mut client, TOPIC, batch(now(), &["a"])).await;
    let partition = broker.dir().join(format!("{TOPIC}-0"));
    let log = partition.join("00000000000000000000.log");
    let on_disk = || std::fs::metadata(&log).unwrap().blocks() * 512;
    assert!(on_disk() >= 1_048_576, "{} bytes", on_disk());
    broker.end(End::Stop).await;
    assert!(on_disk() < 1_048_576, "{} bytes", on_disk());
}

#[tokio::test]
async fn a_reader_of_a_topic_that_is_deleted_is_told_so_and_the_name_is_free() {
    let (broker, mut client) = with_topic(&[]).await;
    produce(&mut client, TOPIC, batch(now(), &["a"])).await;
    let mut reader = broker.connect().await;
    let mut waiting = fetch_request(TOPIC, 0, 1);
    waiting.max_wait_ms = 60_000;
    waiting.min_bytes = 1;
    reader.send(&waiting, 12).await.unwrap();
    client.delete_topic(TOPIC).await.unwrap().unwrap();
    let told: FetchResponse = reader.receive(12).await.unwrap();
    let partition = &told.responses[0].partitions[0];
    assert_ne!(
        partition.error_code, 0,
        "it does not wait for its minute to pass"
    );
    client.make_topic(TOPIC, 1, &[]).await;
    let produced = produce(&mut client, TOPIC, batch(now(), &["b"])).await;
    assert_eq!(
        (code(&produced), produced.base_offset),
        (ErrorCode::None, 0)
    );
}

#[tokio::test]
async fn names_that_metrics_could_not_tell_apart_collide() {
    let (_broker, mut client) = with_topic(&[]).await;
    let mut create = async |names: &[&str]| -> Vec<(ErrorCode, Option<String>)> {
        let topics = names.iter().map(|name| create::CreatableTopic {
            name: Text::copy(name),
            num_partitions: 1,
            replication_factor: 1,
            ..Default::default()
        });
        let request = CreateTopicsRequest {
            topics: topics.collect(),
            timeout_ms: 30_000,
            validate_only: false,
        };
        let response: CreateTopicsResponse = client.call(&request, 7).await.unwrap();
        let results = response.topics.iter();
        results
            .map(|topic| {
                let message = topic.error_message.as_deref().map(str::to_owned);
                (ErrorCode::from_code(topic.error_code).unwrap(), message)
            })
            .collect()
    };
    assert_eq!(create(&["a.b"]).await[0].0, ErrorCode::None);
    let why = "Topic 'a_b' collides with existing topic: a.b".to_owned();
    assert_eq!(
        create(&["a_b"]).await,
        [(ErrorCode::InvalidTopicException, Some(why))]
    );
}
