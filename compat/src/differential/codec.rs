//! Messages as JSON, by the schemas: an encoder and a decoder of their own, so that the broker's codec is
//! not compared with itself.
//!
//! Keys are the schemas' field names. A field that is left out has its default. Bytes and records are
//! hexadecimal, a UUID too.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::Path;

use ottla_codegen::schema::{Field, Message, Type};
use ottla_codegen::tree::{Source, read_schemas, read_served};
use serde_json::{Map, Value};

use crate::checks::{Checked, Failure};

/// All requests and responses, by name.
pub(super) struct Schemas {
    /// With the older versions that Ottla serves beside the release's.
    served: BTreeMap<String, Message>,
    release: BTreeMap<String, Message>,
}

/// Which versions of an API are asked.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    /// Those of the release.
    Release,
    /// The older ones that Ottla serves beside them.
    Old,
}

impl Schemas {
    pub(super) fn read(root: &Path) -> Checked<Schemas> {
        let named = |message: Message| (message.name.clone(), message);
        let by_name =
            |sources: Vec<Source>| sources.into_iter().map(|s| named(s.message)).collect();
        Ok(Schemas {
            served: by_name(read_served(root)?),
            release: by_name(read_schemas(root)?),
        })
    }

    /// The versions of an API that a stock broker offers, or the older ones.
    pub(super) fn versions(&self, api: &str, asked: Asked) -> Checked<RangeInclusive<i16>> {
        let served = self.request(api)?;
        let release = get(&self.release, &format!("{api}Request"))?;
        let stable = release.versions.high - i16::from(release.latest_unstable);
        Ok(match asked {
            Asked::Release => release.versions.low..=stable,
            Asked::Old => served.versions.low..=release.versions.low - 1,
        })
    }

    pub(super) fn request(&self, api: &str) -> Checked<&Message> {
        get(&self.served, &format!("{api}Request"))
    }

    pub(super) fn response(&self, api: &str) -> Checked<&Message> {
        get(&self.served, &format!("{api}Response"))
    }

    /// The release's requests, by API.
    pub(super) fn requests(&self) -> impl Iterator<Item = (&str, &Message)> {
        let requests = self.release.values();
        requests.filter_map(|message| Some((message.name.strip_suffix("Request")?, message)))
    }
}

fn get<'a>(messages: &'a BTreeMap<String, Message>, name: &str) -> Checked<&'a Message> {
    let found = messages.get(name);
    found.ok_or_else(|| Failure(format!("no schema is called {name}")))
}

/// The bytes of `value` in `version`.
pub(super) fn encode(message: &Message, version: i16, value: &Value) -> Checked<Vec<u8>> {
    let flexible = message.flexible.contains(version);
    let coder = Coder {
        message,
        version,
        flexible,
    };
    let mut out = Vec::new();
    coder.write_struct(&message.fields, value, &mut out)?;
    Ok(out)
}

/// What `bytes` say in `version`. Bytes that remain are an error.
pub(super) fn decode(message: &Message, version: i16, mut bytes: &[u8]) -> Checked<Value> {
    let flexible = message.flexible.contains(version);
    let coder = Coder {
        message,
        version,
        flexible,
    };
    let value = coder.read_struct(&message.fields, &mut bytes)?;
    if !bytes.is_empty() {
        return Err(Failure(format!("{} bytes remain", bytes.len())));
    }
    Ok(value)
}

struct Coder<'a> {
    message: &'a Message,
    version: i16,
    flexible: bool,
}

