//! Through the front door, on a log in memory: commits that wait, loading, resigning, failures, timers.

use super::world::{TOPIC_ID, beat, commit, join, partition, sync};
use crate::coordinator::group::*;
use crate::coordinator::{Appended, Committed, ShardLog, WriteError};
use crate::record::control::{self, TransactionResult};
use crate::record::{
    BatchBuilder, BatchOptions, Batches, Codec, Compression, NewRecord, ProducerStamp,
    TransactionVersion, ValidBatch,
};
use crate::runtime::Runtime;
use crate::sim::{self, SimClock};
use crate::types::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Timestamp};
use bytes::Bytes;
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

const EPOCH: LeaderEpoch = LeaderEpoch(4);

/// A partition in memory, whose watermark follows each append or is moved by hand.
struct MemoryLog {
    batches: Mutex<Vec<(Offset, Bytes)>>,
    end: Mutex<Offset>,
    watermark: watch::Sender<i64>,
    follows: Mutex<bool>,
    fails: Mutex<Option<WriteError>>,
}

impl MemoryLog {
    fn new() -> Arc<MemoryLog> {
        Arc::new(MemoryLog {
            batches: Mutex::default(),
            end: Mutex::new(Offset::ZERO),
            watermark: watch::Sender::new(0),
            follows: Mutex::new(true),
            fails: Mutex::default(),
        })
    }

    fn hold_back(&self) {
        *self.follows.lock() = false;
    }

    fn catch_up(&self) {
        *self.follows.lock() = true;
        self.watermark.send_replace(self.end.lock().get());
    }

    fn fail(&self, error: Option<WriteError>) {
        *self.fails.lock() = error;
    }

    fn sizes(&self) -> Vec<usize> {
        self.batches.lock().iter().map(|(_, b)| b.len()).collect()
    }
}

impl ShardLog for MemoryLog {
    fn start(&self) -> Offset {
        Offset::ZERO
    }

    fn end(&self) -> Offset {
        *self.end.lock()
    }

    fn read(&self, from: Offset, _: usize) -> Result<Bytes, WriteError> {
        // One batch at a time, so that loading takes many steps.
        let batches = self.batches.lock();
        let next = batches.iter().find(|(base, bytes)| {
            let header = *Batches::of(bytes.clone()).next().unwrap().unwrap().header();
            assert_eq!(header.base_offset, *base);
            header.next_offset() > from
        });
        Ok(next.map(|(_, bytes)| bytes.clone()).unwrap_or_default())
    }

    fn append(&self, mut batch: ValidBatch) -> Result<Appended, WriteError> {
        if let Some(error) = *self.fails.lock() {
            return Err(error);
        }
        let mut end = self.end.lock();
        let base = *end;
        batch.stamp(base, EPOCH);
        *end = batch.header().next_offset();
        self.batches.lock().push((base, batch.to_bytes()));
        if *self.follows.lock() {
            self.watermark.send_replace(end.get());
        }
        Ok(Appended { base })
    }

    fn committed(&self, end: Offset) -> Committed {
        if *self.watermark.borrow() >= end.get() {
            return Committed::Already;
        }
        let mut watermark = self.watermark.subscribe();
        Committed::Later(Box::pin(async move {
            let passed = watermark
                .wait_for(|watermark| *watermark >= end.get())
                .await;
            passed.map(|_| ()).map_err(|_| WriteError::NotLeader)
        }))
    }
}

fn world() -> Runtime {
    sim::on_empty_disk(&SimClock::simulated()).1
}

/// A coordinator of one partition, loaded.
async fn coordinator(log: &Arc<MemoryLog>) -> GroupCoordinator {
    coordinator_with(log, GroupSettings::default()).await
}

async fn coordinator_with(log: &Arc<MemoryLog>, settings: GroupSettings) -> GroupCoordinator {
    let coordinator = GroupCoordinator::new(settings, 1, &world());
    coordinator.lead(0, EPOCH, log.clone());
    tokio::time::sleep(Duration::from_millis(1)).await;
    coordinator
}

