//! Groups seen and changed from outside: listed, described, deleted; offsets altered and deleted;
//! static members removed.

use serde_json::{Value, json};

use super::groups::{Members, Seen, join, poll_until};
use crate::checks::{Checked, Failure};
use crate::context::Context;

const UNKNOWN_MEMBER_ID: i64 = 25;
const NON_EMPTY_GROUP: i64 = 68;
const GROUP_ID_NOT_FOUND: i64 = 69;
const GROUP_SUBSCRIBED_TO_TOPIC: i64 = 86;

/// Joins one member and waits until it has all `partitions` of the topic.
fn one_member(
    cx: &mut Context,
    group: &str,
    topic: &str,
    partitions: usize,
    options: Value,
) -> Checked {
    join(cx, "a", group, &[topic], options)?;
    let mut members = Members::from([("a", Seen::default())]);
    poll_until(cx, &mut members, "one member gets everything", |m| {
        m["a"].assignment.len() == partitions
    })
}

fn close(cx: &mut Context) -> Checked {
    cx.call("close", json!({"member": "a"})).map(drop)
}

/// The state that a group is listed with; none if it is not listed.
fn listed(cx: &mut Context, group: &str, states: &[&str]) -> Checked<Option<String>> {
    let answer = cx.call("list_groups", json!({"states": states}))?;
    let groups = answer["groups"].as_array().cloned().unwrap_or_default();
    let found = groups.iter().find(|listed| listed[0] == json!(group));
    Ok(found.map(|listed| listed[1].as_str().unwrap_or_default().to_owned()))
}

/// What the client says of one group.
fn described(cx: &mut Context, group: &str) -> Checked<Value> {
    let answer = cx.call("describe_groups", json!({"groups": [group]}))?;
    Ok(answer["groups"][group].clone())
}

/// Committed offsets, ordered.
fn offsets(cx: &mut Context, group: &str) -> Checked<Vec<(String, i64, i64)>> {
    let answer = cx.call("group_offsets", json!({"group": group}))?;
    let offset = |o: &Value| {
        let topic = o[0].as_str().unwrap_or_default().to_owned();
        (
            topic,
            o[1].as_i64().unwrap_or(-1),
            o[2].as_i64().unwrap_or(-1),
        )
    };
    let list = answer["offsets"].as_array().cloned().unwrap_or_default();
    let mut offsets: Vec<_> = list.iter().map(offset).collect();
    offsets.sort();
    Ok(offsets)
}

pub(super) fn list(cx: &mut Context) -> Checked {
    let topic = cx.create_topic("listed", 1)?;
    let group = cx.name("group");
    let before = listed(cx, &group, &[])?;
    cx.checks.equal("listed before it exists", before, None)?;
    one_member(cx, &group, &topic, 1, json!({}))?;
    let state = listed(cx, &group, &[])?;
    cx.checks
        .equal("with a member", state, Some("Stable".into()))?;
    let state = listed(cx, &group, &["Empty"])?;
    cx.checks.equal("among empty groups", state, None)?;
    close(cx)?;
    let state = listed(cx, &group, &["Stable", "Empty"])?;
    cx.checks
        .equal("without members", state, Some("Empty".into()))
}

pub(super) fn describe(cx: &mut Context) -> Checked {
    let topic = cx.create_topic("described", 2)?;
    let group = cx.name("group");
    one_member(cx, &group, &topic, 2, json!({}))?;
    let found = described(cx, &group)?;
    cx.checks
        .equal("state", &found["state"], &json!("Stable"))?;
    let protocol = found["protocol"].as_str().unwrap_or_default();
    cx.checks
        .holds("it names its assignor", !protocol.is_empty())?;
    let members = found["members"].as_array().cloned().unwrap_or_default();
    cx.checks.equal("members", members.len(), 1)?;
    let member = &members[0];
    let id = member["id"].as_str().unwrap_or_default();
    let client_id = member["client_id"].as_str().unwrap_or_default();
    cx.checks.holds(
        "a member id begins with the client id",
        id.starts_with(client_id),
    )?;
    cx.checks
        .equal("host", &member["host"], &json!("/127.0.0.1"))?;
    let mut assignment = member["assignment"].as_array().cloned().unwrap_or_default();
    assignment.sort_by_key(|partition| partition[1].as_i64());
    let want = vec![json!([topic, 0]), json!([topic, 1])];
    cx.checks.equal("assignment", assignment, want)?;
    close(cx)?;
    let found = described(cx, &group)?;
    let seen = (&found["state"], found["members"].as_array().map(Vec::len));
    cx.checks
        .equal("without members", seen, (&json!("Empty"), Some(0)))?;

    let missing = cx.name("missing");
    let gone = is_gone(cx, &missing)?;
    cx.checks
        .holds("a missing group is dead or not found", gone)
}

/// Whether the client finds no such group. Clients that ask in an older version are told a state
/// instead of an error, and some describe only what is listed.
fn is_gone(cx: &mut Context, group: &str) -> Checked<bool> {
    let found = described(cx, group)?;
    let not_found = found["error"] == json!(GROUP_ID_NOT_FOUND);
    Ok(not_found || found["state"] == json!("Dead") || found.is_null())
}

