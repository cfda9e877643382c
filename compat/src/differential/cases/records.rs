//! Writing and reading records.

use serde_json::{Value, json};

use super::{create, topic_named};
use crate::checks::Checked;
use crate::differential::batch::{Batch, now};
use crate::differential::pair::{Pair, Side};

fn produce_body(
    side: &Side,
    version: i16,
    name: &str,
    acks: i16,
    partition: i32,
    records: &Value,
) -> Value {
    let data = json!({"PartitionData": [{"Index": partition, "Records": records}]});
    json!({"Acks": acks, "TimeoutMs": 3000, "TopicData": [topic_named(side, version >= 13, name, data)]})
}

pub(super) fn produce(pair: &mut Pair<'_>) -> Checked {
    create(pair, "written", 2, json!([]))?;
    for version in pair.versions("Produce")? {
        for acks in [1, -1, 2, -2] {
            let records = json!(Batch::default().hex());
            pair.ask("Produce", version, |side| {
                produce_body(side, version, "written", acks, 0, &records)
            })?;
        }
        for (name, partition) in [("absent", 0), ("written", 7), ("written", -1), ("", 0)] {
            let records = json!(Batch::default().hex());
            pair.ask("Produce", version, |side| {
                produce_body(side, version, name, 1, partition, &records)
            })?;
        }
        pair.ask(
            "Produce",
            version,
            |_| json!({"Acks": 1, "TimeoutMs": 3000, "TopicData": []}),
        )?;
    }
    Ok(())
}

pub(super) fn produce_refused(pair: &mut Pair<'_>) -> Checked {
    create(
        pair,
        "refusing",
        60,
        json!([{"Name": "max.message.bytes", "Value": "300"}]),
    )?;
    create(
        pair,
        "compacted",
        1,
        json!([{"Name": "cleanup.policy", "Value": "compact"}]),
    )?;
    let good = Batch::default();
    const LONG: &[&str] = &[
        "oooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooo",
        "x",
    ];
    let two = [good.bytes(), good.bytes()].concat();
    let cut = good.bytes();
    let batches: Vec<Value> = [
        Batch {
            base_offset: 5,
            ..good
        },
        Batch { magic: 1, ..good },
        Batch { magic: 0, ..good },
        Batch { magic: 3, ..good },
        Batch { magic: 255, ..good },
        Batch {
            crc_off_by: 1,
            ..good
        },
        Batch {
            length_off_by: 1,
            ..good
        },
        Batch {
            length_off_by: -1,
            ..good
        },
        Batch {
            last_offset_delta: 0,
            ..good
        },
        Batch {
            last_offset_delta: 5,
            ..good
        },
        Batch {
            last_offset_delta: -1,
            ..good
        },
        Batch { count: 1, ..good },
        Batch { count: 3, ..good },
        Batch {
            count: 3,
            last_offset_delta: 2,
            ..good
        },
        Batch {
            count: 0,
            last_offset_delta: -1,
            values: &[],
            ..good
        },
        Batch {
            count: 0,
            last_offset_delta: 0,
            values: &[],
            ..good
        },
        Batch { count: -1, ..good },
        Batch {
            attributes: 5,
            ..good
        },
        Batch {
            attributes: 7,
            ..good
        },
        Batch {
            attributes: 1,
            ..good
        },
        Batch {
            attributes: 2,
            ..good
        },
        Batch {
            attributes: 3,
            ..good
        },
        Batch {
            attributes: 4,
            ..good
        },
        Batch {
            attributes: 8,
            ..good
        },
        Batch {
            attributes: 0x20,
            ..good
        },
        Batch {
            attributes: 0x40,
            ..good
        },
        Batch {
            timestamp: -1,
            ..good
        },
        Batch {
            timestamp: -2,
            ..good
        },
        Batch {
            timestamp: 0,
            ..good
        },
        Batch {
            timestamp: i64::MAX,
            ..good
        },
        Batch {
            timestamp: now() * 2,
            ..good
        },
        Batch {
            values: LONG,
            ..good
        },
        Batch {
            producer: (5, 0, -1),
            ..good
        },
        Batch {
            producer: (5, -1, 0),
            ..good
        },
        Batch {
            producer: (-1, 0, 0),
            ..good
        },
    ]
    .into_iter()
    .map(|batch| json!(batch.hex()))
    .chain([
        Value::Null,
        json!(""),
        json!("00"),
        json!(crate::differential::codec::hex(&two)),
        json!(crate::differential::codec::hex(&cut[..cut.len() - 1])),
        json!(crate::differential::codec::hex(&cut[..20])),
        json!(crate::differential::codec::hex(
            &[cut.clone(), cut[..30].to_vec()].concat()
        )),
        json!(crate::differential::codec::hex(&[cut, vec![0; 5]].concat())),
    ])
    .collect();
    // Each in a partition of its own, so that a batch that only one broker takes shows once.
    for (partition, records) in (0..).zip(&batches) {
        for version in [3, 8, 13] {
            pair.ask("Produce", version, |side| {
                produce_body(side, version, "refusing", 1, partition, records)
            })?;
        }
    }
    let keyless = json!(
        Batch {
            values: &[],
            count: 1,
            last_offset_delta: 0,
            ..good
        }
        .hex()
    );
    pair.ask("Produce", 12, |side| {
        produce_body(side, 12, "compacted", 1, 0, &keyless)
    })?;
    let records = json!(good.hex());
    for name in ["__consumer_offsets", "__cluster_metadata"] {
        pair.ask("Produce", 12, |side| {
            produce_body(side, 12, name, 1, 0, &records)
        })?;
    }
    // A request that wants no answer: the connection says whether it was taken.
    for records in [&batches[5], &records] {
        pair.ask("Produce", 9, |side| {
            produce_body(side, 9, "refusing", 0, 0, records)
        })?;
    }
    pair.ask("ListOffsets", 5, |_| {
        json!({"ReplicaId": -1, "Topics": [{"Name": "refusing", "Partitions": [{"PartitionIndex": 0, "Timestamp": -1}]}]})
    })
    .map(drop)
}

