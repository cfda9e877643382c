//! What a client may send, checked once.
//!
//! The order of the checks and what each means is that of Kafka's `ProduceRequest.validateRecords`,
//! `UnifiedLog.analyzeAndValidateRecords` and `LogValidator`. Two things differ on purpose:
//!
//! - A compressed batch is not decompressed where nothing asks for its records (the topic keeps the
//!   producer's codec and needs no keys). Its max timestamp is taken from its header.
//! - A plain batch whose offset deltas are not 0, 1, 2 … is rewritten, as Kafka does for compressed
//!   ones; Kafka stores it as it is, and its consumers then see offsets twice.

use super::batch::{
    BATCH_CRC_START, BATCH_HEADER_LEN, BatchError, BatchHeader, Codec, Framed, MAGIC_V2,
    TimestampType, frame,
};
use super::builder::{BatchBuilder, BatchOptions, NewRecord, ProducerStamp};
use super::compression::{Compression, DecodeError, DecodeLimits};
use super::control::EndMarker;
use super::records::{Records, plain_body, timestamp_of};
use super::walk::{self, Malformed, Walked};
use crate::types::{LeaderEpoch, Offset, Timestamp};
use bytes::{Bytes, BytesMut};

/// What a topic asks of the batches that clients send.
#[derive(Clone, Copy, Debug)]
pub struct ProduceRules {
    /// The wall clock: judges CreateTime, and is the timestamp of LogAppendTime.
    pub now: Timestamp,
    /// `max.message.bytes`: largest batch, as it lies on disk.
    pub bytes_max: usize,
    pub timestamps: TimestampRules,
    pub keys: Keys,
    pub compression: TargetCompression,
    pub zstd: ZstdUse,
    /// For topics that must look into compressed batches.
    pub decode: DecodeLimits,
}

/// `message.timestamp.type` and its bounds.
#[derive(Clone, Copy, Debug)]
pub struct TimestampRules {
    pub kind: TimestampType,
    /// A record may be older than now by at most this.
    pub before_max_ms: i64,
    /// A record may be ahead of now by at most this.
    pub after_max_ms: i64,
}

impl TimestampRules {
    /// Whether CreateTime `timestamp` is out of bounds; −1 says that there is none.
    fn refuses(&self, timestamp: Timestamp, now: Timestamp) -> bool {
        let behind = now.ms_since(timestamp);
        timestamp != Timestamp::NONE
            && (behind > self.before_max_ms || behind.saturating_neg() > self.after_max_ms)
    }
}

/// Whether every record needs a key: it does where the topic is compacted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keys {
    Optional,
    Required,
}

/// `compression.type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetCompression {
    /// As the producer sent it.
    Producer,
    Always(Compression),
}

/// Whether the request's version knows zstd (Produce 7 and later do).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ZstdUse {
    Allowed,
    Refused,
}

/// One record that breaks a rule of its topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordError {
    /// Place in the batch, from 0.
    pub index: i32,
    pub message: String,
}

/// Which rule the records of a batch broke. If any broke the timestamp bounds, that is the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordFault {
    Record,
    Timestamp,
}

