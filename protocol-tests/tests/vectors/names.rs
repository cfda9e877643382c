//! The numbered things: API keys, header versions, error codes.

use super::text;
use ottla::api::ROWS;
use ottla::config::OldVersions;
use ottla::protocol::{ApiKey, ErrorCode};
use ottla_protocol_tests::codec::find;
use std::collections::BTreeSet;

#[test]
fn every_api_and_version_has_kafkas_number_name_and_headers() {
    let (mut versions, mut gone, mut advertised) = (0, 0, 0);
    let mut seen = BTreeSet::new();
    for line in text("names/apis.txt")
        .lines()
        .filter(|line| !line.starts_with('#'))
    {
        let words: Vec<&str> = line.split(' ').collect();
        let number = |at: usize| words[at].parse::<i16>().expect(line);
        match words[0] {
            "gone" => {
                let key = ApiKey::from_code(number(1)).expect(line);
                assert_eq!((key.name(), key.versions()), (words[2], None), "{line}");
                seen.insert(number(1));
                gone += 1;
            }
            listener @ ("broker" | "controller") => {
                let key = ApiKey::from_code(number(1)).expect(line);
                let stable = key.stable_versions().expect(line);
                // Kafka says 0 for Produce, which clients before KIP-896 insist on, and serves 3.
                let low = if key == ApiKey::Produce {
                    0
                } else {
                    *stable.start()
                };
                assert_eq!(words[2], format!("{low}-{}", stable.end()), "{line}");
                let on = if listener == "broker" {
                    key.on_broker()
                } else {
                    key.on_controller()
                };
                assert!(on, "{line}");
                advertised += 1;
            }
            _ => {
                let key = ApiKey::from_code(number(0)).expect(line);
                let version = number(2);
                assert_eq!((key.code(), key.name()), (number(0), words[1]), "{line}");
                assert!(key.versions().expect(line).contains(&version), "{line}");
                assert_eq!(key.request_header_version(version), number(3), "{line}");
                assert_eq!(key.response_header_version(version), number(4), "{line}");
                seen.insert(number(0));
                versions += 1;
            }
        }
    }
    let ours: BTreeSet<i16> = ApiKey::ALL.iter().map(|key| key.code()).collect();
    assert_eq!(seen, ours);
    let our_versions: usize = ApiKey::ALL
        .iter()
        .filter_map(|key| key.versions())
        .map(|range| range.count())
        .sum();
    assert_eq!(versions, our_versions);
    let our_advertised: usize = ApiKey::ALL
        .iter()
        .filter(|key| key.stable_versions().is_some())
        .map(|key| usize::from(key.on_broker()) + usize::from(key.on_controller()))
        .sum();
    assert_eq!(advertised, our_advertised);
    assert_eq!((ours.len(), gone), (93, 4));
}

#[test]
fn what_the_broker_serves_is_what_has_a_schema_and_is_stable() {
    for row in ROWS {
        let name = format!("{}Request", row.key.name());
        let codec = find(&name).expect(&name);
        let served = (row.old_min, row.max);
        assert_eq!(served, (codec.versions.0, codec.latest_stable), "{name}");
    }
}

/// Apache Kafka's answer to ApiVersions without what is not served yet: each range byte for byte.
#[test]
fn the_ranges_that_are_advertised_are_kafkas() {
    let kafkas: BTreeSet<(i16, String)> = text("names/apis.txt")
        .lines()
        .filter_map(|line| line.strip_prefix("broker "))
        .map(|line| line.split_once(' ').expect(line))
        .map(|(key, range)| (key.parse().expect(key), range.to_owned()))
        .collect();
    for row in ROWS.iter().filter(|row| row.is_advertised()) {
        let range = |old| format!("{}-{}", row.advertised_min(old), row.max);
        let ours = (row.key.code(), range(OldVersions::Quiet));
        assert!(kafkas.contains(&ours), "{ours:?}");
        let also_old = (row.key.code(), range(OldVersions::Advertised));
        let is_old = row.old_min < row.min;
        assert_eq!(kafkas.contains(&also_old), !is_old, "{also_old:?}");
    }
}

#[test]
fn every_error_code_has_kafkas_number_and_name() {
    let mut seen = Vec::new();
    for line in text("names/errors.txt")
        .lines()
        .filter(|line| !line.starts_with('#'))
    {
        let words: Vec<&str> = line.split(' ').collect();
        let code = ErrorCode::from_code(words[0].parse().expect(line)).expect(line);
        assert_eq!(code.name(), words[1], "{line}");
        seen.push(code);
    }
    assert_eq!(seen, ErrorCode::ALL);
    assert_eq!(seen.len(), 135);
}