pub(super) fn idempotence(pair: &mut Pair<'_>) -> Checked {
    create(pair, "ordered", 1, json!([]))?;
    let good = Batch::default();
    let written = [
        (900, 0, 0),
        (900, 0, 0),
        (900, 0, 2),
        (900, 0, 0),
        (900, 0, 2),
        (900, 0, 5),
        (900, 0, 1),
        (900, 0, 3),
        (900, 1, 4),
        (900, 1, 0),
        (900, 0, 4),
        (900, 1, 2),
        (901, 0, 7),
        (901, 0, 9),
        (902, 3, i32::MAX - 1),
        (902, 3, 0),
        (903, 5, 1),
    ];
    // Five batches and two more; then all of them again, of which Kafka remembers five.
    let many = (0..14).step_by(2).map(|sequence| (904, 0, sequence));
    for producer in written.into_iter().chain(many.clone()).chain(many) {
        let records = json!(Batch { producer, ..good }.hex());
        pair.ask("Produce", 12, |side| {
            produce_body(side, 12, "ordered", -1, 0, &records)
        })?;
    }
    pair.ask("DescribeProducers", 0, |_| {
        json!({"Topics": [{"Name": "ordered", "PartitionIndexes": [0, 1]}, {"Name": "absent", "PartitionIndexes": [0]}]})
    })
    .map(drop)
}

pub(super) fn append_time(pair: &mut Pair<'_>) -> Checked {
    create(
        pair,
        "stamped",
        1,
        json!([{"Name": "message.timestamp.type", "Value": "LogAppendTime"}]),
    )?;
    let bounds = json!([
        {"Name": "message.timestamp.before.max.ms", "Value": "1000"},
        {"Name": "message.timestamp.after.max.ms", "Value": "1000"}]);
    create(pair, "bounded", 1, bounds)?;
    for version in [3, 8, 13] {
        for timestamp in [now(), -1, 0, now() * 2] {
            let records = json!(
                Batch {
                    timestamp,
                    ..Batch::default()
                }
                .hex()
            );
            for name in ["stamped", "bounded"] {
                pair.ask("Produce", version, |side| {
                    produce_body(side, version, name, 1, 0, &records)
                })?;
            }
        }
    }
    Ok(())
}

