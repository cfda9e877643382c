//! What the emitters share: a message taken apart into Rust structures, with every question about
//! versions answered for the versions that are valid.

use crate::schema::{Field, Kind, Message, Type, Versions};

/// A message that the release speaks, ready to be written as Rust.
pub struct Plan<'a> {
    pub message: &'a Message,
    pub module: String,
    /// Highest version a stock broker offers: less than the last one while that is unstable.
    pub latest_stable: i16,
    /// The message itself first, then its parts in the order in which a reader meets them.
    pub structs: Vec<StructPlan<'a>>,
}

pub struct StructPlan<'a> {
    pub name: &'a str,
    /// Versions in which this structure can appear.
    pub versions: Versions,
    /// Fields that at least one of these versions carries.
    pub fields: Vec<FieldPlan<'a>>,
    /// Fewest bytes per version, tags included.
    pub bytes_min: Vec<(i16, usize)>,
    /// Whether an array holds it.
    pub in_array: bool,
}

pub struct FieldPlan<'a> {
    pub field: &'a Field,
    pub rust_name: String,
    /// Versions of the surrounding structure that carry the field, by place or by tag.
    pub present: Versions,
    /// Of these, the versions that carry it by place.
    pub placed: Versions,
    /// Of these, the versions that carry it by tag.
    pub tagged: Versions,
    pub nullable: Versions,
    /// Whether the Rust type is an `Option`.
    pub optional: bool,
}

impl<'a> Plan<'a> {
    /// `None` if the release has no version of this message left.
    pub fn new(message: &'a Message, all: &[Message]) -> Result<Option<Plan<'a>>, String> {
        if message.versions.is_empty() {
            return Ok(None);
        }
        if message.versions.high == i16::MAX {
            return Err(format!("{}: the valid versions have no end", message.name));
        }
        let mut structs = Vec::new();
        add_struct(
            message,
            &message.name,
            &message.fields,
            message.versions,
            &mut structs,
        )?;
        for shared in &message.structs {
            let versions = shared.versions.intersect(message.versions);
            let mut everywhere = message.structs.iter().flat_map(|shared| &shared.fields);
            let used = message
                .fields
                .iter()
                .chain(&mut everywhere)
                .any(|f| uses(f, &shared.name));
            if used {
                add_struct(
                    message,
                    &shared.name,
                    &shared.fields,
                    versions,
                    &mut structs,
                )?;
            }
        }
        for index in 0..structs.len() {
            structs[index].bytes_min = structs[index]
                .versions
                .iter()
                .map(|version| Ok((version, bytes_min(message, &structs, index, version)?)))
                .collect::<Result<_, String>>()?;
            let name = structs[index].name;
            structs[index].in_array = structs.iter().any(|holder| {
                holder.fields.iter().any(|f| {
                    matches!(f.field.ty, Type::Array(_)) && f.field.ty.struct_name() == Some(name)
                })
            });
        }
        let unstable = match message.kind {
            Kind::Response => all.iter().any(|other| {
                other.kind == Kind::Request && other.key == message.key && other.latest_unstable
            }),
            _ => message.latest_unstable,
        };
        Ok(Some(Plan {
            message,
            module: snake(&message.name),
            latest_stable: message.versions.high - i16::from(unstable),
            structs,
        }))
    }

    /// Versions of this message that use compact lengths and tags.
    pub fn flexible(&self) -> Versions {
        self.message.flexible.intersect(self.message.versions)
    }
}

fn add_struct<'a>(
    message: &'a Message,
    name: &'a str,
    fields: &'a [Field],
    versions: Versions,
    structs: &mut Vec<StructPlan<'a>>,
) -> Result<(), String> {
    let at = |what: &str| format!("{}: {name}: {what}", message.name);
    if structs.iter().any(|known| known.name == name) {
        return Err(at("this structure is there twice"));
    }
    if [
        "Result", "Option", "Vec", "Text", "Bytes", "BytesMut", "Uuid", "Reader", "Default",
        "Message", "Wire",
    ]
    .contains(&name)
    {
        return Err(at("this name is taken in Rust"));
    }
    let mut plans = Vec::new();
    for field in fields {
        let present = field.versions.intersect(versions);
        if present.is_empty() {
            continue;
        }
        let tagged = field.tagged.intersect(present);
        let placed = if tagged.is_empty() {
            present
        } else if tagged.high != present.high {
            return Err(at("tagged versions have an end"));
        } else {
            present.intersect(Versions {
                low: 0,
                high: tagged.low - 1,
            })
        };
        if !tagged.within(message.flexible) {
            return Err(at("tagged in a version that is not flexible"));
        }
        if matches!(field.flexible, Some(flexible) if !flexible.is_empty()) {
            return Err(at(
                "only 'none' is understood as a field's own flexible versions",
            ));
        }
        let nullable = field.nullable.intersect(present);
        if field.defaults_to_null() && nullable.is_empty() {
            return Err(at("defaults to null, but is never nullable"));
        }
        plans.push(FieldPlan {
            field,
            rust_name: rust_name(&field.name),
            present,
            placed,
            tagged,
            nullable,
            optional: !nullable.is_empty() || field.ty == Type::Records,
        });
    }
    structs.push(StructPlan {
        name,
        versions,
        fields: plans,
        bytes_min: Vec::new(),
        in_array: false,
    });
    for field in fields {
        let inner = field.versions.intersect(versions);
        let Some(inner_name) = field.ty.struct_name() else {
            continue;
        };
        if inner.is_empty()
            || message
                .structs
                .iter()
                .any(|shared| shared.name == inner_name)
        {
            continue;
        }
        add_struct(message, inner_name, &field.fields, inner, structs)?;
    }
    Ok(())
}

