//! The record batch, magic 2: its header, and stepping from batch to batch.

use super::compression::DecodeLimits;
use super::records::Records;
use crate::types::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Timestamp};
use bytes::{Buf, BufMut, Bytes};

/// Record batch header, 61 bytes, big-endian:
///
/// ```text
///  0..8   base offset            given by the leader, not under the CRC
///  8..12  length                 bytes after this field
/// 12..16  leader epoch           given by the leader, not under the CRC
/// 16      magic                  2
/// 17..21  CRC-32C                of everything from byte 21 to the end of the batch
/// 21..23  attributes             see [`Attributes`]
/// 23..27  last offset delta      last offset - base offset
/// 27..35  base timestamp         the records' timestamps are relative to it
/// 35..43  max timestamp
/// 43..51  producer id            -1: none
/// 51..53  producer epoch
/// 53..57  base sequence          -1: none
/// 57..61  records count
/// 61..    records, compressed as one piece if the codec is not 0
/// ```
pub const BATCH_HEADER_LEN: usize = 61;

/// The only format that is written since Kafka 4.0. 0 and 1 are refused from producers, and served where a log
/// holds them ([`super::old`]).
pub const MAGIC_V2: i8 = 2;

const MAGIC_BYTE: u8 = MAGIC_V2.cast_unsigned();

/// Bytes before what `length` counts.
const LENGTH_END: usize = 12;
/// Where the bytes under the CRC begin.
pub const BATCH_CRC_START: usize = 21;
/// Smallest `length` of any message format (a magic 0 message without key and value).
const LENGTH_MIN_ANY_MAGIC: i32 = 14;
/// Up to and with the magic byte, which lies at the same place in all formats.
const UP_TO_MAGIC: usize = 17;

const _: () = assert!(BATCH_HEADER_LEN - BATCH_CRC_START == 40);

/// How the records of a batch are compressed. The numbers are those of the attributes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Codec {
    None = 0,
    Gzip = 1,
    Snappy = 2,
    Lz4 = 3,
    Zstd = 4,
}

impl Codec {
    /// `None` for a number that no release has given a meaning.
    pub fn from_number(number: i16) -> Option<Codec> {
        match number {
            0 => Some(Codec::None),
            1 => Some(Codec::Gzip),
            2 => Some(Codec::Snappy),
            3 => Some(Codec::Lz4),
            4 => Some(Codec::Zstd),
            _ => None,
        }
    }

    /// Kafka's name, as in `compression.type`.
    pub fn name(self) -> &'static str {
        match self {
            Codec::None => "none",
            Codec::Gzip => "gzip",
            Codec::Snappy => "snappy",
            Codec::Lz4 => "lz4",
            Codec::Zstd => "zstd",
        }
    }
}

/// Who gave the records their timestamps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TimestampType {
    /// The producer.
    CreateTime,
    /// The leader, on append: all records have the batch's max timestamp.
    LogAppendTime,
}

/// Batch attributes, 16 bits: 0–2 codec, 3 timestamp type (1 = LogAppendTime), 4 transactional,
/// 5 control, 6 the base timestamp is a delete horizon; the others are unused.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Attributes(pub i16);

impl Attributes {
    const CODEC: i16 = 0b111;
    const LOG_APPEND_TIME: i16 = 1 << 3;
    const TRANSACTIONAL: i16 = 1 << 4;
    const CONTROL: i16 = 1 << 5;
    const DELETE_HORIZON: i16 = 1 << 6;

    /// `None` for the numbers 5 to 7, which no release has given a meaning.
    pub fn codec(self) -> Option<Codec> {
        Codec::from_number(self.0 & Attributes::CODEC)
    }

    pub fn timestamp_type(self) -> TimestampType {
        if self.0 & Attributes::LOG_APPEND_TIME == 0 {
            TimestampType::CreateTime
        } else {
            TimestampType::LogAppendTime
        }
    }

    pub fn is_transactional(self) -> bool {
        self.0 & Attributes::TRANSACTIONAL != 0
    }

    pub fn is_control(self) -> bool {
        self.0 & Attributes::CONTROL != 0
    }

    pub fn has_delete_horizon(self) -> bool {
        self.0 & Attributes::DELETE_HORIZON != 0
    }

