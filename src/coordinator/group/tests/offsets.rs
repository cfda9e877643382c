//! Committed offsets: who may commit, what is fetched, transactions, and expiry.

use super::world::{TOPIC_ID, World, beat, commit, join, partition};
use crate::coordinator::group::offsets::CommittedOffset;
use crate::coordinator::group::*;
use crate::record::control::TransactionResult;
use crate::types::{LeaderEpoch, Offset, ProducerId, Timestamp, Uuid};
use std::sync::Arc;

const RETENTION_MS: u64 = 7 * 24 * 60 * 60 * 1_000;
const CHECK_MS: u64 = 600_000;

fn key(partition: i32) -> OffsetKey {
    OffsetKey {
        group: "g".into(),
        topic: "t".into(),
        partition,
    }
}

fn record(partition: i32, offset: i64, committed_at: Timestamp) -> CoordinatorRecord {
    CoordinatorRecord::Offset {
        key: key(partition),
        value: Some(CommittedOffset {
            offset: Offset(offset),
            leader_epoch: None,
            metadata: "".into(),
            committed_at,
            expires_at: None,
            topic_id: TOPIC_ID,
        }),
    }
}

// ---- who may commit ----

#[test]
fn anybody_may_store_offsets_under_a_new_name() {
    let mut world = World::new();
    let verdicts = world.commit(&commit(vec![partition(0, 5), partition(1, 6)]));
    assert_eq!(verdicts, Ok(vec![Ok(()), Ok(())]));
    assert_eq!((world.fetch(0), world.fetch(1)), (Some(5), Some(6)));
    assert_eq!(world.state(), Some(GroupState::Empty));
    world.restart();
    assert_eq!((world.fetch(0), world.fetch(2)), (Some(5), None));
}

#[test]
fn a_generation_of_a_missing_group_is_an_error_that_the_version_names() {
    let mut world = World::new();
    let of_generation = Commit {
        member_id: "a-1",
        generation: 1,
        ..commit(vec![partition(0, 5)])
    };
    assert_eq!(world.commit(&of_generation), Err(GroupError::GroupNotFound));
    let of_old_version = Commit {
        missing_group: GroupError::IllegalGeneration,
        ..of_generation
    };
    let refused = world.commit(&of_old_version);
    assert_eq!(refused, Err(GroupError::IllegalGeneration));
}

#[test]
fn a_commit_from_outside_is_taken_only_while_the_group_is_empty() {
    let mut world = World::new();
    let ids = world.stable_group(&["a"]);
    let outside = commit(vec![partition(0, 5)]);
    assert_eq!(world.commit(&outside), Err(GroupError::UnknownMember));
    world.leave(&[super::world::leaving(&ids[0])]);
    assert_eq!(world.commit(&outside), Ok(vec![Ok(())]));
}

#[test]
fn a_member_commits_in_its_own_generation_only() {
    let mut world = World::new();
    let ids = world.stable_group(&["a"]);
    let mut from = |member_id: &str, generation: i32| {
        world.commit(&Commit {
            member_id,
            generation,
            ..commit(vec![partition(0, 5)])
        })
    };
    assert_eq!(from(&ids[0], 1), Ok(vec![Ok(())]));
    assert_eq!(from(&ids[0], 0), Err(GroupError::IllegalGeneration));
    assert_eq!(from(&ids[0], -1), Err(GroupError::IllegalGeneration));
    assert_eq!(from("b-9", 1), Err(GroupError::UnknownMember));
    assert_eq!(from("", 1), Err(GroupError::UnknownMember));
}

#[test]
fn a_static_member_commits_under_its_current_id_only() {
    let mut world = World::new();
    let reply = world.send_join(Join {
        instance_id: Some("i"),
        ..join("a", "")
    });
    world.wait(6_000);
    let id = world.joined(reply).member_id;
    world.send_sync(&super::world::sync(&id, 1));
    let mut from = |member_id: &str, instance_id: &str| {
        world.commit(&Commit {
            member_id,
            instance_id: Some(instance_id),
            generation: 1,
            ..commit(vec![partition(0, 5)])
        })
    };
    assert_eq!(from(&id, "i"), Ok(vec![Ok(())]));
    assert_eq!(from("i-9", "i"), Err(GroupError::FencedInstance));
    assert_eq!(from(&id, "j"), Err(GroupError::UnknownMember));
}

#[test]
fn while_the_leader_assigns_nobody_commits() {
    let mut world = World::new();
    let reply = world.send_join(join("a", ""));
    world.wait(6_000);
    let id = world.joined(reply).member_id;
    let refused = world.commit(&Commit {
        member_id: &id,
        generation: 1,
        ..commit(vec![partition(0, 5)])
    });
    assert_eq!(refused, Err(GroupError::RebalanceInProgress));
}

