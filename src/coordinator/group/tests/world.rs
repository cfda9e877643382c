//! A shard, the log under it, and a clock.

use crate::coordinator::group::shard::{After, GroupOutcome};
use crate::coordinator::group::*;
use crate::coordinator::{Now, Position, ReplyId, Shard, Tick, WriteError};
use crate::record::control::TransactionResult;
use crate::types::{LeaderEpoch, Offset, ProducerId, Timestamp, Uuid};
use bytes::Bytes;
use std::sync::Arc;

pub(super) const TOPIC_ID: Uuid = Uuid::from_bytes([7; 16]);
const START: i64 = 1_000_000;

/// What the host does, in memory; it keeps everything observable.
pub(super) struct World {
    pub shard: GroupShard,
    pub settings: Arc<GroupSettings>,
    pub ms: u64,
    pub log: Vec<(ProducerId, CoordinatorRecord)>,
    pub answers: Vec<(ReplyId, GroupReply)>,
    /// What the next writes come to.
    pub fails: Option<WriteError>,
    /// Whether commits are held back, as by a slow replica.
    pub holds: bool,
    pub held: Vec<After>,
    next_reply: u64,
    next_id: u32,
}

/// How a client joins, unless told otherwise.
pub(super) fn join<'a>(client_id: &'a str, member_id: &'a str) -> Join<'a> {
    Join {
        group_id: "g",
        member_id,
        instance_id: None,
        client_id,
        client_host: "/127.0.0.1",
        session_timeout_ms: 10_000,
        rebalance_timeout_ms: 5_000,
        protocol_type: "consumer",
        protocols: vec![protocol("range", "t")],
        reason: None,
        member_id_rule: MemberIdRule::AssignedOnJoin,
        skip_assignment: SkipAssignment::Understood,
        new_id_suffix: "",
    }
}

/// A protocol with a subscription to one topic.
pub(super) fn protocol(name: &str, topic: &str) -> Protocol {
    let mut metadata = vec![0, 0, 0, 0, 0, 1, 0, u8::try_from(topic.len()).unwrap()];
    metadata.extend_from_slice(topic.as_bytes());
    metadata.extend_from_slice(&[0xff; 4]);
    Protocol {
        name: name.into(),
        metadata: metadata.into(),
    }
}

pub(super) fn partition(partition: i32, offset: i64) -> CommitPartition<'static> {
    CommitPartition {
        partition,
        offset: Offset(offset),
        leader_epoch: Some(LeaderEpoch(3)),
        metadata: Some("m"),
        committed_at: None,
    }
}

