//! Writes a partition that has a bit of everything (several segments, all codecs, producers, an aborted
//! and a committed transaction), for Apache Kafka's own tool to judge:
//!
//! ```text
//! cargo run --example sample_partition -- DIR
//! kafka-dump-log.sh --files DIR/00000000000000000000.log --print-data-log --deep-iteration
//! kafka-dump-log.sh --files DIR/00000000000000000000.index,DIR/00000000000000000000.timeindex --index-sanity-check
//! ```

use ottla::log::{Log, LogConfig, Opening};
use ottla::record::control::{EndMarker, TransactionResult, end_transaction};
use ottla::record::{
    BatchBuilder, BatchOptions, Codec, Compression, NewRecord, ProducerStamp, TransactionVersion,
    ValidBatch,
};
use ottla::runtime::os;
use ottla::types::{LeaderEpoch, ProducerEpoch, ProducerId, Timestamp, TopicName, TopicPartition};
use std::path::PathBuf;

const START: Timestamp = Timestamp(1_700_000_000_000);

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = std::env::args()
        .nth(1)
        .ok_or("usage: sample_partition DIR")?;
    let config = LogConfig {
        segment_bytes: 64 * 1024,
        index_interval_bytes: 1024,
        ..LogConfig::default()
    };
    let partition = TopicPartition::new(TopicName::parse("sample")?, 0);
    let opening = Opening::new(partition, config, START);
    let (mut log, _) = Log::open(&os::runtime(), &PathBuf::from(dir), opening)?;
    let codecs = [
        Codec::None,
        Codec::Gzip,
        Codec::Snappy,
        Codec::Lz4,
        Codec::Zstd,
    ];
    for round in 0..400 {
        let options = BatchOptions {
            compression: Compression::of(codecs[round % codecs.len()]),
            ..BatchOptions::default()
        };
        append(&mut log, batch(options, round)?)?;
        if round % 50 == 0 {
            let producer = i64::try_from(round)?;
            let stamp = ProducerStamp {
                id: ProducerId(producer),
                epoch: ProducerEpoch(0),
                base_sequence: 0,
            };
            let options = BatchOptions {
                producer: stamp,
                transactional: true,
                ..BatchOptions::default()
            };
            append(&mut log, batch(options, round)?)?;
            let result = if round % 100 == 0 {
                TransactionResult::Abort
            } else {
                TransactionResult::Commit
            };
            let marker = EndMarker {
                result,
                coordinator_epoch: 1,
            };
            let (id, epoch) = (stamp.id, stamp.epoch);
            let end = end_transaction(id, epoch, marker, TransactionVersion::V1, START);
            append(&mut log, end)?;
        }
    }
    log.close()?;
    Ok(())
}

fn append(log: &mut Log, batch: ValidBatch) -> Result<(), Box<dyn std::error::Error>> {
    log.append_as_leader(batch, LeaderEpoch(0), START)?;
    Ok(())
}

fn batch(options: BatchOptions, round: usize) -> Result<ValidBatch, Box<dyn std::error::Error>> {
    let mut builder = BatchBuilder::new(options);
    for index in 0..10 {
        let timestamp = START.plus_ms(i64::try_from(round * 10 + index)?);
        let value = format!("record {index} of round {round}, {}", "text ".repeat(8));
        builder.push(
            timestamp,
            NewRecord {
                key: Some(round.to_string().as_bytes()),
                value: Some(value.as_bytes()),
                headers: &[(b"header", Some(b"value")), (b"empty", None)],
            },
        );
    }
    Ok(builder.build()?)
}
