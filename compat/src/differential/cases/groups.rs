//! Consumer groups: members, commits, administration.

use serde_json::{Value, json};

use super::create;
use crate::checks::Checked;
use crate::differential::pair::{Pair, Side};

pub(super) fn find_coordinator(pair: &mut Pair<'_>) -> Checked {
    let ready = |answer: &Value| {
        let one = answer["Coordinators"][0]["ErrorCode"].as_i64();
        one == Some(0)
    };
    pair.ask_until(
        "FindCoordinator",
        4,
        |_| json!({"KeyType": 0, "CoordinatorKeys": ["g"]}),
        ready,
    )?;
    for version in pair.versions("FindCoordinator")? {
        for (key, kind) in [("g", 0), ("", 0), ("g", 2), ("g", 3), ("g", -1)] {
            pair.ask(
                "FindCoordinator",
                version,
                |_| json!({"Key": key, "KeyType": kind, "CoordinatorKeys": [key]}),
            )?;
        }
    }
    for version in [4, 5, 6] {
        for keys in [json!([]), json!(["a", "b", "a"])] {
            pair.ask(
                "FindCoordinator",
                version,
                |_| json!({"KeyType": 0, "CoordinatorKeys": keys}),
            )?;
        }
    }
    // The group's partition may still be loading when its coordinator is known; Kafka answers a heartbeat
    // with success then.
    let loaded = |answer: &Value| answer["ErrorCode"] == 25;
    for group in [
        "life-0", "life-4", "life-9", "refused", "static", "commits", "admin",
    ] {
        pair.ask_until(
            "Heartbeat",
            4,
            |_| json!({"GroupId": group, "GenerationId": 1, "MemberId": "x"}),
            loaded,
        )?;
    }
    Ok(())
}

const RANGE: &str = "0003000000010005706c61696effffffff";

fn join_body(group: &str, member: Value) -> Value {
    json!({
        "GroupId": group, "SessionTimeoutMs": 10_000, "RebalanceTimeoutMs": 10_000, "MemberId": member,
        "ProtocolType": "consumer", "Protocols": [{"Name": "range", "Metadata": RANGE}, {"Name": "roundrobin", "Metadata": RANGE}],
    })
}

/// One member's life, in every version.
pub(super) fn join(pair: &mut Pair<'_>) -> Checked {
    for version in pair.versions("JoinGroup")? {
        let group = format!("life-{version}");
        let member = |side: &Side| match side.kept("member") {
            Value::Null => json!(""),
            member => member,
        };
        pair.keep("member", |_| Value::Null);
        pair.ask("JoinGroup", version, |side| join_body(&group, member(side)))?;
        pair.keep("member", |answer| answer["MemberId"].clone());
        if version >= 4 {
            pair.ask("JoinGroup", version, |side| join_body(&group, member(side)))?;
        }
        let sync = version.min(5);
        let beat = version.min(4);
        pair.ask(
            "Heartbeat",
            beat,
            |side| json!({"GroupId": group, "GenerationId": 1, "MemberId": member(side)}),
        )?;
        for (generation, who) in [
            (2, None),
            (0, None),
            (1, Some("stranger")),
            (1, None),
            (1, None),
        ] {
            pair.ask("SyncGroup", sync, |side| {
                let id = who.map_or_else(|| member(side), Value::from);
                json!({"GroupId": group, "GenerationId": generation, "MemberId": id, "ProtocolType": "consumer", "ProtocolName": "range",
                    "Assignments": [{"MemberId": member(side), "Assignment": "0000000000000000"}]})
            })?;
        }
        if sync >= 5 {
            for (kind, name) in [("connect", "range"), ("consumer", "sticky")] {
                pair.ask("SyncGroup", sync, |side| {
                    json!({"GroupId": group, "GenerationId": 1, "MemberId": member(side), "ProtocolType": kind, "ProtocolName": name})
                })?;
            }
        }
        for (generation, who) in [
            (1, None),
            (0, None),
            (2, None),
            (1, Some("")),
            (1, Some("stranger")),
        ] {
            pair.ask("Heartbeat", beat, |side| {
                let id = who.map_or_else(|| member(side), Value::from);
                json!({"GroupId": group, "GenerationId": generation, "MemberId": id})
            })?;
        }
        for (generation, who) in [(1, None), (2, None), (-1, Some("")), (1, Some("stranger"))] {
            for commit in [2, 6, 9] {
                pair.ask("OffsetCommit", commit, |side| {
                    let id = who.map_or_else(|| member(side), Value::from);
                    json!({"GroupId": group, "GenerationIdOrMemberEpoch": generation, "MemberId": id, "Topics": [
                        {"Name": "plain", "Partitions": [{"PartitionIndex": 0, "CommittedOffset": 3, "CommittedMetadata": "m"}]}]})
                })?;
            }
        }
        pair.ask("DescribeGroups", 5, |_| json!({"Groups": [group]}))?;
        let leave = version.min(5);
        for who in [Some("stranger"), None, None] {
            pair.ask("LeaveGroup", leave, |side| {
                let id = who.map_or_else(|| member(side), Value::from);
                json!({"GroupId": group, "MemberId": id, "Members": [{"MemberId": id}]})
            })?;
        }
        pair.ask("DescribeGroups", 5, |_| json!({"Groups": [group]}))?;
    }
    Ok(())
}

