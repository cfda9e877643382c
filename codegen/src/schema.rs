//! Kafka's message definitions as facts, and the text form in which `schemas/` keeps them.
//!
//! One file per message. The first line describes the message, every further line one field;
//! indentation shows nesting. What is absent has Kafka's default.
//!
//! ```text
//! request ProduceRequest key=0 versions=3-13 flexible=9+ listeners=broker
//! TransactionalId string 3+ nullable=3+ default=null entity=transactionalId
//! TopicData []TopicProduceData 0+
//!   Name string 0-12 ignorable map-key entity=topicName
//! ```
//!
//! A line `struct Name VERSIONS` opens a structure that several fields share.

use std::fmt::{self, Write as _};

/// A range of versions; empty if nothing is in it, open at the end if `high` is `i16::MAX`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Versions {
    pub low: i16,
    pub high: i16,
}

impl Versions {
    pub const NONE: Versions = Versions { low: 0, high: -1 };

    /// Reads `none`, `3`, `3-13` or `3+`.
    pub fn parse(text: &str) -> Result<Versions, String> {
        let text = text.trim();
        let number = |part: &str| {
            part.parse::<i16>()
                .map_err(|_| format!("'{text}' is not a range of versions"))
        };
        if text == "none" || text.is_empty() {
            Ok(Versions::NONE)
        } else if let Some(low) = text.strip_suffix('+') {
            Ok(Versions {
                low: number(low)?,
                high: i16::MAX,
            })
        } else if let Some((low, high)) = text.split_once('-') {
            Ok(Versions {
                low: number(low)?,
                high: number(high)?,
            })
        } else {
            Ok(Versions {
                low: number(text)?,
                high: number(text)?,
            })
        }
    }

    pub fn is_empty(self) -> bool {
        self.low > self.high
    }

    pub fn contains(self, version: i16) -> bool {
        self.low <= version && version <= self.high
    }

    pub fn intersect(self, other: Versions) -> Versions {
        let both = Versions {
            low: self.low.max(other.low),
            high: self.high.min(other.high),
        };
        if both.is_empty() {
            Versions::NONE
        } else {
            both
        }
    }

    /// Whether every version of `self` is in `other`.
    pub fn within(self, other: Versions) -> bool {
        self.is_empty() || (other.low <= self.low && self.high <= other.high)
    }

    pub fn iter(self) -> impl Iterator<Item = i16> {
        self.low..=self.high
    }
}

impl fmt::Display for Versions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            f.write_str("none")
        } else if self.high == i16::MAX {
            write!(f, "{}+", self.low)
        } else if self.low == self.high {
            write!(f, "{}", self.low)
        } else {
            write!(f, "{}-{}", self.low, self.high)
        }
    }
}

impl fmt::Debug for Versions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The type of a field on the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Type {
    Bool,
    Int8,
    Int16,
    Uint16,
    Int32,
    Uint32,
    Int64,
    Float64,
    Uuid,
    String,
    Bytes,
    Records,
    Struct(String),
    Array(Box<Type>),
}

const NAMED_TYPES: [(&str, Type); 12] = [
    ("bool", Type::Bool),
    ("int8", Type::Int8),
    ("int16", Type::Int16),
    ("uint16", Type::Uint16),
    ("int32", Type::Int32),
    ("uint32", Type::Uint32),
    ("int64", Type::Int64),
    ("float64", Type::Float64),
    ("uuid", Type::Uuid),
    ("string", Type::String),
    ("bytes", Type::Bytes),
    ("records", Type::Records),
];

impl Type {
    pub fn parse(text: &str) -> Result<Type, String> {
        if let Some(element) = text.strip_prefix("[]") {
            let element = Type::parse(element)?;
            if matches!(element, Type::Array(_) | Type::Records) {
                return Err(format!(
                    "'{text}': arrays of this are not in Kafka's language"
                ));
            }
            return Ok(Type::Array(Box::new(element)));
        }
        if let Some((_, named)) = NAMED_TYPES.iter().find(|(name, _)| *name == text) {
            return Ok(named.clone());
        }
        if text.starts_with(|first: char| first.is_ascii_uppercase())
            && text.chars().all(|c| c.is_ascii_alphanumeric())
        {
            return Ok(Type::Struct(text.to_owned()));
        }
        Err(format!("'{text}' is not a type"))
    }