fn fetch_body(side: &Side, version: i16, name: &str, partition: Value, rest: Value) -> Value {
    let mut topic = json!({"Partitions": [partition]});
    if version >= 13 {
        let id = side.kept(&format!("id:{name}"));
        topic["TopicId"] = if id.is_null() {
            "11".repeat(16).into()
        } else {
            id
        };
    } else {
        topic["Topic"] = name.into();
    }
    let mut body = json!({"MaxWaitMs": 0, "MinBytes": 0, "MaxBytes": 1_000_000, "Topics": [topic]});
    for (key, value) in rest.as_object().into_iter().flatten() {
        body[key] = value.clone();
    }
    body
}

pub(super) fn fetch(pair: &mut Pair<'_>) -> Checked {
    create(pair, "read", 2, json!([]))?;
    for _ in 0..5 {
        let records = json!(Batch::default().hex());
        pair.ask("Produce", 12, |side| {
            produce_body(side, 12, "read", 1, 0, &records)
        })?;
    }
    let at = |offset: i64, bytes: i32| json!({"Partition": 0, "FetchOffset": offset, "PartitionMaxBytes": bytes});
    for version in pair.versions("Fetch")? {
        for offset in [0, 1, 2, 9, 10, 11, -1, -5, i64::MAX] {
            pair.ask("Fetch", version, |side| {
                fetch_body(side, version, "read", at(offset, 100_000), json!({}))
            })?;
        }
        for bytes in [0, 1, 100, 250, -1] {
            pair.ask("Fetch", version, |side| {
                fetch_body(side, version, "read", at(0, bytes), json!({}))
            })?;
            pair.ask("Fetch", version, |side| {
                fetch_body(
                    side,
                    version,
                    "read",
                    at(0, 100_000),
                    json!({"MaxBytes": bytes}),
                )
            })?;
        }
        for isolation in [1, 2, -1] {
            pair.ask("Fetch", version, |side| {
                fetch_body(
                    side,
                    version,
                    "read",
                    at(2, 100_000),
                    json!({"IsolationLevel": isolation}),
                )
            })?;
        }
        for (epoch, last) in [(0, -1), (1, -1), (5, -1), (-1, 0), (-1, 1), (0, 5)] {
            pair.ask("Fetch", version, |side| {
                let mut partition = at(2, 100_000);
                partition["CurrentLeaderEpoch"] = epoch.into();
                partition["LastFetchedEpoch"] = last.into();
                fetch_body(side, version, "read", partition, json!({}))
            })?;
        }
        for name in ["absent", ""] {
            pair.ask("Fetch", version, |side| {
                fetch_body(side, version, name, at(0, 1000), json!({}))
            })?;
        }
        pair.ask("Fetch", version, |side| {
            let partition = json!({"Partition": 9, "FetchOffset": 0, "PartitionMaxBytes": 1000});
            fetch_body(side, version, "read", partition, json!({}))
        })?;
        pair.ask("Fetch", version, |side| {
            let rest = json!({"MaxWaitMs": 50, "MinBytes": 1});
            fetch_body(side, version, "read", at(10, 1000), rest)
        })?;
        // As a broker that is a replica of nothing.
        for (name, epoch) in [("read", -1), ("read", 5), ("absent", -1)] {
            pair.ask("Fetch", version, |side| {
                let mut partition = at(2, 1000);
                partition["CurrentLeaderEpoch"] = epoch.into();
                let replica =
                    json!({"ReplicaId": 9, "ReplicaState": {"ReplicaId": 9, "ReplicaEpoch": 1}});
                fetch_body(side, version, name, partition, replica)
            })?;
        }
    }
    Ok(())
}