/// Why a client's batch is refused. Nothing of it was written.
#[derive(Debug, thiserror::Error)]
pub enum InvalidBatch {
    /// INVALID_RECORD.
    #[error("a produce request must have at least one record batch per partition")]
    NoBatch,
    /// INVALID_RECORD.
    #[error("a produce request must have exactly one record batch per partition")]
    MoreThanOneBatch,
    /// INVALID_RECORD.
    #[error("only record batches with magic 2 are accepted, this one has magic {0}")]
    OldMagic(i8),
    /// CORRUPT_MESSAGE.
    #[error(transparent)]
    Corrupt(BatchError),
    /// UNSUPPORTED_COMPRESSION_TYPE.
    #[error("zstd needs Produce version 7 or later")]
    ZstdNotAllowed,
    /// UNSUPPORTED_COMPRESSION_TYPE.
    #[error("there is no codec with the number {0}")]
    UnknownCodec(i16),
    /// INVALID_RECORD.
    #[error("the base offset of a produced batch must be 0, not {0}")]
    BaseOffset(i64),
    /// MESSAGE_TOO_LARGE.
    #[error("the batch has {size} bytes, more than the {bytes_max} that the topic allows")]
    TooLarge { size: usize, bytes_max: usize },
    /// INVALID_RECORD.
    #[error("the last offset delta {last_offset_delta} does not go with {records_count} records")]
    OffsetRange {
        last_offset_delta: i32,
        records_count: i32,
    },
    /// INVALID_RECORD.
    #[error("clients may not write control batches")]
    Control,
    /// INVALID_RECORD.
    #[error("sequence number {0} is negative although there is a producer id")]
    Sequence(i32),
    /// INVALID_TIMESTAMP.
    #[error("producers may not set the timestamp type to LogAppendTime")]
    LogAppendTimeType,
    /// INVALID_RECORD, or INVALID_TIMESTAMP if the fault is in the timestamps; the response lists the
    /// records (Produce 8 and later).
    #[error("{} of the records are refused", errors.len())]
    Records {
        fault: RecordFault,
        errors: Vec<RecordError>,
    },
    /// INVALID_TIMESTAMP; of a compressed batch whose records nobody looked at.
    #[error("timestamp {timestamp} is not within [{earliest}, {latest}]")]
    Timestamp {
        timestamp: Timestamp,
        earliest: Timestamp,
        latest: Timestamp,
    },
    /// INVALID_RECORD.
    #[error("{0}")]
    Malformed(#[from] Malformed),
    /// INVALID_RECORD.
    #[error("{0}")]
    Undecodable(DecodeError),
    /// MESSAGE_TOO_LARGE: producers then split the batch and try again.
    #[error("the records have more than {bytes_max} bytes once decompressed")]
    DecodedTooLarge { bytes_max: usize },
}

impl From<DecodeError> for InvalidBatch {
    fn from(error: DecodeError) -> InvalidBatch {
        match error {
            DecodeError::TooLarge { bytes_max } => InvalidBatch::DecodedTooLarge { bytes_max },
            DecodeError::UnknownCodec(code) => InvalidBatch::UnknownCodec(code),
            DecodeError::Malformed(malformed) => InvalidBatch::Malformed(malformed),
            DecodeError::Compressed { .. } => InvalidBatch::Undecodable(error),
        }
    }
}

/// Who wrote a batch; decides how its sequence numbers are judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A producer: duplicates are found, sequences must follow each other.
    Client,
    /// The broker itself (offsets, metadata, markers): only the producer epoch counts.
    Broker,
}

/// `transaction.version` under which a marker was asked for: from 2 on every end of a transaction bumps
/// the producer epoch, so a marker must carry a greater one (KIP-890).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TransactionVersion {
    V0,
    V1,
    V2,
}

/// A batch that may be appended: its bytes were checked, or the broker made them.
#[derive(Clone, Debug)]
pub struct ValidBatch {
    header: BatchHeader,
    body: Bytes,
    origin: Origin,
    end_marker: Option<(EndMarker, TransactionVersion)>,
}

impl ValidBatch {
    /// Checks what a producer sent for one partition. `records` is kept as it is, shared, unless the
    /// topic's rules ask for other bytes.
    pub fn parse(records: &Bytes, rules: &ProduceRules) -> Result<ValidBatch, InvalidBatch> {
        let bytes = the_one_batch(records)?;
        let head = bytes
            .first_chunk::<BATCH_HEADER_LEN>()
            .ok_or(InvalidBatch::NoBatch)?;
        let header = BatchHeader::decode(head);
        let codec = (header.attributes.codec())
            .ok_or(InvalidBatch::UnknownCodec(header.attributes.0 & 7))?;
        if codec == Codec::Zstd && rules.zstd == ZstdUse::Refused {
            return Err(InvalidBatch::ZstdNotAllowed);
        }
        if header.base_offset != Offset::ZERO {
            return Err(InvalidBatch::BaseOffset(header.base_offset.0));
        }
        check_size(bytes.len(), rules)?;
        check_crc(&header, &bytes)?;
        check_header(&header)?;
        // On a topic whose producers stamp the time, Kafka lets the wrong type pass, and so do we.
        if header.attributes.timestamp_type() == TimestampType::LogAppendTime
            && rules.timestamps.kind == TimestampType::LogAppendTime
        {
            return Err(InvalidBatch::LogAppendTimeType);
        }
        let batch = ValidBatch {
            header,
            body: bytes.slice(BATCH_HEADER_LEN..),
            origin: Origin::Client,
            end_marker: None,
        };
        batch.applied_to(codec, rules)
    }

    /// A batch that the broker made.
    pub(super) fn trusted(header: BatchHeader, body: Bytes, origin: Origin) -> ValidBatch {
        ValidBatch {
            header,
            body,
            origin,
            end_marker: None,
        }
    }

    pub(super) fn with_end_marker(
        mut self,
        marker: EndMarker,
        version: TransactionVersion,
    ) -> ValidBatch {
        self.end_marker = Some((marker, version));
        self
    }

    pub fn header(&self) -> &BatchHeader {
        &self.header
    }

    /// The bytes after the header.
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// Bytes that the batch takes in the log.
    pub fn size(&self) -> usize {
        BATCH_HEADER_LEN + self.body.len()
    }

    pub fn origin(&self) -> Origin {
        self.origin
    }

    /// Set if the batch ends a transaction.
    pub fn end_marker(&self) -> Option<(EndMarker, TransactionVersion)> {
        self.end_marker
    }

