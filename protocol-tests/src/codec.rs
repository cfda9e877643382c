//! Reads and writes any message by its name, so that a test can go through all of them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::{Bytes, BytesMut};
use ottla::protocol::{DecodeError, EncodeError, Message, Reader, Text};
use ottla::types::Uuid;
use serde_json::{Map, Value};
use std::ops::RangeInclusive;

/// One message of the protocol, and what the product's codec does with it.
///
/// ```
/// use ottla_protocol_tests::codec::find;
///
/// let codec = find("HeartbeatResponse").expect("a message of Kafka's");
/// let bytes = vec![0, 0, 0, 7, 0, 27];
/// let (value, rest) = (codec.read)(bytes.clone().into(), 1).expect("well-formed");
/// assert_eq!(value, serde_json::json!({ "throttleTimeMs": 7, "errorCode": 27 }));
/// assert_eq!(rest, 0);
/// assert_eq!((codec.rewrite)(bytes.clone().into(), 1), Ok(bytes));
/// ```
pub struct Codec {
    pub name: &'static str,
    pub key: Option<i16>,
    pub versions: (i16, i16),
    pub latest_stable: i16,
    /// The first flexible version, `i16::MAX` if there is none.
    pub flexible: i16,
    /// The decoded value as JSON, and how many bytes were left behind it.
    pub read: fn(Bytes, i16) -> Result<(Value, usize), DecodeError>,
    /// Decodes and encodes again.
    pub rewrite: fn(Bytes, i16) -> Result<Vec<u8>, Failure>,
    /// Decodes and forgets; allocates nothing that the decoder does not.
    pub check: fn(&mut Reader, i16) -> Result<(), DecodeError>,
    /// Encodes the default value.
    pub write_default: fn(i16) -> Result<Vec<u8>, EncodeError>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    Decode(DecodeError),
    Encode(EncodeError),
}

impl Codec {
    pub const fn of<T: Message + ToJson>() -> Codec {
        Codec {
            name: T::NAME,
            key: T::API_KEY,
            versions: (*T::VERSIONS.start(), *T::VERSIONS.end()),
            latest_stable: T::LATEST_STABLE,
            flexible: T::FLEXIBLE,
            read: |bytes, version| {
                let mut reader = Reader::new(bytes);
                let message = T::decode(&mut reader, version)?;
                Ok((message.to_json(version), reader.remaining()))
            },
            rewrite: |bytes, version| {
                let message =
                    T::decode(&mut Reader::new(bytes), version).map_err(Failure::Decode)?;
                let mut out = BytesMut::new();
                message.encode(&mut out, version).map_err(Failure::Encode)?;
                Ok(out.to_vec())
            },
            check: |reader, version| T::decode(reader, version).map(drop),
            write_default: |version| {
                let mut out = BytesMut::new();
                T::default().encode(&mut out, version)?;
                Ok(out.to_vec())
            },
        }
    }

    pub fn versions(&self) -> RangeInclusive<i16> {
        self.versions.0..=self.versions.1
    }
}

/// The message of this name, if the release speaks it.
pub fn find(name: &str) -> Option<&'static Codec> {
    let messages = crate::generated::MESSAGES;
    messages
        .binary_search_by_key(&name, |codec| codec.name)
        .ok()
        .map(|index| &messages[index])
}

/// A value in the shape that Kafka's `*JsonConverter` classes give it: names in camelCase, numbers
/// as numbers, bytes and records as padded base64, a uuid as Kafka's text for it; a tagged field
/// only if it is not the default, other fields in the versions that carry them.
pub trait ToJson {
    fn to_json(&self, version: i16) -> Value;
}

macro_rules! plain {
    ($($type:ty),*) => {
        $(impl ToJson for $type {
            fn to_json(&self, _version: i16) -> Value {
                Value::from(*self)
            }
        })*
    };
}

plain!(bool, i8, i16, u16, i32, u32, i64, f64);

impl ToJson for Uuid {
    fn to_json(&self, _version: i16) -> Value {
        Value::from(self.to_string())
    }
}

impl ToJson for Text {
    fn to_json(&self, _version: i16) -> Value {
        Value::from(self.as_str())
    }
}

impl ToJson for Bytes {
    fn to_json(&self, _version: i16) -> Value {
        Value::from(STANDARD.encode(self))
    }
}

impl<T: ToJson> ToJson for Option<T> {
    fn to_json(&self, version: i16) -> Value {
        self.as_ref()
            .map_or(Value::Null, |value| value.to_json(version))
    }
}

impl<T: ToJson> ToJson for Vec<T> {
    fn to_json(&self, version: i16) -> Value {
        self.iter().map(|item| item.to_json(version)).collect()
    }
}

/// A JSON object being filled by generated code.
pub struct Object {
    version: i16,
    fields: Map<String, Value>,
}

impl Object {
    pub fn new(version: i16) -> Object {
        Object {
            version,
            fields: Map::new(),
        }
    }

    pub fn put(&mut self, name: &str, value: &dyn ToJson) {
        self.fields
            .insert(name.to_owned(), value.to_json(self.version));
    }

    pub fn finish(self) -> Value {
        Value::Object(self.fields)
    }
}