pub(super) fn fetch_sessions(pair: &mut Pair<'_>) -> Checked {
    let at = |partition: i32, offset: i64| json!({"Partition": partition, "FetchOffset": offset, "PartitionMaxBytes": 10_000});
    for version in [7, 9, 12, 13, 15, 18] {
        let ask =
            |pair: &mut Pair<'_>, name: &str, partition: Value, id: Value, epoch: i32| -> Checked {
                pair.ask("Fetch", version, |side| {
                    let id = if id.is_null() {
                        side.kept("session")
                    } else {
                        id.clone()
                    };
                    fetch_body(
                        side,
                        version,
                        name,
                        partition.clone(),
                        json!({"SessionId": id, "SessionEpoch": epoch}),
                    )
                })
                .map(drop)
            };
        ask(pair, "read", at(0, 0), json!(0), 0)?;
        pair.keep("session", |answer| answer["SessionId"].clone());
        ask(pair, "read", at(0, 10), Value::Null, 1)?;
        ask(pair, "read", at(1, 0), Value::Null, 2)?;
        for (epoch, topics) in [(3, json!([])), (3, json!([])), (9, json!([]))] {
            pair.ask("Fetch", version, |side| {
                json!({"MaxWaitMs": 0, "MinBytes": 0, "Topics": topics, "SessionId": side.kept("session"), "SessionEpoch": epoch})
            })?;
        }
        ask(pair, "absent", at(0, 0), Value::Null, 4)?;
        ask(pair, "read", at(7, 0), Value::Null, 5)?;
        ask(pair, "read", at(0, 99), Value::Null, 6)?;
        pair.ask("Fetch", version, |side| {
            let mut forgotten = json!({"Partitions": [0]});
            let id = side.kept("id:read");
            if version >= 13 {
                forgotten["TopicId"] = id
            } else {
                forgotten["Topic"] = "read".into()
            }
            json!({"MaxWaitMs": 0, "MinBytes": 0, "Topics": [], "ForgottenTopicsData": [forgotten],
                "SessionId": side.kept("session"), "SessionEpoch": 7})
        })?;
        ask(pair, "read", at(0, 0), json!(12_345), 1)?;
        ask(pair, "read", at(0, 0), json!(12_345), 0)?;
        ask(pair, "read", at(0, 0), Value::Null, -1)?;
        ask(pair, "read", at(0, 0), Value::Null, 8)?;
        ask(pair, "read", at(0, 0), json!(0), 5)?;
    }
    Ok(())
}

pub(super) fn list_offsets(pair: &mut Pair<'_>) -> Checked {
    for version in pair.versions("ListOffsets")? {
        for timestamp in [
            -1,
            -2,
            -3,
            -4,
            -5,
            -6,
            -7,
            0,
            now(),
            now() + 1,
            i64::MAX,
            i64::MIN,
        ] {
            for (name, partition, epoch) in [
                ("read", 0, -1),
                ("read", 1, -1),
                ("read", 0, 0),
                ("read", 0, 3),
                ("absent", 0, -1),
                ("read", 9, -1),
                ("", -1, -1),
            ] {
                pair.ask("ListOffsets", version, |_| {
                    json!({"ReplicaId": -1, "TimeoutMs": 1000, "Topics": [{"Name": name, "Partitions": [
                        {"PartitionIndex": partition, "CurrentLeaderEpoch": epoch, "Timestamp": timestamp}]}]})
                })?;
            }
        }
        for (replica, isolation) in [(-1, 1), (-1, 5), (-2, 0), (0, 0), (1, 0)] {
            pair.ask("ListOffsets", version, |_| {
                json!({"ReplicaId": replica, "IsolationLevel": isolation, "Topics": [{"Name": "read", "Partitions": [
                    {"PartitionIndex": 0, "Timestamp": -1}, {"PartitionIndex": 0, "Timestamp": -2}, {"PartitionIndex": 1, "Timestamp": -1}]}]})
            })?;
        }
    }
    Ok(())
}

/// Version 0 of ListOffsets tells where segments begin: here each batch has its own.
pub(super) fn segment_starts(pair: &mut Pair<'_>) -> Checked {
    if !pair.versions("ListOffsets")?.contains(&0) {
        return Ok(());
    }
    let each_batch = json!([{"Name": "segment.ms", "Value": "1"}]);
    create(pair, "segments", 1, each_batch)?;
    for place in 0..4 {
        let batch = Batch {
            timestamp: now() + place * 10,
            ..Batch::default()
        };
        let records = json!(batch.hex());
        pair.ask("Produce", 9, |side| {
            produce_body(side, 9, "segments", 1, 0, &records)
        })?;
    }
    for timestamp in [-1, -2, 0, now() - 3_600_000, i64::MAX] {
        for count in [-1, 0, 1, 2, 3, 100] {
            pair.ask("ListOffsets", 0, |_| {
                json!({"ReplicaId": -1, "Topics": [{"Name": "segments", "Partitions": [
                    {"PartitionIndex": 0, "Timestamp": timestamp, "MaxNumOffsets": count}]}]})
            })?;
        }
    }
    Ok(())
}

