//! What must survive: an orderly stop, kill −9, and kill −9 in the middle of a produce run.

use serde_json::{Value, json};

use super::groups::{Members, Seen, join, poll, poll_until};
use crate::checks::{Checked, Failure};
use crate::context::{Context, From, Generated, Record, acks, produce_args};
use crate::driver::Reply;

/// Acknowledged records of a client after which the broker is killed under it.
const LIVE_ACKS_BEFORE_KILL: i64 = 1500;

fn first_records() -> Generated {
    Generated {
        count: 3000,
        prefix: "before",
        size: 200,
        partitions: vec![0, 1, 2],
    }
}

pub(super) fn before(cx: &mut Context) -> Checked<Value> {
    let topic = cx.create_topic_with("kept", 3, json!({"retention.ms": "172800000"}))?;
    let deleted = cx.create_topic("deleted", 2)?;
    let sent = first_records();
    cx.produce(&topic, &sent, json!({"acks": "all", "linger_ms": 5}))?;
    cx.call("delete_topic", json!({"topic": deleted}))?;

    // One group commits and leaves, another one stays a member across the restart.
    let (gone, staying) = (cx.name("gone"), cx.name("staying"));
    join(cx, "a", &gone, &[&topic], json!({}))?;
    let mut members = Members::from([("a", Seen::default())]);
    poll_until(cx, &mut members, "3000 records", |m| {
        m["a"].records.len() >= 3000
    })?;
    let offsets = json!([[topic, 0, 900], [topic, 1, 1000], [topic, 2, 1]]);
    // A newer commit replaces an older one; after the restart only the newer may be seen.
    let older = json!([[topic, 0, 10], [topic, 1, 10], [topic, 2, 10]]);
    cx.call("commit", json!({"member": "a", "offsets": older}))?;
    cx.call("commit", json!({"member": "a", "offsets": offsets}))?;
    cx.call("close", json!({"member": "a"}))?;

    join(cx, "s", &staying, &[&topic], json!({"session_ms": 30_000}))?;
    let mut members = Members::from([("s", Seen::default())]);
    poll_until(cx, &mut members, "3000 records", |m| {
        m["s"].records.len() >= 3000
    })?;
    let offsets = json!([[topic, 0, 1000], [topic, 1, 1000], [topic, 2, 1000]]);
    cx.call("commit", json!({"member": "s", "offsets": offsets}))?;
    let partitions = cx.partitions(&topic)?;
    Ok(json!({
        "topic": topic, "deleted": deleted, "gone": gone, "staying": staying,
        "partitions": partitions,
    }))
}

