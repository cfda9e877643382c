//! A second, slow reading of the schemas: draws a value for any message and version, and writes its
//! bytes and its JSON. It shares nothing with the generated code but the schemas themselves, and it
//! knows where every length and count stands, so that hostile tests can lie about them.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ottla_codegen::schema::{Field, Message, Type};
use ottla_codegen::tree;
use serde_json::{Map, Value, json};
use std::path::Path;

/// Every schema of the repository that still has a version, with the old versions that are served, in order of name.
pub fn schemas() -> Vec<Message> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let sources = tree::read_served(&root).expect("the schemas of this repository");
    sources
        .into_iter()
        .map(|source| source.message)
        .filter(|message| !message.versions.is_empty())
        .collect()
}

/// A value of a message, as canonical bytes and as Kafka's JSON.
pub struct Sample {
    pub bytes: Vec<u8>,
    pub value: Value,
    pub lengths: Vec<Length>,
}

/// A length or a count inside a sample.
#[derive(Clone, Copy, Debug)]
pub struct Length {
    pub at: usize,
    /// Bytes that it takes.
    pub len: usize,
    pub form: Form,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Two bytes in front of a string.
    Plain2,
    /// Four bytes in front of bytes or of an array.
    Plain4,
    /// A varint, one more than the value.
    Compact,
    /// How many tagged fields follow.
    TagCount,
}

/// Where values come from.
#[derive(Clone, Copy, Debug)]
pub enum Draw {
    /// Kafka's defaults; empty arrays.
    Defaults,
    /// Chance, from this seed.
    Seed(u64),
}

/// Draws one value.
pub fn sample(message: &Message, version: i16, draw: Draw) -> Sample {
    assert!(
        message.versions.contains(version),
        "{} has no version {version}",
        message.name
    );
    let mut writer = Writer {
        message,
        version,
        flexible: message.flexible.contains(version),
        draw,
        state: match draw {
            Draw::Defaults => 0,
            Draw::Seed(seed) => seed,
        },
    };
    let mut out = Out::default();
    let value = writer.structure(&message.fields, &mut out);
    Sample {
        bytes: out.bytes,
        value,
        lengths: out.lengths,
    }
}

#[derive(Default)]
struct Out {
    bytes: Vec<u8>,
    lengths: Vec<Length>,
}

impl Out {
    fn length(&mut self, form: Form, bytes: &[u8]) {
        self.lengths.push(Length {
            at: self.bytes.len(),
            len: bytes.len(),
            form,
        });
        self.bytes.extend(bytes);
    }

    /// Adds a part that was written apart.
    fn append(&mut self, part: &Out) {
        let base = self.bytes.len();
        self.bytes.extend(&part.bytes);
        self.lengths.extend(part.lengths.iter().map(|l| Length {
            at: l.at + base,
            ..*l
        }));
    }
}

struct Writer<'a> {
    message: &'a Message,
    version: i16,
    flexible: bool,
    draw: Draw,
    state: u64,
}

