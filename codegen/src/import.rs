//! From the JSON definitions inside a release's jars to schemas: facts only, no descriptive text.

use crate::schema::{Field, Kind, Message, Struct, Type, Versions};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use std::io::Read;
use std::path::Path;

/// What one jar holds.
pub struct Jar {
    /// The folder under `schemas/`: the jar's name without `kafka-` and release.
    pub folder: String,
    pub release: String,
    pub file_name: String,
    /// SHA-256 of the jar file, in hexadecimal.
    pub digest: String,
    pub messages: Vec<Message>,
}

/// Folders of a jar in which Kafka's build leaves its definitions.
const FOLDERS: [&str; 3] = ["common/message/", "common/metadata/", "message/"];

/// A definition is at most 40 KB in 4.3.1; whatever is larger is not one.
const DEFINITION_LEN_MAX: u64 = 4 << 20;

/// Reads every definition of one jar, in order of name.
pub fn read_jar(path: &Path) -> Result<Jar, String> {
    let shown = path.display();
    let bytes = std::fs::read(path).map_err(|why| format!("{shown}: {why}"))?;
    let file_name = path
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let (folder, release) = file_name
        .strip_suffix(".jar")
        .and_then(|stem| stem.rsplit_once('-'))
        .ok_or_else(|| format!("{shown}: a release jar is named kafka-NAME-RELEASE.jar"))?;
    let mut archive = zip::ZipArchive::new(std::io::Cursor::new(&bytes))
        .map_err(|why| format!("{shown}: {why}"))?;
    let mut messages = Vec::new();
    for index in 0..archive.len() {
        let mut entry = archive
            .by_index(index)
            .map_err(|why| format!("{shown}: {why}"))?;
        let name = entry
            .name()
            .map_err(|why| format!("{shown}: {why}"))?
            .into_owned();
        let in_folder = FOLDERS
            .iter()
            .any(|folder| name.strip_prefix(folder).is_some_and(|n| !n.contains('/')));
        if !in_folder || !name.ends_with(".json") {
            continue;
        }
        let mut text = String::new();
        (&mut entry)
            .take(DEFINITION_LEN_MAX)
            .read_to_string(&mut text)
            .map_err(|why| format!("{shown}: {name}: {why}"))?;
        messages.push(parse_definition(&text).map_err(|why| format!("{shown}: {name}: {why}"))?);
    }
    messages.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(Jar {
        folder: folder.strip_prefix("kafka-").unwrap_or(folder).to_owned(),
        release: release.to_owned(),
        digest: Sha256::digest(&bytes)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect(),
        file_name,
        messages,
    })
}

/// One definition: JSON with `//` comments.
fn parse_definition(text: &str) -> Result<Message, String> {
    let json: Value =
        serde_json::from_str(&without_comments(text)).map_err(|why| why.to_string())?;
    let object = json.as_object().ok_or("not a JSON object")?;
    known_keys(
        object,
        &[
            "apiKey",
            "type",
            "name",
            "validVersions",
            "deprecatedVersions",
            "flexibleVersions",
            "listeners",
            "latestVersionUnstable",
            "fields",
            "commonStructs",
            "about",
        ],
    )?;
    let versions = versions(object, "validVersions")?;
    Ok(Message {
        kind: Kind::parse(text_of(object, "type").ok_or("no type")?)?,
        name: text_of(object, "name").ok_or("no name")?.to_owned(),
        key: match object.get("apiKey") {
            None => None,
            Some(key) => {
                let key = key.as_i64().and_then(|key| i16::try_from(key).ok());
                Some(key.ok_or("apiKey is not a number")?)
            }
        },
        versions,
        deprecated: self::versions(object, "deprecatedVersions")?,
        flexible: self::versions(object, "flexibleVersions")?.intersect(if versions.is_empty() {
            Versions::NONE
        } else {
            Versions {
                low: 0,
                high: i16::MAX,
            }
        }),
        listeners: strings(object, "listeners"),
        latest_unstable: flag(object, "latestVersionUnstable"),
        fields: fields(object)?,
        structs: array(object, "commonStructs")
            .iter()
            .map(|shared| {
                let shared = shared
                    .as_object()
                    .ok_or("a common structure is not an object")?;
                known_keys(shared, &["name", "versions", "fields", "about"])?;
                Ok(Struct {
                    name: text_of(shared, "name")
                        .ok_or("a structure has no name")?
                        .to_owned(),
                    versions: self::versions(shared, "versions")?,
                    fields: fields(shared)?,
                })
            })
            .collect::<Result<_, String>>()?,
    })
}

fn fields(object: &Map<String, Value>) -> Result<Vec<Field>, String> {
    array(object, "fields").iter().map(parse_field).collect()
}