    #[must_use]
    pub fn with_codec(self, codec: Codec) -> Attributes {
        Attributes((self.0 & !Attributes::CODEC) | codec as i16)
    }

    #[must_use]
    pub fn with_timestamp_type(self, kind: TimestampType) -> Attributes {
        self.with(
            Attributes::LOG_APPEND_TIME,
            kind == TimestampType::LogAppendTime,
        )
    }

    #[must_use]
    pub fn with_transactional(self, is: bool) -> Attributes {
        self.with(Attributes::TRANSACTIONAL, is)
    }

    #[must_use]
    pub fn with_control(self, is: bool) -> Attributes {
        self.with(Attributes::CONTROL, is)
    }

    #[must_use]
    pub fn with_delete_horizon(self, is: bool) -> Attributes {
        self.with(Attributes::DELETE_HORIZON, is)
    }

    fn with(self, bit: i16, is: bool) -> Attributes {
        Attributes(if is { self.0 | bit } else { self.0 & !bit })
    }
}

impl std::fmt::Debug for Attributes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Attributes({:#b})", self.0)
    }
}

/// A batch's header, field by field. See [`BATCH_HEADER_LEN`] for the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchHeader {
    pub base_offset: Offset,
    /// Bytes after the length field: the batch's size less 12.
    pub length: i32,
    pub leader_epoch: LeaderEpoch,
    pub magic: i8,
    pub crc: u32,
    pub attributes: Attributes,
    pub last_offset_delta: i32,
    pub base_timestamp: Timestamp,
    pub max_timestamp: Timestamp,
    pub producer_id: ProducerId,
    pub producer_epoch: ProducerEpoch,
    /// −1 for batches without a producer id and for control batches.
    pub base_sequence: i32,
    pub records_count: i32,
}

impl BatchHeader {
    pub fn decode(bytes: &[u8; BATCH_HEADER_LEN]) -> BatchHeader {
        let mut bytes = &bytes[..];
        BatchHeader {
            base_offset: Offset(bytes.get_i64()),
            length: bytes.get_i32(),
            leader_epoch: LeaderEpoch(bytes.get_i32()),
            magic: bytes.get_i8(),
            crc: bytes.get_u32(),
            attributes: Attributes(bytes.get_i16()),
            last_offset_delta: bytes.get_i32(),
            base_timestamp: Timestamp(bytes.get_i64()),
            max_timestamp: Timestamp(bytes.get_i64()),
            producer_id: ProducerId(bytes.get_i64()),
            producer_epoch: ProducerEpoch(bytes.get_i16()),
            base_sequence: bytes.get_i32(),
            records_count: bytes.get_i32(),
        }
    }

    /// The header of a batch, or of a message of an old format seen as one ([`super::old`]), which may be shorter than
    /// a batch's. `None` if the bytes begin neither.
    pub fn decode_any(bytes: &[u8]) -> Option<BatchHeader> {
        let header = match bytes.first_chunk() {
            Some(head) if bytes.get(UP_TO_MAGIC - 1) == Some(&MAGIC_BYTE) => {
                BatchHeader::decode(head)
            }
            _ => super::old::header(bytes)?,
        };
        (header.length_is_possible() && header.last_offset_delta >= 0).then_some(header)
    }

    /// Whether it is a message of format 0 or 1, whose base offset, epoch and count are not to be believed.
    pub fn is_old(&self) -> bool {
        self.magic < MAGIC_V2
    }

    pub fn encode(&self) -> [u8; BATCH_HEADER_LEN] {
        let mut bytes = [0; BATCH_HEADER_LEN];
        let mut out = &mut bytes[..];
        out.put_i64(self.base_offset.0);
        out.put_i32(self.length);
        out.put_i32(self.leader_epoch.0);
        out.put_i8(self.magic);
        out.put_u32(self.crc);
        out.put_i16(self.attributes.0);
        out.put_i32(self.last_offset_delta);
        out.put_i64(self.base_timestamp.0);
        out.put_i64(self.max_timestamp.0);
        out.put_i64(self.producer_id.0);
        out.put_i16(self.producer_epoch.0);
        out.put_i32(self.base_sequence);
        out.put_i32(self.records_count);
        bytes
    }