pub(super) fn join_refused(pair: &mut Pair<'_>) -> Checked {
    for version in [0, 4, 5, 9] {
        let with = |key: &str, value: Value| {
            let mut body = join_body("refused", json!(""));
            body[key] = value;
            body
        };
        for body in [
            with("GroupId", json!("")),
            with("SessionTimeoutMs", json!(1)),
            with("SessionTimeoutMs", json!(-1)),
            with("SessionTimeoutMs", json!(i32::MAX)),
            with("MemberId", json!("stranger")),
            with("ProtocolType", json!("")),
            with("Protocols", json!([])),
        ] {
            pair.ask("JoinGroup", version, |_| body.clone())?;
        }
    }
    for (api, versions) in [
        ("SyncGroup", [0, 3, 5]),
        ("Heartbeat", [0, 3, 4]),
        ("LeaveGroup", [0, 3, 5]),
    ] {
        for version in versions {
            for group in ["", "nobody"] {
                pair.ask(api, version, |_| match api {
                    "LeaveGroup" => json!({"GroupId": group, "MemberId": "x", "Members": [{"MemberId": "x"}, {"MemberId": "", "GroupInstanceId": if version >= 3 { json!("i") } else { Value::Null }}]}),
                    _ => json!({"GroupId": group, "GenerationId": 1, "MemberId": "x"}),
                })?;
            }
        }
    }
    pair.ask(
        "LeaveGroup",
        5,
        |_| json!({"GroupId": "refused", "Members": []}),
    )
    .map(drop)
}

pub(super) fn static_members(pair: &mut Pair<'_>) -> Checked {
    let join = |id: Value, instance: &str| {
        let mut body = join_body("static", id);
        body["GroupInstanceId"] = instance.into();
        body
    };
    pair.ask("JoinGroup", 9, |_| join(json!(""), "one"))?;
    pair.keep("first", |answer| answer["MemberId"].clone());
    let sync = |side: &Side, member: &str, generation: i32| {
        json!({"GroupId": "static", "GenerationId": generation, "MemberId": side.kept(member), "GroupInstanceId": "one",
            "ProtocolType": "consumer", "ProtocolName": "range",
            "Assignments": [{"MemberId": side.kept(member), "Assignment": "00000000"}]})
    };
    pair.ask("SyncGroup", 5, |side| sync(side, "first", 1))?;
    pair.ask("JoinGroup", 9, |_| join(json!(""), "one"))?;
    pair.keep("second", |answer| answer["MemberId"].clone());
    pair.ask("SyncGroup", 5, |side| sync(side, "first", 1))?;
    pair.ask("SyncGroup", 5, |side| sync(side, "second", 1))?;
    for (member, instance) in [
        ("first", "one"),
        ("second", "one"),
        ("second", "two"),
        ("first", "two"),
    ] {
        pair.ask("Heartbeat", 4, |side| {
            json!({"GroupId": "static", "GenerationId": 1, "MemberId": side.kept(member), "GroupInstanceId": instance})
        })?;
        pair.ask("OffsetCommit", 9, |side| {
            json!({"GroupId": "static", "GenerationIdOrMemberEpoch": 1, "MemberId": side.kept(member), "GroupInstanceId": instance,
                "Topics": [{"Name": "plain", "Partitions": [{"PartitionIndex": 0, "CommittedOffset": 3}]}]})
        })?;
        pair.ask("JoinGroup", 9, |side| join(side.kept("first"), instance))?;
    }
    pair.ask("DescribeGroups", 5, |_| json!({"Groups": ["static"]}))?;
    pair.ask("LeaveGroup", 5, |side| {
        json!({"GroupId": "static", "Members": [
            {"MemberId": side.kept("first"), "GroupInstanceId": "one"}, {"MemberId": "", "GroupInstanceId": "two"},
            {"MemberId": "", "GroupInstanceId": "one"}, {"MemberId": "", "GroupInstanceId": "one"}]})
    })?;
    pair.ask("DescribeGroups", 5, |_| json!({"Groups": ["static"]}))
        .map(drop)
}