pub(super) fn after(cx: &mut Context, state: &Value) -> Checked {
    let text = |key: &str| state[key].as_str().unwrap_or_default().to_owned();
    let (topic, deleted) = (text("topic"), text("deleted"));
    cx.await_topic(&topic, 3)?;
    let partitions = cx.partitions(&topic)?;
    cx.checks
        .equal("partitions", &json!(partitions), &state["partitions"])?;
    let partitions = cx.partitions(&deleted)?;
    cx.checks
        .equal("partitions of the deleted topic", partitions.len(), 0)?;
    if let Some(set) = cx.topic_config(&topic, "retention.ms")? {
        cx.checks.equal("retention.ms", set, json!("172800000"))?;
    }

    let sent = first_records();
    let assign: Vec<_> = (0..3)
        .map(|p| (topic.as_str(), p, From::Beginning))
        .collect();
    let got = cx.consume(&assign, sent.count, json!({}))?;
    for partition in 0..3 {
        let earliest = cx.offset_at(&topic, partition, json!("earliest"))?;
        cx.checks
            .equal("start of the partition", earliest, Some(0))?;
        let latest = cx.offset_at(&topic, partition, json!("latest"))?;
        cx.checks
            .equal("end of the partition", latest, Some(1000))?;
        cx.check_contents(&got, &sent, partition, 0)?;
    }

    // The group that left resumes where it committed.
    join(cx, "a", &text("gone"), &[&topic], json!({}))?;
    let mut members = Members::from([("a", Seen::default())]);
    poll_until(cx, &mut members, "1099 records", |m| {
        m["a"].records.len() >= 1099
    })?;
    poll(cx, &mut members, 500)?;
    let mut resumed: Vec<(i64, i64)> = members["a"]
        .records
        .iter()
        .map(|r| (r.partition, r.offset))
        .collect();
    resumed.sort_unstable();
    let want: Vec<(i64, i64)> = (900..1000)
        .map(|o| (0, o))
        .chain((1..1000).map(|o| (2, o)))
        .collect();
    cx.checks
        .holds("the group resumes exactly at its commit", resumed == want)?;
    cx.call("close", json!({"member": "a"}))?;

    // New records go on at the next offset, and the member that stayed gets exactly these.
    let more = Generated {
        count: 300,
        prefix: "after",
        size: 50,
        partitions: vec![0, 1, 2],
    };
    let acknowledged = cx.produce(&topic, &more, json!({"acks": "all", "idempotent": true}))?;
    cx.checks
        .equal("first new offset", acknowledged[0].offset, 1000)?;
    let mut members = Members::from([("s", Seen::default())]);
    poll_until(cx, &mut members, "300 new records", |m| {
        m["s"].records.len() >= 300
    })?;
    poll(cx, &mut members, 500)?;
    let mut got: Vec<Record> = members["s"].records.clone();
    cx.checks
        .equal("new records of the member that stayed", got.len(), 300)?;
    got.sort_by_key(|r| (r.partition, r.offset));
    for partition in 0..3 {
        cx.check_contents(&got, &more, partition, 1000)?;
    }
    let offsets = json!([[topic, 0, 1100], [topic, 1, 1100], [topic, 2, 1100]]);
    cx.call("commit", json!({"member": "s", "offsets": offsets}))?;
    cx.call("close", json!({"member": "s"}))?;
    let fresh = cx.create_topic("fresh", 1)?;
    let one = Generated {
        count: 1,
        prefix: "one",
        size: 10,
        partitions: vec![0],
    };
    let acknowledged = cx.produce(&fresh, &one, json!({"acks": "all"}))?;
    cx.checks.equal(
        "first offset of a topic made afterwards",
        acknowledged[0].offset,
        0,
    )
}

/// Produces 6000 records through a kill and a restart: the client retries until each of them is
/// acknowledged. `on_enough` is called once, when [`LIVE_ACKS_BEFORE_KILL`] are.
pub(super) fn under_kill(cx: &mut Context, on_enough: &mut dyn FnMut()) -> Checked {
    let topic = cx.create_topic("live", 2)?;
    let sent = Generated {
        count: 6000,
        prefix: "live",
        size: 100,
        partitions: vec![0, 1],
    };
    let mut args = produce_args(&topic, &sent, json!({"acks": "all", "idempotent": true}));
    args["rate_per_s"] = json!(1000);
    args["progress_every"] = json!(100);
    let mut reached = false;
    let reply = cx.call_watched("produce", args, |event| {
        if !reached && event["count"].as_i64() >= Some(LIVE_ACKS_BEFORE_KILL) {
            reached = true;
            on_enough();
        }
    })?;
    let answer = match reply {
        Reply::Ok(answer) => answer,
        Reply::Error { message, .. } => return Err(Failure(message)),
    };
    let acknowledged = acks(&answer)?;
    cx.checks
        .holds("records were acknowledged before the kill", reached)?;
    cx.checks
        .equal("acknowledged", acknowledged.len(), sent.count)?;
    for partition in 0..2 {
        // Idempotent and in order: record i of a partition is at offset i, even across the kill.
        let offsets: Vec<i64> = sent
            .sent_to(partition)
            .iter()
            .map(|i| acknowledged[*i].offset)
            .collect();
        cx.checks.holds(
            "acknowledged offsets have no gap",
            offsets == (0..3000).collect::<Vec<i64>>(),
        )?;
        let latest = cx.offset_at(&topic, partition, json!("latest"))?;
        cx.checks
            .equal("end of the partition", latest, Some(3000))?;
    }
    let assign = [
        (topic.as_str(), 0, From::Beginning),
        (topic.as_str(), 1, From::Beginning),
    ];
    let got = cx.consume(&assign, sent.count, json!({}))?;
    cx.check_contents(&got, &sent, 0, 0)?;
    cx.check_contents(&got, &sent, 1, 0)
}
