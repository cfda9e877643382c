//! Large groups and many groups: what is answered and written grows with the members, not with their
//! square.

use super::world::{World, beat, commit, join, leaving, partition, sync};
use crate::coordinator::group::*;
use crate::coordinator::{ReplyId, Shard};
use bytes::Bytes;
use std::sync::Arc;

const MEMBERS: usize = 200;
const GROUPS: usize = 1_000;

/// A stable group of the clients "c0", "c1" …; the ids of its members.
fn large_group() -> (World, Vec<Arc<str>>) {
    let mut world = World::new();
    let clients: Vec<String> = (0..MEMBERS).map(|client| format!("c{client}")).collect();
    let names: Vec<&str> = clients.iter().map(String::as_str).collect();
    let ids = world.stable_group(&names);
    (world, ids)
}

/// How many members each of the answers tells of.
fn told(world: &World, replies: &[ReplyId]) -> Vec<usize> {
    let joined = replies.iter().map(|&reply| world.joined(reply));
    joined.map(|joined| joined.members.len()).collect()
}

#[test]
fn only_one_answer_of_a_large_rebalance_is_as_large_as_the_group() {
    let (mut world, ids) = large_group();
    assert_eq!(ids.len(), MEMBERS);
    // One record makes the group, one stores its assignment.
    assert_eq!(world.log.len(), 2);

    // The leader comes again; everybody else hears of it by heartbeat, and comes too.
    let mut replies = vec![world.send_join(join("c0", &ids[0]))];
    for id in &ids[1..] {
        let heartbeat = world.heartbeat(&beat(id, 1));
        assert_eq!(heartbeat, Err(GroupError::RebalanceInProgress));
        replies.push(world.send_join(join("", id)));
    }
    let mut expected = vec![0; MEMBERS];
    expected[0] = MEMBERS;
    assert_eq!(told(&world, &replies), expected);
    assert_eq!(
        world.log.len(),
        2,
        "nothing is written before the leader has assigned"
    );

    let synced: Vec<ReplyId> = ids
        .iter()
        .rev()
        .map(|id| {
            let all = ids.iter().map(|id| (&**id, Bytes::from(id.to_string())));
            let assignments = if *id == ids[0] {
                all.collect()
            } else {
                Vec::new()
            };
            world.send_sync(&SyncRequest {
                assignments,
                ..sync(id, 2)
            })
        })
        .collect();
    for (reply, id) in synced.into_iter().zip(ids.iter().rev()) {
        assert_eq!(world.sync_result(reply), Ok(Bytes::from(id.to_string())));
    }
    assert_eq!(world.log.len(), 3);
}

#[test]
fn a_large_group_that_falls_silent_ends_with_one_empty_generation() {
    let (mut world, _) = large_group();
    world.wait(60_000);
    assert_eq!(world.state(), Some(GroupState::Empty));
    let described = world.shard.describe("g").unwrap();
    assert_eq!(described.members, []);
    assert_eq!(world.log.len(), 3);
}

#[test]
fn all_members_of_a_large_group_leave_in_one_request() {
    let (mut world, ids) = large_group();
    let all: Vec<Leaving<'_>> = ids.iter().map(|id| leaving(id)).collect();
    assert_eq!(world.leave(&all), vec![Ok(()); MEMBERS]);
    assert_eq!(world.state(), Some(GroupState::Empty));
    assert_eq!(world.log.len(), 3);
}

#[test]
fn members_that_offer_many_protocols_agree_on_one() {
    let mut world = World::new();
    let offers: Vec<Protocol> = (0..10_000)
        .map(|number| Protocol {
            name: format!("p{number}").into(),
            metadata: Bytes::new(),
        })
        .collect();
    let reversed: Vec<Protocol> = offers.iter().rev().chain(&offers).cloned().collect();
    let a = world.send_join(Join {
        protocols: offers,
        ..join("a", "")
    });
    let b = world.send_join(Join {
        protocols: reversed,
        ..join("b", "")
    });
    world.wait(6_000);
    // One vote each: the one who came first decides.
    assert_eq!(world.joined(a).protocol.as_deref(), Some("p0"));
    assert_eq!(world.joined(b).protocol.as_deref(), Some("p0"));
}

#[test]
fn a_thousand_groups_of_one_shard_rebalance_commit_and_expire_each_for_itself() {
    let mut world = World::new();
    let names: Vec<String> = (0..GROUPS).map(|group| format!("g{group:04}")).collect();
    let replies: Vec<ReplyId> = names
        .iter()
        .map(|name| {
            world.send_join(Join {
                group_id: name,
                ..join("c", "")
            })
        })
        .collect();
    world.wait(3_000);
    let mut ids: Vec<Arc<str>> = Vec::new();
    for (name, reply) in names.iter().zip(replies) {
        let joined = world.joined(reply);
        assert_eq!((joined.generation, joined.members.len()), (1, 1));
        world.send_sync(&SyncRequest {
            group_id: name,
            ..sync(&joined.member_id, 1)
        });
        let committed = world.commit(&Commit {
            group_id: name,
            member_id: &joined.member_id,
            generation: 1,
            ..commit(vec![partition(0, 7)])
        });
        assert_eq!(committed, Ok(vec![Ok(())]));
        ids.push(joined.member_id);
    }
    let listed = world.shard.list();
    assert_eq!(listed.len(), GROUPS);
    assert!(listed.iter().all(|group| group.state == GroupState::Stable));
    // A group's beginning, its assignment and its offset.
    assert_eq!(world.log.len(), 3 * GROUPS);

    // They fall silent; each becomes empty by itself, and goes with its offset when its time is over.
    world.wait(15_000);
    let listed = world.shard.list();
    assert!(listed.iter().all(|group| group.state == GroupState::Empty));
    let retention_ms = u64::try_from(world.settings.offsets_retention_ms).unwrap();
    world.wait(retention_ms + 1_200_000);
    assert_eq!(world.shard.list(), []);
    assert_eq!(world.log.len(), 6 * GROUPS);
    assert_eq!(world.shard.next_deadline(), None, "nothing is waited for");
}
