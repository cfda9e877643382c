//! Decoding the records of one batch.

use super::batch::{BatchHeader, Codec, TimestampType};
use super::compression::{DecodeError, DecodeLimits, decompress};
use super::walk::{self, Malformed, RawRecord};
use crate::types::{Offset, Timestamp};
use bytes::Bytes;

/// One record. Its byte strings are slices of the batch, or of what it decompressed to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub offset: Offset,
    pub timestamp: Timestamp,
    pub key: Option<Bytes>,
    pub value: Option<Bytes>,
    pub headers: Vec<RecordHeader>,
}

/// A name and a value that travel with a record. Kafka says the name is UTF-8 but does not check it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordHeader {
    pub key: Bytes,
    pub value: Option<Bytes>,
}

/// Iterates over the records of one batch, in order. Ends after the first error.
pub struct Records {
    header: BatchHeader,
    state: State,
}

enum State {
    /// Not decompressed yet: an iterator that is dropped costs nothing.
    Packed(Bytes, DecodeLimits),
    Plain {
        body: Bytes,
        position: usize,
        left: i32,
    },
    Ended,
}

impl Records {
    /// `body` is everything after the header.
    pub(super) fn of(header: &BatchHeader, body: Bytes, limits: DecodeLimits) -> Records {
        Records {
            header: *header,
            state: State::Packed(body, limits),
        }
    }

    fn advance(&mut self) -> Result<Option<Record>, DecodeError> {
        if let State::Packed(body, limits) = &self.state {
            self.state = State::Plain {
                body: plain_body(&self.header, body, *limits)?,
                position: 0,
                left: self.header.records_count,
            };
        }
        let State::Plain {
            body,
            position,
            left,
        } = &mut self.state
        else {
            return Ok(None);
        };
        let mut rest = body.get(*position..).unwrap_or_default();
        if *left <= 0 {
            return if rest.is_empty() {
                Ok(None)
            } else {
                Err(Malformed::Trailing.into())
            };
        }
        let raw = walk::take_record(&mut rest)?;
        let record = materialise(&self.header, body, &raw)?;
        *position = body.len() - rest.len();
        *left -= 1;
        Ok(Some(record))
    }
}

impl Iterator for Records {
    type Item = Result<Record, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.advance().transpose();
        if !matches!(next, Some(Ok(_))) {
            self.state = State::Ended;
        }
        next
    }
}

/// The records' bytes, decompressed if need be.
pub(super) fn plain_body(
    header: &BatchHeader,
    body: &Bytes,
    limits: DecodeLimits,
) -> Result<Bytes, DecodeError> {
    match header.attributes.codec() {
        None => Err(DecodeError::UnknownCodec(header.attributes.0 & 7)),
        Some(Codec::None) => Ok(body.clone()),
        Some(codec) => Ok(decompress(codec, body, limits)?.into()),
    }
}

/// A record's own timestamp: that of the batch if the leader gave it.
pub(super) fn timestamp_of(header: &BatchHeader, raw: &RawRecord<'_>) -> Timestamp {
    match header.attributes.timestamp_type() {
        TimestampType::LogAppendTime => header.max_timestamp,
        TimestampType::CreateTime => {
            Timestamp(header.base_timestamp.0.wrapping_add(raw.timestamp_delta))
        }
    }
}

fn materialise(
    header: &BatchHeader,
    body: &Bytes,
    raw: &RawRecord<'_>,
) -> Result<Record, Malformed> {
    let mut headers = Vec::new();
    let mut rest = raw.headers;
    for _ in 0..raw.header_count {
        let key = walk::take_nullable(&mut rest)
            .flatten()
            .ok_or(Malformed::Field)?;
        let value = walk::take_nullable(&mut rest).ok_or(Malformed::Field)?;
        headers.push(RecordHeader {
            key: body.slice_ref(key),
            value: value.map(|value| body.slice_ref(value)),
        });
    }
    Ok(Record {
        offset: header.base_offset.plus(i64::from(raw.offset_delta)),
        timestamp: timestamp_of(header, raw),
        key: raw.key.map(|key| body.slice_ref(key)),
        value: raw.value.map(|value| body.slice_ref(value)),
        headers,
    })
}
