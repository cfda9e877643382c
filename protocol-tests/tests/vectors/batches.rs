//! Record batches: headers, checksums, records and markers, as Kafka's builders wrote them and as
//! Kafka's own reader understands them.

use super::{hex, text, unhex};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use ottla::record::control::{self, ControlRecord, ControlType, EndMarker, TransactionResult};
use ottla::record::{
    Batch, BatchBuilder, BatchError, BatchOptions, Codec, Compression, DecodeLimits, InvalidBatch,
    Keys, NewRecord, ProduceRules, ProducerStamp, Record, TargetCompression, TimestampRules,
    TimestampType, TransactionVersion, ValidBatch, ZstdUse, old,
};
use ottla::types::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Timestamp};
use serde_json::{Value, json};

const BATCHES: usize = 70;
const LEGACY: usize = 6;

pub(super) struct Vector {
    name: String,
    json: Value,
    pub(super) bytes: Bytes,
}

impl Vector {
    pub(super) fn int(&self, field: &str) -> i64 {
        self.json[field]
            .as_i64()
            .unwrap_or_else(|| panic!("{}: {field}", self.name))
    }

    fn is(&self, field: &str) -> bool {
        self.json[field]
            .as_bool()
            .unwrap_or_else(|| panic!("{}: {field}", self.name))
    }

    pub(super) fn is_legacy(&self) -> bool {
        self.int("magic") < 2
    }

    fn batch(&self) -> Batch {
        let mut bytes = self.bytes.clone();
        let batch = Batch::split_off(&mut bytes)
            .expect(&self.name)
            .expect(&self.name);
        assert!(bytes.is_empty(), "{}", self.name);
        batch
    }

    pub(super) fn records(&self) -> &Vec<Value> {
        self.json["records"].as_array().expect("records")
    }
}

pub(super) fn vectors() -> Vec<Vector> {
    let text = text("records/batches.txt");
    let lines: Vec<&str> = text.lines().collect();
    let vectors: Vec<Vector> = lines
        .chunks(2)
        .map(|pair| {
            let (name, json) = pair[0].split_once(' ').expect("a name");
            Vector {
                name: name.to_owned(),
                json: serde_json::from_str(json).expect(name),
                bytes: unhex(pair[1]).into(),
            }
        })
        .collect();
    assert_eq!(vectors.len(), BATCHES);
    vectors
}

fn current() -> impl Iterator<Item = Vector> {
    vectors().into_iter().filter(|vector| !vector.is_legacy())
}

fn bytes(json: &Value) -> Option<Vec<u8>> {
    json.as_str()
        .map(|text| STANDARD.decode(text).expect("base64"))
}

/// The value of a record: as it is written there, or by the rule for long ones.
fn value(record: &Value) -> Option<Vec<u8>> {
    match record["valueLines"].as_u64() {
        Some(lines) => Some(
            (0..lines)
                .flat_map(|n| format!("line {n}\n").into_bytes())
                .collect(),
        ),
        None => bytes(&record["value"]),
    }
}

fn headers(record: &Value) -> Vec<(Vec<u8>, Option<Vec<u8>>)> {
    let headers = record["headers"].as_array().cloned().unwrap_or_default();
    let key = |header: &Value| header["key"].as_str().expect("a key").as_bytes().to_vec();
    headers
        .iter()
        .map(|header| (key(header), bytes(&header["value"])))
        .collect()
}

