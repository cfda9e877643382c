//! Reads messages out of a frame. Whatever the bytes say, nothing is allocated before the frame
//! proves that it can hold it.

use super::{Text, Wire};
use crate::types::Uuid;
use bytes::Bytes;
use std::fmt;

/// Memory that one frame's arrays may take however small the frame is, in bytes.
const BUDGET_FLOOR: usize = 512 << 10;
/// Memory that arrays may take per byte of the frame. The widest honest requests, lists of short
/// strings or of partitions, decode to about five times their size; an empty compact string, the
/// most that hostile bytes can claim, to thirty-two times.
const BUDGET_PER_BYTE: usize = 8;
/// Elements that an array makes room for before the first one was read.
const ROOM_MAX: usize = 1024;
/// Tagged fields in one section. Kafka's own schemas know at most four of one structure.
const TAGS_MAX: u32 = 256;

/// Why bytes are not the message that they should be.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct DecodeError {
    pub reason: DecodeReason,
    /// Where in the frame, in bytes from its start.
    pub at: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecodeReason {
    /// A length, a count or a number runs past the end of the frame or of a tagged field.
    Truncated,
    /// A variable-length number has too many bytes or bits.
    Varint,
    /// A length no value can have: a string over 32767 bytes, a compact length over 2³¹−1.
    Length,
    /// Null where this version has no null.
    Null,
    Utf8,
    /// The arrays of this frame would take more memory than its size justifies.
    Budget,
    /// More tagged fields than any schema has reason to carry.
    Tags,
    /// A tagged field ends before or after the length it claims.
    TagLength,
    /// The schema has no such version.
    Version,
    /// The release has no such API.
    ApiKey,
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reason = match self.reason {
            DecodeReason::Truncated => "the bytes end too early",
            DecodeReason::Varint => "a variable-length number is too long",
            DecodeReason::Length => "a length is out of range",
            DecodeReason::Null => "null is not allowed",
            DecodeReason::Utf8 => "a string is not UTF-8",
            DecodeReason::Budget => "the arrays are too large for the size of the frame",
            DecodeReason::Tags => "there are too many tagged fields",
            DecodeReason::TagLength => "a tagged field does not have the length it claims",
            DecodeReason::Version => "the version has no schema",
            DecodeReason::ApiKey => "the API key is not known",
        };
        write!(f, "{reason} (at byte {})", self.at)
    }
}

impl fmt::Debug for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for DecodeError {}

/// A place in a frame, and how much memory the frame may still ask for.
///
/// Strings, bytes and records come out as slices that share the frame. Bytes after the end of a
/// message are left: Kafka 4.3.1 ignores them after a request's body, and so do callers here,
/// unless they ask [`Reader::is_empty`].
#[derive(Debug)]
pub struct Reader {
    frame: Bytes,
    at: usize,
    /// End of what may be read now: of the frame, or of the tagged field being read.
    end: usize,
    budget: usize,
}

impl Reader {
    /// Arrays may take as much memory as a frame of this size has reason to ask for.
    pub fn new(frame: Bytes) -> Reader {
        let budget = BUDGET_FLOOR + frame.len().saturating_mul(BUDGET_PER_BYTE);
        Reader::with_budget(frame, budget)
    }

    /// Arrays together may take `budget` bytes of memory.
    pub fn with_budget(frame: Bytes, budget: usize) -> Reader {
        Reader {
            at: 0,
            end: frame.len(),
            frame,
            budget,
        }
    }

    /// Bytes not read yet.
    pub fn remaining(&self) -> usize {
        self.end - self.at
    }

    pub fn is_empty(&self) -> bool {
        self.at == self.end
    }

    /// Bytes read so far.
    pub fn position(&self) -> usize {
        self.at
    }

    /// The bytes not read yet, as a slice of the frame.
    pub fn rest(&self) -> Bytes {
        self.frame.slice(self.at..self.end)
    }