    /// The name of the structure that this is, or is an array of.
    pub fn struct_name(&self) -> Option<&str> {
        match self {
            Type::Struct(name) => Some(name),
            Type::Array(element) => element.struct_name(),
            _ => None,
        }
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Type::Struct(name) => f.write_str(name),
            Type::Array(element) => write!(f, "[]{element}"),
            named => {
                let name = NAMED_TYPES.iter().find(|(_, known)| known == named);
                f.write_str(name.map_or("", |(name, _)| name))
            }
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    pub name: String,
    pub ty: Type,
    pub versions: Versions,
    pub nullable: Versions,
    /// `null`, a number, `true`; `None` is Kafka's default: zero, false or empty.
    pub default: Option<String>,
    pub tag: Option<u32>,
    pub tagged: Versions,
    /// A value that the version cannot carry is dropped instead of refused.
    pub ignorable: bool,
    pub map_key: bool,
    pub entity: Option<String>,
    /// Overrides the message's flexible versions for this field's length.
    pub flexible: Option<Versions>,
    pub zero_copy: bool,
    pub fields: Vec<Field>,
}

impl Field {
    pub fn defaults_to_null(&self) -> bool {
        self.default.as_deref() == Some("null")
    }
}

/// A structure that more than one field of a message uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Struct {
    pub name: String,
    pub versions: Versions,
    pub fields: Vec<Field>,
}

/// What a message is for; decides what `key` means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Request,
    Response,
    Header,
    /// A record of `__cluster_metadata`; `key` is its type.
    Metadata,
    /// `key` is the version that opens a record's key in an internal topic.
    CoordinatorKey,
    CoordinatorValue,
    Data,
}

const KINDS: [(&str, Kind); 7] = [
    ("request", Kind::Request),
    ("response", Kind::Response),
    ("header", Kind::Header),
    ("metadata", Kind::Metadata),
    ("coordinator-key", Kind::CoordinatorKey),
    ("coordinator-value", Kind::CoordinatorValue),
    ("data", Kind::Data),
];

impl Kind {
    pub fn parse(text: &str) -> Result<Kind, String> {
        let kind = KINDS.iter().find(|(name, _)| *name == text);
        kind.map(|(_, kind)| *kind)
            .ok_or_else(|| format!("'{text}' is not a kind of message"))
    }

    pub fn name(self) -> &'static str {
        KINDS
            .iter()
            .find(|(_, kind)| *kind == self)
            .map_or("", |(name, _)| name)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    pub kind: Kind,
    pub name: String,
    pub key: Option<i16>,
    /// Empty if the release no longer speaks this message.
    pub versions: Versions,
    pub deprecated: Versions,
    pub flexible: Versions,
    pub listeners: Vec<String>,
    pub latest_unstable: bool,
    pub fields: Vec<Field>,
    pub structs: Vec<Struct>,
}

impl Message {
    pub fn to_text(&self) -> String {
        let mut text = format!("{} {}", self.kind.name(), self.name);
        if let Some(key) = self.key {
            add(&mut text, "key", &key);
        }
        add(&mut text, "versions", &self.versions);
        if !self.deprecated.is_empty() {
            add(&mut text, "deprecated", &self.deprecated);
        }
        add(&mut text, "flexible", &self.flexible);
        if !self.listeners.is_empty() {
            add(&mut text, "listeners", &self.listeners.join(","));
        }
        if self.latest_unstable {
            text.push_str(" latest-unstable");
        }
        text.push('\n');
        for field in &self.fields {
            field_to_text(field, 0, &mut text);
        }
        for shared in &self.structs {
            text.push_str(&format!("struct {} {}\n", shared.name, shared.versions));
            for field in &shared.fields {
                field_to_text(field, 1, &mut text);
            }
        }
        text
    }

