//! Describing the cluster and the configuration.

use serde_json::{Value, json};

use crate::checks::Checked;
use crate::context::Context;

pub(super) fn cluster(cx: &mut Context) -> Checked {
    let answer = cx.call("describe_cluster", json!({}))?;
    let nodes = answer["nodes"].as_array().cloned().unwrap_or_default();
    cx.checks.equal("nodes", nodes.len(), 1)?;
    let address = format!(
        "{}:{}",
        nodes[0][1].as_str().unwrap_or_default(),
        nodes[0][2].as_i64().unwrap_or_default()
    );
    cx.checks
        .equal("the node's address", address, cx.bootstrap.clone())?;
    cx.checks
        .equal("the controller", &answer["controller"], &nodes[0][0])?;
    let cluster_id = answer["cluster_id"].as_str().unwrap_or_default();
    cx.checks
        .equal("length of the cluster id", cluster_id.len(), 22)
}

/// Kafka 4.3.1's defaults of keys that applications look at.
const TOPIC_DEFAULTS: &[(&str, &str)] = &[
    ("cleanup.policy", "delete"),
    ("compression.type", "producer"),
    ("delete.retention.ms", "86400000"),
    ("max.message.bytes", "1048588"),
    ("message.timestamp.type", "CreateTime"),
    ("min.insync.replicas", "1"),
    ("retention.bytes", "-1"),
    ("retention.ms", "604800000"),
    ("segment.bytes", "1073741824"),
    ("segment.ms", "604800000"),
    ("unclean.leader.election.enable", "false"),
];

const BROKER_DEFAULTS: &[(&str, &str)] = &[
    ("auto.create.topics.enable", "true"),
    ("default.replication.factor", "1"),
    ("delete.topic.enable", "true"),
    ("group.initial.rebalance.delay.ms", "3000"),
    ("group.max.session.timeout.ms", "1800000"),
    ("group.min.session.timeout.ms", "6000"),
    ("log.retention.hours", "168"),
    ("message.max.bytes", "1048588"),
    ("num.partitions", "1"),
    ("offset.metadata.max.bytes", "4096"),
    ("offsets.topic.num.partitions", "50"),
    ("socket.request.max.bytes", "104857600"),
];

pub(super) fn configs(cx: &mut Context) -> Checked {
    let set = json!({"segment.bytes": "2097152", "cleanup.policy": "compact,delete"});
    let topic = cx.create_topic_with("set", 1, set)?;
    let entries = cx.call(
        "describe_configs",
        json!({"resource": "topic", "name": topic}),
    )?;
    for (key, default) in TOPIC_DEFAULTS {
        let want = match *key {
            "segment.bytes" => "2097152",
            "cleanup.policy" => "compact,delete",
            _ => default,
        };
        cx.checks
            .equal(key, &entries["entries"][key], &json!(want))?;
    }
    let broker = cx.call("metadata", json!({}))?["brokers"][0][0].clone();
    let name = broker.to_string();
    let entries = cx.call(
        "describe_configs",
        json!({"resource": "broker", "name": name}),
    )?;
    for (key, want) in BROKER_DEFAULTS {
        cx.checks
            .equal(key, &entries["entries"][key], &json!(want))?;
    }
    cx.checks.equal(
        "node.id",
        &entries["entries"]["node.id"],
        &Value::String(name),
    )
}

pub(super) fn configs_unknown(cx: &mut Context) -> Checked {
    let missing = cx.name("missing");
    cx.refused(
        "configuration of an unknown topic",
        "describe_configs",
        json!({"resource": "topic", "name": missing}),
        3,
    )
}