    pub fn error(&self, reason: DecodeReason) -> DecodeError {
        DecodeError {
            reason,
            at: self.at,
        }
    }

    fn fixed<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let left = self.frame.get(self.at..self.end);
        let bytes = left.and_then(|left| left.first_chunk::<N>());
        let bytes = *bytes.ok_or(self.error(DecodeReason::Truncated))?;
        self.at += N;
        Ok(bytes)
    }

    /// Any byte but zero is true, as in Kafka.
    pub fn bool(&mut self) -> Result<bool, DecodeError> {
        Ok(self.i8()? != 0)
    }

    pub fn i8(&mut self) -> Result<i8, DecodeError> {
        self.fixed().map(i8::from_be_bytes)
    }

    pub fn i16(&mut self) -> Result<i16, DecodeError> {
        self.fixed().map(i16::from_be_bytes)
    }

    pub fn u16(&mut self) -> Result<u16, DecodeError> {
        self.fixed().map(u16::from_be_bytes)
    }

    pub fn i32(&mut self) -> Result<i32, DecodeError> {
        self.fixed().map(i32::from_be_bytes)
    }

    pub fn u32(&mut self) -> Result<u32, DecodeError> {
        self.fixed().map(u32::from_be_bytes)
    }

    pub fn i64(&mut self) -> Result<i64, DecodeError> {
        self.fixed().map(i64::from_be_bytes)
    }

    pub fn f64(&mut self) -> Result<f64, DecodeError> {
        self.fixed().map(f64::from_be_bytes)
    }

    pub fn uuid(&mut self) -> Result<Uuid, DecodeError> {
        self.fixed().map(Uuid::from_bytes)
    }

    /// An unsigned number of seven bits a byte, low bits first, at most five bytes.
    pub fn uvarint(&mut self) -> Result<u32, DecodeError> {
        let value = self.uvarint_bits(32)?;
        u32::try_from(value).map_err(|_| self.error(DecodeReason::Varint))
    }

    /// A zigzag number of at most five bytes.
    pub fn varint(&mut self) -> Result<i32, DecodeError> {
        let raw = self.uvarint()?;
        Ok((raw >> 1).cast_signed() ^ -(raw & 1).cast_signed())
    }

    /// A zigzag number of at most ten bytes.
    pub fn varlong(&mut self) -> Result<i64, DecodeError> {
        let raw = self.uvarint_bits(64)?;
        Ok((raw >> 1).cast_signed() ^ -(raw & 1).cast_signed())
    }

    fn uvarint_bits(&mut self, bits: u32) -> Result<u64, DecodeError> {
        let start = self.at;
        let mut value = 0u64;
        let mut shift = 0;
        while shift < bits {
            let [byte] = self.fixed()?;
            let part = u64::from(byte & 0x7f);
            if part
                .checked_shl(shift)
                .is_none_or(|moved| moved >> shift != part)
            {
                break;
            }
            value |= part << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
            shift += 7;
        }
        Err(DecodeError {
            reason: DecodeReason::Varint,
            at: start,
        })
    }

    /// A length or count of the compact form (one more than the value, zero for null) or of the
    /// plain form (`plain`; any negative number for null, as in Kafka).
    fn length(
        &mut self,
        flex: bool,
        nullable: bool,
        plain: impl Fn(&mut Reader) -> Result<i32, DecodeError>,
    ) -> Result<Option<usize>, DecodeError> {
        let start = self.at;
        let fail = |reason| Err(DecodeError { reason, at: start });
        let length = if flex {
            match self.uvarint()?.checked_sub(1) {
                None => None,
                Some(length) if i32::try_from(length).is_err() => {
                    return fail(DecodeReason::Length);
                }
                Some(length) => usize::try_from(length).ok(),
            }
        } else {
            usize::try_from(plain(self)?).ok()
        };
        match length {
            None if !nullable => fail(DecodeReason::Null),
            length => Ok(length),
        }
    }

    /// The next `len` bytes as a slice of the frame.
    pub fn slice(&mut self, len: usize) -> Result<Bytes, DecodeError> {
        if len > self.remaining() {
            return Err(self.error(DecodeReason::Truncated));
        }
        let slice = self.frame.slice(self.at..self.at + len);
        self.at += len;
        Ok(slice)
    }

    pub fn text(&mut self, flex: bool) -> Result<Text, DecodeError> {
        self.text_opt(flex, false)?
            .ok_or(self.error(DecodeReason::Null))
    }

    pub fn text_opt(&mut self, flex: bool, nullable: bool) -> Result<Option<Text>, DecodeError> {
        let Some(len) = self.length(flex, nullable, |r| r.i16().map(i32::from))? else {
            return Ok(None);
        };
        let start = self.at;
        let fail = |reason| DecodeError { reason, at: start };
        if len > TEXT_LEN_MAX {
            return Err(fail(DecodeReason::Length));
        }
        let text = Text::from_utf8(self.slice(len)?);
        text.map(Some).ok_or(fail(DecodeReason::Utf8))
    }

    pub fn bytes(&mut self, flex: bool) -> Result<Bytes, DecodeError> {
        self.bytes_opt(flex, false)?
            .ok_or(self.error(DecodeReason::Null))
    }

    /// Bytes or records.
    pub fn bytes_opt(&mut self, flex: bool, nullable: bool) -> Result<Option<Bytes>, DecodeError> {
        match self.length(flex, nullable, Reader::i32)? {
            Some(len) => self.slice(len).map(Some),
            None => Ok(None),
        }
    }

    pub fn array<T: Wire>(&mut self, version: i16, flex: bool) -> Result<Vec<T>, DecodeError> {
        self.array_opt(version, flex, false)?
            .ok_or(self.error(DecodeReason::Null))
    }

    pub fn array_opt<T: Wire>(
        &mut self,
        version: i16,
        flex: bool,
        nullable: bool,
    ) -> Result<Option<Vec<T>>, DecodeError> {
        let Some(count) =
            self.count(flex, nullable, T::bytes_min(version, flex), size_of::<T>())?
        else {
            return Ok(None);
        };
        let mut items = Vec::with_capacity(count.min(ROOM_MAX));
        for _ in 0..count {
            if items.len() == ROOM_MAX {
                // That many were real. The rest is paid for, and not a byte more.
                items.reserve_exact(count - ROOM_MAX);
            }
            items.push(T::read(self, version, flex)?);
        }
        Ok(Some(items))
    }

    /// The count of an array whose elements take at least `bytes_min` on the wire and `memory`
    /// when decoded. An error if the frame cannot hold that many.
    fn count(
        &mut self,
        flex: bool,
        nullable: bool,
        bytes_min: usize,
        memory: usize,
    ) -> Result<Option<usize>, DecodeError> {
        let Some(count) = self.length(flex, nullable, Reader::i32)? else {
            return Ok(None);
        };
        if count
            .checked_mul(bytes_min)
            .is_none_or(|len| len > self.remaining())
        {
            return Err(self.error(DecodeReason::Truncated));
        }
        let left = count
            .checked_mul(memory)
            .and_then(|cost| self.budget.checked_sub(cost));
        self.budget = left.ok_or(self.error(DecodeReason::Budget))?;
        Ok(Some(count))
    }

    /// A structure that may be null: a byte of −1 (any negative one, as in Kafka) stands for null,
    /// another byte opens the structure. Without `nullable` there is no such byte.
    pub fn struct_opt<T: Wire>(
        &mut self,
        version: i16,
        flex: bool,
        nullable: bool,
    ) -> Result<Option<T>, DecodeError> {
        if nullable && self.i8()? < 0 {
            return Ok(None);
        }
        T::read(self, version, flex).map(Some)
    }

    /// As [`Reader::struct_opt`], for a tagged field: there, zero stands for null.
    pub fn tagged_struct_opt<T: Wire>(&mut self, version: i16) -> Result<Option<T>, DecodeError> {
        if self.uvarint()? == 0 {
            return Ok(None);
        }
        T::read(self, version, true).map(Some)
    }

    /// A section of tagged fields. `known` reads the field of the given tag and answers true, or
    /// reads nothing and answers false, and the field is skipped. Nothing is kept of those.
    ///
    /// Stricter than Kafka 4.3.1, which trusts a known field over the length in front of it.
    pub fn tags(
        &mut self,
        mut known: impl FnMut(&mut Reader, u32) -> Result<bool, DecodeError>,
    ) -> Result<(), DecodeError> {
        let count = self.uvarint()?;
        if count > TAGS_MAX {
            return Err(self.error(DecodeReason::Tags));
        }
        for _ in 0..count {
            let tag = self.uvarint()?;
            let len = usize::try_from(self.uvarint()?).unwrap_or(usize::MAX);
            if len > self.remaining() {
                return Err(self.error(DecodeReason::Truncated));
            }
            let outer_end = self.end;
            self.end = self.at + len;
            if !known(self, tag)? {
                self.at = self.end;
            }
            if !self.is_empty() {
                return Err(self.error(DecodeReason::TagLength));
            }
            self.end = outer_end;
        }
        Ok(())
    }

    /// A section of tagged fields of which none is known.
    pub fn skip_tags(&mut self) -> Result<(), DecodeError> {
        self.tags(|_, _| Ok(false))
    }
}