impl Coder<'_> {
    fn fields<'f>(&'f self, ty: &'f Type, own: &'f [Field]) -> Checked<&'f [Field]> {
        if !own.is_empty() {
            return Ok(own);
        }
        let name = ty.struct_name().unwrap_or_default();
        let found = self.message.find_struct(name);
        found
            .map(|(fields, _)| fields)
            .ok_or_else(|| Failure(format!("no structure {name} in {}", self.message.name)))
    }

    fn is_tagged(&self, field: &Field) -> bool {
        self.flexible && field.tag.is_some() && field.tagged.contains(self.version)
    }

    fn write_struct(&self, fields: &[Field], value: &Value, out: &mut Vec<u8>) -> Checked {
        for key in value.as_object().into_iter().flat_map(Map::keys) {
            if !fields.iter().any(|field| field.name == *key) {
                return Err(Failure(format!("{} has no {key}", self.message.name)));
            }
        }
        let mut tagged = BTreeMap::new();
        for field in fields {
            if !field.versions.contains(self.version) {
                continue;
            }
            let given = value.get(&field.name);
            if self.is_tagged(field) {
                if let (Some(given), Some(tag)) = (given, field.tag) {
                    let mut bytes = Vec::new();
                    self.write_field(field, Some(given), &mut bytes)?;
                    tagged.insert(tag, bytes);
                }
                continue;
            }
            self.write_field(field, given, out)?;
        }
        if self.flexible {
            varint(tagged.len() as u64, out);
            for (tag, bytes) in tagged {
                varint(u64::from(tag), out);
                varint(bytes.len() as u64, out);
                out.extend_from_slice(&bytes);
            }
        }
        Ok(())
    }

    fn write_field(&self, field: &Field, given: Option<&Value>, out: &mut Vec<u8>) -> Checked {
        let may_be_null = field.nullable.contains(self.version);
        let value = match given {
            Some(value) if may_be_null || !value.is_null() => value.clone(),
            // Nothing was kept of an answer that never came.
            _ => default(field),
        };
        let what = || Failure(format!("{} of {}: {value}", field.name, self.message.name));
        match &field.ty {
            Type::Struct(_) => {
                if may_be_null {
                    out.push(if value.is_null() { 0xff } else { 1 });
                    if value.is_null() {
                        return Ok(());
                    }
                }
                self.write_struct(self.fields(&field.ty, &field.fields)?, &value, out)
            }
            Type::Array(element) => {
                let Some(elements) = value.as_array() else {
                    self.write_length(None, LengthOf::Elements, out);
                    return if value.is_null() { Ok(()) } else { Err(what()) };
                };
                self.write_length(Some(elements.len()), LengthOf::Elements, out);
                for one in elements {
                    match &**element {
                        Type::Struct(_) => {
                            self.write_struct(self.fields(element, &field.fields)?, one, out)?
                        }
                        plain => self.write_plain(plain, one, out).ok_or_else(what)?,
                    }
                }
                Ok(())
            }
            plain => self.write_plain(plain, &value, out).ok_or_else(what),
        }
    }

    fn write_plain(&self, ty: &Type, value: &Value, out: &mut Vec<u8>) -> Option<()> {
        let number = || value.as_i64();
        match ty {
            Type::Bool => out.push(u8::from(value.as_bool()?)),
            Type::Int8 => out.extend(i8::try_from(number()?).ok()?.to_be_bytes()),
            Type::Int16 => out.extend(i16::try_from(number()?).ok()?.to_be_bytes()),
            Type::Uint16 => out.extend(u16::try_from(number()?).ok()?.to_be_bytes()),
            Type::Int32 => out.extend(i32::try_from(number()?).ok()?.to_be_bytes()),
            Type::Uint32 => out.extend(u32::try_from(number()?).ok()?.to_be_bytes()),
            Type::Int64 => out.extend(number()?.to_be_bytes()),
            Type::Float64 => out.extend(value.as_f64()?.to_be_bytes()),
            Type::Uuid => out.extend(from_hex(value.as_str()?)?),
            Type::String => self.write_bytes(
                value.as_str().map(|text| text.as_bytes().to_vec()),
                LengthOf::Text,
                out,
            ),
            Type::Bytes | Type::Records => {
                let bytes = match value.as_str() {
                    Some(text) => Some(from_hex(text)?),
                    None => None,
                };
                self.write_bytes(bytes, LengthOf::Bytes, out);
            }
            Type::Struct(_) | Type::Array(_) => return None,
        }
        Some(())
    }

    fn write_bytes(&self, bytes: Option<Vec<u8>>, of: LengthOf, out: &mut Vec<u8>) {
        self.write_length(bytes.as_ref().map(Vec::len), of, out);
        out.extend(bytes.unwrap_or_default());
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_possible_wrap,
        reason = "cases are small"
    )]
    fn write_length(&self, len: Option<usize>, of: LengthOf, out: &mut Vec<u8>) {
        if self.flexible {
            varint(len.map_or(0, |len| len as u64 + 1), out);
        } else if of == LengthOf::Text {
            out.extend(len.map_or(-1, |len| len as i16).to_be_bytes());
        } else {
            out.extend(len.map_or(-1, |len| len as i32).to_be_bytes());
        }
    }

    fn read_struct(&self, fields: &[Field], bytes: &mut &[u8]) -> Checked<Value> {
        let mut object = Map::new();
        for field in fields {
            if field.versions.contains(self.version) && !self.is_tagged(field) {
                object.insert(field.name.clone(), self.read_field(field, bytes)?);
            }
        }
        if self.flexible {
            for _ in 0..read_varint(bytes)? {
                let tag = read_varint(bytes)?;
                let len = usize::try_from(read_varint(bytes)?).unwrap_or(usize::MAX);
                let mut content = take(bytes, len)?;
                let known = fields
                    .iter()
                    .find(|field| self.is_tagged(field) && field.tag.map(u64::from) == Some(tag));
                let Some(field) = known else {
                    return Err(Failure(format!("unknown tag {tag}")));
                };
                object.insert(field.name.clone(), self.read_field(field, &mut content)?);
            }
        }
        Ok(Value::Object(object))
    }

    fn read_field(&self, field: &Field, bytes: &mut &[u8]) -> Checked<Value> {
        match &field.ty {
            Type::Struct(_) => {
                if field.nullable.contains(self.version) && take(bytes, 1)? == [0xff] {
                    return Ok(Value::Null);
                }
                self.read_struct(self.fields(&field.ty, &field.fields)?, bytes)
            }
            Type::Array(element) => {
                let Some(count) = self.read_length(LengthOf::Elements, bytes)? else {
                    return Ok(Value::Null);
                };
                let mut elements = Vec::new();
                for _ in 0..count {
                    elements.push(match &**element {
                        Type::Struct(_) => {
                            self.read_struct(self.fields(element, &field.fields)?, bytes)?
                        }
                        plain => self.read_plain(plain, bytes)?,
                    });
                }
                Ok(Value::Array(elements))
            }
            plain => self.read_plain(plain, bytes),
        }
    }

    fn read_plain(&self, ty: &Type, bytes: &mut &[u8]) -> Checked<Value> {
        Ok(match ty {
            Type::Bool => (take(bytes, 1)? != [0]).into(),
            Type::Int8 => i8::from_be_bytes(array(bytes)?).into(),
            Type::Int16 => i16::from_be_bytes(array(bytes)?).into(),
            Type::Uint16 => u16::from_be_bytes(array(bytes)?).into(),
            Type::Int32 => i32::from_be_bytes(array(bytes)?).into(),
            Type::Uint32 => u32::from_be_bytes(array(bytes)?).into(),
            Type::Int64 => i64::from_be_bytes(array(bytes)?).into(),
            Type::Float64 => f64::from_be_bytes(array(bytes)?).into(),
            Type::Uuid => hex(take(bytes, 16)?).into(),
            Type::String => match self.read_length(LengthOf::Text, bytes)? {
                Some(len) => String::from_utf8_lossy(take(bytes, len)?).into(),
                None => Value::Null,
            },
            Type::Bytes | Type::Records => match self.read_length(LengthOf::Bytes, bytes)? {
                Some(len) => hex(take(bytes, len)?).into(),
                None => Value::Null,
            },
            Type::Struct(_) | Type::Array(_) => {
                return Err(Failure("a structure is not plain".into()));
            }
        })
    }

    fn read_length(&self, of: LengthOf, bytes: &mut &[u8]) -> Checked<Option<usize>> {
        if self.flexible {
            let plus_one = usize::try_from(read_varint(bytes)?).unwrap_or(usize::MAX);
            return Ok(plus_one.checked_sub(1));
        }
        let len = if of == LengthOf::Text {
            i32::from(i16::from_be_bytes(array(bytes)?))
        } else {
            i32::from_be_bytes(array(bytes)?)
        };
        Ok(usize::try_from(len).ok())
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum LengthOf {
    /// 16 bits where the version is not flexible.
    Text,
    Bytes,
    Elements,
}

/// What a field is when nobody says.
pub(super) fn default(field: &Field) -> Value {
    if field.defaults_to_null() {
        return Value::Null;
    }
    let text = field.default.as_deref().unwrap_or_default();
    match &field.ty {
        Type::Bool => (text == "true").into(),
        Type::Float64 => text.parse::<f64>().unwrap_or_default().into(),
        Type::Uuid => "0".repeat(32).into(),
        Type::String | Type::Bytes | Type::Records => text.into(),
        Type::Struct(_) => Value::Object(Map::new()),
        Type::Array(_) => Value::Array(Vec::new()),
        _ => match text.strip_prefix("0x") {
            Some(digits) => i64::from_str_radix(digits, 16).unwrap_or_default().into(),
            None => text.parse::<i64>().unwrap_or_default().into(),
        },
    }
}

pub(super) fn varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    out.push(value.to_le_bytes()[0]);
}

