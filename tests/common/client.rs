//! A small client over any byte stream: the operating system's TCP or the simulator's.

use super::{PATIENCE, awaited, frames, until};
use bytes::{Bytes, BytesMut};
use ottla::metadata::ConfigKind;
use ottla::protocol::messages::{
    AlterReplicaLogDirsRequest, AlterReplicaLogDirsResponse, CreateTopicsRequest,
    CreateTopicsResponse, DeleteRecordsRequest, DeleteRecordsResponse, DeleteTopicsRequest,
    DeleteTopicsResponse, DescribeLogDirsRequest, DescribeLogDirsResponse, FetchRequest,
    FetchResponse, FindCoordinatorRequest, FindCoordinatorResponse, IncrementalAlterConfigsRequest,
    IncrementalAlterConfigsResponse, InitProducerIdRequest, InitProducerIdResponse,
    OffsetCommitRequest, OffsetCommitResponse, OffsetFetchRequest, OffsetFetchResponse,
    ProduceRequest, ProduceResponse, alter_replica_log_dirs_request as moving,
    create_topics_request as create, delete_records_request as delete_records,
    delete_topics_request as delete, describe_log_dirs_response::DescribeLogDirsResult,
    fetch_request as fetch, incremental_alter_configs_request as alter,
    offset_commit_request as commit, offset_fetch_request as committed, produce_request as produce,
};
use ottla::protocol::{ErrorCode, Message, Text};
use ottla::record::{BatchBuilder, BatchOptions, Batches, DecodeLimits, NewRecord, ProducerStamp};
use ottla::types::{ProducerEpoch, ProducerId, Timestamp};
use std::io;
use std::path::Path;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, ToSocketAddrs};
use tokio::time::timeout;

/// One connection. Requests are answered in order; [`Client::send`] and [`Client::receive`] may be
/// used apart to have several under way.
pub(crate) struct Client<S> {
    pub stream: S,
    sent: i32,
    received: i32,
}

/// What a request was refused with.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refused(pub ErrorCode);

/// Either the connection broke, so nobody knows what happened, or the broker refused.
pub(crate) type Answer<T> = io::Result<Result<T, Refused>>;

/// A record as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Read {
    pub offset: i64,
    pub value: Vec<u8>,
}

