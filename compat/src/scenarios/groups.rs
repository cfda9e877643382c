//! Consumer groups: sharing, leaving, dying, resuming, assignors, static members.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::checks::{Checked, Failure};
use crate::context::{Context, Generated, Record, records};

/// Longest a group may take to reach the assignment a scenario waits for: the session timeout of
/// a dead member and two rebalances.
const SETTLE_SECONDS_MAX: u64 = 60;

type TopicPartition = (String, i64);

/// What one member of a group has seen so far.
#[derive(Debug, Default, Clone)]
pub(super) struct Seen {
    pub(super) assignment: BTreeSet<TopicPartition>,
    pub(super) records: Vec<Record>,
    error: Option<i64>,
}

pub(super) type Members = BTreeMap<&'static str, Seen>;

pub(super) fn join(
    cx: &mut Context,
    member: &str,
    group: &str,
    topics: &[&str],
    options: Value,
) -> Checked {
    let mut args = json!({
        "member": member,
        "group": group,
        "topics": topics,
        "reset": "earliest",
        "session_ms": 20_000,
    });
    if let (Some(args), Some(options)) = (args.as_object_mut(), options.as_object()) {
        args.extend(options.clone());
    }
    cx.call("join", args).map(drop)
}

/// Polls the members for a while, and adds what they got to `members`.
pub(super) fn poll(cx: &mut Context, members: &mut Members, ms: u64) -> Checked {
    let names: Vec<&str> = members.keys().copied().collect();
    let answer = cx.call("poll", json!({"members": names, "ms": ms}))?;
    for (name, seen) in members {
        let got = &answer["members"][*name];
        seen.assignment = got["assignment"]
            .as_array()
            .ok_or_else(|| Failure(format!("no assignment of {name}")))?
            .iter()
            .map(|tp| {
                (
                    tp[0].as_str().unwrap_or_default().into(),
                    tp[1].as_i64().unwrap_or(-1),
                )
            })
            .collect();
        seen.records.extend(records(&got["records"])?);
        if let Some(code) = got["error"].as_i64() {
            seen.error = Some(code);
        }
    }
    Ok(())
}

/// Polls until `done`, or fails when it takes too long.
pub(super) fn poll_until(
    cx: &mut Context,
    members: &mut Members,
    what: &str,
    done: impl Fn(&Members) -> bool,
) -> Checked {
    let deadline = Instant::now() + Duration::from_secs(SETTLE_SECONDS_MAX);
    while !done(members) {
        if Instant::now() > deadline {
            let state: Vec<String> = members
                .iter()
                .map(|(name, seen)| {
                    let partitions: Vec<i64> = seen.assignment.iter().map(|tp| tp.1).collect();
                    let (n, error) = (seen.records.len(), seen.error);
                    format!("{name} has {partitions:?}, {n} records, error {error:?}")
                })
                .collect();
            return Err(Failure(format!(
                "{what} not within {SETTLE_SECONDS_MAX} s: {}",
                state.join("; ")
            )));
        }
        poll(cx, members, 250)?;
    }
    Ok(())
}

fn shares(members: &Members) -> Vec<usize> {
    let mut shares: Vec<usize> = members.values().map(|seen| seen.assignment.len()).collect();
    shares.sort_unstable();
    shares
}

fn all_assigned(members: &Members) -> BTreeSet<TopicPartition> {
    members
        .values()
        .flat_map(|seen| seen.assignment.iter().cloned())
        .collect()
}

fn total(members: &Members) -> usize {
    members.values().map(|seen| seen.records.len()).sum()
}

fn one(name: &'static str) -> Members {
    Members::from([(name, Seen::default())])
}