async fn fetch(coordinator: &GroupCoordinator) -> Result<Option<i64>, GroupError> {
    let topics = [FetchTopic {
        name: "t",
        id: TOPIC_ID,
        partitions: &[0],
    }];
    let fetched = coordinator
        .fetch("g", &topics, Stability::Any)
        .get()
        .await?;
    Ok(fetched[0][0]
        .offset
        .clone()?
        .map(|found| found.offset.get()))
}

async fn commit_of(coordinator: &GroupCoordinator, offset: i64) -> Result<(), GroupError> {
    let answer = coordinator.commit(&commit(vec![partition(0, offset)]));
    answer.get().await.map(|_| ())
}

fn is_ready<T>(answer: &Answer<T>) -> bool {
    matches!(answer, Answer::Ready(_))
}

#[tokio::test(start_paused = true)]
async fn a_member_joins_syncs_beats_commits_and_finds_it_all_after_a_restart() {
    let log = MemoryLog::new();
    let groups = coordinator(&log).await;
    let joined = groups.join(join("a", "")).get().await.unwrap();
    let (id, generation) = (joined.member_id, joined.generation);
    assert!(id.starts_with("a-") && id.len() == 38, "{id}");
    let assigned = groups.sync(&SyncRequest {
        assignments: vec![(&id, Bytes::from_static(b"x"))],
        ..sync(&id, generation)
    });
    assert!(is_ready(&assigned), "one replica: nothing waits");
    assert_eq!(assigned.get().await.unwrap().assignment, "x");
    assert_eq!(groups.heartbeat(&beat(&id, generation)).get().await, Ok(()));
    let committed = groups.commit(&Commit {
        member_id: &id,
        generation,
        ..commit(vec![partition(0, 42)])
    });
    assert!(is_ready(&committed));
    assert_eq!(fetch(&groups).await, Ok(Some(42)));

    let again = coordinator(&log).await;
    assert_eq!(fetch(&again).await, Ok(Some(42)));
    assert_eq!(again.heartbeat(&beat(&id, generation)).get().await, Ok(()));
    let described = again.describe("g").get().await.unwrap().unwrap();
    assert_eq!(described.state, GroupState::Stable);
    let listed = again.list().get().await.unwrap();
    assert_eq!(listed.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_session_runs_out_without_anybody_asking() {
    let log = MemoryLog::new();
    let groups = coordinator(&log).await;
    let joined = groups.join(join("a", "")).get().await.unwrap();
    groups
        .sync(&sync(&joined.member_id, 1))
        .get()
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_millis(10_001)).await;
    let described = groups.describe("g").get().await.unwrap().unwrap();
    assert_eq!(described.state, GroupState::Empty);
}

#[tokio::test(start_paused = true)]
async fn who_does_not_lead_a_partition_does_not_coordinate_its_groups() {
    let groups = GroupCoordinator::new(GroupSettings::default(), 1, &world());
    let error = GroupError::NotCoordinator;
    assert_eq!(
        groups.join(join("a", "")).get().await.unwrap_err().error,
        error
    );
    assert_eq!(groups.sync(&sync("a-1", 1)).get().await, Err(error));
    assert_eq!(groups.heartbeat(&beat("a-1", 1)).get().await, Err(error));
    assert_eq!(groups.leave("g", &[]).get().await, Err(error));
    assert_eq!(commit_of(&groups, 1).await, Err(error));
    assert_eq!(fetch(&groups).await, Err(error));
    assert_eq!(groups.describe("g").get().await, Err(error));
    assert_eq!(groups.list().get().await, Ok(vec![]));
}

#[tokio::test(start_paused = true)]
async fn while_a_shard_is_loaded_heartbeats_are_believed_and_the_rest_waits() {
    let log = MemoryLog::new();
    commit_of(&coordinator(&log).await, 5).await.unwrap();
    let groups = GroupCoordinator::new(GroupSettings::default(), 1, &world());
    groups.lead(0, EPOCH, log.clone());
    let error = GroupError::LoadInProgress;
    assert_eq!(groups.heartbeat(&beat("a-1", 1)).get().await, Ok(()));
    assert_eq!(
        groups.join(join("a", "")).get().await.unwrap_err().error,
        error
    );
    assert_eq!(groups.sync(&sync("a-1", 1)).get().await, Err(error));
    assert_eq!(commit_of(&groups, 1).await, Err(error));
    assert_eq!(fetch(&groups).await, Err(error));
    assert_eq!(groups.list().get().await, Err(error));
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!(fetch(&groups).await, Ok(Some(5)));
}

#[tokio::test(start_paused = true)]
async fn a_commit_is_answered_when_the_watermark_has_passed_it_and_nobody_sees_it_before() {
    let log = MemoryLog::new();
    let groups = coordinator(&log).await;
    commit_of(&groups, 1).await.unwrap();
    log.hold_back();
    let committing = groups.commit(&commit(vec![partition(0, 2)]));
    assert!(!is_ready(&committing));
    let topics = [FetchTopic {
        name: "t",
        id: TOPIC_ID,
        partitions: &[0],
    }];
    let fetching = groups.fetch("g", &topics, Stability::Any);
    assert!(!is_ready(&fetching), "it has seen what may be taken back");
    log.catch_up();
    assert!(committing.get().await.is_ok());
    let fetched = fetching.get().await.unwrap();
    assert_eq!(
        fetched[0][0].offset.clone().unwrap().unwrap().offset,
        Offset(2)
    );
}

#[tokio::test(start_paused = true)]
async fn a_commit_that_stays_uncommitted_is_answered_as_not_available_after_its_timeout() {
    let log = MemoryLog::new();
    let groups = coordinator(&log).await;
    log.hold_back();
    let before = tokio::time::Instant::now();
    assert_eq!(commit_of(&groups, 2).await, Err(GroupError::NotAvailable));
    assert_eq!(before.elapsed(), Duration::from_millis(5_000));
    // Old consumers would not ask again on that code.
    assert_eq!(fetch(&groups).await, Err(GroupError::NotCoordinator));
    log.catch_up();
    assert_eq!(
        fetch(&groups).await,
        Ok(Some(2)),
        "it was written, and is committed now"
    );
}

#[tokio::test(start_paused = true)]
async fn an_assignment_reaches_members_when_the_watermark_has_passed_it() {
    let log = MemoryLog::new();
    let groups = coordinator(&log).await;
    let joined = groups.join(join("a", "")).get().await.unwrap();
    log.hold_back();
    let syncing = groups.sync(&sync(&joined.member_id, 1));
    assert!(!is_ready(&syncing));
    tokio::time::sleep(Duration::from_millis(100)).await;
    let state = |described: Option<DescribedGroup>| described.map(|group| group.state);
    log.catch_up();
    assert!(syncing.get().await.is_ok());
    let described = groups.describe("g").get().await.unwrap();
    assert_eq!(state(described), Some(GroupState::Stable));
}

#[tokio::test(start_paused = true)]
async fn each_failure_to_write_has_its_answer() {
    let answers = [
        (WriteError::NotLeader, GroupError::NotCoordinator),
        (WriteError::Storage, GroupError::NotCoordinator),
        (WriteError::UnknownPartition, GroupError::NotAvailable),
        (WriteError::NotEnoughReplicas, GroupError::NotAvailable),
        (WriteError::TimedOut, GroupError::NotAvailable),
        (WriteError::TooLarge, GroupError::RecordTooLarge),
    ];
    let log = MemoryLog::new();
    let groups = coordinator(&log).await;
    for (error, answer) in answers {
        log.fail(Some(error));
        assert_eq!(commit_of(&groups, 1).await, Err(answer));
        assert_eq!(fetch(&groups).await, Ok(None));
        log.fail(None);
        let joined = groups.join(join("a", "")).get().await.unwrap();
        log.fail(Some(error));
        let synced = groups.sync(&sync(&joined.member_id, joined.generation));
        assert_eq!(synced.get().await, Err(answer));
        let left = groups.leave("g", &[super::world::leaving(&joined.member_id)]);
        assert_eq!(
            left.get().await,
            Err(answer),
            "the empty generation is not written"
        );
        log.fail(None);
    }
}

#[tokio::test(start_paused = true)]
async fn who_waits_is_sent_away_when_the_partition_moves() {
    let log = MemoryLog::new();
    let groups = coordinator(&log).await;
    let waiting = groups.join(join("a", ""));
    groups.resign(0, LeaderEpoch(3)); // old news
    assert!(!is_ready(&waiting));
    groups.resign(0, LeaderEpoch(5));
    let refused = waiting.get().await.unwrap_err();
    assert_eq!(refused.error, GroupError::NotCoordinator);
    assert_eq!(fetch(&groups).await, Err(GroupError::NotCoordinator));
    groups.lead(0, LeaderEpoch(6), log.clone());
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!(fetch(&groups).await, Ok(None));
}

#[tokio::test(start_paused = true)]
async fn leading_again_in_the_same_epoch_keeps_the_groups() {
    let log = MemoryLog::new();
    let groups = coordinator(&log).await;
    let waiting = groups.join(join("a", ""));
    groups.lead(0, EPOCH, log.clone());
    assert_eq!(waiting.get().await.unwrap().generation, 1);
}

#[tokio::test(start_paused = true)]
async fn stopping_sends_everybody_away() {
    let log = MemoryLog::new();
    let groups = coordinator(&log).await;
    let waiting = groups.join(join("a", ""));
    groups.stop();
    let refused = waiting.get().await.unwrap_err();
    assert_eq!(refused.error, GroupError::NotCoordinator);
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_is_gone_holds_nobody_up() {
    let log = MemoryLog::new();
    let groups = coordinator(&log).await;
    drop(groups.join(join("a", "")));
    let joined = groups.join(join("b", "")).get().await.unwrap();
    assert_eq!(joined.generation, 1);
    tokio::time::sleep(Duration::from_millis(5_001)).await; // neither syncs
    let described = groups.describe("g").get().await.unwrap().unwrap();
    assert_eq!(
        (described.state, described.members.len()),
        (GroupState::Empty, 0)
    );
}

#[tokio::test(start_paused = true)]
async fn a_log_that_cannot_be_read_is_not_coordinated() {
    let log = MemoryLog::new();
    commit_of(&coordinator(&log).await, 5).await.unwrap();
    {
        let mut batches = log.batches.lock();
        let mut bytes = batches[0].1.to_vec();
        *bytes.last_mut().unwrap() ^= 1;
        batches[0].1 = bytes.into();
    }
    let groups = coordinator(&log).await;
    assert_eq!(fetch(&groups).await, Err(GroupError::NotCoordinator));
}

#[tokio::test(start_paused = true)]
async fn records_of_other_group_protocols_do_not_keep_a_shard_from_loading() {
    let log = MemoryLog::new();
    let mut builder = BatchBuilder::new(BatchOptions::default());
    let key = b"\0\x03\0\x01k"; // ConsumerGroupMetadataKey
    builder.push(
        Timestamp(1),
        NewRecord {
            key: Some(key),
            value: Some(b"\0\0\0\0\0\x01\0"),
            headers: &[],
        },
    );
    log.append(builder.build().unwrap()).unwrap();
    let groups = coordinator(&log).await;
    commit_of(&groups, 5).await.unwrap();
    assert_eq!(fetch(&coordinator(&log).await).await, Ok(Some(5)));
}

#[tokio::test(start_paused = true)]
async fn transactions_in_the_log_are_replayed_with_their_markers() {
    let record = CoordinatorRecord::Offset {
        key: OffsetKey {
            group: "g".into(),
            topic: "t".into(),
            partition: 0,
        },
        value: Some(offsets::CommittedOffset {
            offset: Offset(9),
            leader_epoch: None,
            metadata: "".into(),
            committed_at: Timestamp(1),
            expires_at: None,
            topic_id: TOPIC_ID,
        }),
    };
    let producer = |id| ProducerStamp {
        id: ProducerId(id),
        epoch: ProducerEpoch(0),
        base_sequence: 0,
    };
    let ends = [
        (TransactionResult::Commit, Some(9)),
        (TransactionResult::Abort, None),
    ];
    for (result, expected) in ends {
        let log = MemoryLog::new();
        let mut builder = BatchBuilder::new(BatchOptions {
            producer: producer(7),
            transactional: true,
            ..BatchOptions::default()
        });
        let (key, value) = record.encode();
        builder.push(
            Timestamp(1),
            NewRecord {
                key: Some(&key),
                value: value.as_deref(),
                headers: &[],
            },
        );
        log.append(builder.build().unwrap()).unwrap();
        let groups = coordinator(&log).await;
        assert_eq!(fetch(&groups).await, Ok(None));
        let marker = control::EndMarker {
            result,
            coordinator_epoch: 0,
        };
        let batch = control::end_transaction(
            ProducerId(7),
            ProducerEpoch(0),
            marker,
            TransactionVersion::V1,
            Timestamp(2),
        );
        log.append(batch).unwrap();
        groups.end_transaction(0, ProducerId(7), result, log.end());
        assert_eq!(fetch(&groups).await, Ok(expected), "told of the marker");
        assert_eq!(
            fetch(&coordinator(&log).await).await,
            Ok(expected),
            "loaded"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_long_list_of_tombstones_becomes_batches_that_the_topic_takes() {
    let log = MemoryLog::new();
    let settings = GroupSettings {
        offsets_retention_ms: 1_000,
        ..GroupSettings::default()
    };
    let groups = coordinator_with(&log, settings).await;
    let topics: Vec<String> = (0..5_000)
        .map(|n| format!("{}-{n}", "t".repeat(200)))
        .collect();
    let committed = groups.commit(&Commit {
        topics: topics
            .iter()
            .map(|name| CommitTopic {
                name,
                id: TOPIC_ID,
                partitions: vec![partition(0, 1)],
            })
            .collect(),
        ..commit(vec![])
    });
    assert!(committed.get().await.is_ok());
    let before = log.sizes().len();
    tokio::time::sleep(Duration::from_millis(600_001)).await;
    let all = groups.fetch_all("g", Stability::Any).get().await.unwrap();
    assert_eq!(all.len(), 0);
    let tombstones = &log.sizes()[before..];
    assert!(tombstones.len() >= 2 && tombstones.iter().all(|size| *size < 1_000_000));
    assert_eq!(coordinator(&log).await.list().get().await, Ok(vec![]));
}

#[tokio::test(start_paused = true)]
async fn the_offsets_topics_codec_is_used_and_read_back() {
    for codec in [Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd] {
        let log = MemoryLog::new();
        let settings = GroupSettings {
            compression: Compression::of(codec),
            ..GroupSettings::default()
        };
        commit_of(&coordinator_with(&log, settings).await, 5)
            .await
            .unwrap();
        let bytes = log.batches.lock()[0].1.clone();
        let batch = Batches::of(bytes).next().unwrap().unwrap();
        assert_eq!(batch.header().attributes.codec(), Some(codec));
        assert_eq!(fetch(&coordinator(&log).await).await, Ok(Some(5)));
    }
}

#[tokio::test(start_paused = true)]
async fn what_needs_no_shard_is_refused_at_the_door() {
    let groups = GroupCoordinator::new(GroupSettings::default(), 50, &world());
    let no_group = Join {
        group_id: "",
        ..join("a", "x-1")
    };
    let refused = groups.join(no_group).get().await.unwrap_err();
    assert_eq!(refused.error, GroupError::InvalidGroupId);
    assert_eq!(refused.member_id.as_ref(), "x-1");
    for session_timeout_ms in [5_999, 1_800_001, -1] {
        let refused = groups.join(Join {
            session_timeout_ms,
            ..join("a", "")
        });
        let error = refused.get().await.unwrap_err().error;
        assert_eq!(error, GroupError::InvalidSessionTimeout);
    }
    let nobody = Heartbeat {
        group_id: "",
        ..beat("a-1", 1)
    };
    let refused = Err(GroupError::InvalidGroupId);
    assert_eq!(groups.heartbeat(&nobody).get().await, refused);
    assert_eq!(
        groups.leave("", &[]).get().await,
        Err(GroupError::InvalidGroupId)
    );
}