#[test]
fn every_header_says_what_kafka_says_and_its_checksum_holds() {
    for vector in current() {
        let (batch, name) = (vector.batch(), &vector.name);
        let header = *batch.header();
        let attributes = header.attributes;
        let kind = match attributes.timestamp_type() {
            TimestampType::CreateTime => "CreateTime",
            TimestampType::LogAppendTime => "LogAppendTime",
        };
        let horizon = attributes
            .has_delete_horizon()
            .then_some(header.base_timestamp.0);
        let mut ours = json!({
            "magic": header.magic,
            "sizeInBytes": header.size(),
            "baseOffset": header.base_offset.0,
            "lastOffset": header.last_offset().0,
            "compression": attributes.codec().expect(name).name(),
            "timestampType": kind,
            "maxTimestamp": header.max_timestamp.0,
            "partitionLeaderEpoch": header.leader_epoch.0,
            "crc": header.crc,
            "isTransactional": attributes.is_transactional(),
            "isControl": attributes.is_control(),
            "deleteHorizonMs": horizon,
            "producerId": header.producer_id.0,
            "producerEpoch": header.producer_epoch.0,
            "baseSequence": header.base_sequence,
            "lastSequence": header.last_sequence(),
            "count": header.records_count,
        });
        ours["records"] = vector.json["records"].clone();
        assert_eq!(ours, vector.json, "{name}");
        assert_eq!(batch.check_crc(), Ok(()), "{name}");
        assert_eq!(
            header.encode()[..],
            vector.bytes[..header.encode().len()],
            "{name}"
        );
    }
}

#[test]
fn every_record_says_what_kafka_says_in_all_five_codecs() {
    let mut count = 0;
    for vector in current() {
        let (batch, name) = (vector.batch(), &vector.name);
        let records: Vec<Record> = batch
            .records(DecodeLimits::default())
            .collect::<Result<_, _>>()
            .unwrap_or_else(|why| panic!("{name}: {why}"));
        assert_eq!(records.len(), vector.records().len(), "{name}");
        for (ours, kafkas) in records.iter().zip(vector.records()) {
            assert_eq!(Some(ours.offset.0), kafkas["offset"].as_i64(), "{name}");
            assert_eq!(
                Some(ours.timestamp.0),
                kafkas["timestamp"].as_i64(),
                "{name}"
            );
            assert_eq!(
                ours.key.as_deref(),
                bytes(&kafkas["key"]).as_deref(),
                "{name}"
            );
            assert!(
                ours.value.as_deref() == value(kafkas).as_deref(),
                "{name}: value"
            );
            let ours: Vec<(Vec<u8>, Option<Vec<u8>>)> = ours
                .headers
                .iter()
                .map(|header| {
                    (
                        header.key.to_vec(),
                        header.value.as_ref().map(|v| v.to_vec()),
                    )
                })
                .collect();
            assert_eq!(ours, headers(kafkas), "{name}");
            count += 1;
        }
    }
    assert!(count > 1_500, "only {count} records");
}

/// The writer's side: from what Kafka says is in a batch, our builder makes Kafka's bytes. Compressed
/// ones are compared once unpacked: encoders may differ, and do.
#[test]
fn our_builder_writes_kafkas_bytes() {
    let (mut same, mut unpacked) = (0, 0);
    for vector in current() {
        let name = &vector.name;
        // Compaction keeps the base of a batch whose records it takes out; that is the cleaner's work.
        if name.starts_with("compacted") {
            continue;
        }
        let theirs = vector.batch();
        let header = *theirs.header();
        let mut builder = BatchBuilder::new(BatchOptions {
            compression: Compression::of(header.attributes.codec().expect(name)),
            timestamp_type: header.attributes.timestamp_type(),
            producer: ProducerStamp {
                id: header.producer_id,
                epoch: header.producer_epoch,
                base_sequence: header.base_sequence,
            },
            transactional: header.attributes.is_transactional(),
            control: header.attributes.is_control(),
            base_offset: header.base_offset,
            leader_epoch: header.leader_epoch,
        });
        for record in vector.records() {
            let (key, value) = (bytes(&record["key"]), value(record));
            let owned = headers(record);
            let headers: Vec<(&[u8], Option<&[u8]>)> = owned
                .iter()
                .map(|(key, value)| (&key[..], value.as_deref()))
                .collect();
            let timestamp = Timestamp(record["timestamp"].as_i64().expect("a timestamp"));
            let record = NewRecord {
                key: key.as_deref(),
                value: value.as_deref(),
                headers: &headers,
            };
            builder.push(timestamp, record);
        }
        let ours = builder.build().expect(name).to_bytes();
        if vector.json["timestampType"] == "LogAppendTime" {
            // The producer's own timestamps still lie in the records, and nobody is told them.
            unpacked += usize::from(reads_alike(&ours, &vector));
        } else if header.attributes.codec() == Some(Codec::None) {
            assert_eq!(hex(&ours), hex(&vector.bytes), "{name}");
            same += 1;
        } else {
            assert_eq!(ours[21..61], vector.bytes[21..61], "{name}");
            unpacked += usize::from(reads_alike(&ours, &vector));
        }
    }
    assert_eq!((same, unpacked), (16, 45));
}

