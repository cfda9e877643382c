//! Every message of every version: Kafka's bytes read to Kafka's values, and written back alike.

use super::{hex, path, text, unhex};
use bytes::Bytes;
use ottla_protocol_tests::codec::{Codec, find};
use ottla_protocol_tests::generated::MESSAGES;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

const NAMES: usize = 272;
/// Pairs of a message and a version, those of `old-messages` included.
const VERSIONS: usize = 728 + 24;
const VECTORS: usize = 4053 + 117;

struct Vector {
    variant: String,
    version: i16,
    json: Value,
    bytes: Bytes,
}

struct File {
    name: String,
    /// `key=…`, `versions=…` and the like of the first line.
    facts: BTreeMap<String, String>,
    vectors: Vec<Vector>,
}

#[expect(
    clippy::disallowed_methods,
    reason = "a test reads the vectors beside it; no broker runs here"
)]
fn files_in(folder: &str) -> Vec<File> {
    let mut names: Vec<String> = std::fs::read_dir(path(folder))
        .expect(folder)
        .map(|entry| {
            entry
                .expect("entry")
                .file_name()
                .into_string()
                .expect("name")
        })
        .collect();
    names.sort();
    names
        .iter()
        .map(|name| parse(&text(&format!("{folder}/{name}"))))
        .collect()
}

/// The release's messages, and what only older releases had of them.
fn files() -> Vec<File> {
    let mut files = files_in("messages");
    files.extend(files_in("old-messages"));
    files
}

fn parse(text: &str) -> File {
    let mut lines = text.lines();
    let mut words = lines.next().expect("a first line").split(' ');
    assert_eq!(words.next(), Some("message"));
    let name = words.next().expect("a name").to_owned();
    let facts = words
        .map(|word| word.split_once('=').expect("a fact"))
        .map(|(fact, value)| (fact.to_owned(), value.to_owned()))
        .collect();
    let mut vectors = Vec::new();
    let mut meaning = None;
    for line in lines {
        let (first, rest) = line.split_once(' ').unwrap_or((line, ""));
        if let Ok(version) = first.parse() {
            let (variant, json): &(String, Value) = meaning.as_ref().expect("a meaning first");
            vectors.push(Vector {
                variant: variant.clone(),
                version,
                json: json.clone(),
                bytes: Bytes::from(unhex(rest)),
            });
        } else {
            meaning = Some((first.to_owned(), serde_json::from_str(rest).expect(line)));
        }
    }
    File {
        name,
        facts,
        vectors,
    }
}

fn codec(name: &str) -> &'static Codec {
    find(name).unwrap_or_else(|| panic!("{name} is not generated"))
}

/// The value of a whole message; bytes left over are an error.
fn read(name: &str, version: i16, bytes: Bytes) -> Result<Value, String> {
    match (codec(name).read)(bytes, version) {
        Ok((value, 0)) => Ok(value),
        Ok((_, rest)) => Err(format!("{rest} bytes left over")),
        Err(why) => Err(why.to_string()),
    }
}

/// Complaints are collected, so that one run tells everything that is wrong with a generator.
fn fail_with(complaints: &[String]) {
    let shown: Vec<&str> = complaints.iter().take(20).map(String::as_str).collect();
    assert!(
        complaints.is_empty(),
        "{} complaints:\n{}",
        complaints.len(),
        shown.join("\n")
    );
}

#[test]
fn what_kafka_wrote_reads_to_what_kafka_meant() {
    let mut complaints = Vec::new();
    let (mut covered, mut count) = (BTreeSet::new(), 0);
    for file in files() {
        for vector in &file.vectors {
            let at = format!("{} v{} {}", file.name, vector.version, vector.variant);
            match read(&file.name, vector.version, vector.bytes.clone()) {
                Ok(read) if read == vector.json => {}
                Ok(read) => {
                    complaints.push(format!("{at}:\n  kafka {}\n  ours  {read}", vector.json))
                }
                Err(why) => complaints.push(format!("{at}: {why} in {}", hex(&vector.bytes))),
            }
            covered.insert((file.name.clone(), vector.version));
            count += 1;
        }
    }
    fail_with(&complaints);
    assert_eq!((covered.len(), count), (VERSIONS, VECTORS));
}

