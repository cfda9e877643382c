//! Messages of the formats 0 and 1, which Kafka wrote before 0.11 and nobody may write today. Logs of that time
//! still hold them: they are found and served as they lie.
//!
//! ```text
//!  0..8   offset        of the message; where it wraps others, of the last of them
//!  8..12  length        bytes after this field
//! 12..16  CRC-32        of everything from byte 16 to the end
//! 16      magic         0 or 1
//! 17      attributes    0–2 codec, 3 timestamp type (magic 1: 1 = LogAppendTime)
//! 18..26  timestamp     magic 1 only
//!  ..     key, value    each behind its length in 4 bytes; -1 is null
//! ```
//!
//! With a codec the value is messages, compressed as one piece. In magic 1 their offsets begin at 0.

use super::batch::{Attributes, BatchError, BatchHeader, Codec, TimestampType};
use super::compression::{DecodeError, DecodeLimits, decompress};
use super::records::Record;
use crate::types::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Timestamp};
use bytes::{Buf, Bytes};
use std::io;

/// Where the bytes under the CRC begin.
pub const OLD_CRC_START: usize = 16;

/// The attributes that have a meaning.
const ATTRIBUTES: u8 = 0b1111;

/// The head of a message, as that of a batch which begins and ends at the message's offset. A wrapper begins earlier,
/// which only its inside tells. `None` if there is no such message.
pub(super) fn header(mut bytes: &[u8]) -> Option<BatchHeader> {
    let base_offset = Offset(bytes.try_get_i64().ok()?);
    let length = bytes.try_get_i32().ok()?;
    let crc = bytes.try_get_u32().ok()?;
    let magic = bytes.try_get_i8().ok()?;
    let attributes = bytes.try_get_u8().ok()?;
    let timestamp = match magic {
        0 => Timestamp::NONE,
        1 => Timestamp(bytes.try_get_i64().ok()?),
        _ => return None,
    };
    Some(BatchHeader {
        base_offset,
        length,
        leader_epoch: LeaderEpoch::NONE,
        magic,
        crc,
        attributes: Attributes(i16::from(attributes & ATTRIBUTES)),
        last_offset_delta: 0,
        base_timestamp: timestamp,
        max_timestamp: timestamp,
        producer_id: ProducerId::NONE,
        producer_epoch: ProducerEpoch::NONE,
        base_sequence: -1,
        records_count: 1,
    })
}

/// Whether a whole message is what was written.
pub fn check_crc(message: &[u8]) -> Result<(), BatchError> {
    let mut crc = flate2::Crc::new();
    crc.update(message.get(OLD_CRC_START..).unwrap_or_default());
    let computed = crc.sum();
    match header(message) {
        Some(header) if header.crc != computed => Err(BatchError::Crc {
            stored: header.crc,
            computed,
        }),
        _ => Ok(()),
    }
}

/// A whole message as a record, or those that it wraps. Messages of magic 0 have no time.
pub fn records(message: &Bytes, limits: DecodeLimits) -> Result<Vec<Record>, DecodeError> {
    let broken = |codec| DecodeError::Compressed {
        codec,
        source: io::ErrorKind::InvalidData.into(),
    };
    let outer = header(message).ok_or_else(|| broken(Codec::None))?;
    let codec = outer.attributes.codec();
    let codec = codec.ok_or(DecodeError::UnknownCodec(outer.attributes.0))?;
    let outermost = record(message, &outer).ok_or_else(|| broken(codec))?;
    if codec == Codec::None {
        return Ok(vec![outermost]);
    }
    let packed = outermost.value.ok_or_else(|| broken(codec))?;
    let mut rest = Bytes::from(decompress(codec, &packed, limits)?);
    let mut found = Vec::new();
    while !rest.is_empty() {
        let inner = header(&rest).filter(|inner| inner.size() <= rest.len());
        let inner = inner.ok_or_else(|| broken(codec))?;
        let message = rest.split_to(inner.size());
        let mut record = record(&message, &inner).ok_or_else(|| broken(codec))?;
        if outer.attributes.timestamp_type() == TimestampType::LogAppendTime {
            record.timestamp = outer.max_timestamp;
        }
        found.push(record);
    }
    if outer.magic > 0 {
        // The wrapper's offset is that of its last message.
        let last = found.last().map_or(Offset::ZERO, |last| last.offset);
        for record in &mut found {
            record.offset = outer.base_offset.plus(record.offset.0 - last.0);
        }
    }
    Ok(found)
}

/// The message itself, packed or not. `None` if its key or value do not end within it.
fn record(message: &Bytes, header: &BatchHeader) -> Option<Record> {
    let key_at = if header.magic == 0 { 18 } else { 26 };
    let mut rest = message.slice(key_at.min(message.len())..);
    Some(Record {
        offset: header.base_offset,
        timestamp: header.max_timestamp,
        key: nullable(&mut rest)?,
        value: nullable(&mut rest)?,
        headers: Vec::new(),
    })
}

/// A byte string behind its length; −1 is null.
fn nullable(bytes: &mut Bytes) -> Option<Option<Bytes>> {
    match bytes.try_get_i32().ok()? {
        -1 => Some(None),
        len => {
            let len = usize::try_from(len).ok()?;
            (len <= bytes.len()).then(|| Some(bytes.split_to(len)))
        }
    }
}