fn reads_alike(ours: &Bytes, vector: &Vector) -> bool {
    let batch = Batch::split_off(&mut ours.clone())
        .expect("ours")
        .expect("ours");
    batch.check_crc().expect("ours");
    let read = |batch: &Batch| -> Vec<Record> {
        batch
            .records(DecodeLimits::default())
            .collect::<Result<_, _>>()
            .expect("records")
    };
    assert!(read(&batch) == read(&vector.batch()), "{}", vector.name);
    true
}

#[test]
fn what_kafkas_producer_sends_is_accepted_as_it_came() {
    let rules = ProduceRules {
        now: Timestamp(1_760_000_000_000),
        bytes_max: 1 << 20,
        timestamps: TimestampRules {
            kind: TimestampType::CreateTime,
            before_max_ms: i64::MAX,
            after_max_ms: i64::MAX,
        },
        keys: Keys::Optional,
        compression: TargetCompression::Producer,
        zstd: ZstdUse::Allowed,
        decode: DecodeLimits::default(),
    };
    let mut accepted = 0;
    for vector in vectors() {
        let name = &vector.name;
        // A producer numbers from 0; the base offset is not under the checksum.
        let mut sent = vector.bytes.to_vec();
        sent[..8].fill(0);
        let sent = Bytes::from(sent);
        match ValidBatch::parse(&sent, &rules) {
            // A producer's mistake on a topic where its own time counts: taken, and put right.
            Ok(batch) if name.ends_with("log-append-time") => {
                assert_eq!(batch.log_append_time(), None, "{name}");
            }
            Ok(batch) => {
                assert_eq!(hex(&batch.to_bytes()), hex(&sent), "{name}");
                assert!(
                    !name.starts_with("control") && !name.starts_with("legacy"),
                    "{name}"
                );
                assert!(!name.starts_with("compacted"), "{name}");
                accepted += 1;
            }
            Err(why) => {
                let expected = match name.as_str() {
                    _ if vector.is_legacy() => matches!(why, InvalidBatch::OldMagic(_)),
                    _ if name.starts_with("control") => matches!(why, InvalidBatch::Control),
                    _ if name.starts_with("compacted") => {
                        matches!(why, InvalidBatch::OffsetRange { .. })
                    }
                    _ => false,
                };
                assert!(expected, "{name}: {why}");
            }
        }
    }
    // Five codecs, nine kinds each, and four long ones.
    assert_eq!(accepted, 5 * 9 + 4);
}

#[test]
fn every_marker_reads_as_kafka_meant_and_is_written_as_kafka_writes_it() {
    let mut count = 0;
    for vector in current().filter(|vector| vector.is("isControl")) {
        let (batch, name) = (vector.batch(), &vector.name);
        let header = *batch.header();
        let kind = vector.records()[0]["controlType"].as_str().expect("a type");
        let raft = |kind: ControlType| {
            let value = value(&vector.records()[0]).expect("a value");
            (ControlRecord::Raft(kind, value.into()), None)
        };
        let end = |result, coordinator_epoch| {
            let marker = EndMarker {
                result,
                coordinator_epoch,
            };
            (ControlRecord::EndTransaction(marker), Some(marker))
        };
        let (expected, marker) = match kind {
            "COMMIT" => end(TransactionResult::Commit, 21),
            "ABORT" => end(TransactionResult::Abort, 0),
            "LEADER_CHANGE" => raft(ControlType::LeaderChange),
            "SNAPSHOT_HEADER" => raft(ControlType::SnapshotHeader),
            "SNAPSHOT_FOOTER" => raft(ControlType::SnapshotFooter),
            "KRAFT_VERSION" => raft(ControlType::KraftVersion),
            "KRAFT_VOTERS" => raft(ControlType::KraftVoters),
            other => panic!("{other}"),
        };
        assert_eq!(control::read(&batch), Some(expected.clone()), "{name}");
        let mut written = match (marker, expected) {
            (Some(marker), _) => control::end_transaction(
                header.producer_id,
                header.producer_epoch,
                marker,
                TransactionVersion::V1,
                header.max_timestamp,
            ),
            (None, ControlRecord::Raft(kind, value)) => {
                control::raft(kind, &value, header.leader_epoch, header.max_timestamp)
            }
            (None, other) => panic!("{other:?}"),
        };
        written.stamp(header.base_offset, header.leader_epoch);
        assert_eq!(hex(&written.to_bytes()), hex(&vector.bytes), "{name}");
        count += 1;
    }
    assert_eq!(count, 7);
}