    /// When the leader stamped it, on topics of LogAppendTime.
    pub fn log_append_time(&self) -> Option<Timestamp> {
        match self.header.attributes.timestamp_type() {
            TimestampType::LogAppendTime => Some(self.header.max_timestamp),
            TimestampType::CreateTime => None,
        }
    }

    /// Stamps what only the leader knows. Neither field is under the CRC.
    pub fn stamp(&mut self, base: Offset, epoch: LeaderEpoch) {
        self.header.base_offset = base;
        self.header.leader_epoch = epoch;
    }

    pub fn records(&self, limits: DecodeLimits) -> Records {
        Records::of(&self.header, self.body.clone(), limits)
    }

    /// The whole batch in one piece: a copy.
    pub fn to_bytes(&self) -> Bytes {
        let mut bytes = BytesMut::with_capacity(self.size());
        bytes.extend_from_slice(&self.header.encode());
        bytes.extend_from_slice(&self.body);
        bytes.freeze()
    }

    /// Looks at the records as far as the topic needs it, and changes what the topic wants changed.
    fn applied_to(
        mut self,
        codec: Codec,
        rules: &ProduceRules,
    ) -> Result<ValidBatch, InvalidBatch> {
        let target = match rules.compression {
            TargetCompression::Producer => Compression::of(codec),
            TargetCompression::Always(wanted) => wanted,
        };
        let must_look =
            codec == Codec::None || codec != target.codec || rules.keys == Keys::Required;
        let mut max_timestamp = self.header.max_timestamp;
        if must_look {
            let plain = plain_body(&self.header, &self.body, rules.decode)?;
            let walked = walk::walk(
                &plain,
                self.header.records_count,
                self.header.base_timestamp.0,
            )?;
            if breaks_a_rule(&walked, &self.header, rules) {
                judge_each_record(&plain, &self.header, rules)?;
            }
            if codec != target.codec || !walked.consecutive {
                return self.rewritten(plain, target, rules);
            }
            max_timestamp = Timestamp(walked.timestamp_max);
        } else {
            check_header_timestamps(&self.header, rules)?;
        }
        if rules.timestamps.kind == TimestampType::LogAppendTime {
            max_timestamp = rules.now;
        }
        self.set_timestamps(rules.timestamps.kind, max_timestamp);
        Ok(self)
    }

    fn set_timestamps(&mut self, kind: TimestampType, max: Timestamp) {
        let attributes = self.header.attributes.with_timestamp_type(kind);
        if attributes == self.header.attributes && max == self.header.max_timestamp {
            return;
        }
        self.header.attributes = attributes;
        self.header.max_timestamp = max;
        self.header.crc = self.header.crc_with(&self.body);
    }

    /// The same records in another codec, with consecutive offsets.
    fn rewritten(
        &self,
        plain: Bytes,
        target: Compression,
        rules: &ProduceRules,
    ) -> Result<ValidBatch, InvalidBatch> {
        let header = &self.header;
        let mut builder = BatchBuilder::new(BatchOptions {
            compression: target,
            timestamp_type: TimestampType::CreateTime,
            producer: ProducerStamp {
                id: header.producer_id,
                epoch: header.producer_epoch,
                base_sequence: header.base_sequence,
            },
            transactional: header.attributes.is_transactional(),
            ..BatchOptions::default()
        });
        let plain_header = BatchHeader {
            attributes: header.attributes.with_codec(Codec::None),
            ..*header
        };
        for record in Records::of(&plain_header, plain, rules.decode) {
            let record = record?;
            let headers: Vec<(&[u8], Option<&[u8]>)> = record
                .headers
                .iter()
                .map(|header| (&*header.key, header.value.as_deref()))
                .collect();
            builder.push(
                record.timestamp,
                NewRecord {
                    key: record.key.as_deref(),
                    value: record.value.as_deref(),
                    headers: &headers,
                },
            );
        }
        let mut built = builder.build().map_err(|source| {
            InvalidBatch::Undecodable(DecodeError::Compressed {
                codec: target.codec,
                source,
            })
        })?;
        check_size(built.size(), rules)?;
        if rules.timestamps.kind == TimestampType::LogAppendTime {
            built.set_timestamps(TimestampType::LogAppendTime, rules.now);
        }
        built.origin = Origin::Client;
        Ok(built)
    }
}

