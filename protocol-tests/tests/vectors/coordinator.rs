//! `__consumer_offsets` as the group coordinator reads and writes it, and where its keys go.

use super::{hex, text, unhex};
use bytes::Bytes;
use ottla::coordinator::group::CoordinatorRecord;
use ottla::coordinator::partition_for;
use serde_json::Value;

/// What Ottla writes, as (record type, value version); it reads all versions.
const WRITTEN: [(i16, i16); 3] = [(1, 1), (1, 4), (2, 3)];

#[test]
fn the_group_coordinator_reads_what_kafkas_wrote_and_writes_the_same_bytes() {
    let text = text("disk/coordinator-records.txt");
    let lines: Vec<&str> = text.lines().collect();
    let (mut read, mut written, mut others) = (0, 0, 0);
    for pair in lines.chunks(2) {
        let at = pair[0];
        let words: Vec<&str> = at.split(' ').collect();
        let [topic, kind, version, _, key_json, _, value_json] = words[..] else {
            panic!("{at}")
        };
        if topic != "__consumer_offsets" {
            continue;
        }
        let (key, value) = pair[1].split_once(' ').expect(at);
        let (key, value) = (Bytes::from(unhex(key)), Bytes::from(unhex(value)));
        let kind: i16 = kind.parse().expect(at);
        let record = CoordinatorRecord::decode(&key, Some(&value)).expect(at);
        let Some(record) = record else {
            assert!(kind > 2, "{at}: passed over");
            others += 1;
            continue;
        };
        agrees(&record, key_json, value_json, at);
        read += 1;
        let (our_key, our_value) = record.encode();
        if WRITTEN.contains(&(kind, version.parse().expect(at))) {
            assert_eq!(hex(&our_key), hex(&key), "{at}");
            assert_eq!(hex(&our_value.expect(at)), hex(&value), "{at}");
            written += 1;
        } else {
            // An old version is written in a new one, and means the same.
            let again = CoordinatorRecord::decode(&our_key, our_value.as_ref());
            assert_eq!(again.expect(at).as_ref(), Some(&record), "{at}");
        }
        // A tombstone keeps the key.
        let gone = CoordinatorRecord::decode(&key, None).expect(at).expect(at);
        let (tombstone_key, none) = gone.encode();
        assert_eq!((hex(&tombstone_key), none), (hex(&our_key), None), "{at}");
    }
    assert_eq!((read, written), (11, WRITTEN.len()));
    assert!(
        others > 10,
        "only {others} records of the newer group protocols"
    );
}

fn agrees(record: &CoordinatorRecord, key: &str, value: &str, at: &str) {
    let key: Value = serde_json::from_str(key).expect(at);
    let json: Value = serde_json::from_str(value).expect(at);
    match record {
        CoordinatorRecord::Offset { key: ours, value } => {
            let value = value.as_ref().expect(at);
            assert_eq!(&*ours.group, key["group"], "{at}");
            assert_eq!(&*ours.topic, key["topic"], "{at}");
            assert_eq!(ours.partition, key["partition"], "{at}");
            assert_eq!(value.offset.get(), json["offset"], "{at}");
            assert_eq!(&*value.metadata, json["metadata"], "{at}");
            assert_eq!(value.committed_at.get(), json["commitTimestamp"], "{at}");
            let epoch = value.leader_epoch.map(|epoch| i64::from(epoch.get()));
            assert_eq!(epoch, json["leaderEpoch"].as_i64(), "{at}");
            let expires = value.expires_at.map(|timestamp| timestamp.get());
            assert_eq!(expires, json["expireTimestamp"].as_i64(), "{at}");
        }
        CoordinatorRecord::Group { group, value } => {
            let value = value.as_ref().expect(at);
            assert_eq!(&**group, key["group"], "{at}");
            assert_eq!(value.generation, json["generation"], "{at}");
            assert_eq!(value.protocol.as_deref(), json["protocol"].as_str(), "{at}");
            assert_eq!(value.leader.as_deref(), json["leader"].as_str(), "{at}");
            let members = json["members"].as_array().expect(at);
            assert_eq!(value.members.len(), members.len(), "{at}");
            for (ours, kafkas) in value.members.iter().zip(members) {
                assert_eq!(&*ours.id, kafkas["memberId"], "{at}");
                assert_eq!(
                    ours.instance_id.as_deref(),
                    kafkas["groupInstanceId"].as_str(),
                    "{at}"
                );
                assert_eq!(ours.session_timeout_ms, kafkas["sessionTimeout"], "{at}");
            }
        }
    }
}

#[test]
fn every_key_goes_to_the_partition_where_kafka_looks_for_it() {
    let text = text("names/partitions.txt");
    let mut count = 0;
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let words: Vec<&str> = line.splitn(4, ' ').collect();
        for (partitions, expected) in [50, 3, 1].into_iter().zip(&words) {
            assert_eq!(
                partition_for(words[3], partitions).to_string(),
                **expected,
                "{line}"
            );
            count += 1;
        }
    }
    assert_eq!(count, 30);
}
