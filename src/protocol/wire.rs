//! What every part of a message can do.

use super::Text;
use super::reader::{DecodeError, DecodeReason, Reader};
use super::writer::{self as w, EncodeError};
use crate::types::Uuid;
use bytes::{BufMut, Bytes, BytesMut};
use std::ops::RangeInclusive;

/// A structure, or an element of an array. `flex` says whether lengths are compact; it follows
/// from the version of the message, and is handed down.
pub trait Wire: Sized {
    /// Fewest bytes on the wire; bounds the count of an array before anything is allocated.
    fn bytes_min(_version: i16, _flex: bool) -> usize {
        1
    }

    fn read(r: &mut Reader, version: i16, flex: bool) -> Result<Self, DecodeError>;

    fn write(&self, out: &mut BytesMut, version: i16, flex: bool) -> Result<(), EncodeError>;
}

/// A whole message: a request, a response, a header or a record.
pub trait Message: Wire + Default {
    /// Kafka's name, for example `ProduceRequest`.
    const NAME: &'static str;
    /// The API of a request or response; the type of a metadata or coordinator record; `None` for
    /// headers and plain data.
    const API_KEY: Option<i16>;
    /// Versions that have a schema.
    const VERSIONS: RangeInclusive<i16>;
    /// The highest version that a stock broker offers, less than the last one while that is
    /// unstable; −1 if none is stable.
    const LATEST_STABLE: i16;
    /// The first version with compact lengths and tagged fields; `i16::MAX` if there is none.
    const FLEXIBLE: i16;

    fn is_flexible(version: i16) -> bool {
        version >= Self::FLEXIBLE
    }

    /// Reads one message and leaves the bytes behind it.
    fn decode(r: &mut Reader, version: i16) -> Result<Self, DecodeError> {
        if !Self::VERSIONS.contains(&version) {
            return Err(r.error(DecodeReason::Version));
        }
        Self::read(r, version, Self::is_flexible(version))
    }

    /// Adds the message to `out`. After an error, `out` may hold a part of it.
    ///
    /// A field that the version cannot carry is an error if it is set, unless the schema calls it
    /// ignorable; null in a version without null is one too.
    fn encode(&self, out: &mut BytesMut, version: i16) -> Result<(), EncodeError> {
        if !Self::VERSIONS.contains(&version) {
            return Err(EncodeError::Version {
                message: Self::NAME,
                version,
            });
        }
        self.write(out, version, Self::is_flexible(version))
    }
}

macro_rules! number {
    ($type:ty, $read:ident, $write:ident) => {
        impl Wire for $type {
            fn bytes_min(_version: i16, _flex: bool) -> usize {
                size_of::<$type>()
            }

            fn read(r: &mut Reader, _version: i16, _flex: bool) -> Result<Self, DecodeError> {
                r.$read()
            }

            fn write(&self, out: &mut BytesMut, _: i16, _: bool) -> Result<(), EncodeError> {
                out.$write(*self);
                Ok(())
            }
        }
    };
}

number!(i8, i8, put_i8);
number!(i16, i16, put_i16);
number!(u16, u16, put_u16);
number!(i32, i32, put_i32);
number!(i64, i64, put_i64);

impl Wire for Uuid {
    fn bytes_min(_version: i16, _flex: bool) -> usize {
        16
    }

    fn read(r: &mut Reader, _version: i16, _flex: bool) -> Result<Self, DecodeError> {
        r.uuid()
    }

    fn write(&self, out: &mut BytesMut, _version: i16, _flex: bool) -> Result<(), EncodeError> {
        out.put_slice(self.as_bytes());
        Ok(())
    }
}

impl Wire for Text {
    fn bytes_min(_version: i16, flex: bool) -> usize {
        if flex { 1 } else { 2 }
    }

    fn read(r: &mut Reader, _version: i16, flex: bool) -> Result<Self, DecodeError> {
        r.text(flex)
    }

    fn write(&self, out: &mut BytesMut, _version: i16, flex: bool) -> Result<(), EncodeError> {
        w::text(out, flex, self)
    }
}

impl Wire for Bytes {
    fn bytes_min(_version: i16, flex: bool) -> usize {
        if flex { 1 } else { 4 }
    }

    fn read(r: &mut Reader, _version: i16, flex: bool) -> Result<Self, DecodeError> {
        r.bytes(flex)
    }

    fn write(&self, out: &mut BytesMut, _version: i16, flex: bool) -> Result<(), EncodeError> {
        w::bytes(out, flex, self)
    }
}
