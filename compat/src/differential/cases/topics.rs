//! ApiVersions, topics and what is said of them.

use serde_json::{Value, json};

use super::create as create_topic;
use crate::checks::Checked;
use crate::differential::codec;
use crate::differential::pair::Pair;

pub(super) fn api_versions(pair: &mut Pair<'_>) -> Checked {
    for (name, version) in [
        ("good", "1.0"),
        ("", "1.0"),
        ("good", ""),
        ("a b", "1"),
        ("x", "-1-"),
    ] {
        let body = json!({"ClientSoftwareName": name, "ClientSoftwareVersion": version});
        pair.each_version("ApiVersions", |_, _| body.clone())?;
    }
    for version in [5, 99, -1] {
        pair.ask_bytes("ApiVersions", version, &[], &[])?;
    }
    pair.ask_bytes("ApiVersions", 3, &[], &[])?;
    pair.ask_bytes("ApiVersions", 0, b"more", b"more").map(drop)
}

pub(super) fn create(pair: &mut Pair<'_>) -> Checked {
    create_topic(pair, "plain", 3, json!([]))?;
    create_topic(pair, "one", 1, json!([]))?;
    for version in pair.versions("CreateTopics")? {
        for validate in [true, false] {
            let name = format!("made-{version}");
            let topic = json!({"Name": name, "NumPartitions": 2, "ReplicationFactor": 1,
                "Configs": [{"Name": "retention.ms", "Value": "1000000"}, {"Name": "cleanup.policy", "Value": "delete"}]});
            pair.ask(
                "CreateTopics",
                version,
                |_| json!({"Topics": [topic], "validateOnly": validate}),
            )?;
        }
        let (defaults, assigned) = (format!("defaults-{version}"), format!("assigned-{version}"));
        pair.ask("CreateTopics", version, |_| {
            json!({"Topics": [
                {"Name": defaults, "NumPartitions": -1, "ReplicationFactor": -1},
                {"Name": assigned, "NumPartitions": -1, "ReplicationFactor": -1, "Assignments": [
                    {"PartitionIndex": 0, "BrokerIds": [1]}, {"PartitionIndex": 1, "BrokerIds": [1]}]},
            ]})
        })?;
    }
    Ok(())
}

pub(super) fn create_refused(pair: &mut Pair<'_>) -> Checked {
    let long = "x".repeat(250);
    let named = |name: &str| json!({"Name": name, "NumPartitions": 1, "ReplicationFactor": 1});
    let sized = |partitions: i32, replicas: i32| json!({"Name": "sized", "NumPartitions": partitions, "ReplicationFactor": replicas});
    let assigned = |assignments: Value, partitions: i32, replicas: i32| json!({"Name": "assigned", "NumPartitions": partitions, "ReplicationFactor": replicas, "Assignments": assignments});
    let configured = |name: &str, value: Value| json!({"Name": "configured", "NumPartitions": 1, "ReplicationFactor": 1, "Configs": [{"Name": name, "Value": value}]});
    let mut topics: Vec<Value> = [
        "",
        ".",
        "..",
        "a b",
        "a/b",
        "ü",
        &long,
        "plain",
        "__consumer_offsets",
        "__cluster_metadata",
    ]
    .into_iter()
    .map(named)
    .collect();
    for (partitions, replicas) in [
        (0, 1),
        (-2, 1),
        (1, 0),
        (1, -2),
        (1, 2),
        (1, 3),
        (10_001, 1),
    ] {
        topics.push(sized(partitions, replicas));
    }
    let place =
        |index: i32, brokers: &[i32]| json!({"PartitionIndex": index, "BrokerIds": brokers});
    for assignments in [
        json!([place(1, &[1])]),
        json!([place(0, &[1]), place(2, &[1])]),
        json!([place(0, &[])]),
        json!([place(0, &[1, 1])]),
        json!([place(0, &[2])]),
        json!([place(0, &[-1])]),
    ] {
        topics.push(assigned(assignments, -1, -1));
    }
    topics.push(assigned(json!([place(0, &[1])]), 1, -1));
    topics.push(assigned(json!([place(0, &[1])]), -1, 1));
    for (name, value) in [
        ("no.such.key", json!("1")),
        ("retention.ms", json!("many")),
        ("retention.ms", json!("-2")),
        ("retention.ms", Value::Null),
        ("cleanup.policy", json!("keep")),
        ("cleanup.policy", json!("compact,delete")),
        ("cleanup.policy", json!("")),
        ("compression.type", json!("best")),
        ("segment.bytes", json!("1")),
        ("max.message.bytes", json!("-1")),
        ("min.insync.replicas", json!("0")),
        ("message.timestamp.type", json!("Never")),
        ("unclean.leader.election.enable", json!("perhaps")),
        ("flush.messages", json!("0")),
        ("remote.storage.enable", json!("true")),
        ("", json!("")),
    ] {
        topics.push(configured(name, value));
    }
    for topic in &topics {
        for version in [2, 7] {
            pair.ask(
                "CreateTopics",
                version,
                |_| json!({"Topics": [topic], "validateOnly": true}),
            )?;
        }
    }
    let twice =
        json!({"Topics": [named("twice"), named("twice"), named("other")], "validateOnly": true});
    let collide = json!({"Topics": [named("made.7"), named("made_7")], "validateOnly": false});
    let none = json!({"Topics": []});
    for body in [twice, collide, none] {
        pair.each_version("CreateTopics", |_, _| body.clone())?;
    }
    Ok(())
}

