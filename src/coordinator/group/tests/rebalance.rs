//! What the scripts do not show: the insides of answers and records, and what is left behind.

use super::world::{World, beat, join, leaving, protocol, sync};
use crate::coordinator::Shard;
use crate::coordinator::group::*;
use crate::protocol::TEXT_LEN_MAX;
use bytes::Bytes;

#[test]
fn only_the_leader_is_told_the_members_and_their_metadata() {
    let mut world = World::new();
    let a = world.send_join(join("a", ""));
    let b = world.send_join(Join {
        instance_id: Some("i"),
        ..join("b", "")
    });
    world.wait(6_000);
    let (a, b) = (world.joined(a), world.joined(b));
    assert_eq!(a.leader, a.member_id);
    assert_eq!(b.leader, a.member_id);
    assert_eq!(b.members, []);
    assert_eq!(a.protocol_type.as_deref(), Some("consumer"));
    let metadata = protocol("range", "t").metadata;
    let member = |id: &str, instance: Option<&str>| JoinedMember {
        member_id: id.into(),
        instance_id: instance.map(Into::into),
        metadata: metadata.clone(),
    };
    assert_eq!(a.members, [member("a-1", None), member("i-2", Some("i"))]);
}

#[test]
fn a_member_id_never_outgrows_what_the_wire_can_carry() {
    let mut world = World::new();
    let client_id = "\u{e9}".repeat(TEXT_LEN_MAX);
    let reply = world.send_join(Join {
        client_id: &client_id[..TEXT_LEN_MAX - 1],
        ..join("", "")
    });
    world.wait(3_000);
    let joined = world.joined(reply);
    assert!(joined.member_id.len() <= TEXT_LEN_MAX);
    assert!(joined.member_id.ends_with("-1"));
}

#[test]
fn an_assignment_for_a_stranger_is_dropped_and_a_missing_one_is_empty() {
    let mut world = World::new();
    let a = world.send_join(join("a", ""));
    let b = world.send_join(join("b", ""));
    world.wait(6_000);
    let (a, b) = (world.joined(a), world.joined(b));
    let synced_a = world.send_sync(&SyncRequest {
        assignments: vec![("stranger-9", Bytes::from_static(b"x"))],
        ..sync(&a.member_id, 1)
    });
    let synced_b = world.send_sync(&sync(&b.member_id, 1));
    assert_eq!(world.sync_result(synced_a), Ok(Bytes::new()));
    assert_eq!(world.sync_result(synced_b), Ok(Bytes::new()));
}

#[test]
fn the_groups_record_holds_what_a_successor_needs() {
    let mut world = World::new();
    let ids = world.stable_group(&["a"]);
    let (_, record) = world.log.last().unwrap();
    let CoordinatorRecord::Group {
        value: Some(group), ..
    } = record
    else {
        panic!("the last record is the group's");
    };
    assert_eq!(group.generation, 1);
    assert_eq!(group.leader.as_ref(), Some(&ids[0]));
    assert_eq!(group.protocol.as_deref(), Some("range"));
    let member = &group.members[0];
    assert_eq!(member.client_id.as_ref(), "a");
    assert_eq!(member.client_host.as_ref(), "/127.0.0.1");
    assert_eq!(member.rebalance_timeout_ms, Some(5_000));
    assert_eq!(member.session_timeout_ms, 10_000);
    assert_eq!(member.subscription, protocol("range", "t").metadata);
    assert_eq!(member.assignment, "a-1");
}

#[test]
fn a_group_that_is_gone_leaves_no_deadline_behind() {
    let mut world = World::new();
    let ids = world.stable_group(&["a", "b"]);
    let asked = world.send_join(Join {
        member_id_rule: MemberIdRule::RequiredFirst,
        ..join("c", "")
    });
    assert_eq!(world.join_error(asked), GroupError::MemberIdRequired);
    let all: Vec<Leaving<'_>> = ids.iter().map(|id| leaving(id)).collect();
    world.leave(&[&all[..], &[leaving("c-3")]].concat());
    assert_eq!(world.state(), Some(GroupState::Empty));
    let outcome = world.shard.on_delete_group("g").unwrap();
    world.perform(outcome).unwrap();
    assert_eq!(world.state(), None);
    world.wait(600_000); // the look for expired offsets finds nothing and is not repeated
    assert_eq!(world.shard.next_deadline(), None);
}

#[test]
fn a_shard_without_groups_has_no_deadline() {
    let mut world = World::new();
    assert_eq!(world.shard.next_deadline(), None);
    world.restart();
    assert_eq!(world.shard.next_deadline(), None);
}

#[test]
fn describe_shows_metadata_only_of_a_stable_group() {
    let mut world = World::new();
    let ids = world.stable_group(&["a", "b"]);
    let stable = world.shard.describe("g").unwrap();
    assert_eq!(stable.state, GroupState::Stable);
    assert_eq!(stable.protocol.as_ref(), "range");
    assert_eq!(stable.members[0].metadata, protocol("range", "t").metadata);
    assert_eq!(stable.members[0].assignment, "a-1");
    world.send_join(join("a", &ids[0]));
    let preparing = world.shard.describe("g").unwrap();
    assert_eq!(preparing.state, GroupState::PreparingRebalance);
    assert_eq!(preparing.protocol.as_ref(), "");
    assert_eq!(preparing.members[0].metadata, Bytes::new());
    assert_eq!(world.shard.describe("other"), None);
}

#[test]
fn groups_are_listed_in_order_with_type_and_state() {
    let mut world = World::new();
    world.stable_group(&["a"]);
    let now = world.now();
    let (outcome, _) = world
        .shard
        .on_offset_commit(
            &Commit {
                group_id: "a-simple-group",
                ..super::world::commit(vec![super::world::partition(0, 1)])
            },
            now,
        )
        .unwrap();
    world.perform(outcome).unwrap();
    let listed: Vec<(String, String, GroupState)> = world
        .shard
        .list()
        .into_iter()
        .map(|group| {
            let text = |text: std::sync::Arc<str>| text.to_string();
            (text(group.group_id), text(group.protocol_type), group.state)
        })
        .collect();
    assert_eq!(
        listed,
        [
            ("a-simple-group".into(), "".into(), GroupState::Empty),
            ("g".into(), "consumer".into(), GroupState::Stable),
        ]
    );
}

#[test]
fn only_an_empty_group_can_be_deleted() {
    let mut world = World::new();
    let missing = world.shard.on_delete_group("g").unwrap_err();
    assert_eq!(missing, GroupError::GroupNotFound);
    let ids = world.stable_group(&["a"]);
    let busy = world.shard.on_delete_group("g").unwrap_err();
    assert_eq!(busy, GroupError::NonEmptyGroup);
    world.leave(&[leaving(&ids[0])]);
    let outcome = world.shard.on_delete_group("g").unwrap();
    world.perform(outcome).unwrap();
    world.restart();
    assert_eq!(world.state(), None);
}

#[test]
fn a_member_of_a_loaded_group_is_known_by_what_its_record_says() {
    let mut world = World::new();
    let ids = world.stable_group(&["a", "b"]);
    world.restart();
    assert_eq!(world.heartbeat(&beat(&ids[1], 1)), Ok(()));
    let synced = world.send_sync(&sync(&ids[1], 1));
    assert_eq!(world.sync_result(synced), Ok(Bytes::from_static(b"b-2")));
    // A follower that joins with the metadata of the record has nothing new to say.
    let again = world.send_join(join("b", &ids[1]));
    assert_eq!(world.joined(again).generation, 1);
}