impl Client<TcpStream> {
    pub(crate) async fn to(address: impl ToSocketAddrs) -> Client<TcpStream> {
        Client::over(TcpStream::connect(address).await.unwrap())
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    pub(crate) fn over(stream: S) -> Client<S> {
        Client {
            stream,
            sent: 0,
            received: 0,
        }
    }

    /// Sends `request` and reads its answer.
    pub(crate) async fn call<Q: Message, R: Message>(
        &mut self,
        request: &Q,
        version: i16,
    ) -> io::Result<R> {
        self.send(request, version).await?;
        self.receive(version).await
    }

    pub(crate) async fn send<Q: Message>(&mut self, request: &Q, version: i16) -> io::Result<()> {
        self.sent += 1;
        let frame = frames::frame(request, version, self.sent);
        self.stream.write_all(&frame).await
    }

    /// Reads the answer to the oldest request that has none.
    pub(crate) async fn receive<R: Message>(&mut self, version: i16) -> io::Result<R> {
        let frame = self.frame().await?;
        self.received += 1;
        Ok(frames::response(frame, version, self.received))
    }

    /// One frame without its length.
    pub(crate) async fn frame(&mut self) -> io::Result<Bytes> {
        let len = self.stream.read_u32().await?;
        let mut frame = BytesMut::zeroed(usize::try_from(len).expect("32 bits fit"));
        self.stream.read_exact(&mut frame).await?;
        Ok(frame.freeze())
    }

    /// Creates a topic with one replica; topic configuration as pairs.
    pub(crate) async fn create_topic(
        &mut self,
        name: &str,
        partitions: i32,
        configs: &[(&'static str, &'static str)],
    ) -> Answer<()> {
        let request = CreateTopicsRequest {
            topics: vec![create::CreatableTopic {
                name: Text::copy(name),
                num_partitions: partitions,
                replication_factor: 1,
                configs: configs
                    .iter()
                    .map(|(name, value)| create::CreatableTopicConfig {
                        name: Text::from(*name),
                        value: Some(Text::from(*value)),
                    })
                    .collect(),
                ..Default::default()
            }],
            timeout_ms: 30_000,
            validate_only: false,
        };
        let response: CreateTopicsResponse = self.call(&request, 7).await?;
        Ok(checked(response.topics[0].error_code, ()))
    }

    /// The same, for a test whose scene it is.
    pub(crate) async fn make_topic(
        &mut self,
        name: &str,
        partitions: i32,
        configs: &[(&'static str, &'static str)],
    ) {
        let created = self.create_topic(name, partitions, configs).await;
        created.unwrap().unwrap();
    }

    /// Sets a key of a resource, or takes it away; see [`ConfigKind`] for the kinds.
    pub(crate) async fn set_config(
        &mut self,
        kind: ConfigKind,
        name: &str,
        key: &str,
        value: Option<&str>,
    ) -> Answer<()> {
        const SET: i8 = 0;
        const DELETE: i8 = 1;
        let request = IncrementalAlterConfigsRequest {
            resources: vec![alter::AlterConfigsResource {
                resource_type: kind as i8,
                resource_name: Text::copy(name),
                configs: vec![alter::AlterableConfig {
                    name: Text::copy(key),
                    config_operation: if value.is_some() { SET } else { DELETE },
                    value: value.map(Text::copy),
                }],
            }],
            validate_only: false,
        };
        let response: IncrementalAlterConfigsResponse = self.call(&request, 1).await?;
        Ok(checked(response.responses[0].error_code, ()))
    }

    pub(crate) async fn delete_topic(&mut self, topic: &str) -> Answer<()> {
        let request = DeleteTopicsRequest {
            topics: vec![delete::DeleteTopicState {
                name: Some(topic.to_owned().into()),
                ..Default::default()
            }],
            timeout_ms: 30_000,
            ..Default::default()
        };
        let response: DeleteTopicsResponse = self.call(&request, 6).await?;
        Ok(checked(response.responses[0].error_code, ()))
    }

    /// Deletes what lies below `offset`; the start that the log has now.
    pub(crate) async fn delete_records(
        &mut self,
        topic: &str,
        partition: i32,
        offset: i64,
    ) -> Answer<i64> {
        let request = DeleteRecordsRequest {
            topics: vec![delete_records::DeleteRecordsTopic {
                name: topic.to_owned().into(),
                partitions: vec![delete_records::DeleteRecordsPartition {
                    partition_index: partition,
                    offset,
                }],
            }],
            timeout_ms: 30_000,
        };
        let response: DeleteRecordsResponse = self.call(&request, 2).await?;
        let answer = &response.topics[0].partitions[0];
        Ok(checked(answer.error_code, answer.low_watermark))
    }

    /// Asks for a partition to lie in a log directory.
    pub(crate) async fn move_replica(
        &mut self,
        topic: &str,
        partition: i32,
        directory: &Path,
    ) -> Answer<()> {
        let path = directory.to_str().expect("a path in UTF-8").to_owned();
        let request = AlterReplicaLogDirsRequest {
            dirs: vec![moving::AlterReplicaLogDir {
                path: path.into(),
                topics: vec![moving::AlterReplicaLogDirTopic {
                    name: topic.to_owned().into(),
                    partitions: vec![partition],
                }],
            }],
        };
        let response: AlterReplicaLogDirsResponse = self.call(&request, 2).await?;
        Ok(checked(response.results[0].partitions[0].error_code, ()))
    }

    /// The log directories, in the order of the configuration.
    pub(crate) async fn log_dirs(&mut self) -> io::Result<Vec<DescribeLogDirsResult>> {
        let request = DescribeLogDirsRequest { topics: None };
        let response: DescribeLogDirsResponse = self.call(&request, 5).await?;
        Ok(response.results)
    }

    /// Writes one batch; the offset of its first record.
    pub(crate) async fn produce(
        &mut self,
        topic: &str,
        partition: i32,
        acks: i16,
        batch: Bytes,
    ) -> Answer<i64> {
        let request = produce_request(topic, partition, acks, batch);
        let response: ProduceResponse = self.call(&request, 9).await?;
        let answer = &response.responses[0].partition_responses[0];
        Ok(checked(answer.error_code, answer.base_offset))
    }

    /// One fetch from `offset` on: the records and the high watermark.
    pub(crate) async fn fetch(
        &mut self,
        topic: &str,
        partition: i32,
        offset: i64,
    ) -> Answer<(Vec<Read>, i64)> {
        let response: FetchResponse = self
            .call(&fetch_request(topic, partition, offset), 12)
            .await?;
        assert_eq!(response.error_code, 0);
        let answer = &response.responses[0].partitions[0];
        let records = records(answer.records.clone().unwrap_or_default());
        Ok(checked(answer.error_code, (records, answer.high_watermark)))
    }

    /// Every record from `offset` up to the high watermark.
    pub(crate) async fn read_all(
        &mut self,
        topic: &str,
        partition: i32,
        offset: i64,
    ) -> Answer<Vec<Read>> {
        let mut all: Vec<Read> = Vec::new();
        let mut next = offset;
        loop {
            let (records, high_watermark) = match self.fetch(topic, partition, next).await? {
                Ok(fetched) => fetched,
                Err(refused) => return Ok(Err(refused)),
            };
            // A fetch begins with the batch that holds the offset: it may start before it.
            all.extend(records.into_iter().filter(|record| record.offset >= next));
            next = all.last().map_or(offset, |record| record.offset + 1);
            if next >= high_watermark {
                return Ok(Ok(all));
            }
        }
    }

    /// Asks who coordinates the group; the first to ask has the offsets topic made.
    pub(crate) async fn find_coordinator(&mut self, group: &str) -> Answer<()> {
        let request = FindCoordinatorRequest {
            coordinator_keys: vec![Text::copy(group)],
            ..Default::default()
        };
        let response: FindCoordinatorResponse = self.call(&request, 4).await?;
        Ok(checked(response.coordinators[0].error_code, ()))
    }

    /// Waits until somebody coordinates the group.
    pub(crate) async fn await_coordinator(&mut self, group: &str) {
        until("a coordinator", async || {
            self.find_coordinator(group).await.unwrap().is_ok()
        })
        .await;
    }

    /// Commits an offset as a client that assigns partitions to itself does.
    pub(crate) async fn commit(
        &mut self,
        group: &str,
        topic: &str,
        partition: i32,
        offset: i64,
    ) -> Answer<()> {
        let request = OffsetCommitRequest {
            group_id: Text::copy(group),
            topics: vec![commit::OffsetCommitRequestTopic {
                name: Text::copy(topic),
                partitions: vec![commit::OffsetCommitRequestPartition {
                    partition_index: partition,
                    committed_offset: offset,
                    ..Default::default()
                }],
                ..Default::default()
            }],
            ..Default::default()
        };
        let response: OffsetCommitResponse = self.call(&request, 8).await?;
        Ok(checked(response.topics[0].partitions[0].error_code, ()))
    }

    /// The committed offset; −1 if there is none.
    pub(crate) async fn committed(
        &mut self,
        group: &str,
        topic: &str,
        partition: i32,
    ) -> Answer<i64> {
        let request = OffsetFetchRequest {
            group_id: Text::copy(group),
            topics: Some(vec![committed::OffsetFetchRequestTopic {
                name: Text::copy(topic),
                partition_indexes: vec![partition],
            }]),
            ..Default::default()
        };
        let response: OffsetFetchResponse = self.call(&request, 7).await?;
        if response.error_code != 0 {
            return Ok(checked(response.error_code, -1));
        }
        let answer = &response.topics[0].partitions[0];
        Ok(checked(answer.error_code, answer.committed_offset))
    }

    /// The committed offset, once the group has been loaded.
    pub(crate) async fn committed_when_loaded(
        &mut self,
        group: &str,
        topic: &str,
        partition: i32,
    ) -> i64 {
        awaited("the group, loaded", async || {
            match self.committed(group, topic, partition).await.unwrap() {
                Err(Refused(ErrorCode::CoordinatorLoadInProgress)) => None,
                found => Some(found.unwrap()),
            }
        })
        .await
    }

    /// A producer id for an idempotent producer without transactions.
    pub(crate) async fn producer_id(&mut self) -> Answer<(i64, i16)> {
        let request = InitProducerIdRequest {
            transactional_id: None,
            transaction_timeout_ms: i32::MAX,
            producer_id: -1,
            producer_epoch: -1,
            ..Default::default()
        };
        let response: InitProducerIdResponse = self.call(&request, 4).await?;
        let id = (response.producer_id, response.producer_epoch);
        Ok(checked(response.error_code, id))
    }

    /// True if the broker closed the connection without another answer; waits for it.
    pub(crate) async fn is_closed(&mut self) -> bool {
        let mut byte = [0];
        let read = timeout(PATIENCE, self.stream.read(&mut byte)).await;
        match read.expect("an answer or an end") {
            Ok(read) => read == 0,
            Err(error) => matches!(
                error.kind(),
                io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe
            ),
        }
    }
}

fn checked<T>(code: i16, value: T) -> Result<T, Refused> {
    match ErrorCode::from_code(code) {
        Some(ErrorCode::None) => Ok(value),
        Some(error) => Err(Refused(error)),
        None => panic!("{code} is no error code of Kafka's"),
    }
}

pub(crate) fn produce_request(
    topic: &str,
    partition: i32,
    acks: i16,
    batch: Bytes,
) -> ProduceRequest {
    ProduceRequest {
        acks,
        timeout_ms: 30_000,
        topic_data: vec![produce::TopicProduceData {
            name: Text::copy(topic),
            partition_data: vec![produce::PartitionProduceData {
                index: partition,
                records: Some(batch),
            }],
            ..Default::default()
        }],
        ..Default::default()
    }
}

pub(crate) fn fetch_request(topic: &str, partition: i32, offset: i64) -> FetchRequest {
    FetchRequest {
        max_wait_ms: 100,
        min_bytes: 0,
        max_bytes: 1 << 20,
        topics: vec![fetch::FetchTopic {
            topic: Text::copy(topic),
            partitions: vec![fetch::FetchPartition {
                partition,
                fetch_offset: offset,
                partition_max_bytes: 1 << 20,
                ..Default::default()
            }],
            ..Default::default()
        }],
        ..Default::default()
    }
}

/// A batch of `values`.
pub(crate) fn batch<V: AsRef<[u8]>>(now: Timestamp, values: &[V]) -> Bytes {
    build(BatchOptions::default(), now, values)
}

/// A batch of an idempotent producer.
pub(crate) fn idempotent_batch<V: AsRef<[u8]>>(
    now: Timestamp,
    (id, epoch): (i64, i16),
    base_sequence: i32,
    values: &[V],
) -> Bytes {
    let producer = ProducerStamp {
        id: ProducerId(id),
        epoch: ProducerEpoch(epoch),
        base_sequence,
    };
    let options = BatchOptions {
        producer,
        ..BatchOptions::default()
    };
    build(options, now, values)
}

/// A batch of one record; without a value, a tombstone.
pub(crate) fn keyed(now: Timestamp, key: &str, value: Option<&str>) -> Bytes {
    let mut builder = BatchBuilder::new(BatchOptions::default());
    let record = NewRecord {
        key: Some(key.as_bytes()),
        value: value.map(str::as_bytes),
        headers: &[],
    };
    builder.push(now, record);
    builder.build().unwrap().to_bytes()
}

fn build<V: AsRef<[u8]>>(options: BatchOptions, now: Timestamp, values: &[V]) -> Bytes {
    let mut builder = BatchBuilder::new(options);
    for value in values {
        let record = NewRecord {
            value: Some(value.as_ref()),
            ..NewRecord::default()
        };
        builder.push(now, record);
    }
    builder.build().unwrap().to_bytes()
}

/// The records of what a fetch gave; a batch that was cut at the end is left out, as clients do.
/// Panics on a batch whose checksum is wrong: that must never be served.
pub(crate) fn records(bytes: Bytes) -> Vec<Read> {
    let mut read = Vec::new();
    for batch in Batches::of(bytes) {
        let batch = batch.expect("what was served are batches");
        batch.check_crc().expect("a batch that was served is whole");
        for record in batch.records(DecodeLimits::default()) {
            let record = record.expect("a batch that was served can be read");
            read.push(Read {
                offset: record.offset.0,
                value: record.value.unwrap_or_default().to_vec(),
            });
        }
    }
    read
}