/// Checks that the members together got every record from `first` on exactly once, each from a
/// partition it owned.
fn check_exactly_once(
    cx: &mut Context,
    members: &Members,
    topic: &str,
    sent: &Generated,
    first: &[i64],
) -> Checked {
    for seen in members.values() {
        let owned = seen
            .records
            .iter()
            .all(|r| seen.assignment.contains(&(r.topic.clone(), r.partition)));
        cx.checks
            .holds("records come from the member's own partitions", owned)?;
    }
    let mut got: Vec<Record> = members
        .values()
        .flat_map(|seen| seen.records.iter().filter(|r| r.topic == topic).cloned())
        .collect();
    got.sort_by_key(|r| (r.partition, r.offset));
    for (partition, first) in sent.partitions.iter().zip(first) {
        cx.check_contents(&got, sent, *partition, *first)?;
    }
    Ok(())
}

fn forget_records(members: &mut Members) {
    members.values_mut().for_each(|seen| seen.records.clear());
}

/// Two members of one group with this assignor: join, share, read, commit, leave, take over.
fn two_members(cx: &mut Context, options: &Value) -> Checked {
    let topic = cx.create_topic("shared", 6)?;
    let group = cx.name("group");
    let options = || options.clone();
    join(cx, "a", &group, &[&topic], options())?;
    let mut members = one("a");
    poll_until(cx, &mut members, "one member gets all six", |m| {
        shares(m) == [6]
    })?;
    join(cx, "b", &group, &[&topic], options())?;
    members.insert("b", Seen::default());
    let settled = |m: &Members| shares(m) == [3, 3] && all_assigned(m).len() == 6;
    poll_until(
        cx,
        &mut members,
        "two members share three and three",
        settled,
    )?;
    cx.checks.equal("shares", shares(&members), vec![3, 3])?;
    cx.checks
        .equal("records before anything is produced", total(&members), 0)?;

    let sent = Generated {
        count: 600,
        prefix: "g",
        size: 30,
        partitions: (0..6).collect(),
    };
    cx.produce(&topic, &sent, json!({"acks": "all"}))?;
    poll_until(cx, &mut members, "600 records", |m| total(m) >= 600)?;
    poll(cx, &mut members, 500)?;
    cx.checks.equal("records", total(&members), 600)?;
    check_exactly_once(cx, &members, &topic, &sent, &[0; 6])?;
    for name in ["a", "b"] {
        let offsets: Vec<Value> = members[name]
            .assignment
            .iter()
            .map(|(t, p)| json!([t, p, 100]))
            .collect();
        cx.call("commit", json!({"member": name, "offsets": offsets}))?;
    }

    cx.call("close", json!({"member": "b"}))?;
    members.remove("b");
    forget_records(&mut members);
    poll_until(
        cx,
        &mut members,
        "the member that stays gets all six",
        |m| shares(m) == [6],
    )?;
    let more = Generated {
        count: 60,
        prefix: "h",
        size: 30,
        partitions: (0..6).collect(),
    };
    cx.produce(&topic, &more, json!({"acks": "all"}))?;
    poll_until(cx, &mut members, "60 records", |m| total(m) >= 60)?;
    poll(cx, &mut members, 500)?;
    cx.checks
        .equal("records after the takeover", total(&members), 60)?;
    check_exactly_once(cx, &members, &topic, &more, &[100; 6])?;
    cx.call("close", json!({"member": "a"}))?;
    Ok(())
}

pub(super) fn share(cx: &mut Context) -> Checked {
    two_members(cx, &json!({}))
}