/// Longest string of the protocol, in bytes, in either form.
pub const TEXT_LEN_MAX: usize = i16::MAX as usize;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::writer as w;
    use bytes::BytesMut;

    fn reader(bytes: &[u8]) -> Reader {
        Reader::new(Bytes::copy_from_slice(bytes))
    }

    fn reason<T: fmt::Debug>(result: Result<T, DecodeError>) -> DecodeReason {
        result.unwrap_err().reason
    }

    #[test]
    fn a_count_that_the_bytes_cannot_hold_is_refused_before_anything_is_allocated() {
        let mut r = reader(&[0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0]);
        assert_eq!(reason(r.array::<i32>(0, false)), DecodeReason::Truncated);
        let mut r = reader(&[0xff, 0xff, 0xff, 0xff, 0x0f]);
        assert_eq!(reason(r.array::<Text>(0, true)), DecodeReason::Length);
        let mut r = reader(&[0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 9]);
        assert_eq!(r.array::<i32>(0, false), Ok(vec![1, 9]));
    }

    #[test]
    fn empty_strings_without_end_run_into_the_budget_of_the_frame() {
        let mut bytes = BytesMut::new();
        w::length(&mut bytes, true, 1 << 20).unwrap();
        bytes.resize(bytes.len() + (1 << 20), 1);
        assert_eq!(
            reason(Reader::new(bytes.freeze()).array::<Text>(0, true)),
            DecodeReason::Budget
        );
    }

    #[test]
    fn null_and_empty_are_told_apart_in_both_forms() {
        assert_eq!(reader(&[0xff, 0xff]).text_opt(false, true), Ok(None));
        assert_eq!(reader(&[0]).text_opt(true, true), Ok(None));
        assert_eq!(
            reader(&[0, 0]).text_opt(false, true),
            Ok(Some(Text::default()))
        );
        assert_eq!(reader(&[1]).text_opt(true, true), Ok(Some(Text::default())));
        assert_eq!(
            reason(reader(&[0xff, 0xff]).text(false)),
            DecodeReason::Null
        );
        assert_eq!(reason(reader(&[0]).bytes(true)), DecodeReason::Null);
        assert_eq!(
            reader(&[0xff, 0xff, 0xff, 0xff]).array_opt::<i8>(0, false, true),
            Ok(None)
        );
    }

    #[test]
    fn a_variable_length_number_with_too_many_bytes_or_bits_is_refused() {
        assert_eq!(
            reader(&[0xff, 0xff, 0xff, 0xff, 0x0f]).uvarint(),
            Ok(u32::MAX)
        );
        assert_eq!(
            reason(reader(&[0xff, 0xff, 0xff, 0xff, 0x1f]).uvarint()),
            DecodeReason::Varint
        );
        assert_eq!(reason(reader(&[0x80; 9]).uvarint()), DecodeReason::Varint);
        assert_eq!(
            reason(reader(&[0x80; 4]).uvarint()),
            DecodeReason::Truncated
        );
        assert_eq!(reason(reader(&[0xff; 10]).varlong()), DecodeReason::Varint);
        assert_eq!(reason(reader(&[0x80; 12]).varlong()), DecodeReason::Varint);
    }

    #[test]
    fn numbers_of_every_length_read_back() {
        for shift in 0..64 {
            for value in [
                1i64 << shift,
                (1i64 << shift).wrapping_sub(1),
                (1i64 << shift).wrapping_neg(),
            ] {
                let mut out = BytesMut::new();
                w::varlong(&mut out, value);
                let low = i32::from_be_bytes(*value.to_be_bytes().last_chunk().unwrap());
                w::varint(&mut out, low);
                w::uvarint(&mut out, low.cast_unsigned());
                let mut r = Reader::new(out.freeze());
                assert_eq!(r.varlong(), Ok(value));
                assert_eq!(r.varint(), Ok(low));
                assert_eq!(r.uvarint(), Ok(low.cast_unsigned()));
                assert!(r.is_empty());
            }
        }
    }

    #[test]
    fn strings_are_utf8_and_at_most_32767_bytes() {
        assert_eq!(
            reason(reader(&[3, 0xc3, 0x28]).text(true)),
            DecodeReason::Utf8
        );
        let mut long = BytesMut::new();
        w::length(&mut long, true, 32768).unwrap();
        long.resize(long.len() + 32768, b'x');
        assert_eq!(
            reason(Reader::new(long.freeze()).text(true)),
            DecodeReason::Length
        );
        assert!(w::text(&mut BytesMut::new(), true, &"x".repeat(32767)).is_ok());
        assert!(w::text(&mut BytesMut::new(), true, &"x".repeat(32768)).is_err());
    }

    #[test]
    fn unknown_tags_are_skipped_and_their_number_is_capped() {
        let mut r = reader(&[2, 5, 1, 0xaa, 9, 0, 0x42]);
        assert_eq!(r.skip_tags(), Ok(()));
        assert_eq!(r.i8(), Ok(0x42));
        let mut many = BytesMut::new();
        w::uvarint(&mut many, 5_000_000);
        many.resize(10_000_000, 0);
        assert_eq!(
            reason(Reader::new(many.freeze()).skip_tags()),
            DecodeReason::Tags
        );
    }

    #[test]
    fn a_known_tag_must_have_the_length_it_claims() {
        let read = |bytes: &[u8]| {
            let mut value = 0;
            let mut r = reader(bytes);
            let done = r.tags(|r, tag| {
                value = r.i16()?;
                Ok(tag == 0)
            });
            done.map(|()| value)
        };
        assert_eq!(read(&[1, 0, 2, 0, 7]), Ok(7));
        assert_eq!(reason(read(&[1, 0, 3, 0, 7, 9])), DecodeReason::TagLength);
        assert_eq!(reason(read(&[1, 0, 1, 0, 7, 9])), DecodeReason::Truncated);
        assert_eq!(reason(read(&[1, 0, 99, 0, 7, 9])), DecodeReason::Truncated);
    }

    #[test]
    fn records_are_a_slice_of_the_frame() {
        let frame = Bytes::from(vec![0, 0, 0, 3, 1, 2, 3]);
        let records = Reader::new(frame.clone())
            .bytes_opt(false, true)
            .unwrap()
            .unwrap();
        assert_eq!(records.as_ptr(), frame[4..].as_ptr());
    }
}