#[test]
fn a_commit_during_the_join_phase_is_taken() {
    let mut world = World::new();
    let ids = world.stable_group(&["a", "b"]);
    world.send_join(join("a", &ids[0]));
    assert_eq!(world.state(), Some(GroupState::PreparingRebalance));
    let taken = world.commit(&Commit {
        member_id: &ids[1],
        generation: 1,
        ..commit(vec![partition(0, 5)])
    });
    assert_eq!(taken, Ok(vec![Ok(())]));
}

#[test]
fn metadata_that_is_too_long_fails_its_partition_alone() {
    let mut world = World::new();
    let long = "x".repeat(4_097);
    let limit = "\u{e9}".repeat(4_096); // counted in UTF-16 units, not in bytes
    let verdicts = world.commit(&commit(vec![
        CommitPartition {
            metadata: Some(&long),
            ..partition(0, 5)
        },
        CommitPartition {
            metadata: Some(&limit),
            ..partition(1, 6)
        },
        CommitPartition {
            metadata: None,
            ..partition(2, 7)
        },
    ]));
    let too_long = Err(GroupError::MetadataTooLarge);
    assert_eq!(verdicts, Ok(vec![too_long, Ok(()), Ok(())]));
    assert_eq!(
        (world.fetch(0), world.fetch(1), world.fetch(2)),
        (None, Some(6), Some(7))
    );
}

#[test]
fn a_commit_of_nothing_writes_nothing() {
    let mut world = World::new();
    assert_eq!(world.commit(&commit(vec![])), Ok(vec![]));
    assert_eq!(world.log.len(), 0);
    assert_eq!(world.state(), None);
}

#[test]
fn the_last_commit_counts_even_if_it_goes_back() {
    let mut world = World::new();
    world.commit(&commit(vec![partition(0, 9)])).unwrap();
    world.commit(&commit(vec![partition(0, 4)])).unwrap();
    assert_eq!(world.fetch(0), Some(4));
    world.restart();
    assert_eq!(world.fetch(0), Some(4));
}

// ---- what is fetched ----

#[test]
fn what_was_never_committed_is_fetched_as_nothing_without_an_error() {
    let mut world = World::new();
    assert_eq!(world.fetch(0), None);
    assert_eq!(world.shard.fetch_all_offsets("g", Stability::Any), []);
    world.commit(&commit(vec![partition(0, 5)])).unwrap();
    assert_eq!(world.fetch(1), None);
}

#[test]
fn everything_is_fetched_in_order_with_epoch_and_metadata() {
    let mut world = World::new();
    world
        .commit(&commit(vec![partition(2, 7), partition(0, 5)]))
        .unwrap();
    let fetched = world.shard.fetch_all_offsets("g", Stability::Any);
    let part = |partition, offset| FetchedPartition {
        partition,
        offset: Ok(Some(FetchedOffset {
            offset: Offset(offset),
            leader_epoch: Some(LeaderEpoch(3)),
            metadata: "m".into(),
        })),
    };
    assert_eq!(
        fetched,
        [FetchedTopic {
            name: "t".into(),
            partitions: vec![part(0, 5), part(2, 7)],
        }]
    );
}

#[test]
fn an_offset_of_an_older_topic_of_the_same_name_does_not_count() {
    let mut world = World::new();
    world.commit(&commit(vec![partition(0, 5)])).unwrap();
    let fetch = |id| world.fetch_as(0, id, Stability::Any);
    assert_eq!(fetch(TOPIC_ID), Ok(Some(5)));
    assert_eq!(fetch(Uuid::from_bytes([8; 16])), Ok(None));
    // Requests of versions without ids mean whatever has the name.
    assert_eq!(fetch(Uuid::ZERO), Ok(Some(5)));
}

// ---- transactions ----

#[test]
fn a_transactions_offset_is_invisible_until_it_is_committed() {
    let mut world = World::new();
    world.append(ProducerId(7), record(0, 5, Timestamp(0)));
    assert_eq!(world.fetch(0), None);
    let stable = |world: &World| world.fetch_as(0, TOPIC_ID, Stability::Required);
    assert_eq!(stable(&world), Err(GroupError::UnstableOffset));
    world.end_transaction(7, TransactionResult::Commit);
    assert_eq!(world.fetch(0), Some(5));
    assert_eq!(stable(&world), Ok(Some(5)));
}