/// The bytes of the only batch. A cut batch after it is dropped, as Kafka drops it.
fn the_one_batch(records: &Bytes) -> Result<Bytes, InvalidBatch> {
    let (size, magic) = match frame(records).map_err(InvalidBatch::Corrupt)? {
        Framed::Incomplete => return Err(InvalidBatch::NoBatch),
        Framed::Whole { size, magic } => (size, magic),
    };
    if magic != MAGIC_V2 {
        return Err(InvalidBatch::OldMagic(magic));
    }
    if size < BATCH_HEADER_LEN {
        let length = i32::try_from(size - 12).unwrap_or(0);
        return Err(InvalidBatch::Corrupt(BatchError::Length(length)));
    }
    let after = records.get(size..).unwrap_or_default();
    match frame(after).map_err(InvalidBatch::Corrupt)? {
        Framed::Incomplete => Ok(records.slice(..size)),
        Framed::Whole { .. } => Err(InvalidBatch::MoreThanOneBatch),
    }
}

fn check_size(size: usize, rules: &ProduceRules) -> Result<(), InvalidBatch> {
    let bytes_max = rules.bytes_max;
    if size > bytes_max {
        return Err(InvalidBatch::TooLarge { size, bytes_max });
    }
    Ok(())
}

fn check_crc(header: &BatchHeader, bytes: &[u8]) -> Result<(), InvalidBatch> {
    let computed = crc32c::crc32c(bytes.get(BATCH_CRC_START..).unwrap_or_default());
    if computed == header.crc {
        return Ok(());
    }
    Err(InvalidBatch::Corrupt(BatchError::Crc {
        stored: header.crc,
        computed,
    }))
}

fn check_header(header: &BatchHeader) -> Result<(), InvalidBatch> {
    let (delta, count) = (header.last_offset_delta, header.records_count);
    if delta < 0 || count <= 0 || i64::from(delta) + 1 != i64::from(count) {
        return Err(InvalidBatch::OffsetRange {
            last_offset_delta: delta,
            records_count: count,
        });
    }
    if header.attributes.is_control() {
        return Err(InvalidBatch::Control);
    }
    if header.has_producer() && header.base_sequence < 0 {
        return Err(InvalidBatch::Sequence(header.base_sequence));
    }
    Ok(())
}

/// Bounds of a batch whose records are not looked at: the header's two timestamps stand for them.
fn check_header_timestamps(header: &BatchHeader, rules: &ProduceRules) -> Result<(), InvalidBatch> {
    if rules.timestamps.kind == TimestampType::LogAppendTime {
        return Ok(());
    }
    for timestamp in [header.base_timestamp, header.max_timestamp] {
        if rules.timestamps.refuses(timestamp, rules.now) {
            return Err(InvalidBatch::Timestamp {
                timestamp,
                earliest: rules
                    .now
                    .plus_ms(rules.timestamps.before_max_ms.saturating_neg()),
                latest: rules.now.plus_ms(rules.timestamps.after_max_ms),
            });
        }
    }
    Ok(())
}

/// Whether some record may break a rule: decided from the extremes, so that the usual batch needs one
/// pass only.
fn breaks_a_rule(walked: &Walked, header: &BatchHeader, rules: &ProduceRules) -> bool {
    let timestamps = rules.timestamps.kind == TimestampType::CreateTime
        && (rules
            .timestamps
            .refuses(Timestamp(walked.timestamp_min), rules.now)
            || rules
                .timestamps
                .refuses(Timestamp(walked.timestamp_max), rules.now));
    let compressed = header.attributes.codec() != Some(Codec::None);
    (walked.null_key && rules.keys == Keys::Required)
        || timestamps
        || (compressed && walked.attributes & 7 != 0)
}

/// Collects what is wrong with each record. Finding nothing is fine: the extremes may have been records
/// without a timestamp.
fn judge_each_record(
    plain: &[u8],
    header: &BatchHeader,
    rules: &ProduceRules,
) -> Result<(), InvalidBatch> {
    let compressed = header.attributes.codec() != Some(Codec::None);
    let mut errors = Vec::new();
    let mut fault = RecordFault::Record;
    let mut rest = plain;
    for index in 0..header.records_count {
        let record = walk::take_record(&mut rest)?;
        let timestamp = timestamp_of(header, &record);
        let message = if compressed && record.attributes & 7 != 0 {
            "a record inside a compressed batch has a compression attribute".to_owned()
        } else if rules.keys == Keys::Required && record.key.is_none() {
            "a compacted topic takes no record without a key".to_owned()
        } else if rules.timestamps.kind == TimestampType::CreateTime
            && rules.timestamps.refuses(timestamp, rules.now)
        {
            fault = RecordFault::Timestamp;
            format!(
                "timestamp {timestamp} is not within [{}, {}]",
                rules
                    .now
                    .plus_ms(rules.timestamps.before_max_ms.saturating_neg()),
                rules.now.plus_ms(rules.timestamps.after_max_ms)
            )
        } else {
            continue;
        };
        errors.push(RecordError { index, message });
    }
    if errors.is_empty() {
        return Ok(());
    }
    Err(InvalidBatch::Records { fault, errors })
}
