//! Making batches: for the topics that the broker writes itself, and for tests.

use super::batch::{Attributes, BATCH_HEADER_LEN, BatchHeader, MAGIC_V2, TimestampType};
use super::compression::{Compression, compress};
use super::valid::{Origin, ValidBatch};
use super::varint;
use super::walk::RawRecord;
use crate::types::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Timestamp};
use bytes::Bytes;
use std::io;

/// Which producer a batch says it comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProducerStamp {
    pub id: ProducerId,
    pub epoch: ProducerEpoch,
    /// −1 for batches that are fenced by the epoch only (offset commits in a transaction, markers).
    pub base_sequence: i32,
}

impl ProducerStamp {
    pub const NONE: ProducerStamp = ProducerStamp {
        id: ProducerId::NONE,
        epoch: ProducerEpoch::NONE,
        base_sequence: -1,
    };
}

/// What a batch is to be.
#[derive(Clone, Copy, Debug)]
pub struct BatchOptions {
    pub compression: Compression,
    pub timestamp_type: TimestampType,
    pub producer: ProducerStamp,
    pub transactional: bool,
    pub control: bool,
    /// Both are given anew by the leader's append; they stay in batches that are written as they are.
    pub base_offset: Offset,
    pub leader_epoch: LeaderEpoch,
}

impl Default for BatchOptions {
    fn default() -> BatchOptions {
        BatchOptions {
            compression: Compression::NONE,
            timestamp_type: TimestampType::CreateTime,
            producer: ProducerStamp::NONE,
            transactional: false,
            control: false,
            base_offset: Offset::ZERO,
            leader_epoch: LeaderEpoch::NONE,
        }
    }
}

/// A record to be written.
#[derive(Clone, Copy, Debug, Default)]
pub struct NewRecord<'a> {
    pub key: Option<&'a [u8]>,
    pub value: Option<&'a [u8]>,
    pub headers: &'a [(&'a [u8], Option<&'a [u8]>)],
}

/// Collects records into one batch.
///
/// ```
/// use ottla::record::{Batches, BatchBuilder, BatchOptions, DecodeLimits, NewRecord};
/// use ottla::types::Timestamp;
///
/// let mut builder = BatchBuilder::new(BatchOptions::default());
/// builder.push(Timestamp(1_000), NewRecord { value: Some(b"hello"), ..NewRecord::default() });
/// let bytes = builder.build()?.to_bytes();
///
/// let batch = Batches::of(bytes).next().expect("one batch")?;
/// let record = batch.records(DecodeLimits::default()).next().expect("one record")?;
/// assert_eq!(record.value.as_deref(), Some(&b"hello"[..]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct BatchBuilder {
    options: BatchOptions,
    plain: Vec<u8>,
    count: i32,
    base_timestamp: Timestamp,
    max_timestamp: Timestamp,
}

impl BatchBuilder {
    pub fn new(options: BatchOptions) -> BatchBuilder {
        BatchBuilder {
            options,
            plain: Vec::new(),
            count: 0,
            base_timestamp: Timestamp::NONE,
            max_timestamp: Timestamp::NONE,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub fn count(&self) -> i32 {
        self.count
    }

    /// Bytes of the batch before compression.
    pub fn size_uncompressed(&self) -> usize {
        BATCH_HEADER_LEN + self.plain.len()
    }

    /// Bytes that `record` would add before compression, at most.
    pub fn size_of(record: NewRecord<'_>) -> usize {
        const FIELDS: usize = 5 + 1 + 10 + 5 + 5 + 5 + 5;
        let headers: usize = record
            .headers
            .iter()
            .map(|(key, value)| 10 + key.len() + value.map_or(0, <[u8]>::len))
            .sum();
        FIELDS + record.key.map_or(0, <[u8]>::len) + record.value.map_or(0, <[u8]>::len) + headers
    }

    pub fn push(&mut self, timestamp: Timestamp, record: NewRecord<'_>) {
        if self.count == 0 {
            self.base_timestamp = timestamp;
        }
        self.max_timestamp = self.max_timestamp.max(timestamp);
        let delta = timestamp.0.wrapping_sub(self.base_timestamp.0);
        write_record(&mut self.plain, delta, self.count, record);
        self.count += 1;
    }

    /// Fails only if the codec refuses its level.
    ///
    /// # Panics
    /// If no record was pushed, or the batch has more than 2 GiB.
    pub fn build(self) -> io::Result<ValidBatch> {
        let BatchBuilder {
            options,
            plain,
            count,
            base_timestamp,
            max_timestamp,
        } = self;
        assert!(count > 0, "a batch has at least one record");
        let body: Bytes = match options.compression.codec {
            super::Codec::None => plain.into(),
            _ => compress(options.compression, &plain)?.into(),
        };
        let attributes = Attributes::default()
            .with_codec(options.compression.codec)
            .with_timestamp_type(options.timestamp_type)
            .with_transactional(options.transactional)
            .with_control(options.control);
        let mut header = BatchHeader {
            base_offset: options.base_offset,
            length: i32::try_from(BATCH_HEADER_LEN - 12 + body.len())
                .expect("the caller splits batches long before 2 GiB"),
            leader_epoch: options.leader_epoch,
            magic: MAGIC_V2,
            crc: 0,
            attributes,
            last_offset_delta: count - 1,
            base_timestamp,
            max_timestamp,
            producer_id: options.producer.id,
            producer_epoch: options.producer.epoch,
            base_sequence: options.producer.base_sequence,
            records_count: count,
        };
        header.crc = header.crc_with(&body);
        Ok(ValidBatch::trusted(header, body, Origin::Broker))
    }
}

/// Appends one record; see [`RawRecord`] for the bytes.
fn write_record(out: &mut Vec<u8>, timestamp_delta: i64, offset_delta: i32, record: NewRecord<'_>) {
    let mut headers = Vec::new();
    for (key, value) in record.headers {
        write_nullable(&mut headers, Some(key));
        write_nullable(&mut headers, *value);
    }
    let raw = RawRecord {
        attributes: 0,
        timestamp_delta,
        offset_delta,
        key: record.key,
        value: record.value,
        header_count: record.headers.len(),
        headers: &headers,
    };
    write_raw(out, &raw);
}

/// Appends one record whose headers are encoded already.
pub(super) fn write_raw(out: &mut Vec<u8>, record: &RawRecord<'_>) {
    let nullable_len =
        |bytes: Option<&[u8]>| bytes.map_or(1, |b| varint::len_i64(len_i64(b)) + b.len());
    let header_count = i64::try_from(record.header_count).unwrap_or(i64::MAX);
    let len = 1
        + varint::len_i64(record.timestamp_delta)
        + varint::len_i64(i64::from(record.offset_delta))
        + nullable_len(record.key)
        + nullable_len(record.value)
        + varint::len_i64(header_count)
        + record.headers.len();
    varint::write_i64(out, i64::try_from(len).unwrap_or(i64::MAX));
    out.push(record.attributes);
    varint::write_i64(out, record.timestamp_delta);
    varint::write_i32(out, record.offset_delta);
    write_nullable(out, record.key);
    write_nullable(out, record.value);
    varint::write_i64(out, header_count);
    out.extend_from_slice(record.headers);
}

fn write_nullable(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
    match bytes {
        None => varint::write_i64(out, -1),
        Some(bytes) => {
            varint::write_i64(out, len_i64(bytes));
            out.extend_from_slice(bytes);
        }
    }
}

fn len_i64(bytes: &[u8]) -> i64 {
    i64::try_from(bytes.len()).unwrap_or(i64::MAX)
}