#[test]
fn an_aborted_transaction_leaves_the_offset_before_it() {
    let mut world = World::new();
    world.commit(&commit(vec![partition(0, 3)])).unwrap();
    world.append(ProducerId(7), record(0, 5, Timestamp(0)));
    assert_eq!(world.fetch(0), Some(3));
    world.end_transaction(7, TransactionResult::Abort);
    assert_eq!(world.fetch(0), Some(3));
    let stable = world.fetch_as(0, TOPIC_ID, Stability::Required);
    assert_eq!(stable, Ok(Some(3)));
}

#[test]
fn of_a_commit_and_a_transaction_the_later_record_counts() {
    let mut world = World::new();
    world.append(ProducerId(7), record(0, 5, Timestamp(0)));
    world.commit(&commit(vec![partition(0, 9)])).unwrap();
    world.end_transaction(7, TransactionResult::Commit);
    assert_eq!(world.fetch(0), Some(9));
}

#[test]
fn two_transactions_hold_an_offset_until_both_are_decided() {
    let mut world = World::new();
    world.append(ProducerId(7), record(0, 5, Timestamp(0)));
    world.append(ProducerId(8), record(0, 6, Timestamp(0)));
    world.end_transaction(8, TransactionResult::Commit);
    let stable = |world: &World| world.fetch_as(0, TOPIC_ID, Stability::Required);
    assert_eq!(stable(&world), Err(GroupError::UnstableOffset));
    world.end_transaction(7, TransactionResult::Commit);
    assert_eq!(stable(&world), Ok(Some(6)));
}

#[test]
fn a_marker_of_a_stranger_changes_nothing() {
    let mut world = World::new();
    world.append(ProducerId(7), record(0, 5, Timestamp(0)));
    world.end_transaction(8, TransactionResult::Commit);
    assert_eq!(world.fetch(0), None);
}

#[test]
fn a_deleted_offset_is_not_brought_back_by_a_transaction() {
    let mut world = World::new();
    world.append(ProducerId(7), record(0, 5, Timestamp(0)));
    let (outcome, verdicts) = world.shard.on_offset_delete("g", &[("t", &[0])]).unwrap();
    assert_eq!(verdicts, [Ok(())]);
    world.perform(outcome).unwrap();
    world.end_transaction(7, TransactionResult::Commit);
    assert_eq!(world.fetch(0), None);
}

// ---- deletion ----

/// The only member of its group, which has committed an offset of the topic that it reads.
fn member_that_committed() -> (World, Arc<str>) {
    let mut world = World::new();
    let id = world.stable_group(&["a"]).remove(0);
    let committed = world.commit(&Commit {
        member_id: &id,
        generation: 1,
        ..commit(vec![partition(0, 5)])
    });
    assert_eq!(committed, Ok(vec![Ok(())]));
    (world, id)
}

#[test]
fn offsets_of_a_subscribed_topic_cannot_be_deleted() {
    let (mut world, _) = member_that_committed();
    let (outcome, verdicts) = world
        .shard
        .on_offset_delete("g", &[("t", &[0]), ("other", &[0])])
        .unwrap();
    assert_eq!(verdicts, [Err(GroupError::SubscribedToTopic), Ok(())]);
    assert_eq!(outcome.records, []);
    let missing = world.shard.on_offset_delete("nobody", &[]).unwrap_err();
    assert_eq!(missing, GroupError::GroupNotFound);
}

#[test]
fn deleting_a_group_takes_its_offsets_along() {
    let mut world = World::new();
    world
        .commit(&commit(vec![partition(0, 5), partition(1, 6)]))
        .unwrap();
    world.append(ProducerId(7), record(2, 7, Timestamp(0)));
    let outcome = world.shard.on_delete_group("g").unwrap();
    assert_eq!(outcome.records.len(), 4);
    world.perform(outcome).unwrap();
    world.end_transaction(7, TransactionResult::Commit);
    world.restart();
    assert_eq!(
        (world.fetch(0), world.fetch(1), world.fetch(2)),
        (None, None, None)
    );
    assert_eq!(world.state(), None);
}

#[test]
fn offsets_of_a_deleted_topic_go_and_those_of_its_namesake_stay() {
    let mut world = World::new();
    world.commit(&commit(vec![partition(0, 5)])).unwrap();
    world.append(ProducerId(7), record(1, 6, Timestamp(0)));
    let deleted = |id| {
        [DeletedTopic {
            name: "t".into(),
            id,
        }]
    };
    let namesake = world
        .shard
        .on_topics_deleted(&deleted(Uuid::from_bytes([8; 16])));
    assert_eq!(namesake.records, []);
    let outcome = world.shard.on_topics_deleted(&deleted(TOPIC_ID));
    assert_eq!(outcome.records.len(), 2);
    world.perform(outcome).unwrap();
    world.end_transaction(7, TransactionResult::Commit);
    assert_eq!((world.fetch(0), world.fetch(1)), (None, None));
}

