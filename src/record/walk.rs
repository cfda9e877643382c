//! Reading records in place: no copy, no allocation.

use super::varint;

/// One record, as it lies in the (decompressed) body of a batch:
///
/// ```text
/// length              varint   bytes after this field
/// attributes          int8     unused, 0
/// timestamp delta     varlong  to the batch's base timestamp
/// offset delta        varint   to the batch's base offset
/// key length          varint   -1: null
/// key
/// value length        varint   -1: null
/// value
/// header count        varint
/// headers             each: key length varint, key, value length varint (-1: null), value
/// ```
#[derive(Clone, Copy, Debug)]
pub(super) struct RawRecord<'a> {
    pub(super) attributes: u8,
    pub(super) timestamp_delta: i64,
    pub(super) offset_delta: i32,
    pub(super) key: Option<&'a [u8]>,
    pub(super) value: Option<&'a [u8]>,
    pub(super) header_count: usize,
    /// The headers' bytes, already walked.
    pub(super) headers: &'a [u8],
}

/// The bytes are no record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    #[error("a record's length does not fit the batch")]
    Length,
    #[error("a field of a record does not fit its length")]
    Field,
    #[error("bytes remain after the last record")]
    Trailing,
}

/// Takes the first record off `bytes`.
#[inline]
pub(super) fn take_record<'a>(bytes: &mut &'a [u8]) -> Result<RawRecord<'a>, Malformed> {
    let len = varint::read_i32(bytes).ok_or(Malformed::Length)?;
    let len = usize::try_from(len).map_err(|_| Malformed::Length)?;
    let (record, rest) = bytes.split_at_checked(len).ok_or(Malformed::Length)?;
    *bytes = rest;
    fields(record).ok_or(Malformed::Field)
}

#[inline]
fn fields(mut record: &[u8]) -> Option<RawRecord<'_>> {
    let (&attributes, rest) = record.split_first()?;
    record = rest;
    let timestamp_delta = varint::read_i64(&mut record)?;
    let offset_delta = varint::read_i32(&mut record)?;
    let key = take_nullable(&mut record)?;
    let value = take_nullable(&mut record)?;
    let header_count = usize::try_from(varint::read_i32(&mut record)?).ok()?;
    let headers = record;
    for _ in 0..header_count {
        let key_len = usize::try_from(varint::read_i32(&mut record)?).ok()?;
        record = record.get(key_len..)?;
        take_nullable(&mut record)?;
    }
    record.is_empty().then_some(RawRecord {
        attributes,
        timestamp_delta,
        offset_delta,
        key,
        value,
        header_count,
        headers,
    })
}

/// Takes a length and as many bytes; any negative length is null, as Kafka reads it.
#[inline]
pub(super) fn take_nullable<'a>(bytes: &mut &'a [u8]) -> Option<Option<&'a [u8]>> {
    let len = varint::read_i32(bytes)?;
    match usize::try_from(len) {
        Err(_) => Some(None),
        Ok(len) => {
            let (taken, rest) = bytes.split_at_checked(len)?;
            *bytes = rest;
            Some(Some(taken))
        }
    }
}

/// What one pass over the records of a batch found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Walked {
    pub(super) timestamp_min: i64,
    pub(super) timestamp_max: i64,
    /// Some record has no key.
    pub(super) null_key: bool,
    /// Some record has attributes, which no format defines; Kafka refuses a compression bit there.
    pub(super) attributes: u8,
    /// The offset deltas are 0, 1, 2 …
    pub(super) consecutive: bool,
}

/// Walks `count` records, which must fill `body`.
pub(super) fn walk(mut body: &[u8], count: i32, base_timestamp: i64) -> Result<Walked, Malformed> {
    let (mut delta_min, mut delta_max) = (i64::MAX, i64::MIN);
    let mut found = Walked {
        timestamp_min: base_timestamp,
        timestamp_max: base_timestamp,
        null_key: false,
        attributes: 0,
        consecutive: true,
    };
    for index in 0..count {
        let record = take_record(&mut body)?;
        delta_min = delta_min.min(record.timestamp_delta);
        delta_max = delta_max.max(record.timestamp_delta);
        found.null_key |= record.key.is_none();
        found.attributes |= record.attributes;
        found.consecutive &= record.offset_delta == index;
    }
    if !body.is_empty() {
        return Err(Malformed::Trailing);
    }
    if count > 0 {
        found.timestamp_min = base_timestamp.wrapping_add(delta_min);
        found.timestamp_max = base_timestamp.wrapping_add(delta_max);
    }
    Ok(found)
}