    /// Bytes of the whole batch. Meaningful only where `length` was found to be possible
    /// ([`BatchHeader::length_is_possible`]).
    pub fn size(&self) -> usize {
        LENGTH_END + usize::try_from(self.length).unwrap_or(0)
    }

    /// Whether `length` at least covers the rest of the header.
    pub fn length_is_possible(&self) -> bool {
        if self.is_old() {
            self.length >= LENGTH_MIN_ANY_MAGIC
        } else {
            self.size() >= BATCH_HEADER_LEN
        }
    }

    pub fn last_offset(&self) -> Offset {
        self.base_offset.plus(i64::from(self.last_offset_delta))
    }

    /// The offset after the batch.
    pub fn next_offset(&self) -> Offset {
        self.last_offset().next()
    }

    pub fn has_producer(&self) -> bool {
        self.producer_id.0 >= 0
    }

    /// From when on compaction may take the batch's tombstones, or its transaction marker (KIP-534).
    pub fn delete_horizon(&self) -> Option<Timestamp> {
        let has = self.attributes.has_delete_horizon();
        has.then_some(self.base_timestamp)
    }

    /// The sequence number of the last record, wrapping from 2147483647 to 0; −1 if there are none.
    pub fn last_sequence(&self) -> i32 {
        if self.base_sequence < 0 {
            return -1;
        }
        sequence_plus(self.base_sequence, self.last_offset_delta)
    }

    /// The CRC that `body` (all bytes after the header) and this header should carry.
    pub(super) fn crc_with(&self, body: &[u8]) -> u32 {
        let head = self.encode();
        let (_, under_crc) = head.split_at(BATCH_CRC_START);
        crc32c::crc32c_append(crc32c::crc32c(under_crc), body)
    }
}

/// `sequence` further on by `count`, wrapping from 2147483647 to 0.
pub(crate) fn sequence_plus(sequence: i32, count: i32) -> i32 {
    let sum = i64::from(sequence) + i64::from(count);
    i32::try_from(sum % (i64::from(i32::MAX) + 1)).unwrap_or(0)
}

/// Why bytes are no batch.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    #[error("the batch length {0} is impossible")]
    Length(i32),
    #[error("there is no message format with magic {0}")]
    Magic(i8),
    #[error("the batch is of the old message format with magic {0}")]
    OldMagic(i8),
    #[error("the stored CRC {stored:#010x} is not that of the bytes, {computed:#010x}")]
    Crc { stored: u32, computed: u32 },
}

/// How much the first batch in some bytes takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framed {
    /// The bytes end before the batch does.
    Incomplete,
    Whole {
        size: usize,
        magic: i8,
    },
}

/// Looks at the length and the magic of the first batch, as Kafka does before it looks at anything else.
pub(super) fn frame(bytes: &[u8]) -> Result<Framed, BatchError> {
    let Some(mut head) = bytes.get(8..LENGTH_END) else {
        return Ok(Framed::Incomplete);
    };
    let length = head.get_i32();
    if length < LENGTH_MIN_ANY_MAGIC {
        return Err(BatchError::Length(length));
    }
    let Some(mut magic) = bytes.get(UP_TO_MAGIC - 1..UP_TO_MAGIC) else {
        return Ok(Framed::Incomplete);
    };
    let magic = magic.get_i8();
    if !(0..=MAGIC_V2).contains(&magic) {
        return Err(BatchError::Magic(magic));
    }
    let size = LENGTH_END + usize::try_from(length).map_err(|_| BatchError::Length(length))?;
    if bytes.len() < size {
        return Ok(Framed::Incomplete);
    }
    Ok(Framed::Whole { size, magic })
}

/// A whole batch as bytes, its length and magic looked at, its CRC not unless asked for.
#[derive(Clone, Debug)]
pub struct Batch {
    header: BatchHeader,
    bytes: Bytes,
}

impl Batch {
    /// Takes the first batch off `bytes`. `None` if they end before it does.
    pub fn split_off(bytes: &mut Bytes) -> Result<Option<Batch>, BatchError> {
        let (size, magic) = match frame(bytes)? {
            Framed::Incomplete => return Ok(None),
            Framed::Whole { size, magic } => (size, magic),
        };
        if magic != MAGIC_V2 {
            return Err(BatchError::OldMagic(magic));
        }
        let Some(head) = bytes.first_chunk::<BATCH_HEADER_LEN>() else {
            return Err(BatchError::Length(i32::try_from(size).unwrap_or(i32::MAX)));
        };
        let header = BatchHeader::decode(head);
        if !header.length_is_possible() {
            return Err(BatchError::Length(header.length));
        }
        Ok(Some(Batch {
            header,
            bytes: bytes.split_to(size),
        }))
    }