// ---- expiry ----

#[test]
fn offsets_from_outside_groups_expire_from_their_commit() {
    let mut world = World::new();
    world.commit(&commit(vec![partition(0, 5)])).unwrap();
    world.wait(CHECK_MS * 2);
    world.commit(&commit(vec![partition(1, 6)])).unwrap();
    world.wait(RETENTION_MS - CHECK_MS * 2 - 1);
    assert_eq!(world.fetch(0), Some(5));
    world.wait(1);
    assert_eq!((world.fetch(0), world.fetch(1)), (None, Some(6)));
    assert_eq!(world.state(), Some(GroupState::Empty));
    world.wait(CHECK_MS * 2);
    assert_eq!(world.fetch(1), None);
    assert_eq!(world.state(), None, "a group without offsets goes too");
    world.restart();
    assert_eq!(
        (world.fetch(0), world.fetch(1), world.state()),
        (None, None, None)
    );
}

#[test]
fn offsets_of_an_empty_group_expire_from_when_it_became_empty() {
    let (mut world, id) = member_that_committed();
    for _ in 0..RETENTION_MS / 5_000 + 1 {
        world.wait(5_000);
        assert_eq!(world.heartbeat(&beat(&id, 1)), Ok(()));
    }
    world.leave(&[super::world::leaving(&id)]);
    world.wait(RETENTION_MS - 1);
    assert_eq!(world.fetch(0), Some(5));
    world.wait(CHECK_MS);
    assert_eq!(world.fetch(0), None);
    assert_eq!(world.state(), None);
}

#[test]
fn a_stable_group_keeps_the_offsets_of_what_it_subscribes_to() {
    let mut world = World::new();
    let ids = world.stable_group(&["a"]);
    let of_topic = |name| Commit {
        member_id: &ids[0],
        generation: 1,
        topics: vec![CommitTopic {
            name,
            id: TOPIC_ID,
            partitions: vec![partition(0, 5)],
        }],
        ..commit(vec![])
    };
    world.commit(&of_topic("t")).unwrap();
    world.commit(&of_topic("unsubscribed")).unwrap();
    for _ in 0..(RETENTION_MS + CHECK_MS) / 5_000 {
        world.wait(5_000);
        assert_eq!(world.heartbeat(&beat(&ids[0], 1)), Ok(()));
    }
    let left = world.shard.fetch_all_offsets("g", Stability::Any);
    let left: Vec<&str> = left.iter().map(|topic| &*topic.name).collect();
    assert_eq!(left, ["t"]);
    assert_eq!(world.state(), Some(GroupState::Stable));
}

#[test]
fn an_offset_with_a_date_of_its_own_expires_then() {
    let mut world = World::new();
    world
        .commit(&Commit {
            retention_ms: Some(1_000_000),
            ..commit(vec![partition(0, 5)])
        })
        .unwrap();
    world.restart();
    world.wait(999_999);
    assert_eq!(world.fetch(0), Some(5));
    world.wait(CHECK_MS);
    assert_eq!(world.fetch(0), None);
}

#[test]
fn an_offset_that_says_when_it_was_committed_is_kept_from_then_on() {
    let mut world = World::new();
    world.wait(CHECK_MS);
    let dated = CommitPartition {
        committed_at: Some(Timestamp(0)),
        ..partition(0, 5)
    };
    world.commit(&commit(vec![dated, partition(1, 6)])).unwrap();
    world.wait(RETENTION_MS - 1);
    assert_eq!((world.fetch(0), world.fetch(1)), (None, Some(6)));
}

#[test]
fn an_offset_that_a_transaction_holds_does_not_expire() {
    let mut world = World::new();
    world.commit(&commit(vec![partition(0, 5)])).unwrap();
    world.append(ProducerId(7), record(0, 6, Timestamp(0)));
    world.wait(RETENTION_MS + CHECK_MS);
    assert_eq!(world.fetch(0), Some(5));
    assert_eq!(world.state(), Some(GroupState::Empty));
    world.end_transaction(7, TransactionResult::Abort);
    world.wait(CHECK_MS);
    assert_eq!((world.fetch(0), world.state()), (None, None));
}

#[test]
fn an_empty_group_that_never_committed_is_cleaned_up() {
    let mut world = World::new();
    let ids = world.stable_group(&["a"]);
    world.leave(&[super::world::leaving(&ids[0])]);
    world.wait(CHECK_MS);
    assert_eq!(world.state(), None);
}