#[test]
fn the_two_old_formats_are_told_apart_and_refused() {
    let mut count = 0;
    for vector in vectors().iter().filter(|vector| vector.is_legacy()) {
        let magic = i8::try_from(vector.int("magic")).expect("small");
        let error = Batch::split_off(&mut vector.bytes.clone()).expect_err(&vector.name);
        assert_eq!(error, BatchError::OldMagic(magic), "{}", vector.name);
        count += 1;
    }
    assert_eq!(count, LEGACY);
}

#[test]
fn old_messages_and_those_that_they_wrap_are_read_as_kafka_reads_them() {
    for vector in vectors().iter().filter(|vector| vector.is_legacy()) {
        assert_eq!(old::check_crc(&vector.bytes), Ok(()), "{}", vector.name);
        let found = old::records(&vector.bytes, DecodeLimits::default()).expect(&vector.name);
        let found = found.iter().map(|record| {
            let Record {
                offset, timestamp, ..
            } = record;
            let (key, value) = (record.key.as_deref(), record.value.as_deref());
            (
                offset.0,
                timestamp.0,
                key.map(<[u8]>::to_vec),
                value.map(<[u8]>::to_vec),
            )
        });
        let expected = vector.records().iter().map(|record| {
            let int = |field: &str| record[field].as_i64().expect("a number");
            (
                int("offset"),
                int("timestamp"),
                bytes(&record["key"]),
                bytes(&record["value"]),
            )
        });
        assert_eq!(
            found.collect::<Vec<_>>(),
            expected.collect::<Vec<_>>(),
            "{}",
            vector.name
        );
    }
}

#[test]
fn a_flipped_bit_behind_the_checksum_is_found_everywhere() {
    let mut flips = 0;
    for vector in current().filter(|vector| vector.bytes.len() < 500) {
        for at in 17..vector.bytes.len() {
            let mut damaged = vector.bytes.to_vec();
            damaged[at] ^= 1 << (at % 8);
            let batch = Batch::split_off(&mut damaged.into())
                .expect("framed")
                .expect("whole");
            assert!(batch.check_crc().is_err(), "{} at {at}", vector.name);
            flips += 1;
        }
    }
    assert!(flips > 5_000, "only {flips} flips");
}

#[test]
fn the_leaders_stamp_leaves_the_checksum_as_it_was() {
    let vector = current()
        .find(|vector| vector.name == "zstd-idempotent")
        .expect("a vector");
    let mut stamped = vector.bytes.to_vec();
    stamped[..8].copy_from_slice(&99_i64.to_be_bytes());
    stamped[12..16].copy_from_slice(&7_i32.to_be_bytes());
    let batch = Batch::split_off(&mut stamped.into())
        .expect("framed")
        .expect("whole");
    assert_eq!(batch.check_crc(), Ok(()));
    assert_eq!(batch.header().base_offset, Offset(99));
    assert_eq!(batch.header().leader_epoch, LeaderEpoch(7));
    let producer = (batch.header().producer_id, batch.header().producer_epoch);
    assert_eq!(producer, (ProducerId(4711), ProducerEpoch(5)));
}