pub(super) fn create_partitions(pair: &mut Pair<'_>) -> Checked {
    create_topic(pair, "growing", 1, json!([]))?;
    let grow = |name: &str, count: i32, assignments: Value| json!({"Name": name, "Count": count, "Assignments": assignments});
    for version in pair.versions("CreatePartitions")? {
        let count = i32::from(version) + 2;
        for validate in [true, false] {
            pair.ask("CreatePartitions", version, |_| {
                json!({"Topics": [grow("growing", count, Value::Null)], "TimeoutMs": 5000, "ValidateOnly": validate})
            })?;
        }
        for topic in [
            grow("growing", 1, Value::Null),
            grow("growing", count, Value::Null),
            grow("growing", 0, Value::Null),
            grow("growing", -1, Value::Null),
            grow("growing", 20_000, Value::Null),
            grow("absent", 3, Value::Null),
            grow("", 3, Value::Null),
            grow("growing", count + 1, json!([])),
            grow("growing", count + 1, json!([{"BrokerIds": []}])),
            grow("growing", count + 1, json!([{"BrokerIds": [2]}])),
            grow("growing", count + 1, json!([{"BrokerIds": [1, 1]}])),
            grow(
                "growing",
                count + 1,
                json!([{"BrokerIds": [1]}, {"BrokerIds": [1]}]),
            ),
        ] {
            pair.ask(
                "CreatePartitions",
                version,
                |_| json!({"Topics": [topic], "TimeoutMs": 5000, "ValidateOnly": true}),
            )?;
        }
        pair.ask("CreatePartitions", version, |_| {
            json!({"Topics": [grow("growing", 50, Value::Null), grow("growing", 51, Value::Null)], "TimeoutMs": 5000})
        })?;
    }
    Ok(())
}

pub(super) fn metadata(pair: &mut Pair<'_>) -> Checked {
    for auto in [false, true] {
        let body = |topics: Value| json!({"Topics": topics, "AllowAutoTopicCreation": auto, "IncludeTopicAuthorizedOperations": true});
        let named = |names: &[&str]| {
            let topics: Vec<Value> = names.iter().map(|name| json!({"Name": name})).collect();
            body(Value::Array(topics))
        };
        pair.each_version("Metadata", |_, _| named(&["plain", "one", "plain"]))?;
        for name in ["", "..", "a b", "absent"] {
            // Up to version 3 an unknown topic is always created, and Kafka takes its time for it.
            let first = if name == "absent" { 4 } else { 0 };
            for version in first..=13 {
                if !(auto && name == "absent") {
                    pair.ask("Metadata", version, |_| named(&[name, "one"]))?;
                }
            }
        }
        for version in 1..=13 {
            pair.ask("Metadata", version, |_| body(json!([])))?;
        }
        for version in 10..=13 {
            for name in ["plain", "absent"] {
                pair.ask("Metadata", version, |side| {
                    let topic = super::topic_named(side, true, name, json!({"Name": null}));
                    body(json!([topic]))
                })?;
            }
            if version < 12 {
                pair.ask("Metadata", version, |_| body(json!([{"Name": null}])))?;
            }
            pair.ask("Metadata", version, |side| {
                body(json!([{"Name": "one", "TopicId": side.kept("id:plain")}]))
            })?;
        }
    }
    for version in 8..=10 {
        pair.ask(
            "Metadata",
            version,
            |_| json!({"Topics": [], "IncludeClusterAuthorizedOperations": true}),
        )?;
    }
    let all = pair.versions("Metadata")?;
    for version in all {
        let topics = if version == 0 { json!([]) } else { Value::Null };
        pair.ask("Metadata", version, |_| json!({"Topics": topics}))?;
    }
    Ok(())
}

