//! The requests that are counted.

use crate::frames::{frame, response};
use crate::socket::{Answered, Script};
use bytes::Bytes;
use ottla::protocol::Text;
use ottla::protocol::messages::{
    CreateTopicsRequest, FetchRequest, ProduceRequest, ProduceResponse,
    create_topics_request as create, fetch_request as fetch, produce_request as produce,
};
use ottla::record::{BatchBuilder, BatchOptions, NewRecord};
use ottla::types::Timestamp;
use std::error::Error;

const TOPIC: &str = "counted";
/// The last versions that name topics instead of giving their ids, which are not known beforehand.
const PRODUCE_VERSION: i16 = 12;
const FETCH_VERSION: i16 = 12;
const CREATE_VERSION: i16 = 7;

/// What the client asks again and again.
#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loop {
    /// One record of 1 KiB
    #[value(name = "produce-1k")]
    Produce1k,
    /// Sixteen records of 1 KiB in a batch
    #[value(name = "produce-16k")]
    Produce16k,
    /// A batch of one record of 100 bytes to each of a hundred partitions
    #[value(name = "produce-100-partitions")]
    Produce100Partitions,
    /// 1 MiB of one partition
    #[value(name = "fetch-1m")]
    Fetch1m,
    /// A batch from each of a hundred partitions
    #[value(name = "fetch-100-partitions")]
    Fetch100Partitions,
}

impl Loop {
    pub(crate) const ALL: [Loop; 5] = [
        Loop::Produce1k,
        Loop::Produce16k,
        Loop::Produce100Partitions,
        Loop::Fetch1m,
        Loop::Fetch100Partitions,
    ];

    fn partitions(self) -> i32 {
        match self {
            Loop::Produce1k | Loop::Produce16k | Loop::Fetch1m => 1,
            Loop::Produce100Partitions | Loop::Fetch100Partitions => 100,
        }
    }

    /// Everything that the client sends.
    pub(crate) fn script(self, times: u64) -> Result<Script, Box<dyn Error>> {
        let mut before = vec![create_topic(self.partitions())];
        let request = match self {
            Loop::Produce1k => produce(1, &batch(1, 1024)?),
            Loop::Produce16k => produce(1, &batch(16, 1024)?),
            Loop::Produce100Partitions => produce(100, &batch(1, 100)?),
            Loop::Fetch1m => {
                let filling = produce(1, &batch(60, 1024)?);
                before.extend(std::iter::repeat_n(filling, 20));
                fetch(1, 1024 * 1024)
            }
            Loop::Fetch100Partitions => {
                before.push(produce(100, &batch(1, 100)?));
                fetch(100, 1024)
            }
        };
        Ok(Script {
            before: before.into(),
            request,
            times,
        })
    }

    /// Whether the last request was answered as it should be: a count of refusals is worth nothing.
    pub(crate) fn check(self, answered: &Answered) -> Result<(), Box<dyn Error>> {
        let right = match self {
            Loop::Produce1k | Loop::Produce16k | Loop::Produce100Partitions => {
                let frame = answered.bytes.clone().freeze().slice(4..);
                let response: ProduceResponse = response(frame, PRODUCE_VERSION, 1);
                let mut partitions = response
                    .responses
                    .iter()
                    .flat_map(|topic| &topic.partition_responses);
                partitions.clone().count() == usize::try_from(self.partitions())?
                    && partitions.all(|partition| partition.error_code == 0)
            }
            Loop::Fetch1m => answered.file_bytes > 900 * 1024,
            // Small answers are copied and not sent from the file.
            Loop::Fetch100Partitions => answered.file_bytes + answered.bytes.len() > 100 * 160,
        };
        if right {
            Ok(())
        } else {
            Err(format!("{self:?}: the broker answered {answered:?}").into())
        }
    }
}

fn create_topic(partitions: i32) -> Bytes {
    let request = CreateTopicsRequest {
        topics: vec![create::CreatableTopic {
            name: Text::from(TOPIC),
            num_partitions: partitions,
            replication_factor: 1,
            ..Default::default()
        }],
        timeout_ms: 30_000,
        validate_only: false,
    };
    frame(&request, CREATE_VERSION, 1)
}

fn batch(records: usize, value_len: usize) -> Result<Bytes, Box<dyn Error>> {
    let value = vec![b'v'; value_len];
    let mut batch = BatchBuilder::new(BatchOptions::default());
    for _ in 0..records {
        let record = NewRecord {
            value: Some(&value),
            ..NewRecord::default()
        };
        batch.push(Timestamp(1_700_000_000_000), record);
    }
    Ok(batch.build()?.to_bytes())
}

fn produce(partitions: i32, batch: &Bytes) -> Bytes {
    let request = ProduceRequest {
        acks: 1,
        timeout_ms: 30_000,
        topic_data: vec![produce::TopicProduceData {
            name: Text::from(TOPIC),
            partition_data: (0..partitions)
                .map(|index| produce::PartitionProduceData {
                    index,
                    records: Some(batch.clone()),
                })
                .collect(),
            ..Default::default()
        }],
        ..Default::default()
    };
    frame(&request, PRODUCE_VERSION, 1)
}

fn fetch(partitions: i32, partition_max_bytes: i32) -> Bytes {
    let request = FetchRequest {
        min_bytes: 1,
        topics: vec![fetch::FetchTopic {
            topic: Text::from(TOPIC),
            partitions: (0..partitions)
                .map(|partition| fetch::FetchPartition {
                    partition,
                    partition_max_bytes,
                    ..Default::default()
                })
                .collect(),
            ..Default::default()
        }],
        ..Default::default()
    };
    frame(&request, FETCH_VERSION, 1)
}