    pub fn header(&self) -> &BatchHeader {
        &self.header
    }

    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    pub fn into_bytes(self) -> Bytes {
        self.bytes
    }

    /// The bytes after the header.
    pub fn body(&self) -> Bytes {
        self.bytes.slice(BATCH_HEADER_LEN..)
    }

    pub fn check_crc(&self) -> Result<(), BatchError> {
        let computed = crc32c::crc32c(self.bytes.get(BATCH_CRC_START..).unwrap_or_default());
        if computed == self.header.crc {
            Ok(())
        } else {
            Err(BatchError::Crc {
                stored: self.header.crc,
                computed,
            })
        }
    }

    /// Decodes the records one by one, decompressing first if need be.
    pub fn records(&self, limits: DecodeLimits) -> Records {
        Records::of(&self.header, self.body(), limits)
    }
}

/// Steps over batches that lie back to back; ends before a batch that is cut off.
pub struct Batches {
    rest: Bytes,
}

impl Batches {
    pub fn of(bytes: Bytes) -> Batches {
        Batches { rest: bytes }
    }

    /// What was not stepped over at the end: a batch that is cut off.
    pub fn rest(&self) -> &Bytes {
        &self.rest
    }
}

impl Iterator for Batches {
    type Item = Result<Batch, BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = Batch::split_off(&mut self.rest).transpose();
        if matches!(next, Some(Err(_))) {
            self.rest = Bytes::new();
        }
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_comes_back_as_it_was_written() {
        let header = BatchHeader {
            base_offset: Offset(7),
            length: 100,
            leader_epoch: LeaderEpoch(3),
            magic: MAGIC_V2,
            crc: 0xdead_beef,
            attributes: Attributes::default()
                .with_codec(Codec::Zstd)
                .with_transactional(true),
            last_offset_delta: 4,
            base_timestamp: Timestamp(10),
            max_timestamp: Timestamp(12),
            producer_id: ProducerId(9),
            producer_epoch: ProducerEpoch(1),
            base_sequence: i32::MAX - 1,
            records_count: 5,
        };
        assert_eq!(BatchHeader::decode(&header.encode()), header);
        assert_eq!(header.attributes.codec(), Some(Codec::Zstd));
        assert!(header.attributes.is_transactional());
        assert!(!header.attributes.is_control());
        assert_eq!(header.last_offset(), Offset(11));
    }

    #[test]
    fn sequences_wrap_to_zero() {
        assert_eq!(sequence_plus(i32::MAX, 1), 0);
        assert_eq!(sequence_plus(i32::MAX - 1, 4), 2);
        assert_eq!(sequence_plus(0, i32::MAX), i32::MAX);
    }

    #[test]
    fn bytes_that_are_no_batch_give_an_error_and_cut_ones_give_nothing() {
        let mut cut = Bytes::from_static(&[0; 11]);
        assert!(Batch::split_off(&mut cut).unwrap().is_none());
        let mut zeros = Bytes::from_static(&[0; 100]);
        assert_eq!(
            Batch::split_off(&mut zeros).unwrap_err(),
            BatchError::Length(0)
        );
        let mut bytes = [0; 100];
        bytes[11] = 30;
        bytes[16] = 9;
        let mut odd = Bytes::copy_from_slice(&bytes);
        assert_eq!(
            Batch::split_off(&mut odd).unwrap_err(),
            BatchError::Magic(9)
        );
        bytes[16] = 1;
        let mut old = Bytes::copy_from_slice(&bytes);
        assert_eq!(
            Batch::split_off(&mut old).unwrap_err(),
            BatchError::OldMagic(1)
        );
        bytes[16] = 2;
        let mut short = Bytes::copy_from_slice(&bytes);
        assert_eq!(
            Batch::split_off(&mut short).unwrap_err(),
            BatchError::Length(30)
        );
    }
}
