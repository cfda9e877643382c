//! Metadata, automatic creation, and topics that are created, described and deleted.

use std::time::Duration;

use serde_json::{Value, json};

use crate::checks::Checked;
use crate::context::{Ack, Context, Generated};

pub(super) fn metadata(cx: &mut Context) -> Checked {
    let answer = cx.call("metadata", json!({}))?;
    let brokers = answer["brokers"].as_array().cloned().unwrap_or_default();
    cx.checks.equal("brokers", brokers.len(), 1)?;
    let address = format!(
        "{}:{}",
        brokers[0][1].as_str().unwrap_or_default(),
        brokers[0][2].as_i64().unwrap_or_default()
    );
    cx.checks
        .equal("the broker's address", address, cx.bootstrap.clone())?;
    if let Some(controller) = answer["controller"].as_i64() {
        cx.checks
            .equal("the controller", Some(controller), brokers[0][0].as_i64())?;
    }
    if let Some(cluster_id) = answer["cluster_id"].as_str() {
        cx.checks
            .equal("length of the cluster id", cluster_id.len(), 22)?;
    }
    Ok(())
}

pub(super) fn auto_create(cx: &mut Context) -> Checked {
    let topic = cx.name("fresh");
    let partitions = cx.partitions(&topic)?;
    cx.checks.equal("partitions before", partitions.len(), 0)?;
    let records = Generated {
        count: 3,
        prefix: "auto",
        size: 10,
        partitions: vec![0],
    };
    let acks = cx.produce(&topic, &records, json!({"acks": "all"}))?;
    let want: Vec<Ack> = (0..3)
        .map(|offset| Ack {
            partition: 0,
            offset,
        })
        .collect();
    cx.checks.equal("acknowledged", acks, want)?;
    let partitions = cx.partitions(&topic)?;
    cx.checks.equal("partitions after", partitions.len(), 1)
}

pub(super) fn lifecycle(cx: &mut Context) -> Checked {
    let topic = cx.create_topic_with("made", 5, json!({"retention.ms": "86400000"}))?;
    let partitions = cx.partitions(&topic)?;
    let broker = cx.call("metadata", json!({}))?["brokers"][0][0].clone();
    let want: Vec<Value> = (0..5)
        .map(|id| json!({"id": id, "leader": broker, "replicas": [broker], "isr": [broker]}))
        .collect();
    cx.checks.equal("partitions", partitions, want)?;
    if let Some(set) = cx.topic_config(&topic, "retention.ms")? {
        cx.checks.equal("retention.ms", set, json!("86400000"))?;
    }

    let records = Generated {
        count: 10,
        prefix: "old",
        size: 10,
        partitions: vec![0],
    };
    cx.produce(&topic, &records, json!({"acks": "all"}))?;
    cx.call("delete_topic", json!({"topic": topic}))?;
    let mut gone = false;
    for _ in 0..50 {
        gone = cx.partitions(&topic)?.is_empty();
        if gone {
            break;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    cx.checks
        .holds("the deleted topic is gone within 5 s", gone)?;
    cx.refused(
        "deleting it again",
        "delete_topic",
        json!({"topic": topic}),
        3,
    )?;

    // A topic of the same name starts empty.
    cx.call(
        "create_topic",
        json!({"topic": topic, "partitions": 2, "replication": 1, "configs": {}}),
    )?;
    cx.await_topic(&topic, 2)?;
    let latest = cx.offset_at(&topic, 0, json!("latest"))?;
    cx.checks
        .equal("end of the topic made again", latest, Some(0))?;
    cx.call("delete_topic", json!({"topic": topic}))?;
    Ok(())
}

pub(super) fn refusals(cx: &mut Context) -> Checked {
    let topic = cx.create_topic("taken", 1)?;
    let request = |name: &str, replication: i64, configs: Value| json!({"topic": name, "partitions": 1, "replication": replication, "configs": configs});
    cx.refused(
        "a name in use",
        "create_topic",
        request(&topic, 1, json!({})),
        36,
    )?;
    cx.refused(
        "a bad name",
        "create_topic",
        request("not/a/name", 1, json!({})),
        17,
    )?;
    let name = cx.name("wide");
    cx.refused(
        "three replicas",
        "create_topic",
        request(&name, 3, json!({})),
        38,
    )?;
    let bad = json!({"retention.ms": "soon"});
    cx.refused("a bad value", "create_topic", request(&name, 1, bad), 40)?;
    let unknown = json!({"no.such.key": "1"});
    cx.refused(
        "an unknown key",
        "create_topic",
        request(&name, 1, unknown),
        40,
    )?;
    let partitions = cx.partitions(&name)?;
    cx.checks
        .equal("partitions of the refused topic", partitions.len(), 0)
}