pub(super) fn resume(cx: &mut Context) -> Checked {
    let topic = cx.create_topic("resumed", 2)?;
    let sent = Generated {
        count: 200,
        prefix: "m",
        size: 30,
        partitions: vec![0, 1],
    };
    cx.produce(&topic, &sent, json!({"acks": "all"}))?;
    let group = cx.name("group");
    join(cx, "a", &group, &[&topic], json!({}))?;
    let mut members = one("a");
    poll_until(cx, &mut members, "200 records", |m| total(m) >= 200)?;
    check_exactly_once(cx, &members, &topic, &sent, &[0, 0])?;
    let committed = |cx: &mut Context| -> Checked<Value> {
        let partitions = json!([[topic, 0], [topic, 1]]);
        Ok(cx.call(
            "committed",
            json!({"group": group, "member": "a", "partitions": partitions}),
        )?["offsets"]
            .take())
    };
    let before = committed(cx)?;
    cx.checks
        .equal("committed before", before, json!([null, null]))?;
    cx.call(
        "commit",
        json!({"member": "a", "offsets": [[topic, 0, 40], [topic, 1, 100]]}),
    )?;
    let after = committed(cx)?;
    cx.checks
        .equal("committed after", after, json!([40, 100]))?;
    cx.call("close", json!({"member": "a"}))?;

    join(cx, "a", &group, &[&topic], json!({}))?;
    let mut members = one("a");
    poll_until(cx, &mut members, "60 records", |m| total(m) >= 60)?;
    poll(cx, &mut members, 500)?;
    let offsets: Vec<(i64, i64)> = members["a"]
        .records
        .iter()
        .map(|r| (r.partition, r.offset))
        .collect();
    cx.checks
        .equal("resumed at", offsets, (40..100).map(|o| (0, o)).collect())?;
    // A commit may go back when the application asks for it.
    cx.call("commit", json!({"member": "a", "offsets": [[topic, 0, 7]]}))?;
    let back = committed(cx)?;
    cx.checks
        .equal("committed at last", back, json!([7, 100]))?;
    cx.call("close", json!({"member": "a"})).map(drop)
}

pub(super) fn auto_commit(cx: &mut Context) -> Checked {
    let topic = cx.create_topic("auto", 1)?;
    let sent = Generated {
        count: 100,
        prefix: "m",
        size: 30,
        partitions: vec![0],
    };
    cx.produce(&topic, &sent, json!({"acks": "all"}))?;
    let group = cx.name("group");
    join(cx, "a", &group, &[&topic], json!({"auto_commit_ms": 300}))?;
    let mut members = one("a");
    poll_until(cx, &mut members, "100 records", |m| total(m) >= 100)?;
    poll(cx, &mut members, 1500)?;
    cx.call("close", json!({"member": "a"}))?;
    let more = Generated {
        count: 5,
        prefix: "n",
        size: 30,
        partitions: vec![0],
    };
    cx.produce(&topic, &more, json!({"acks": "all"}))?;
    join(cx, "b", &group, &[&topic], json!({}))?;
    let mut members = one("b");
    poll_until(cx, &mut members, "5 records", |m| total(m) >= 5)?;
    poll(cx, &mut members, 500)?;
    check_exactly_once(cx, &members, &topic, &more, &[100])?;
    cx.call("close", json!({"member": "b"})).map(drop)
}

pub(super) fn latest(cx: &mut Context) -> Checked {
    let topic = cx.create_topic("latest", 1)?;
    let old = Generated {
        count: 50,
        prefix: "old",
        size: 30,
        partitions: vec![0],
    };
    cx.produce(&topic, &old, json!({"acks": "all"}))?;
    let group = cx.name("group");
    join(cx, "a", &group, &[&topic], json!({"reset": "latest"}))?;
    let mut members = one("a");
    poll_until(cx, &mut members, "the partition", |m| shares(m) == [1])?;
    poll(cx, &mut members, 2000)?;
    cx.checks.equal("old records", total(&members), 0)?;
    let new = Generated {
        count: 5,
        prefix: "new",
        size: 30,
        partitions: vec![0],
    };
    cx.produce(&topic, &new, json!({"acks": "all"}))?;
    poll_until(cx, &mut members, "5 records", |m| total(m) >= 5)?;
    check_exactly_once(cx, &members, &topic, &new, &[50])?;
    cx.call("close", json!({"member": "a"})).map(drop)
}