pub(super) fn leader_epochs(pair: &mut Pair<'_>) -> Checked {
    for version in pair.versions("OffsetForLeaderEpoch")? {
        for (name, partition, current, epoch) in [
            ("read", 0, -1, 0),
            ("read", 0, 0, 0),
            ("read", 0, 1, 0),
            ("read", 0, -1, 1),
            ("read", 0, -1, -1),
            ("read", 1, -1, 0),
            ("read", 9, -1, 0),
            ("absent", 0, -1, 0),
            ("read", 0, -1, i32::MAX),
        ] {
            pair.ask("OffsetForLeaderEpoch", version, |_| {
                json!({"Topics": [{"Topic": name, "Partitions": [
                    {"Partition": partition, "CurrentLeaderEpoch": current, "LeaderEpoch": epoch}]}]})
            })?;
        }
    }
    Ok(())
}

pub(super) fn delete_records(pair: &mut Pair<'_>) -> Checked {
    create(pair, "shrinking", 1, json!([]))?;
    for _ in 0..5 {
        let records = json!(Batch::default().hex());
        pair.ask("Produce", 12, |side| {
            produce_body(side, 12, "shrinking", 1, 0, &records)
        })?;
    }
    for version in pair.versions("DeleteRecords")? {
        for (name, partition, offset) in [
            ("shrinking", 0, i64::from(version) + 1),
            ("shrinking", 0, 0),
            ("shrinking", 0, 11),
            ("shrinking", 0, -2),
            ("shrinking", 4, 0),
            ("absent", 0, 0),
            ("compacted", 0, 0),
            ("__consumer_offsets", 0, 0),
        ] {
            pair.ask("DeleteRecords", version, |_| {
                json!({"Topics": [{"Name": name, "Partitions": [{"PartitionIndex": partition, "Offset": offset}]}], "TimeoutMs": 1000})
            })?;
        }
        pair.ask("Fetch", 11, |side| {
            let partition = json!({"Partition": 0, "FetchOffset": 0, "PartitionMaxBytes": 1000});
            fetch_body(side, 11, "shrinking", partition, json!({}))
        })?;
    }
    pair.ask("DeleteRecords", 2, |_| {
        json!({"Topics": [{"Name": "shrinking", "Partitions": [{"PartitionIndex": 0, "Offset": -1}]}], "TimeoutMs": 1000})
    })?;
    for timestamp in [-1, -2, -3, -4] {
        pair.ask("ListOffsets", 8, |_| {
            json!({"ReplicaId": -1, "Topics": [{"Name": "shrinking", "Partitions": [{"PartitionIndex": 0, "Timestamp": timestamp}]}]})
        })?;
    }
    Ok(())
}

pub(super) fn producer_ids(pair: &mut Pair<'_>) -> Checked {
    let ready = |answer: &Value| answer["ErrorCode"] == 0;
    pair.ask_until(
        "InitProducerId",
        4,
        |_| json!({"TransactionalId": null, "TransactionTimeoutMs": 1000}),
        ready,
    )?;
    for version in pair.versions("InitProducerId")? {
        for (id, epoch) in [(-1, -1), (5, 0), (5, -1), (-1, 3)] {
            pair.ask("InitProducerId", version, |_| {
                json!({"TransactionalId": null, "TransactionTimeoutMs": 1000, "ProducerId": id, "ProducerEpoch": epoch})
            })?;
        }
        pair.ask(
            "InitProducerId",
            version,
            |_| json!({"TransactionalId": "", "TransactionTimeoutMs": 1000}),
        )?;
    }
    Ok(())
}
