//! Writes messages at the end of a buffer: the parts that generated code is made of.

use super::reader::TEXT_LEN_MAX;
use super::{Text, Wire};
use bytes::{BufMut, Bytes, BytesMut};

/// Why a message cannot be written in a version. Always a mistake of the caller.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    #[error("version {version} cannot carry the field {field}")]
    NotInVersion { field: &'static str, version: i16 },
    #[error("version {version} has no null for the field {field}")]
    Null { field: &'static str, version: i16 },
    #[error("a string of {0} bytes is longer than the protocol's {TEXT_LEN_MAX}")]
    TextTooLong(usize),
    #[error("{0} bytes or elements are more than the protocol can count")]
    TooLong(usize),
    #[error("{message} has no version {version}")]
    Version { message: &'static str, version: i16 },
}

#[cold]
pub(crate) fn absent(field: &'static str, version: i16) -> EncodeError {
    EncodeError::NotInVersion { field, version }
}

#[cold]
pub(crate) fn null(field: &'static str, version: i16) -> EncodeError {
    EncodeError::Null { field, version }
}

/// Seven bits a byte, low bits first.
pub fn uvarint(out: &mut BytesMut, value: u32) {
    uvarlong(out, value.into());
}

/// Zigzag.
pub fn varint(out: &mut BytesMut, value: i32) {
    uvarint(out, ((value << 1) ^ (value >> 31)).cast_unsigned());
}

/// Zigzag, up to ten bytes.
pub fn varlong(out: &mut BytesMut, value: i64) {
    uvarlong(out, ((value << 1) ^ (value >> 63)).cast_unsigned());
}

fn uvarlong(out: &mut BytesMut, mut value: u64) {
    while value >= 0x80 {
        out.put_u8(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    out.put_u8(value.to_le_bytes()[0]);
}

pub fn text(out: &mut BytesMut, flex: bool, value: &str) -> Result<(), EncodeError> {
    let len = value.len();
    let plain = i16::try_from(len).map_err(|_| EncodeError::TextTooLong(len))?;
    if flex {
        uvarint(out, u32::from(plain.unsigned_abs()) + 1);
    } else {
        out.put_i16(plain);
    }
    out.put_slice(value.as_bytes());
    Ok(())
}

pub fn text_opt(out: &mut BytesMut, flex: bool, value: Option<&Text>) -> Result<(), EncodeError> {
    match value {
        Some(value) => text(out, flex, value)?,
        None if flex => out.put_u8(0),
        None => out.put_i16(-1),
    }
    Ok(())
}

/// A length or count of bytes or elements.
pub fn length(out: &mut BytesMut, flex: bool, len: usize) -> Result<(), EncodeError> {
    let plain = i32::try_from(len).map_err(|_| EncodeError::TooLong(len))?;
    if flex {
        uvarint(out, plain.unsigned_abs() + 1);
    } else {
        out.put_i32(plain);
    }
    Ok(())
}

fn no_value(out: &mut BytesMut, flex: bool) {
    if flex {
        out.put_u8(0);
    } else {
        out.put_i32(-1);
    }
}

pub fn bytes(out: &mut BytesMut, flex: bool, value: &[u8]) -> Result<(), EncodeError> {
    length(out, flex, value.len())?;
    out.put_slice(value);
    Ok(())
}

/// Bytes or records.
pub fn bytes_opt(out: &mut BytesMut, flex: bool, value: Option<&Bytes>) -> Result<(), EncodeError> {
    match value {
        Some(value) => bytes(out, flex, value)?,
        None => no_value(out, flex),
    }
    Ok(())
}

pub fn array<T: Wire>(
    out: &mut BytesMut,
    version: i16,
    flex: bool,
    items: &[T],
) -> Result<(), EncodeError> {
    length(out, flex, items.len())?;
    items
        .iter()
        .try_for_each(|item| item.write(out, version, flex))
}

pub fn array_opt<T: Wire>(
    out: &mut BytesMut,
    version: i16,
    flex: bool,
    items: Option<&[T]>,
) -> Result<(), EncodeError> {
    match items {
        Some(items) => array(out, version, flex, items)?,
        None => no_value(out, flex),
    }
    Ok(())
}

/// A structure, with a byte in front of it that says whether it is there if it may be null.
pub fn struct_opt<T: Wire>(
    out: &mut BytesMut,
    version: i16,
    flex: bool,
    nullable: bool,
    value: Option<&T>,
) -> Result<(), EncodeError> {
    if nullable {
        out.put_i8(if value.is_some() { 1 } else { -1 });
    }
    value.map_or(Ok(()), |value| value.write(out, version, flex))
}

/// As [`struct_opt`], for a tagged field: there, zero stands for null.
pub fn tagged_struct_opt<T: Wire>(
    out: &mut BytesMut,
    version: i16,
    value: Option<&T>,
) -> Result<(), EncodeError> {
    uvarint(out, value.is_some().into());
    value.map_or(Ok(()), |value| value.write(out, version, true))
}

pub fn no_tags(out: &mut BytesMut) {
    out.put_u8(0);
}

/// A section of tagged fields, written in order of tag.
pub struct Tags<'a> {
    out: &'a mut BytesMut,
    /// Where the count is. Schemas know fewer than 128 tags, so it is one byte.
    count_at: usize,
}

impl<'a> Tags<'a> {
    pub fn start(out: &'a mut BytesMut) -> Tags<'a> {
        let count_at = out.len();
        out.put_u8(0);
        Tags { out, count_at }
    }

    /// One field. Its length goes in front of it, and is known after it: one byte is kept free for
    /// it, and a field of 128 bytes or more, which is rare, moves back to make room for the rest.
    pub fn put(
        &mut self,
        tag: u32,
        value: impl FnOnce(&mut BytesMut) -> Result<(), EncodeError>,
    ) -> Result<(), EncodeError> {
        uvarint(self.out, tag);
        let len_at = self.out.len();
        self.out.put_u8(0);
        value(self.out)?;
        let end = self.out.len();
        let len = end - len_at - 1;
        match (self.out.get_mut(len_at), u8::try_from(len)) {
            (Some(byte), Ok(short @ ..0x80)) => *byte = short,
            _ => {
                uvarint(
                    self.out,
                    u32::try_from(len).map_err(|_| EncodeError::TooLong(len))?,
                );
                let len_bytes = self.out.len() - end;
                // free byte, value, length -> length, free byte, value -> length, value
                if let Some(field) = self.out.get_mut(len_at..) {
                    field.rotate_right(len_bytes);
                    field.copy_within(len_bytes + 1.., len_bytes);
                }
                self.out.truncate(self.out.len() - 1);
            }
        }
        if let Some(count) = self.out.get_mut(self.count_at) {
            *count += 1;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tagged_field_of_any_length_has_its_length_in_front() {
        for len in [0usize, 1, 127, 128, 300, 16_383, 16_384, 70_000] {
            let value: Vec<u8> = (0..len).map(|at| u8::try_from(at % 251).unwrap()).collect();
            let mut out = BytesMut::from(&b"before"[..]);
            let mut tags = Tags::start(&mut out);
            tags.put(0, |out| {
                out.put_slice(&value);
                Ok(())
            })
            .unwrap();
            tags.put(300, |out| {
                out.put_i8(9);
                Ok(())
            })
            .unwrap();
            let mut expected = BytesMut::from(&b"before\x02\x00"[..]);
            uvarint(&mut expected, u32::try_from(len).unwrap());
            expected.put_slice(&value);
            expected.put_slice(&[0xac, 0x02, 1, 9]);
            assert_eq!(out, expected, "{len}");
        }
    }

    #[test]
    fn a_field_that_the_version_lacks_is_an_error_unless_it_may_be_dropped() {
        use crate::protocol::Message;
        use crate::protocol::messages::FetchRequest;
        use crate::protocol::messages::fetch_request::ReplicaState;
        let dropped = FetchRequest {
            rack_id: "a".into(),
            ..Default::default()
        };
        assert_eq!(dropped.encode(&mut BytesMut::new(), 4), Ok(()));
        let replica_state = ReplicaState {
            replica_id: 1,
            replica_epoch: 1,
        };
        let refused = FetchRequest {
            replica_state,
            ..Default::default()
        };
        assert_eq!(refused.encode(&mut BytesMut::new(), 15), Ok(()));
        assert_eq!(
            refused.encode(&mut BytesMut::new(), 14),
            Err(EncodeError::NotInVersion {
                field: "replica_state",
                version: 14
            })
        );
    }

    #[test]
    fn null_is_written_only_where_the_version_has_one() {
        use crate::protocol::Message;
        use crate::protocol::messages::MetadataRequest;
        let all = MetadataRequest {
            topics: None,
            ..Default::default()
        };
        assert_eq!(all.encode(&mut BytesMut::new(), 1), Ok(()));
        assert_eq!(
            all.encode(&mut BytesMut::new(), 0),
            Err(EncodeError::Null {
                field: "topics",
                version: 0
            })
        );
    }
}
