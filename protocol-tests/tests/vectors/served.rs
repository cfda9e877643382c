//! A broker of ours started on Kafka's log directory: clients go on where they were.

use super::disk::{batches, told};
use super::takeover::copy;
use bytes::{Buf, BufMut, Bytes, BytesMut};
use ottla::Server;
use ottla::config::{BrokerConfig, Properties};
use ottla::protocol::messages::{
    FetchRequest, FetchResponse, ListOffsetsRequest, ListOffsetsResponse, MetadataRequest,
    MetadataResponse, ProduceRequest, ProduceResponse, RequestHeader, ResponseHeader,
    fetch_request, list_offsets_request, metadata_request, produce_request,
};
use ottla::protocol::{ApiKey, ErrorCode, Message, Reader};
use ottla::record::{BatchBuilder, BatchOptions, NewRecord, ProducerStamp};
use ottla::runtime::{Clock, Runtime, os};
use ottla::types::{ProducerEpoch, ProducerId, Timestamp, Uuid};
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A minute or so after Kafka stopped: later on, its producers would be forgotten.
struct SoonAfter;

impl Clock for SoonAfter {
    fn wall(&self) -> Timestamp {
        Timestamp(1_760_000_100_000)
    }
}

struct Client(TcpStream);

impl Client {
    /// One request and its answer.
    async fn call<Q: Message, R: Message>(&mut self, key: ApiKey, version: i16, request: &Q) -> R {
        let header = RequestHeader {
            request_api_key: key.code(),
            request_api_version: version,
            correlation_id: 77,
            client_id: Some("vectors".into()),
        };
        let mut frame = BytesMut::new();
        frame.put_i32(0);
        header
            .encode(&mut frame, key.request_header_version(version))
            .expect("a header");
        request.encode(&mut frame, version).expect("a request");
        let len = i32::try_from(frame.len() - 4).expect("small");
        frame[..4].copy_from_slice(&len.to_be_bytes());
        self.0.write_all(&frame).await.expect("sent");
        let mut len = [0; 4];
        self.0.read_exact(&mut len).await.expect("an answer");
        let mut answer = vec![0; usize::try_from((&len[..]).get_i32()).expect("a length")];
        self.0.read_exact(&mut answer).await.expect("an answer");
        let mut reader = Reader::new(answer.into());
        let header = ResponseHeader::decode(&mut reader, key.response_header_version(version));
        assert_eq!(header.expect("a header").correlation_id, 77);
        let response = R::decode(&mut reader, version).expect("a response");
        assert!(reader.is_empty());
        response
    }

    async fn offset(&mut self, timestamp: i64) -> i64 {
        let request = ListOffsetsRequest {
            replica_id: -1,
            topics: vec![list_offsets_request::ListOffsetsTopic {
                name: "ledger".into(),
                partitions: vec![list_offsets_request::ListOffsetsPartition {
                    partition_index: 0,
                    current_leader_epoch: -1,
                    timestamp,
                    ..Default::default()
                }],
            }],
            ..Default::default()
        };
        let answer: ListOffsetsResponse = self.call(ApiKey::ListOffsets, 10, &request).await;
        let partition = &answer.topics[0].partitions[0];
        assert_eq!(partition.error_code, ErrorCode::None.code());
        partition.offset
    }