pub(super) fn describe(pair: &mut Pair<'_>) -> Checked {
    let names =
        |names: &[&str]| -> Vec<Value> { names.iter().map(|name| json!({"Name": name})).collect() };
    for (topics, limit, cursor) in [
        (names(&["plain"]), 2000, Value::Null),
        (names(&["plain", "one", "absent", ".."]), 2000, Value::Null),
        (names(&["plain", "one"]), 1, Value::Null),
        (
            names(&["plain", "one"]),
            2,
            json!({"TopicName": "plain", "PartitionIndex": 1}),
        ),
        (
            names(&["plain"]),
            1,
            json!({"TopicName": "plain", "PartitionIndex": 9}),
        ),
        (
            names(&["plain"]),
            1,
            json!({"TopicName": "plain", "PartitionIndex": -1}),
        ),
        (
            names(&["one", "plain"]),
            5,
            json!({"TopicName": "p", "PartitionIndex": 0}),
        ),
        (names(&["plain"]), 0, Value::Null),
        (names(&["plain"]), -5, Value::Null),
    ] {
        let body = json!({"Topics": topics, "ResponsePartitionLimit": limit, "Cursor": cursor});
        pair.each_version("DescribeTopicPartitions", |_, _| body.clone())?;
    }
    Ok(())
}

pub(super) fn delete(pair: &mut Pair<'_>) -> Checked {
    for version in pair.versions("DeleteTopics")? {
        let name = format!("made-{version}");
        create_topic(pair, &name, 2, json!([]))?;
        let by_name = |names: &[&str]| -> Value {
            if version >= 6 {
                let topics: Vec<Value> = names.iter().map(|name| json!({"Name": name})).collect();
                json!({"Topics": topics, "TimeoutMs": 5000})
            } else {
                json!({"TopicNames": names, "TimeoutMs": 5000})
            }
        };
        for names in [
            &["absent"][..],
            &[""],
            &["a b"],
            &["absent", "absent"],
            &[&name, &name],
            &[&name],
            &[&name],
            &[],
        ] {
            pair.ask("DeleteTopics", version, |_| by_name(names))?;
        }
    }
    create_topic(pair, "by-id", 1, json!([]))?;
    for _ in 0..2 {
        pair.ask("DeleteTopics", 6, |side| {
            json!({"Topics": [{"Name": "by-id", "TopicId": side.kept("id:by-id")}], "TimeoutMs": 5000})
        })?;
    }
    pair.ask("DeleteTopics", 6, |side| {
        json!({"Topics": [{"Name": null, "TopicId": side.kept("id:by-id")}, {"Name": null, "TopicId": side.kept("id:by-id")}], "TimeoutMs": 5000})
    })?;
    for _ in 0..2 {
        pair.ask("DeleteTopics", 6, |side| {
            json!({"Topics": [{"Name": null, "TopicId": side.kept("id:by-id")}], "TimeoutMs": 5000})
        })?;
    }
    pair.ask(
        "DeleteTopics",
        6,
        |_| json!({"Topics": [{"Name": null}], "TimeoutMs": 5000}),
    )
    .map(drop)
}

/// Every API below and above its versions, and APIs that a broker does not serve.
pub(super) fn unknown_versions(pair: &mut Pair<'_>) -> Checked {
    let mut asked: Vec<(String, i16)> = Vec::new();
    for (api, request) in pair.schemas.requests() {
        if request.versions.is_empty() || api == "ApiVersions" {
            asked.push((api.to_owned(), 0));
            continue;
        }
        asked.push((api.to_owned(), request.versions.high + 1));
        asked.push((api.to_owned(), request.versions.low - 1));
        if !request
            .listeners
            .iter()
            .any(|listener| listener == "broker")
        {
            asked.push((api.to_owned(), request.versions.low));
        }
    }
    for (api, version) in asked {
        if pair.schemas.response(&api).is_err() || pair.schemas.request(&api)?.key.is_none() {
            continue;
        }
        let request = pair.schemas.request(&api)?;
        let body = codec::encode(request, version, &json!({})).unwrap_or_default();
        pair.ask_bytes(&api, version, &body, &body)?;
    }
    Ok(())
}
