//! Control batches: one record that is not data. They take an offset, but no client ever sees them.
//!
//! ```text
//! key    0..2  version, 0
//!        2..4  type: see [`ControlType`]
//! value  of an abort or a commit: 0..2 version, 0; 2..6 coordinator epoch
//!        of the others: an encoded message of Kafka's raft schemas
//! ```

use super::batch::Batch;
use super::builder::{BatchBuilder, BatchOptions, NewRecord, ProducerStamp};
use super::compression::DecodeLimits;
use super::valid::{TransactionVersion, ValidBatch};
use crate::types::{LeaderEpoch, ProducerEpoch, ProducerId, Timestamp};
use bytes::{Buf, Bytes};

/// What a control record means. 2 to 6 are found only in the metadata log and its snapshots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ControlType {
    Abort = 0,
    Commit = 1,
    LeaderChange = 2,
    SnapshotHeader = 3,
    SnapshotFooter = 4,
    KraftVersion = 5,
    KraftVoters = 6,
}

impl ControlType {
    pub fn from_code(code: i16) -> Option<ControlType> {
        Some(match code {
            0 => ControlType::Abort,
            1 => ControlType::Commit,
            2 => ControlType::LeaderChange,
            3 => ControlType::SnapshotHeader,
            4 => ControlType::SnapshotFooter,
            5 => ControlType::KraftVersion,
            6 => ControlType::KraftVoters,
            _ => return None,
        })
    }
}

/// How a transaction ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransactionResult {
    Commit,
    Abort,
}

/// The end of a transaction, as the partitions that took part hold it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndMarker {
    pub result: TransactionResult,
    pub coordinator_epoch: i32,
}

/// A control record that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ControlRecord {
    EndTransaction(EndMarker),
    /// One of the raft types, with its value as it came.
    Raft(ControlType, Bytes),
    /// A type of a later release; to be passed over.
    Unknown(i16),
}

/// The batch that ends a transaction in one partition (WriteTxnMarkers).
pub fn end_transaction(
    producer: ProducerId,
    epoch: ProducerEpoch,
    marker: EndMarker,
    version: TransactionVersion,
    now: Timestamp,
) -> ValidBatch {
    let kind = match marker.result {
        TransactionResult::Commit => ControlType::Commit,
        TransactionResult::Abort => ControlType::Abort,
    };
    let mut value = [0; 6];
    if let Some(tail) = value.last_chunk_mut() {
        *tail = marker.coordinator_epoch.to_be_bytes();
    }
    let options = BatchOptions {
        producer: ProducerStamp {
            id: producer,
            epoch,
            base_sequence: -1,
        },
        transactional: true,
        control: true,
        ..BatchOptions::default()
    };
    one_record(options, kind, &value, now).with_end_marker(marker, version)
}

/// A control batch of the metadata log, whose record's value is an encoded raft message.
pub fn raft(kind: ControlType, value: &[u8], epoch: LeaderEpoch, now: Timestamp) -> ValidBatch {
    let options = BatchOptions {
        control: true,
        leader_epoch: epoch,
        ..BatchOptions::default()
    };
    one_record(options, kind, value, now)
}

fn one_record(
    options: BatchOptions,
    kind: ControlType,
    value: &[u8],
    now: Timestamp,
) -> ValidBatch {
    let mut key = [0; 4];
    if let Some(tail) = key.last_chunk_mut() {
        *tail = (kind as i16).to_be_bytes();
    }
    let mut builder = BatchBuilder::new(options);
    builder.push(
        now,
        NewRecord {
            key: Some(&key),
            value: Some(value),
            headers: &[],
        },
    );
    builder
        .build()
        .expect("an uncompressed batch asks no codec")
}

/// The control record of `batch`. `None` if it is no control batch, is empty (compaction removed the
/// record), or cannot be read.
pub fn read(batch: &Batch) -> Option<ControlRecord> {
    records(batch).next()
}

/// All control records of `batch`: those of the raft layer may share one. The first that cannot be read ends them.
pub fn records(batch: &Batch) -> impl Iterator<Item = ControlRecord> {
    let is_control = batch.header().attributes.is_control();
    let records = is_control.then(|| batch.records(DecodeLimits { bytes_max: 1 << 20 }));
    records.into_iter().flatten().map_while(|record| {
        let record = record.ok()?;
        parse(&record.key?, record.value.unwrap_or_default())
    })
}

fn parse(key: &[u8], value: Bytes) -> Option<ControlRecord> {
    let mut key = key.get(2..4)?;
    let code = key.get_i16();
    let end = |result| {
        let mut epoch = value.get(2..6)?;
        Some(ControlRecord::EndTransaction(EndMarker {
            result,
            coordinator_epoch: epoch.get_i32(),
        }))
    };
    match ControlType::from_code(code) {
        None => Some(ControlRecord::Unknown(code)),
        Some(ControlType::Abort) => end(TransactionResult::Abort),
        Some(ControlType::Commit) => end(TransactionResult::Commit),
        Some(raft) => Some(ControlRecord::Raft(raft, value)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::batch::Batches;
    use super::*;

    #[test]
    fn a_marker_is_read_back_with_its_coordinator_epoch() {
        let marker = EndMarker {
            result: TransactionResult::Abort,
            coordinator_epoch: 12,
        };
        let batch = end_transaction(
            ProducerId(4),
            ProducerEpoch(1),
            marker,
            TransactionVersion::V2,
            Timestamp(5),
        );
        let batch = Batches::of(batch.to_bytes()).next().unwrap().unwrap();
        batch.check_crc().unwrap();
        assert_eq!(read(&batch), Some(ControlRecord::EndTransaction(marker)));
        assert_eq!(batch.header().base_sequence, -1);
        assert!(batch.header().attributes.is_transactional());
    }

    #[test]
    fn a_raft_record_keeps_its_value() {
        let batch = raft(
            ControlType::LeaderChange,
            b"value",
            LeaderEpoch(3),
            Timestamp(5),
        );
        let batch = Batches::of(batch.to_bytes()).next().unwrap().unwrap();
        assert_eq!(batch.header().leader_epoch, LeaderEpoch(3));
        assert_eq!(
            read(&batch),
            Some(ControlRecord::Raft(
                ControlType::LeaderChange,
                Bytes::from_static(b"value")
            ))
        );
    }
}