pub(super) fn read_varint(bytes: &mut &[u8]) -> Checked<u64> {
    let mut value = 0;
    for shift in (0..35).step_by(7) {
        let [byte] = array(bytes)?;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok(value);
        }
    }
    Err(Failure("a varint has no end".into()))
}

fn take<'a>(bytes: &mut &'a [u8], len: usize) -> Checked<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(len).ok_or_else(|| {
        Failure(format!(
            "cut short: {len} bytes wanted, {} left",
            bytes.len()
        ))
    })?;
    *bytes = rest;
    Ok(taken)
}

fn array<const N: usize>(bytes: &mut &[u8]) -> Checked<[u8; N]> {
    let taken = take(bytes, N)?;
    Ok(taken.try_into().unwrap_or([0; N]))
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes();
    digits
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const MESSAGE: &str = "\
request ExampleRequest key=1 versions=0-2 flexible=2+
Name string 0+ nullable=0+ default=null
Limit int32 1+ default=0x7f
Parts []Part 0+
  Id uuid 0+
  Data bytes 0+
Extra int64 2+ default=-1 tag=3 tagged=2+
";

    #[test]
    fn a_message_reads_back_as_it_was_written_in_every_version() {
        let message = Message::from_text(MESSAGE).unwrap();
        let part = json!({"Id": "00".repeat(15) + "2a", "Data": "c0ffee"});
        for (version, value) in [
            (0, json!({"Name": "x", "Parts": [part]})),
            (1, json!({"Name": null, "Limit": 5, "Parts": []})),
            (
                2,
                json!({"Name": "", "Limit": 5, "Parts": [part, part], "Extra": 9}),
            ),
        ] {
            let bytes = encode(&message, version, &value).unwrap();
            assert_eq!(decode(&message, version, &bytes).unwrap(), value);
        }
    }

    #[test]
    fn a_field_that_is_left_out_has_its_default() {
        let message = Message::from_text(MESSAGE).unwrap();
        let bytes = encode(&message, 1, &json!({})).unwrap();
        assert_eq!(bytes, [0xff, 0xff, 0, 0, 0, 0x7f, 0, 0, 0, 0]);
    }

    #[test]
    fn a_field_that_no_schema_has_is_refused() {
        let message = Message::from_text(MESSAGE).unwrap();
        assert!(encode(&message, 1, &json!({"Nmae": "x"})).is_err());
    }
}