    /// Reads what [`Message::to_text`] writes.
    pub fn from_text(text: &str) -> Result<Message, String> {
        let mut lines = text.lines().enumerate();
        let (_, head) = lines.next().ok_or("the file is empty")?;
        let mut message = parse_head(head).map_err(|why| format!("line 1: {why}"))?;
        for (number, line) in lines {
            let at = |why: String| format!("line {}: {why}", number + 1);
            if let Some(shared) = line.strip_prefix("struct ") {
                let (name, versions) = shared
                    .split_once(' ')
                    .ok_or_else(|| at("no versions".to_owned()))?;
                message.structs.push(Struct {
                    name: name.to_owned(),
                    versions: Versions::parse(versions).map_err(at)?,
                    fields: Vec::new(),
                });
                continue;
            }
            let depth = line.len() - line.trim_start().len();
            let field = parse_field(line.trim_start()).map_err(at)?;
            let (mut siblings, mut depth_left) = match message.structs.last_mut() {
                Some(shared) if depth >= 2 => (&mut shared.fields, depth / 2 - 1),
                _ => (&mut message.fields, depth / 2),
            };
            while depth_left > 0 {
                let parent = siblings.last_mut();
                siblings = &mut parent
                    .ok_or_else(|| at("indented without a parent".to_owned()))?
                    .fields;
                depth_left -= 1;
            }
            siblings.push(field);
        }
        Ok(message)
    }

    /// The fields of a structure, and its own range of versions, by name.
    pub fn find_struct(&self, name: &str) -> Option<(&[Field], Versions)> {
        if let Some(shared) = self.structs.iter().find(|shared| shared.name == name) {
            return Some((&shared.fields, shared.versions));
        }
        fn inside<'a>(fields: &'a [Field], name: &str) -> Option<(&'a [Field], Versions)> {
            fields.iter().find_map(|field| {
                if !field.fields.is_empty() && field.ty.struct_name() == Some(name) {
                    Some((field.fields.as_slice(), field.versions))
                } else {
                    inside(&field.fields, name)
                }
            })
        }
        inside(&self.fields, name).or_else(|| {
            self.structs
                .iter()
                .find_map(|shared| inside(&shared.fields, name))
        })
    }
}

fn add(text: &mut String, key: &str, value: &dyn fmt::Display) {
    // Writing to a String cannot fail.
    let _ = write!(text, " {key}={value}");
}

fn field_to_text(field: &Field, depth: usize, text: &mut String) {
    text.push_str(&"  ".repeat(depth));
    text.push_str(&format!("{} {} {}", field.name, field.ty, field.versions));
    if !field.nullable.is_empty() {
        add(text, "nullable", &field.nullable);
    }
    if let Some(default) = &field.default {
        add(text, "default", default);
    }
    if let Some(tag) = field.tag {
        add(text, "tag", &tag);
        add(text, "tagged", &field.tagged);
    }
    if let Some(flexible) = field.flexible {
        add(text, "flexible", &flexible);
    }
    for (set, word) in [
        (field.ignorable, " ignorable"),
        (field.map_key, " map-key"),
        (field.zero_copy, " zero-copy"),
    ] {
        if set {
            text.push_str(word);
        }
    }
    if let Some(entity) = &field.entity {
        add(text, "entity", entity);
    }
    text.push('\n');
    for child in &field.fields {
        field_to_text(child, depth + 1, text);
    }
}

