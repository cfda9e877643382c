//! Records of the internal topics and of the metadata log, behind the numbers that frame them.

use super::{hex, text, unhex};
use bytes::Bytes;
use ottla::metadata::{METADATA_VERSION, MetadataRecord};
use ottla_protocol_tests::codec::find;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

const COORDINATOR: usize = 34;
const METADATA: usize = 37;

/// Reads the message at the end of `framed`, behind `frame`, and writes both again.
fn check(at: &str, name: &str, version: i16, framed: &[u8], frame: &[u8], json: &str) {
    let codec = find(name).expect(name);
    let body = framed
        .strip_prefix(frame)
        .unwrap_or_else(|| panic!("{at}: {}", hex(framed)));
    let body = Bytes::copy_from_slice(body);
    let (value, rest) = (codec.read)(body.clone(), version).expect(at);
    assert_eq!(
        value,
        serde_json::from_str::<Value>(json).expect(at),
        "{at}"
    );
    assert_eq!(rest, 0, "{at}");
    assert_eq!(
        (codec.rewrite)(body.clone(), version).expect(at),
        body,
        "{at}"
    );
}

#[test]
fn every_coordinator_record_is_framed_by_its_type_and_its_version() {
    let text = text("disk/coordinator-records.txt");
    let lines: Vec<&str> = text.lines().collect();
    for pair in lines.chunks(2) {
        let at = pair[0];
        let mut words = at.split(' ');
        let mut word = || words.next().expect(at);
        let _topic = word();
        let kind: i16 = word().parse().expect(at);
        let version: i16 = word().parse().expect(at);
        let (key_name, key_json, value_name, value_json) = (word(), word(), word(), word());
        let (key, value) = pair[1].split_once(' ').expect(at);
        assert_eq!(find(key_name).expect(at).key, Some(kind), "{at}");
        assert_eq!(find(value_name).expect(at).key, Some(kind), "{at}");
        check(at, key_name, 0, &unhex(key), &kind.to_be_bytes(), key_json);
        check(
            at,
            value_name,
            version,
            &unhex(value),
            &version.to_be_bytes(),
            value_json,
        );
    }
    assert_eq!(lines.len(), 2 * COORDINATOR);
}

#[test]
fn every_metadata_record_is_framed_by_three_varints() {
    let text = text("disk/metadata-records.txt");
    let lines: Vec<&str> = text.lines().collect();
    for pair in lines.chunks(2) {
        let at = pair[0];
        let words: Vec<&str> = at.split(' ').collect();
        let [kind, version, name, json] = words[..] else {
            panic!("{at}")
        };
        // All kinds and versions are below 128: one byte each, behind the frame's own version.
        let frame = [1, kind.parse().expect(at), version.parse().expect(at)];
        assert_eq!(
            find(name).expect(at).key,
            Some(kind.parse().expect(at)),
            "{at}"
        );
        check(
            at,
            name,
            version.parse().expect(at),
            &unhex(pair[1]),
            &frame,
            json,
        );
    }
    assert_eq!(lines.len(), 2 * METADATA);
}

/// What the metadata log is replayed from. We write one version of each kind; where that is the vector's,
/// the bytes are Kafka's.
#[test]
fn every_metadata_record_is_read_and_the_written_versions_are_those_of_kafkas_level() {
    let text = text("disk/metadata-records.txt");
    let lines: Vec<&str> = text.lines().collect();
    let mut written = BTreeMap::new();
    for pair in lines.chunks(2) {
        let at = pair[0];
        let bytes = Bytes::from(unhex(pair[1]));
        let record = MetadataRecord::decode(bytes.clone()).expect(at);
        assert_eq!(record.kind(), u32::from(bytes[1]), "{at}");
        // A field that the written version has not may refuse; the same version never does.
        let name = at.split(' ').nth(2).expect(at);
        if let Ok(ours) = record.encode(METADATA_VERSION)
            && ours[2] == bytes[2]
        {
            assert_eq!(hex(&ours), hex(&bytes), "{at}");
            written.insert(name, bytes[2].to_string());
        }
    }
    let kinds: BTreeSet<u8> = lines
        .chunks(2)
        .map(|pair| unhex(&pair[1][2..4])[0])
        .collect();
    assert_eq!(
        written.len(),
        kinds.len(),
        "each kind is written in one of Kafka's versions"
    );
    // The latest level of the release, and what Kafka writes at it.
    let features = super::text("names/features.txt");
    let level = features
        .lines()
        .rfind(|line| line.contains(" true "))
        .expect("one");
    let words: Vec<&str> = level.split(' ').collect();
    for (name, at) in [
        ("RegisterBrokerRecord", 3),
        ("RegisterControllerRecord", 4),
        ("PartitionRecord", 5),
        ("PartitionChangeRecord", 6),
    ] {
        assert_eq!(written[name], words[at], "{name} at {level}");
    }
}