fn uses(field: &Field, name: &str) -> bool {
    field.ty.struct_name() == Some(name) || field.fields.iter().any(|inner| uses(inner, name))
}

fn bytes_min(
    message: &Message,
    structs: &[StructPlan<'_>],
    index: usize,
    version: i16,
) -> Result<usize, String> {
    let message_flexible = message.flexible.contains(version);
    let mut sum = usize::from(message_flexible);
    for plan in &structs[index].fields {
        if !plan.placed.contains(version) {
            continue;
        }
        let flexible = message_flexible && plan.field.flexible.is_none();
        sum += match &plan.field.ty {
            Type::Bool | Type::Int8 => 1,
            Type::Int16 | Type::Uint16 => 2,
            Type::Int32 | Type::Uint32 => 4,
            Type::Int64 | Type::Float64 => 8,
            Type::Uuid => 16,
            Type::String => {
                if flexible {
                    1
                } else {
                    2
                }
            }
            Type::Bytes | Type::Records | Type::Array(_) => {
                if flexible {
                    1
                } else {
                    4
                }
            }
            Type::Struct(_) if plan.nullable.contains(version) => 1,
            Type::Struct(name) => {
                let inner = structs.iter().position(|known| known.name == name);
                let inner =
                    inner.ok_or_else(|| format!("{}: {name} is not there", message.name))?;
                bytes_min(message, structs, inner, version)?
            }
        };
    }
    Ok(sum)
}

/// `TopicName` → `topic_name`, `KRaftVersion` → `k_raft_version`.
pub fn snake(name: &str) -> String {
    let chars: Vec<char> = name.chars().collect();
    let mut out = String::new();
    for (index, c) in chars.iter().enumerate() {
        if c.is_ascii_uppercase() && index > 0 {
            let after_word = !chars[index - 1].is_ascii_uppercase();
            let before_word = chars.get(index + 1).is_some_and(char::is_ascii_lowercase);
            if after_word || before_word {
                out.push('_');
            }
        }
        out.push(c.to_ascii_lowercase());
    }
    out
}

fn rust_name(name: &str) -> String {
    let name = snake(name);
    const KEYWORDS: [&str; 16] = [
        "type", "match", "move", "ref", "self", "super", "use", "where", "loop", "in", "fn", "mod",
        "impl", "enum", "struct", "trait",
    ];
    if KEYWORDS.contains(&name.as_str()) {
        name + "_"
    } else {
        name
    }
}

/// When code runs, among the versions of the structure it stands in.
#[derive(Clone, PartialEq, Eq)]
pub enum When {
    Always,
    Never,
    If(String),
}

/// `range` as a condition on `version`, given that `version` is in `among`.
pub fn when(range: Versions, among: Versions) -> When {
    let both = range.intersect(among);
    if both.is_empty() {
        When::Never
    } else if both == among {
        When::Always
    } else if both.high == among.high {
        When::If(format!("version >= {}", both.low))
    } else if both.low == among.low {
        When::If(format!("version <= {}", both.high))
    } else if both.low == both.high {
        When::If(format!("version == {}", both.low))
    } else {
        When::If(format!("({}..={}).contains(&version)", both.low, both.high))
    }
}

/// The opposite of [`when`].
pub fn unless(range: Versions, among: Versions) -> When {
    let both = range.intersect(among);
    if both.is_empty() {
        When::Always
    } else if both == among {
        When::Never
    } else if both.high == among.high {
        When::If(format!("version < {}", both.low))
    } else if both.low == among.low {
        When::If(format!("version > {}", both.high))
    } else if both.low == both.high {
        When::If(format!("version != {}", both.low))
    } else {
        When::If(format!(
            "!({}..={}).contains(&version)",
            both.low, both.high
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(text: &str) -> Versions {
        Versions::parse(text).unwrap()
    }

    #[test]
    fn names_become_snake_case_and_keywords_get_a_dash() {
        assert_eq!(snake("V3AndBelowTopics"), "v3_and_below_topics");
        assert_eq!(snake("KRaftVersionFeature"), "k_raft_version_feature");
        assert_eq!(snake("ISRs"), "is_rs");
        assert_eq!(rust_name("Type"), "type_");
    }

    #[test]
    fn a_condition_is_as_short_as_the_valid_versions_allow() {
        let text = |range_: &str| match when(range(range_), range("3-13")) {
            When::Always => "always".to_owned(),
            When::Never => "never".to_owned(),
            When::If(condition) => condition,
        };
        assert_eq!(text("3+"), "always");
        assert_eq!(text("0-2"), "never");
        assert_eq!(text("9+"), "version >= 9");
        assert_eq!(text("0-12"), "version <= 12");
        assert_eq!(text("5-7"), "(5..=7).contains(&version)");
        assert_eq!(text("5"), "version == 5");
    }
}