fn parse_head(line: &str) -> Result<Message, String> {
    let mut words = line.split(' ');
    let mut message = Message {
        kind: Kind::parse(words.next().unwrap_or_default())?,
        name: words.next().ok_or("no name")?.to_owned(),
        key: None,
        versions: Versions::NONE,
        deprecated: Versions::NONE,
        flexible: Versions::NONE,
        listeners: Vec::new(),
        latest_unstable: false,
        fields: Vec::new(),
        structs: Vec::new(),
    };
    for word in words {
        match word.split_once('=').unwrap_or((word, "")) {
            ("key", key) => {
                message.key = Some(key.parse().map_err(|_| format!("'{key}' is no key"))?);
            }
            ("versions", versions) => message.versions = Versions::parse(versions)?,
            ("deprecated", versions) => message.deprecated = Versions::parse(versions)?,
            ("flexible", versions) => message.flexible = Versions::parse(versions)?,
            ("listeners", names) => {
                message.listeners = names.split(',').map(str::to_owned).collect()
            }
            ("latest-unstable", "") => message.latest_unstable = true,
            _ => return Err(format!("'{word}' is not known")),
        }
    }
    Ok(message)
}

pub(crate) fn parse_field(line: &str) -> Result<Field, String> {
    let mut words = line.split(' ');
    let mut next = |what: &str| words.next().ok_or_else(|| format!("no {what}"));
    let mut field = Field {
        name: next("name")?.to_owned(),
        ty: Type::parse(next("type")?)?,
        versions: Versions::parse(next("versions")?)?,
        nullable: Versions::NONE,
        default: None,
        tag: None,
        tagged: Versions::NONE,
        ignorable: false,
        map_key: false,
        entity: None,
        flexible: None,
        zero_copy: false,
        fields: Vec::new(),
    };
    for word in words {
        match word.split_once('=').unwrap_or((word, "")) {
            ("nullable", versions) => field.nullable = Versions::parse(versions)?,
            ("default", default) => field.default = Some(default.to_owned()),
            ("tag", tag) => {
                field.tag = Some(tag.parse().map_err(|_| format!("'{tag}' is no tag"))?)
            }
            ("tagged", versions) => field.tagged = Versions::parse(versions)?,
            ("flexible", versions) => field.flexible = Some(Versions::parse(versions)?),
            ("ignorable", "") => field.ignorable = true,
            ("map-key", "") => field.map_key = true,
            ("zero-copy", "") => field.zero_copy = true,
            ("entity", entity) => field.entity = Some(entity.to_owned()),
            _ => return Err(format!("'{word}' is not known")),
        }
    }
    Ok(field)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRODUCE: &str = "\
request ProduceRequest key=0 versions=3-13 flexible=9+ listeners=broker
TransactionalId string 3+ nullable=3+ default=null entity=transactionalId
TopicData []TopicProduceData 0+
  Name string 0-12 ignorable map-key entity=topicName
  PartitionData []PartitionProduceData 0+
    Index int32 0+
Other Shared 3+ tag=0 tagged=9+
struct Shared 9+
  Value []Inner 9+
    Deep int64 9+ default=-1
";

    #[test]
    fn the_text_of_a_schema_reads_back_as_the_same_schema() {
        let message = Message::from_text(PRODUCE).unwrap();
        assert_eq!(message.to_text(), PRODUCE);
        assert_eq!(message.fields[1].fields[1].fields[0].name, "Index");
        assert_eq!(
            message.structs[0].fields[0].fields[0].default.as_deref(),
            Some("-1")
        );
    }

    #[test]
    fn a_word_that_nobody_knows_is_refused_with_its_line() {
        let text = PRODUCE.replace("map-key", "mapkey");
        assert_eq!(
            Message::from_text(&text),
            Err("line 4: 'mapkey' is not known".to_owned())
        );
    }

    #[test]
    fn a_structure_is_found_wherever_it_is_nested() {
        let message = Message::from_text(PRODUCE).unwrap();
        assert_eq!(
            message.find_struct("PartitionProduceData").unwrap().0.len(),
            1
        );
        assert_eq!(message.find_struct("Inner").unwrap().0[0].name, "Deep");
        assert_eq!(
            message.find_struct("Shared").unwrap().1,
            Versions::parse("9+").unwrap()
        );
    }
}