    async fn produce(&mut self, sequence: i32, topic: Uuid) -> (i16, i64) {
        let mut batch = BatchBuilder::new(BatchOptions {
            producer: ProducerStamp {
                id: ProducerId(1000),
                epoch: ProducerEpoch(2),
                base_sequence: sequence,
            },
            ..BatchOptions::default()
        });
        for n in 0..3 {
            let value = format!("after {n}");
            let record = NewRecord {
                value: Some(value.as_bytes()),
                ..NewRecord::default()
            };
            batch.push(Timestamp(1_760_000_100_000), record);
        }
        let request = ProduceRequest {
            acks: -1,
            timeout_ms: 5_000,
            topic_data: vec![produce_request::TopicProduceData {
                topic_id: topic,
                partition_data: vec![produce_request::PartitionProduceData {
                    index: 0,
                    records: Some(batch.build().expect("a batch").to_bytes()),
                }],
                ..Default::default()
            }],
            ..Default::default()
        };
        let answer: ProduceResponse = self.call(ApiKey::Produce, 13, &request).await;
        let partition = &answer.responses[0].partition_responses[0];
        (partition.error_code, partition.base_offset)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_on_kafkas_directory_serves_kafkas_records_and_goes_on_from_there() {
    let temp = copy();
    let mut properties = Properties::new();
    properties.set("node.id", "1");
    properties.set("listeners", "PLAINTEXT://127.0.0.1:0");
    properties.set("log.dirs", temp.path().to_str().expect("a path in UTF-8"));
    let (config, _) = BrokerConfig::from_properties(&properties).expect("a configuration");
    let runtime = Runtime {
        clock: Arc::new(SoonAfter),
        ..os::runtime()
    };
    let server = Server::start(config, runtime).await.expect("a start");
    let address = server.bootstrap().to_string();
    let mut client = Client(TcpStream::connect(&address).await.expect("a connection"));

    let request = MetadataRequest {
        topics: Some(vec![metadata_request::MetadataRequestTopic {
            name: Some("ledger".into()),
            ..Default::default()
        }]),
        ..Default::default()
    };
    let metadata: MetadataResponse = client.call(ApiKey::Metadata, 12, &request).await;
    let told = told();
    assert_eq!(metadata.cluster_id.as_deref(), told["clusterId"].as_str());
    let topic = metadata.topics[0].topic_id;
    assert_eq!(
        Some(&*topic.to_string()),
        told["ledger-0"]["topicId"].as_str()
    );
    assert_eq!(metadata.topics[0].partitions[0].leader_id, 1);

    assert_eq!(client.offset(-2).await, 5, "earliest");
    assert_eq!(client.offset(-1).await, 119, "latest");

    let request = FetchRequest {
        max_wait_ms: 100,
        min_bytes: 1,
        max_bytes: 1 << 20,
        isolation_level: 1,
        topics: vec![fetch_request::FetchTopic {
            topic_id: topic,
            partitions: vec![fetch_request::FetchPartition {
                partition: 0,
                fetch_offset: 5,
                partition_max_bytes: 1 << 20,
                ..Default::default()
            }],
            ..Default::default()
        }],
        ..Default::default()
    };
    let fetched: FetchResponse = client.call(ApiKey::Fetch, 17, &request).await;
    let partition = &fetched.responses[0].partitions[0];
    assert_eq!(partition.error_code, ErrorCode::None.code());
    // The open transaction begins at 117; what was aborted is named.
    assert_eq!(
        (partition.last_stable_offset, partition.log_start_offset),
        (117, 5)
    );
    let aborted = partition
        .aborted_transactions
        .as_ref()
        .expect("read committed");
    assert!(
        aborted
            .iter()
            .any(|txn| (txn.producer_id, txn.first_offset) == (2000, 17))
    );
    let first: Bytes = partition.records.clone().expect("records");
    let kafkas: Vec<u8> = batches()
        .iter()
        .filter(|batch| batch.header().last_offset().get() >= 5)
        .flat_map(|batch| batch.bytes().to_vec())
        .collect();
    assert!(
        !first.is_empty() && kafkas.starts_with(&first),
        "batches as Kafka wrote them"
    );

    // The idempotent producer: its last batch is known, its next one goes on, a gap is refused.
    assert_eq!(client.produce(33, topic).await, (0, 114));
    assert_eq!(client.produce(36, topic).await, (0, 119));
    let gap = client.produce(99, topic).await.0;
    assert_eq!(gap, ErrorCode::OutOfOrderSequenceNumber.code());
    assert_eq!(client.offset(-1).await, 122);
    server.stop().await;
}
