//! Versions below those of the release: `codegen/old-versions.txt` laid over its schemas.

use crate::schema::{Field, Message, Versions, parse_field};

/// Versions of one API that are added below the release's lowest.
#[derive(Debug)]
struct OldVersions {
    api: String,
    versions: Versions,
    fields: Vec<OldField>,
}

/// A field that only old versions have.
#[derive(Debug)]
struct OldField {
    /// `Request` or `Response`.
    message: &'static str,
    /// Names of the fields down to its structure.
    path: Vec<String>,
    /// The field in front of which it stands; `None` is the structure's end.
    before: Option<String>,
    field: Field,
}

/// Adds to `messages` what `text` says.
///
/// Errors: an API that the release does not have; versions that do not end where the release's begin, since
/// fields of a version between them would be missing; a field that is there already, or has no place.
pub fn apply<'a>(
    text: &str,
    messages: impl Iterator<Item = &'a mut Message>,
) -> Result<(), String> {
    let mut messages: Vec<&mut Message> = messages.collect();
    for old in parse(text)? {
        for suffix in ["Request", "Response"] {
            let name = format!("{}{suffix}", old.api);
            let message = messages.iter_mut().find(|message| message.name == name);
            let message = message.ok_or_else(|| format!("the release has no {name}"))?;
            if old.versions.high + 1 != message.versions.low {
                return Err(format!(
                    "{name}: old versions {} do not end where the release's begin ({})",
                    old.versions, message.versions
                ));
            }
            message.versions.low = old.versions.low;
            for added in old.fields.iter().filter(|added| added.message == suffix) {
                insert(added, &mut message.fields).map_err(|why| format!("{name}: {why}"))?;
            }
        }
    }
    Ok(())
}

fn insert(added: &OldField, fields: &mut Vec<Field>) -> Result<(), String> {
    let mut siblings = fields;
    for step in &added.path {
        let parent = siblings.iter_mut().find(|field| field.name == *step);
        siblings = &mut parent.ok_or_else(|| format!("no field {step}"))?.fields;
    }
    let place = |name: &str| siblings.iter().position(|field| field.name == name);
    if place(&added.field.name).is_some() {
        return Err(format!("the release has a field {}", added.field.name));
    }
    let at = match &added.before {
        Some(name) => place(name).ok_or_else(|| format!("no field {name}"))?,
        None => siblings.len(),
    };
    siblings.insert(at, added.field.clone());
    Ok(())
}

fn parse(text: &str) -> Result<Vec<OldVersions>, String> {
    let mut all: Vec<OldVersions> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let at = |why: String| format!("old versions, line {}: {why}", number + 1);
        if let Some(line) = line.strip_prefix("  ") {
            let api = all.last_mut();
            let api = api.ok_or_else(|| at("a field without an API".to_owned()))?;
            api.fields.push(parse_old_field(line).map_err(at)?);
        } else {
            let (api, versions) = line
                .split_once(' ')
                .ok_or_else(|| at("no versions".to_owned()))?;
            all.push(OldVersions {
                api: api.to_owned(),
                versions: Versions::parse(versions).map_err(at)?,
                fields: Vec::new(),
            });
        }
    }
    Ok(all)
}

fn parse_old_field(line: &str) -> Result<OldField, String> {
    let words: Vec<&str> = line.splitn(4, ' ').collect();
    let [message, path, before, field] = words[..] else {
        return Err("expected message, path, next field and the field itself".to_owned());
    };
    Ok(OldField {
        message: match message {
            "request" => "Request",
            "response" => "Response",
            other => return Err(format!("'{other}' is neither request nor response")),
        },
        path: path.split('.').map(str::to_owned).collect(),
        before: (before != "end").then(|| before.to_owned()),
        field: parse_field(field)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn release() -> Vec<Message> {
        let request = "request PingRequest key=1 versions=2-3 flexible=3+\nItems []Item 0+\n  Name string 0+\n";
        let response = "response PingResponse key=1 versions=2-3 flexible=3+\n";
        [request, response]
            .iter()
            .map(|text| Message::from_text(text).unwrap())
            .collect()
    }

    fn applied(text: &str) -> Result<Vec<Message>, String> {
        let mut messages = release();
        apply(text, messages.iter_mut())?;
        Ok(messages)
    }

    #[test]
    fn old_versions_come_below_the_releases_with_the_fields_that_only_they_have() {
        let messages =
            applied("# why\nPing 0-1\n  request Items Name Age int32 0-1 default=7\n").unwrap();
        assert_eq!(
            messages[0].to_text(),
            "request PingRequest key=1 versions=0-3 flexible=3+\nItems []Item 0+\n  \
             Age int32 0-1 default=7\n  Name string 0+\n"
        );
        assert_eq!(messages[1].versions, Versions::parse("0-3").unwrap());
    }

    #[test]
    fn a_release_that_drops_more_versions_stops_the_generator() {
        let error = applied("Ping 0\n").unwrap_err();
        assert!(
            error.contains("do not end where the release's begin (2-3)"),
            "{error}"
        );
    }

    #[test]
    fn a_field_needs_a_place_that_is_there_and_free() {
        for (line, why) in [
            ("request Things end A int8 0", "no field Things"),
            ("request Items Size A int8 0", "no field Size"),
            (
                "request Items end Name string 0",
                "the release has a field Name",
            ),
        ] {
            let error = applied(&format!("Ping 0-1\n  {line}\n")).unwrap_err();
            assert!(error.ends_with(why), "{error}");
        }
    }
}