pub(super) fn delete(cx: &mut Context) -> Checked {
    let topic = cx.create_topic("deleted", 1)?;
    let (group, missing) = (cx.name("group"), cx.name("missing"));
    one_member(cx, &group, &topic, 1, json!({}))?;
    cx.call("commit", json!({"member": "a", "offsets": [[topic, 0, 0]]}))?;
    let code_of = |cx: &mut Context, group: &str| -> Checked<Option<i64>> {
        let answer = cx.call("delete_groups", json!({"groups": [group]}))?;
        Ok(answer["errors"][group].as_i64())
    };
    let code = code_of(cx, &group)?;
    cx.checks
        .equal("with a member", code, Some(NON_EMPTY_GROUP))?;
    close(cx)?;
    let code = code_of(cx, &group)?;
    cx.checks.equal("without members", code, Some(0))?;
    let gone = is_gone(cx, &group)?;
    cx.checks.holds("it is gone", gone)?;
    let code = code_of(cx, &missing)?;
    cx.checks
        .equal("that never was", code, Some(GROUP_ID_NOT_FOUND))
}

pub(super) fn alter_offsets(cx: &mut Context) -> Checked {
    let topic = cx.create_topic("altered", 2)?;
    let group = cx.name("group");
    let alter = |cx: &mut Context, offsets: Value| -> Checked<Value> {
        let args = json!({"group": group, "offsets": offsets});
        Ok(cx.call("alter_group_offsets", args)?["errors"].take())
    };
    let errors = alter(cx, json!([[topic, 0, 7], [topic, 1, 0]]))?;
    cx.checks.equal("of a new group", errors, json!([]))?;
    let want = vec![(topic.clone(), 0, 7), (topic.clone(), 1, 0)];
    let found = offsets(cx, &group)?;
    cx.checks.equal("offsets of it", found, want.clone())?;

    one_member(cx, &group, &topic, 2, json!({}))?;
    let errors = alter(cx, json!([[topic, 0, 9]]))?;
    let refused = json!([[topic, 0, UNKNOWN_MEMBER_ID]]);
    cx.checks
        .equal("of a group with a member", errors, refused)?;
    close(cx)?;
    let found = offsets(cx, &group)?;
    cx.checks.equal("offsets afterwards", found, want)
}

pub(super) fn delete_offsets(cx: &mut Context) -> Checked {
    let (read, other) = (cx.create_topic("read", 1)?, cx.create_topic("other", 2)?);
    let group = cx.name("group");
    one_member(cx, &group, &read, 1, json!({}))?;
    let commits = json!([[read, 0, 0], [other, 0, 3], [other, 1, 4]]);
    cx.call("commit", json!({"member": "a", "offsets": commits}))?;
    let delete = |cx: &mut Context, partitions: Value| -> Checked<Value> {
        let args = json!({"group": group, "partitions": partitions});
        Ok(cx.call("delete_group_offsets", args)?["errors"].take())
    };
    let errors = delete(cx, json!([[read, 0], [other, 0]]))?;
    let refused = json!([[read, 0, GROUP_SUBSCRIBED_TO_TOPIC]]);
    cx.checks.equal("of a subscribed topic", errors, refused)?;
    let left = offsets(cx, &group)?;
    let want = vec![(other.clone(), 1, 4), (read.clone(), 0, 0)];
    cx.checks.equal("offsets that are left", left, want)?;
    close(cx)?;
    let errors = delete(cx, json!([[read, 0]]))?;
    cx.checks
        .equal("of a topic nobody subscribes to", errors, json!([]))?;
    let left = offsets(cx, &group)?;
    cx.checks.equal("the last one", left, vec![(other, 1, 4)])
}

pub(super) fn remove_member(cx: &mut Context) -> Checked {
    let topic = cx.create_topic("removed", 2)?;
    let group = cx.name("group");
    let options = |id: &str| json!({"instance_id": id, "session_ms": 45_000});
    one_member(cx, &group, &topic, 2, options("one"))?;
    // A static member that closes keeps its place.
    close(cx)?;
    let found = described(cx, &group)?;
    let members = found["members"].as_array().cloned().unwrap_or_default();
    let ids: Vec<&Value> = members.iter().map(|m| &m["instance_id"]).collect();
    cx.checks.equal("instances", ids, vec![&json!("one")])?;
    cx.call(
        "remove_members",
        json!({"group": group, "instance_ids": ["one"]}),
    )?;
    let found = described(cx, &group)?;
    cx.checks.equal("state", &found["state"], &json!("Empty"))?;
    // Another takes over at once, not when the session of the first has run out.
    one_member(cx, &group, &topic, 2, options("two"))?;
    cx.checks.held += 1;
    let again = json!({"group": group, "instance_ids": ["one"]});
    let gone = matches!(
        cx.try_call("remove_members", again)?,
        crate::driver::Reply::Error { .. }
    );
    if !gone {
        return Err(Failure("a member was removed twice".into()));
    }
    cx.checks.held += 1;
    close(cx)?;
    cx.call(
        "remove_members",
        json!({"group": group, "instance_ids": ["two"]}),
    )
    .map(drop)
}