fn parse_field(json: &Value) -> Result<Field, String> {
    let object = json.as_object().ok_or("a field is not an object")?;
    let name = text_of(object, "name").ok_or("a field has no name")?;
    let parse = || {
        known_keys(
            object,
            &[
                "name",
                "type",
                "versions",
                "fields",
                "mapKey",
                "nullableVersions",
                "default",
                "ignorable",
                "entityType",
                "about",
                "taggedVersions",
                "flexibleVersions",
                "tag",
                "zeroCopy",
            ],
        )?;
        let tagged = versions(object, "taggedVersions")?;
        let ty = Type::parse(text_of(object, "type").ok_or("no type")?)?;
        Ok(Field {
            name: name.to_owned(),
            versions: match object.get("versions") {
                // A field that is only ever tagged may leave its versions out.
                None => tagged,
                Some(_) => versions(object, "versions")?,
            },
            nullable: versions(object, "nullableVersions")?,
            default: default(object.get("default"), &ty)?,
            tag: match object.get("tag") {
                None => None,
                Some(tag) => {
                    let tag = tag.as_u64().and_then(|tag| u32::try_from(tag).ok());
                    Some(tag.ok_or("tag is not a number")?)
                }
            },
            tagged,
            ignorable: flag(object, "ignorable"),
            map_key: flag(object, "mapKey"),
            entity: text_of(object, "entityType").map(str::to_owned),
            flexible: match text_of(object, "flexibleVersions") {
                None | Some("") => None,
                Some(text) => Some(Versions::parse(text)?),
            },
            zero_copy: flag(object, "zeroCopy"),
            fields: fields(object)?,
            ty,
        })
    };
    parse().map_err(|why: String| format!("field {name}: {why}"))
}

/// Brings the spellings of a default (a number, a text, hexadecimal) to one. A JSON null is no
/// default at all to Kafka, unlike the text "null"; so is what equals the type's own zero.
fn default(json: Option<&Value>, ty: &Type) -> Result<Option<String>, String> {
    let text = match json {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Bool(value)) => value.to_string(),
        Some(Value::Number(number)) => number.to_string(),
        Some(other) => return Err(format!("default {other} is not understood")),
    };
    let text = match ty {
        Type::Bool => text.to_ascii_lowercase(),
        Type::Int8 | Type::Int16 | Type::Uint16 | Type::Int32 | Type::Uint32 | Type::Int64
            if !text.is_empty() =>
        {
            let number = match text.strip_prefix("0x") {
                Some(hexadecimal) => i64::from_str_radix(hexadecimal, 16),
                None => text.parse(),
            };
            number
                .map_err(|_| format!("default '{text}' is not a number"))?
                .to_string()
        }
        _ => text,
    };
    if !text
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
    {
        return Err(format!("default '{text}' is not understood"));
    }
    Ok((!matches!(text.as_str(), "" | "0" | "false")).then_some(text))
}

/// A key that we do not know may change what the bytes mean; a later release must not slip one by.
fn known_keys(object: &Map<String, Value>, known: &[&str]) -> Result<(), String> {
    match object.keys().find(|key| !known.contains(&key.as_str())) {
        Some(key) => Err(format!("key '{key}' is not understood")),
        None => Ok(()),
    }
}

fn text_of<'a>(object: &'a Map<String, Value>, key: &str) -> Option<&'a str> {
    object.get(key).and_then(Value::as_str)
}

fn versions(object: &Map<String, Value>, key: &str) -> Result<Versions, String> {
    text_of(object, key).map_or(Ok(Versions::NONE), Versions::parse)
}

fn flag(object: &Map<String, Value>, key: &str) -> bool {
    match object.get(key) {
        Some(Value::Bool(value)) => *value,
        Some(Value::String(text)) => text.eq_ignore_ascii_case("true"),
        _ => false,
    }
}

fn array<'a>(object: &'a Map<String, Value>, key: &str) -> &'a [Value] {
    object
        .get(key)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

fn strings(object: &Map<String, Value>, key: &str) -> Vec<String> {
    array(object, key)
        .iter()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect()
}

/// Takes `//` comments out, but not inside of JSON strings.
fn without_comments(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    let mut in_string = false;
    while let Some(c) = chars.next() {
        if in_string {
            out.push(c);
            match c {
                '\\' => out.extend(chars.next()),
                '"' => in_string = false,
                _ => {}
            }
        } else if c == '/' && chars.peek() == Some(&'/') {
            while chars.next_if(|&c| c != '\n').is_some() {}
        } else {
            in_string = c == '"';
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_go_and_slashes_in_strings_stay() {
        let text = "{ // \"no\"\n \"about\": \"see http://x \\\"//y\\\"\" }//end";
        assert_eq!(
            without_comments(text),
            "{ \n \"about\": \"see http://x \\\"//y\\\"\" }"
        );
    }

    #[test]
    fn descriptions_are_left_behind_and_defaults_are_brought_to_one_spelling() {
        let message = parse_definition(
            r#"{ "type": "data", "name": "Thing", "validVersions": "0-1", "flexibleVersions": "1+",
                 // what it is for
                 "fields": [
                   { "name": "A", "type": "int32", "versions": "0+", "default": "0x7fffffff", "about": "words" },
                   { "name": "B", "type": "int8", "versions": "0+", "default": 0 },
                   { "name": "C", "type": "[]Part", "tag": 0, "taggedVersions": "1+", "nullableVersions": "1+", "default": null,
                     "fields": [ { "name": "D", "type": "bool", "versions": "1+", "default": true } ] } ] }"#,
        )
        .unwrap();
        assert_eq!(
            message.to_text(),
            "data Thing versions=0-1 flexible=1+\nA int32 0+ default=2147483647\nB int8 0+\n\
             C []Part 1+ nullable=1+ tag=0 tagged=1+\n  D bool 1+ default=true\n"
        );
    }

    #[test]
    fn a_key_that_a_later_release_invents_stops_the_import() {
        let error = parse_definition(
            r#"{ "type": "data", "name": "Thing", "validVersions": "0", "flexibleVersions": "0+",
                 "fields": [ { "name": "A", "type": "int32", "versions": "0+", "packed": true } ] }"#,
        );
        assert_eq!(
            error,
            Err("field A: key 'packed' is not understood".to_owned())
        );
    }
}