impl Writer<'_> {
    /// SplitMix64.
    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u64) -> usize {
        usize::try_from(self.next() % bound).expect("small")
    }

    fn structure(&mut self, fields: &[Field], out: &mut Out) -> Value {
        let mut object = Map::new();
        let mut tagged: Vec<(u32, Out)> = Vec::new();
        let version = self.version;
        for field in fields
            .iter()
            .filter(|field| field.versions.contains(version))
        {
            if field.tagged.contains(self.version) {
                let mut part = Out::default();
                let value = self.field(field, true, &mut part);
                if value != self.default(field) {
                    object.insert(json_name(field), value);
                    tagged.push((field.tag.expect("a tagged field has a tag"), part));
                }
            } else {
                let value = self.field(field, false, out);
                object.insert(json_name(field), value);
            }
        }
        if self.flexible {
            tagged.sort_by_key(|(tag, _)| *tag);
            out.length(Form::TagCount, &uvarint(tagged.len()));
            for (tag, part) in &tagged {
                out.bytes.extend(uvarint(*tag as usize));
                out.bytes.extend(uvarint(part.bytes.len()));
                out.append(part);
            }
        }
        Value::Object(object)
    }

    fn field(&mut self, field: &Field, tagged: bool, out: &mut Out) -> Value {
        let compact = self.flexible && field.flexible.is_none();
        let nullable = field.nullable.contains(self.version);
        let by_default = matches!(self.draw, Draw::Defaults);
        let null = nullable
            && if by_default {
                field.defaults_to_null() || field.ty == Type::Records
            } else {
                self.below(4) == 0
            };
        if let Type::Struct(name) = &field.ty {
            if nullable {
                // By place a signed byte, −1 for null; in a tag a varint, 0 for null.
                out.bytes.push(if !null {
                    1
                } else if tagged {
                    0
                } else {
                    0xff
                });
            }
            return if null {
                Value::Null
            } else {
                self.named(name, out)
            };
        }
        if null {
            match (&field.ty, compact) {
                (_, true) => out.length(Form::Compact, &[0]),
                (Type::String, false) => out.length(Form::Plain2, &[0xff; 2]),
                (_, false) => out.length(Form::Plain4, &[0xff; 4]),
            }
            return Value::Null;
        }
        if let Type::Array(element) = &field.ty {
            let count = match self.draw {
                Draw::Defaults => 0,
                Draw::Seed(_) => [0, 1, 1, 2, 2, 3][self.below(6)],
            };
            count_or_length(compact, count, out);
            return (0..count)
                .map(|_| self.element(element, compact, out))
                .collect();
        }
        if by_default {
            let value = self.default(field);
            self.put(&field.ty, compact, &value, out);
            return value;
        }
        self.element(&field.ty, compact, out)
    }

    fn named(&mut self, name: &str, out: &mut Out) -> Value {
        let message = self.message;
        let (fields, _) = message
            .find_struct(name)
            .expect("a structure of the message");
        self.structure(fields, out)
    }

    /// An array's element, or a field that is neither null nor an array.
    fn element(&mut self, ty: &Type, compact: bool, out: &mut Out) -> Value {
        if let Type::Struct(name) = ty {
            return self.named(name, out);
        }
        let raw = match self.below(8) {
            0 => 0,
            1 => 1,
            2 => u64::MAX,
            3 => i64::MAX.cast_unsigned(),
            4 => i64::MIN.cast_unsigned(),
            _ => self.next(),
        };
        let bytes = raw.to_be_bytes();
        let value = match ty {
            Type::Bool => json!(raw % 2 == 1),
            Type::Int8 => json!(i8::from_be_bytes([bytes[0]])),
            Type::Int16 => json!(i16::from_be_bytes([bytes[0], bytes[7]])),
            Type::Uint16 => json!(u16::from_be_bytes([bytes[0], bytes[7]])),
            Type::Int32 => json!(i32::from_be_bytes([bytes[0], bytes[1], bytes[6], bytes[7]])),
            Type::Uint32 => json!(u32::from_be_bytes([bytes[0], bytes[1], bytes[6], bytes[7]])),
            Type::Int64 => json!(raw.cast_signed()),
            Type::Float64 => json!(f64::from(i32::from_be_bytes([bytes[0], bytes[1], 3, 4])) / 7.0),
            Type::Uuid => {
                let mut id = [0; 16];
                id[..8].copy_from_slice(&bytes);
                id[8..].copy_from_slice(&self.next().to_be_bytes());
                json!(URL_SAFE_NO_PAD.encode(id))
            }
            Type::String => {
                let len = self.short_len();
                let letters = ['a', 'Z', '0', '-', 'é', '→', '🦀'];
                json!((0..len).map(|_| letters[self.below(7)]).collect::<String>())
            }
            Type::Bytes | Type::Records => {
                let len = self.short_len();
                json!(
                    STANDARD.encode(
                        (0..len)
                            .map(|_| self.next().to_be_bytes()[0])
                            .collect::<Vec<_>>()
                    )
                )
            }
            Type::Array(_) | Type::Struct(_) => unreachable!("handled by the callers"),
        };
        self.put(ty, compact, &value, out);
        value
    }

    /// Mostly short, at times long enough for a length of two bytes.
    fn short_len(&mut self) -> usize {
        match self.below(16) {
            0 => 0,
            1 => 100 + self.below(200),
            _ => 1 + self.below(12),
        }
    }

    /// Writes what the JSON says.
    fn put(&self, ty: &Type, compact: bool, value: &Value, out: &mut Out) {
        let number = || value.as_i64().expect("a number");
        match ty {
            Type::Bool => out.bytes.push(value.as_bool().expect("a boolean").into()),
            Type::Int8 => out.bytes.extend(&number().to_be_bytes()[7..]),
            Type::Int16 | Type::Uint16 => out.bytes.extend(&number().to_be_bytes()[6..]),
            Type::Int32 | Type::Uint32 => out.bytes.extend(&number().to_be_bytes()[4..]),
            Type::Int64 => out.bytes.extend(number().to_be_bytes()),
            Type::Float64 => out
                .bytes
                .extend(value.as_f64().expect("a number").to_be_bytes()),
            Type::Uuid => {
                let text = value.as_str().expect("a text");
                out.bytes
                    .extend(URL_SAFE_NO_PAD.decode(text).expect("a uuid"));
            }
            Type::String => {
                let text = value.as_str().expect("a text");
                if compact {
                    out.length(Form::Compact, &uvarint(text.len() + 1));
                } else {
                    let len = i16::try_from(text.len()).expect("short");
                    out.length(Form::Plain2, &len.to_be_bytes());
                }
                out.bytes.extend(text.as_bytes());
            }
            Type::Bytes | Type::Records => {
                let bytes = STANDARD
                    .decode(value.as_str().expect("a text"))
                    .expect("base64");
                count_or_length(compact, bytes.len(), out);
                out.bytes.extend(bytes);
            }
            Type::Array(_) | Type::Struct(_) => unreachable!("handled by the callers"),
        }
    }

    /// Kafka's default of a field, in this version.
    fn default(&self, field: &Field) -> Value {
        if field.defaults_to_null() {
            return Value::Null;
        }
        let set = field.default.as_deref();
        match &field.ty {
            Type::Bool => json!(set == Some("true")),
            Type::Int8 | Type::Int16 | Type::Uint16 | Type::Int32 | Type::Uint32 | Type::Int64 => {
                json!(set.map_or(0i64, |number| number.parse().expect("a number")))
            }
            Type::Float64 => json!(0.0),
            Type::Uuid => json!(URL_SAFE_NO_PAD.encode([0; 16])),
            Type::String | Type::Bytes | Type::Records => json!(set.unwrap_or("")),
            Type::Array(_) => json!([]),
            Type::Struct(name) => {
                let (fields, _) = self.message.find_struct(name).expect("a structure");
                let placed = fields.iter().filter(|inner| {
                    inner.versions.contains(self.version) && !inner.tagged.contains(self.version)
                });
                placed
                    .map(|inner| (json_name(inner), self.default(inner)))
                    .collect()
            }
        }
    }
}

fn count_or_length(compact: bool, len: usize, out: &mut Out) {
    if compact {
        out.length(Form::Compact, &uvarint(len + 1));
    } else {
        out.length(
            Form::Plain4,
            &u32::try_from(len).expect("short").to_be_bytes(),
        );
    }
}

/// Seven bits a byte, low bits first.
pub fn uvarint(mut value: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    bytes.push(value.to_le_bytes()[0]);
    bytes
}

fn json_name(field: &Field) -> String {
    let mut name = field.name.clone();
    name[..1].make_ascii_lowercase();
    name
}