pub(super) fn independent(cx: &mut Context) -> Checked {
    let topic = cx.create_topic("both", 2)?;
    let sent = Generated {
        count: 100,
        prefix: "m",
        size: 30,
        partitions: vec![0, 1],
    };
    cx.produce(&topic, &sent, json!({"acks": "all"}))?;
    for member in ["a", "b"] {
        let group = cx.name("group");
        join(cx, member, &group, &[&topic], json!({}))?;
    }
    let mut members = Members::from([("a", Seen::default()), ("b", Seen::default())]);
    poll_until(cx, &mut members, "100 records each", |m| {
        m.values().all(|seen| seen.records.len() >= 100)
    })?;
    for name in ["a", "b"] {
        let alone = Members::from([(name, members[name].clone())]);
        check_exactly_once(cx, &alone, &topic, &sent, &[0, 0])?;
        cx.call("close", json!({"member": name}))?;
    }
    Ok(())
}

pub(super) fn crash(cx: &mut Context) -> Checked {
    let topic = cx.create_topic("crash", 4)?;
    let group = cx.name("group");
    let options = json!({"session_ms": 6000});
    let sent = Generated {
        count: 40,
        prefix: "m",
        size: 30,
        partitions: (0..4).collect(),
    };
    cx.produce(&topic, &sent, json!({"acks": "all"}))?;
    // The member that will die is in a process of its own.
    let mut other = cx.second();
    join(&mut other, "b", &group, &[&topic], options.clone())?;
    let mut theirs = one("b");
    poll_until(
        &mut other,
        &mut theirs,
        "the first member gets all four",
        |m| shares(m) == [4],
    )?;
    join(cx, "a", &group, &[&topic], options)?;
    let mut ours = one("a");
    let deadline = Instant::now() + Duration::from_secs(SETTLE_SECONDS_MAX);
    while shares(&ours) != [2] || shares(&theirs) != [2] {
        if Instant::now() > deadline {
            return Err(Failure(
                "two members did not come to share two and two".into(),
            ));
        }
        poll(cx, &mut ours, 200)?;
        poll(&mut other, &mut theirs, 200)?;
    }
    cx.checks.equal(
        "shares",
        (shares(&ours), shares(&theirs)),
        (vec![2], vec![2]),
    )?;
    other.crash_client();
    poll_until(cx, &mut ours, "the survivor gets all four", |m| {
        shares(m) == [4]
    })?;
    // Nothing was committed, so the dead member's partitions come from the beginning.
    poll_until(cx, &mut ours, "the dead member's records", |m| {
        let got: BTreeSet<_> = m["a"]
            .records
            .iter()
            .map(|r| (r.partition, r.offset))
            .collect();
        got.len() == 40
    })?;
    cx.checks.held += 1;
    cx.call("close", json!({"member": "a"})).map(drop)
}

/// With two topics of three partitions each, range gives one member the first two partitions of
/// both; the other assignors give three and three.
fn assignor(cx: &mut Context, name: &str, want: [usize; 2]) -> Checked {
    let topics = [cx.create_topic("left", 3)?, cx.create_topic("right", 3)?];
    let topics = [topics[0].as_str(), topics[1].as_str()];
    let group = cx.name("group");
    let options = json!({"assignor": name});
    join(cx, "a", &group, &topics, options.clone())?;
    let mut members = one("a");
    poll_until(cx, &mut members, "one member gets all six", |m| {
        shares(m) == [6]
    })?;
    join(cx, "b", &group, &topics, options.clone())?;
    members.insert("b", Seen::default());
    let settled = |m: &Members| shares(m) == want && all_assigned(m).len() == 6;
    poll_until(cx, &mut members, "both share six partitions", settled)?;
    poll(cx, &mut members, 500)?;
    cx.checks.equal("shares", shares(&members), want.to_vec())?;
    if name == "range" {
        for topic in topics {
            let of = |name: &str| -> Vec<i64> {
                let assignment = members[name].assignment.iter();
                assignment
                    .filter(|tp| tp.0 == topic)
                    .map(|tp| tp.1)
                    .collect()
            };
            let mut split = [of("a"), of("b")];
            split.sort();
            cx.checks
                .equal("ranges", split.to_vec(), vec![vec![0, 1], vec![2]])?;
        }
    }
    cx.call("close", json!({"member": "a"}))?;
    members.remove("a");
    poll_until(cx, &mut members, "the one that stays gets all six", |m| {
        shares(m) == [6]
    })?;
    cx.call("close", json!({"member": "b"}))?;
    two_members(cx, &options)
}

