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

use super::batch::{Attributes, BatchHeader, MAGIC_V2, TimestampType};
use super::compression::{DecodeError, DecodeLimits, decompress};
use crate::types::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Timestamp};
use bytes::Buf;
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

/// Offset and time of a whole message, or of each of those that it wraps. Messages of magic 0 have no time, so none
/// of theirs are told.
pub fn timestamps(
    message: &[u8],
    limits: DecodeLimits,
) -> Result<Vec<(Offset, Timestamp)>, DecodeError> {
    let outer = header(message).filter(|outer| outer.magic + 1 == MAGIC_V2);
    let Some(outer) = outer else {
        return Ok(Vec::new());
    };
    let codec = outer.attributes.codec();
    let codec = codec.ok_or(DecodeError::UnknownCodec(outer.attributes.0))?;
    if codec == super::Codec::None {
        return Ok(vec![(outer.base_offset, outer.max_timestamp)]);
    }
    let broken = || DecodeError::Compressed {
        codec,
        source: io::ErrorKind::InvalidData.into(),
    };
    let packed = value(message).ok_or_else(broken)?;
    let unpacked = decompress(codec, packed, limits)?;
    let mut rest = &unpacked[..];
    let mut found = Vec::new();
    while !rest.is_empty() {
        let inner = header(rest).ok_or_else(broken)?;
        rest = rest.get(inner.size()..).ok_or_else(broken)?;
        let time = match outer.attributes.timestamp_type() {
            TimestampType::CreateTime => inner.max_timestamp,
            TimestampType::LogAppendTime => outer.max_timestamp,
        };
        found.push((inner.base_offset, time));
    }
    // The wrapper's offset is that of its last message.
    let last = found.last().map_or(Offset::ZERO, |(last, _)| *last);
    for (offset, _) in &mut found {
        *offset = outer.base_offset.plus(offset.0 - last.0);
    }
    Ok(found)
}

/// What stands behind the key of a message of magic 1.
fn value(message: &[u8]) -> Option<&[u8]> {
    const KEY_AT: usize = 26;
    let mut rest = message.get(KEY_AT..)?;
    let key = usize::try_from(rest.try_get_i32().ok()?).unwrap_or(0);
    rest = rest.get(key..)?;
    let len = usize::try_from(rest.try_get_i32().ok()?).ok()?;
    rest.get(..len)
}