#[test]
fn what_kafka_wrote_is_written_back_byte_for_byte() {
    let mut complaints = Vec::new();
    let mut count = 0;
    for file in files() {
        for vector in &file.vectors {
            if vector.variant == "unknown_tag" {
                continue;
            }
            let at = format!("{} v{} {}", file.name, vector.version, vector.variant);
            match (codec(&file.name).rewrite)(vector.bytes.clone(), vector.version) {
                Ok(written) if written == vector.bytes => {}
                Ok(written) => complaints.push(format!(
                    "{at}:\n  kafka {}\n  ours  {}",
                    hex(&vector.bytes),
                    hex(&written)
                )),
                Err(why) => complaints.push(format!("{at}: {why:?}")),
            }
            count += 1;
        }
    }
    fail_with(&complaints);
    assert!(
        count > VECTORS * 9 / 10,
        "only {count} vectors were written back"
    );
}

#[test]
fn a_tagged_field_of_a_later_release_is_passed_over() {
    let mut count = 0;
    for file in files() {
        for vector in file
            .vectors
            .iter()
            .filter(|vector| vector.variant == "unknown_tag")
        {
            let at = format!("{} v{}", file.name, vector.version);
            let rewrite = codec(&file.name).rewrite;
            let written = rewrite(vector.bytes.clone(), vector.version).expect(&at);
            let again = read(&file.name, vector.version, written.into()).expect(&at);
            assert_eq!(again, vector.json, "{at}");
            count += 1;
        }
    }
    let flexible = files()
        .iter()
        .filter(|file| file.facts["flexible"] != "none")
        .count();
    assert_eq!(count, flexible);
    assert!(count > 200, "only {count} messages are flexible");
}

#[test]
fn every_message_has_kafkas_key_versions_and_flexible_versions() {
    let files = files_in("messages");
    let old = files_in("old-messages");
    let names: BTreeSet<&str> = files.iter().map(|file| file.name.as_str()).collect();
    let ours: BTreeSet<&str> = MESSAGES.iter().map(|codec| codec.name).collect();
    assert_eq!(names, ours);
    assert_eq!(names.len(), NAMES);
    for file in &files {
        let codec = codec(&file.name);
        let key = codec.key.map_or("none".to_owned(), |key| key.to_string());
        assert_eq!(file.facts["key"], key, "{}", file.name);
        let (low, high) = codec.versions;
        let release = &file.facts["versions"];
        let (lowest, highest) = release.split_once('-').expect("a range");
        assert_eq!(highest, high.to_string(), "{}", file.name);
        // Old versions end where the release's begin.
        let old = old.iter().find(|old| old.name == file.name);
        let lowest = match old.map(|old| old.facts["versions"].split_once('-').expect("a range")) {
            Some((old_lowest, old_highest)) => {
                let next: i16 = old_highest.parse().expect("a version");
                assert_eq!(lowest, (next + 1).to_string(), "{}", file.name);
                old_lowest
            }
            None => lowest,
        };
        assert_eq!(lowest, low.to_string(), "{}", file.name);
        let first = codec.flexible.max(low);
        let flexible = if first > high {
            "none".to_owned()
        } else {
            format!("{first}+")
        };
        assert_eq!(file.facts["flexible"], flexible, "{}", file.name);
    }
}

#[test]
fn a_new_message_writes_what_kafkas_constructor_writes() {
    let (mut same, mut refused) = (0, 0);
    for file in files() {
        for vector in file
            .vectors
            .iter()
            .filter(|vector| vector.variant == "defaults")
        {
            // Where null is the default and the version has no null, neither side can write it.
            match (codec(&file.name).write_default)(vector.version) {
                Ok(written) => {
                    assert_eq!(
                        hex(&written),
                        hex(&vector.bytes),
                        "{} v{}",
                        file.name,
                        vector.version
                    );
                    same += 1;
                }
                Err(_) => refused += 1,
            }
        }
    }
    assert_eq!(same + refused, VERSIONS);
    assert!(refused < 20, "{refused} defaults could not be written");
}

/// Not one cut of a message may be taken for the message, and none may panic.
#[test]
fn a_message_cut_short_is_an_error_at_every_byte() {
    let mut cuts = 0;
    for file in files() {
        for vector in file
            .vectors
            .iter()
            .filter(|vector| vector.variant == "full")
        {
            for len in 0..vector.bytes.len() {
                let cut = read(&file.name, vector.version, vector.bytes.slice(..len));
                assert!(cut.is_err(), "{} v{} at {len}", file.name, vector.version);
                cuts += 1;
            }
        }
    }
    assert!(cuts > 50_000, "only {cuts} cuts");
}