pub(super) fn range(cx: &mut Context) -> Checked {
    assignor(cx, "range", [2, 4])
}

pub(super) fn roundrobin(cx: &mut Context) -> Checked {
    assignor(cx, "roundrobin", [3, 3])
}

pub(super) fn sticky(cx: &mut Context) -> Checked {
    assignor(cx, "sticky", [3, 3])
}

pub(super) fn cooperative(cx: &mut Context) -> Checked {
    assignor(cx, "cooperative-sticky", [3, 3])
}

pub(super) fn static_member(cx: &mut Context) -> Checked {
    let topic = cx.create_topic("static", 4)?;
    let group = cx.name("group");
    let options = |id: &str| json!({"instance_id": id, "session_ms": 45_000});
    join(cx, "a", &group, &[&topic], options("one"))?;
    join(cx, "b", &group, &[&topic], options("two"))?;
    let mut members = Members::from([("a", Seen::default()), ("b", Seen::default())]);
    let settled = |m: &Members| shares(m) == [2, 2] && all_assigned(m).len() == 4;
    poll_until(cx, &mut members, "two members share two and two", settled)?;
    let before = members.clone();

    cx.call("close", json!({"member": "a"}))?;
    let mut alone = one("b");
    for _ in 0..12 {
        poll(cx, &mut alone, 250)?;
        let kept = alone["b"].assignment == before["b"].assignment;
        if !kept {
            return Err(Failure(
                "the group was rebalanced while a static member was away".into(),
            ));
        }
    }
    cx.checks.held += 1;
    join(cx, "a", &group, &[&topic], options("one"))?;
    let mut members = Members::from([("a", Seen::default()), ("b", Seen::default())]);
    poll_until(cx, &mut members, "the static member is back", |m| {
        shares(m) == [2, 2]
    })?;
    cx.checks.equal(
        "assignment of the member that came back",
        &members["a"].assignment,
        &before["a"].assignment,
    )?;
    cx.checks.equal(
        "assignment of the member that stayed",
        &members["b"].assignment,
        &before["b"].assignment,
    )?;
    let sent = Generated {
        count: 40,
        prefix: "m",
        size: 30,
        partitions: (0..4).collect(),
    };
    cx.produce(&topic, &sent, json!({"acks": "all"}))?;
    poll_until(cx, &mut members, "40 records", |m| total(m) >= 40)?;
    check_exactly_once(cx, &members, &topic, &sent, &[0; 4])?;
    cx.call("close", json!({"member": "a"}))?;
    cx.call("close", json!({"member": "b"})).map(drop)
}

pub(super) fn fenced(cx: &mut Context) -> Checked {
    let topic = cx.create_topic("fenced", 2)?;
    let group = cx.name("group");
    let options = json!({"instance_id": "same", "session_ms": 45_000});
    join(cx, "a", &group, &[&topic], options.clone())?;
    let mut first = one("a");
    poll_until(cx, &mut first, "the first holder gets both", |m| {
        shares(m) == [2]
    })?;
    let mut other = cx.second();
    join(&mut other, "b", &group, &[&topic], options)?;
    let mut second = one("b");
    poll_until(
        &mut other,
        &mut second,
        "the second holder gets both",
        |m| shares(m) == [2],
    )?;
    poll_until(cx, &mut first, "the first holder is fenced", |m| {
        m["a"].error.is_some()
    })?;
    cx.checks
        .equal("error of the first holder", first["a"].error, Some(82))?;
    let sent = Generated {
        count: 10,
        prefix: "m",
        size: 30,
        partitions: vec![0, 1],
    };
    cx.produce(&topic, &sent, json!({"acks": "all"}))?;
    poll_until(&mut other, &mut second, "10 records", |m| total(m) >= 10)?;
    check_exactly_once(cx, &second, &topic, &sent, &[0, 0])?;
    other.call("close", json!({"member": "b"}))?;
    Ok(())
}