pub(super) fn commits(pair: &mut Pair<'_>) -> Checked {
    create(pair, "committed", 2, json!([]))?;
    let long = "m".repeat(4097);
    for version in pair.versions("OffsetCommit")? {
        for (group, name, partition, offset, metadata) in [
            ("commits", "committed", 0, i64::from(version), json!("note")),
            ("commits", "committed", 1, 7, Value::Null),
            ("commits", "committed", 9, 7, json!("")),
            ("commits", "absent", 0, 7, json!("")),
            ("commits", "committed", 0, -1, json!("")),
            ("commits", "committed", 0, 7, json!(long)),
            ("", "committed", 0, 7, json!("")),
        ] {
            pair.ask("OffsetCommit", version, |side| {
                let partitions = json!({"Partitions": [{"PartitionIndex": partition, "CommittedOffset": offset,
                    "CommittedLeaderEpoch": 0, "CommittedMetadata": metadata}]});
                json!({"GroupId": group, "Topics": [super::topic_named(side, version >= 10, name, partitions)]})
            })?;
        }
        pair.ask(
            "OffsetCommit",
            version,
            |_| json!({"GroupId": "commits", "Topics": []}),
        )?;
    }
    for version in pair.versions("OffsetFetch")? {
        for (group, name) in [
            ("commits", "committed"),
            ("commits", "absent"),
            ("nobody", "committed"),
            ("", "committed"),
        ] {
            for stable in [false, true] {
                pair.ask("OffsetFetch", version, |side| {
                    let topic = super::topic_named(side, version >= 10, name, json!({"PartitionIndexes": [0, 1, 9]}));
                    if version >= 8 {
                        json!({"Groups": [{"GroupId": group, "Topics": [topic]}], "RequireStable": stable})
                    } else {
                        json!({"GroupId": group, "Topics": [topic], "RequireStable": stable && version >= 7})
                    }
                })?;
            }
        }
        if version >= 2 {
            pair.ask("OffsetFetch", version, |_| {
                if version >= 8 {
                    json!({"Groups": [{"GroupId": "commits", "Topics": null}, {"GroupId": "nobody", "Topics": null}, {"GroupId": "commits", "Topics": []}]})
                } else {
                    json!({"GroupId": "commits", "Topics": null})
                }
            })?;
        }
        if version >= 9 {
            for (member, epoch) in [(json!("m"), 0), (Value::Null, 3), (json!(""), -1)] {
                pair.ask("OffsetFetch", version, |_| {
                    json!({"Groups": [{"GroupId": "commits", "MemberId": member, "MemberEpoch": epoch, "Topics": null}]})
                })?;
            }
        }
    }
    Ok(())
}

pub(super) fn admin(pair: &mut Pair<'_>) -> Checked {
    for version in pair.versions("DescribeGroups")? {
        for groups in [json!(["commits", "nobody", ""]), json!([])] {
            pair.ask(
                "DescribeGroups",
                version,
                |_| json!({"Groups": groups, "IncludeAuthorizedOperations": version >= 3}),
            )?;
        }
    }
    for version in pair.versions("ListGroups")? {
        for (states, types) in [
            (json!([]), json!([])),
            (json!(["Empty"]), json!([])),
            (json!(["empty", "Stable"]), json!([])),
            (json!(["nothing"]), json!([])),
            (json!([]), json!(["classic"])),
            (json!([]), json!(["Consumer"])),
            (json!([]), json!(["nothing"])),
        ] {
            pair.ask("ListGroups", version, |_| {
                let states = if version >= 4 {
                    states.clone()
                } else {
                    json!([])
                };
                json!({"StatesFilter": states, "TypesFilter": types})
            })?;
        }
    }
    pair.ask("JoinGroup", 3, |_| join_body("busy", json!("")))?;
    for (group, name, partition) in [
        ("commits", "committed", 1),
        ("commits", "committed", 1),
        ("commits", "absent", 0),
        ("commits", "committed", 9),
        ("nobody", "committed", 0),
        ("", "committed", 0),
        ("busy", "plain", 0),
        ("busy", "committed", 0),
    ] {
        pair.ask("OffsetDelete", 0, |_| {
            json!({"GroupId": group, "Topics": [{"Name": name, "Partitions": [{"PartitionIndex": partition}]}]})
        })?;
    }
    pair.ask(
        "OffsetDelete",
        0,
        |_| json!({"GroupId": "commits", "Topics": []}),
    )?;
    for version in pair.versions("DeleteGroups")? {
        for groups in [
            json!(["nobody"]),
            json!([""]),
            json!(["busy"]),
            json!([]),
            json!(["life-1", "nobody", "life-1"]),
        ] {
            pair.ask("DeleteGroups", version, |_| json!({"GroupsNames": groups}))?;
        }
    }
    pair.ask("DeleteGroups", 2, |_| json!({"GroupsNames": ["commits"]}))?;
    pair.ask(
        "OffsetFetch",
        8,
        |_| json!({"Groups": [{"GroupId": "commits", "Topics": null}]}),
    )
    .map(drop)
}