/// A commit of one partition from outside group membership.
pub(super) fn commit(partitions: Vec<CommitPartition<'_>>) -> Commit<'_> {
    Commit {
        group_id: "g",
        member_id: "",
        instance_id: None,
        generation: -1,
        retention_ms: None,
        missing_group: GroupError::GroupNotFound,
        topics: vec![CommitTopic {
            name: "t",
            id: TOPIC_ID,
            partitions,
        }],
    }
}

impl World {
    pub(super) fn new() -> World {
        World::with(GroupSettings::default())
    }

    pub(super) fn with(settings: GroupSettings) -> World {
        let settings = Arc::new(settings);
        World {
            shard: GroupShard::new(settings.clone()),
            settings,
            ms: 0,
            log: Vec::new(),
            answers: Vec::new(),
            fails: None,
            holds: false,
            held: Vec::new(),
            next_reply: 0,
            next_id: 0,
        }
    }

    pub(super) fn now(&self) -> Now {
        Now {
            wall: Timestamp(START + i64::try_from(self.ms).unwrap()),
            tick: Tick(self.ms),
        }
    }

    /// Performs an outcome as the host does.
    pub(super) fn perform(&mut self, mut outcome: GroupOutcome) -> Result<(), WriteError> {
        let now = self.now();
        let written = match self.fails {
            Some(error) if !outcome.records.is_empty() => Err(error),
            _ => Ok(()),
        };
        if written.is_ok() {
            for record in outcome.records.drain(..) {
                self.append(ProducerId::NONE, record);
            }
        }
        match (outcome.after.take(), written) {
            (None, _) => self.answers.append(&mut outcome.replies),
            (Some(after), Ok(())) => {
                self.answers.append(&mut outcome.replies);
                if self.holds {
                    self.held.push(after);
                } else {
                    let next = self.shard.on_written(after, Ok(()), now);
                    let _ = self.perform(next);
                }
            }
            // As the host does: what a failure says goes before what had been decided.
            (Some(after), Err(error)) => {
                let mut failed = self.shard.on_written(after, Err(error), now);
                self.answers.append(&mut failed.replies);
                self.answers.append(&mut outcome.replies);
                let _ = self.perform(failed);
            }
        }
        written
    }

    /// Appends and replays one record, as through its bytes.
    pub(super) fn append(&mut self, producer: ProducerId, record: CoordinatorRecord) {
        let at = self.position(self.log.len(), producer);
        self.shard.replay(at, record.clone());
        self.log.push((producer, record));
    }

    fn position(&self, index: usize, producer: ProducerId) -> Position {
        Position {
            offset: Offset(i64::try_from(index).unwrap()),
            producer,
        }
    }

    pub(super) fn end_transaction(&mut self, producer: i64, result: TransactionResult) {
        self.shard.end_transaction(ProducerId(producer), result);
    }

    /// What was held back is committed, or is not.
    pub(super) fn release(&mut self, written: Result<(), WriteError>) {
        for after in std::mem::take(&mut self.held) {
            let now = self.now();
            let outcome = self.shard.on_written(after, written, now);
            let _ = self.perform(outcome);
        }
    }

    /// The broker is killed and another loads the log.
    pub(super) fn restart(&mut self) {
        self.shard = GroupShard::new(self.settings.clone());
        self.held.clear();
        for (index, (producer, record)) in self.log.clone().into_iter().enumerate() {
            let (key, value) = record.encode();
            let read = CoordinatorRecord::decode(&key, value.as_ref())
                .unwrap()
                .unwrap();
            let at = self.position(index, producer);
            self.shard.load(at, read);
        }
        let now = self.now();
        for outcome in self.shard.on_loaded(now) {
            let _ = self.perform(outcome);
        }
    }

    /// Time passes; every deadline is served when it comes.
    pub(super) fn wait(&mut self, ms: u64) {
        let until = self.ms + ms;
        loop {
            let next = self.shard.next_deadline().filter(|at| at.0 <= until);
            self.ms = next.map_or(until, |at| at.0.max(self.ms));
            let now = self.now();
            while let Some(outcome) = self.shard.on_timer(now) {
                let _ = self.perform(outcome);
            }
            if next.is_none() {
                return;
            }
        }
    }

    fn reply_id(&mut self) -> ReplyId {
        self.next_reply += 1;
        ReplyId(self.next_reply)
    }

    /// Sends a join; its answer may come now or later.
    pub(super) fn send_join(&mut self, join: Join<'_>) -> ReplyId {
        let suffix = (self.next_id + 1).to_string();
        if join.member_id.is_empty() {
            self.next_id += 1;
        }
        let join = Join {
            new_id_suffix: &suffix,
            ..join
        };
        let reply = self.reply_id();
        let now = self.now();
        let outcome = self.shard.on_join(&join, reply, now);
        let _ = self.perform(outcome);
        reply
    }

    pub(super) fn send_sync(&mut self, sync: &SyncRequest<'_>) -> ReplyId {
        let reply = self.reply_id();
        let now = self.now();
        let outcome = self.shard.on_sync(sync, reply, now);
        let _ = self.perform(outcome);
        reply
    }

    pub(super) fn heartbeat(&mut self, heartbeat: &Heartbeat<'_>) -> Result<(), GroupError> {
        let now = self.now();
        let (outcome, result) = self.shard.on_heartbeat(heartbeat, now);
        let _ = self.perform(outcome);
        result
    }

    pub(super) fn leave(&mut self, leaving: &[Leaving<'_>]) -> Vec<Result<(), GroupError>> {
        let now = self.now();
        let (outcome, results) = self.shard.on_leave("g", leaving, now);
        let _ = self.perform(outcome);
        results
    }

    /// Commits; the verdicts of all partitions in order.
    pub(super) fn commit(
        &mut self,
        commit: &Commit<'_>,
    ) -> Result<Vec<Result<(), GroupError>>, GroupError> {
        let now = self.now();
        let (outcome, verdicts) = self.shard.on_offset_commit(commit, now)?;
        self.perform(outcome)?;
        Ok(verdicts.concat())
    }

    /// The first answer to a join or sync, if it has come; the host drops any other.
    pub(super) fn answer(&self, reply: ReplyId) -> Option<GroupReply> {
        let mut answers = self.answers.iter().filter(|(to, _)| *to == reply);
        answers.next().map(|(_, answer)| answer.clone())
    }

    pub(super) fn joined(&self, reply: ReplyId) -> Joined {
        match self.answer(reply) {
            Some(GroupReply::Join(Ok(joined))) => joined,
            other => panic!("not joined: {other:?}"),
        }
    }

    pub(super) fn join_error(&self, reply: ReplyId) -> GroupError {
        match self.answer(reply) {
            Some(GroupReply::Join(Err(refused))) => refused.error,
            other => panic!("not refused: {other:?}"),
        }
    }

    pub(super) fn sync_result(&self, reply: ReplyId) -> Result<Bytes, GroupError> {
        match self.answer(reply) {
            Some(GroupReply::Sync(result)) => result.map(|synced| synced.assignment),
            other => panic!("not synced: {other:?}"),
        }
    }

    pub(super) fn state(&self) -> Option<GroupState> {
        self.shard.describe("g").map(|group| group.state)
    }

    /// The committed offset of one partition of the topic.
    pub(super) fn fetch(&self, partition: i32) -> Option<i64> {
        self.fetch_as(partition, TOPIC_ID, Stability::Any).unwrap()
    }

    pub(super) fn fetch_as(
        &self,
        partition: i32,
        id: Uuid,
        stability: Stability,
    ) -> Result<Option<i64>, GroupError> {
        let topics = [FetchTopic {
            name: "t",
            id,
            partitions: &[partition],
        }];
        let mut fetched = self.shard.fetch_offsets("g", &topics, stability);
        let fetched = fetched.remove(0).remove(0);
        assert_eq!(fetched.partition, partition);
        Ok(fetched.offset?.map(|offset| offset.offset.get()))
    }

    /// A stable group of dynamic members, in the order given; their ids.
    pub(super) fn stable_group(&mut self, clients: &[&str]) -> Vec<Arc<str>> {
        let replies: Vec<ReplyId> = clients
            .iter()
            .map(|client| self.send_join(join(client, "")))
            .collect();
        self.wait(u64::from(self.settings.initial_rebalance_delay_ms.unsigned_abs()) * 2);
        let joined: Vec<Joined> = replies.iter().map(|&reply| self.joined(reply)).collect();
        for joined in joined.iter().rev() {
            let assignments = joined
                .members
                .iter()
                .map(|member| {
                    (
                        &*member.member_id,
                        Bytes::from(member.member_id.to_string()),
                    )
                })
                .collect();
            self.send_sync(&SyncRequest {
                assignments,
                ..sync(&joined.member_id, joined.generation)
            });
        }
        assert_eq!(self.state(), Some(GroupState::Stable));
        joined.into_iter().map(|joined| joined.member_id).collect()
    }
}

pub(super) fn sync(member_id: &str, generation: i32) -> SyncRequest<'_> {
    SyncRequest {
        group_id: "g",
        member_id,
        instance_id: None,
        generation,
        protocol_type: None,
        protocol: None,
        assignments: Vec::new(),
    }
}

pub(super) fn beat(member_id: &str, generation: i32) -> Heartbeat<'_> {
    Heartbeat {
        group_id: "g",
        member_id,
        instance_id: None,
        generation,
    }
}

pub(super) fn leaving(member_id: &str) -> Leaving<'_> {
    Leaving {
        member_id,
        instance_id: None,
        reason: None,
    }
}
