//! The groups and offsets of one `__consumer_offsets` partition: every verb of the group APIs.
//!
//! Verbs that only answer (`fetch`, `describe`, `list`) read. The others return an [`Outcome`] whose
//! records the host appends and replays. A group record is the exception that proves the rule: it is a
//! snapshot of the volatile group beside it, so live replay has nothing to add; loading builds the
//! group from it.

use super::member::Member;
use super::offsets::{CommittedOffset, Left, Offsets};
use super::rebalance::Rebalance;
use super::{
    ClassicGroup, Commit, CommitVerdicts, CoordinatorRecord, DeletedTopic, DescribedGroup,
    FetchTopic, FetchedPartition, FetchedTopic, GroupError, GroupReply, GroupSettings, GroupState,
    Heartbeat, Join, JoinRefused, Leaving, ListedGroup, OffsetKey, SkipAssignment, Stability,
    SyncRequest,
};
use crate::coordinator::{
    Deadlines, Now, Outcome, Position, ReplayError, ReplyId, Shard, Tick, WriteError,
};
use crate::record::control::TransactionResult;
use crate::types::ProducerId;
use bytes::Bytes;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use tracing::{info, warn};

/// What a decision about groups comes to.
pub type GroupOutcome = Outcome<GroupShard>;

/// What a group waits for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TimerKey {
    /// The end of a member's session, or of the time to use an id.
    Session { group: Arc<str>, member: Arc<str> },
    /// The end of a join phase.
    Join { group: Arc<str> },
    /// The end of a sync phase.
    Sync { group: Arc<str> },
    /// The next look for expired offsets.
    Expiry,
}

pub(super) type GroupDeadlines = Deadlines<TimerKey>;

/// What remains to be done once a group's record is committed.
#[derive(Debug)]
pub enum After {
    /// The first record of a group; if it cannot be written, the group does not exist, and whoever made
    /// it is told so.
    Created { group_id: Arc<str>, reply: ReplyId },
    /// The record of a generation without members.
    Emptied { group_id: Arc<str> },
    /// The leader's assignment.
    Assigned {
        group_id: Arc<str>,
        generation: i32,
        assignment: HashMap<Arc<str>, Bytes>,
    },
    /// A static member's new id.
    StaticReplaced(Box<StaticReplaced>),
}

/// A static member that came back while the group is stable.
#[derive(Debug)]
pub struct StaticReplaced {
    pub(super) group_id: Arc<str>,
    pub(super) instance_id: Arc<str>,
    pub(super) new_id: Arc<str>,
    /// As it was before, to go back to if the record cannot be written.
    pub(super) old: Member,
    pub(super) old_leader: Option<Arc<str>>,
    pub(super) skip_assignment: SkipAssignment,
}

/// The state behind one partition of `__consumer_offsets`.
#[derive(Debug)]
pub struct GroupShard {
    settings: Arc<GroupSettings>,
    groups: BTreeMap<Arc<str>, ClassicGroup>,
    offsets: Offsets,
    deadlines: GroupDeadlines,
}

impl GroupShard {
    pub fn new(settings: Arc<GroupSettings>) -> GroupShard {
        GroupShard {
            settings,
            groups: BTreeMap::new(),
            offsets: Offsets::default(),
            deadlines: Deadlines::default(),
        }
    }

    // ---- membership ----

    /// JoinGroup. The answer goes to `reply`, now or when the join phase ends.
    pub fn on_join(&mut self, join: &Join<'_>, reply: ReplyId, now: Now) -> GroupOutcome {
        let mut out = GroupOutcome::default();
        let is_new_group = !self.groups.contains_key(join.group_id);
        if is_new_group {
            if !join.member_id.is_empty() {
                let refused = JoinRefused {
                    error: GroupError::UnknownMember,
                    member_id: join.member_id.into(),
                };
                out.replies.push((reply, GroupReply::Join(Err(refused))));
                return out;
            }
            let group_id: Arc<str> = join.group_id.into();
            self.groups
                .insert(group_id.clone(), ClassicGroup::new(group_id, now.wall));
        }
        if let Some(mut rebalance) = self.rebalance(join.group_id, &mut out, now) {
            rebalance.join(join, reply);
        }
        if is_new_group && out.records.is_empty() {
            self.write_new_group(join.group_id, reply, &mut out, now);
        }
        out
    }

    /// A group exists from its first record on, so that all brokers that will ever coordinate it agree.
    fn write_new_group(
        &mut self,
        group_id: &str,
        reply: ReplyId,
        out: &mut GroupOutcome,
        now: Now,
    ) {
        let (group_id, group) = match self.groups.get_key_value(group_id) {
            Some((group_id, group)) => (group_id.clone(), group),
            None => return,
        };
        let empty = ClassicGroup::new(group_id.clone(), now.wall);
        let mut snapshot = empty.snapshot(|_| Bytes::new());
        snapshot.state_since = group.state_since();
        out.records.push(CoordinatorRecord::Group {
            group: group_id.clone(),
            value: Some(snapshot),
        });
        out.after = Some(After::Created { group_id, reply });
        self.arm_expiry(now);
    }

    /// SyncGroup. The answer goes to `reply`, now or when the leader's assignment is committed.
    pub fn on_sync(&mut self, sync: &SyncRequest<'_>, reply: ReplyId, now: Now) -> GroupOutcome {
        let mut out = GroupOutcome::default();
        match self.rebalance(sync.group_id, &mut out, now) {
            Some(mut rebalance) => rebalance.sync(sync, reply),
            None => out
                .replies
                .push((reply, GroupReply::Sync(Err(GroupError::UnknownMember)))),
        }
        out
    }

    /// Heartbeat.
    pub fn on_heartbeat(
        &mut self,
        heartbeat: &Heartbeat<'_>,
        now: Now,
    ) -> (GroupOutcome, Result<(), GroupError>) {
        let mut out = GroupOutcome::default();
        let result = self
            .rebalance(heartbeat.group_id, &mut out, now)
            .ok_or(GroupError::UnknownMember)
            .and_then(|mut rebalance| rebalance.heartbeat(heartbeat));
        (out, result)
    }

    /// LeaveGroup: a result for each member that is named, in their order.
    pub fn on_leave(
        &mut self,
        group_id: &str,
        leaving: &[Leaving<'_>],
        now: Now,
    ) -> (GroupOutcome, Vec<Result<(), GroupError>>) {
        let mut out = GroupOutcome::default();
        let results = match self.rebalance(group_id, &mut out, now) {
            Some(mut rebalance) => rebalance.leave(leaving),
            None => leaving
                .iter()
                .map(|_| Err(GroupError::UnknownMember))
                .collect(),
        };
        (out, results)
    }

    fn rebalance<'a>(
        &'a mut self,
        group_id: &str,
        out: &'a mut GroupOutcome,
        now: Now,
    ) -> Option<Rebalance<'a>> {
        Some(Rebalance {
            group: self.groups.get_mut(group_id)?,
            deadlines: &mut self.deadlines,
            settings: &self.settings,
            out,
            now,
        })
    }

    // ---- offsets ----

    /// OffsetCommit: the group's verdict, then one per partition in the order of the request.
    pub fn on_offset_commit(
        &mut self,
        commit: &Commit<'_>,
        now: Now,
    ) -> Result<(GroupOutcome, CommitVerdicts), GroupError> {
        match self.groups.get(commit.group_id) {
            Some(group) => {
                group.check_commit(commit.member_id, commit.instance_id, commit.generation)?;
                let keeps_session = matches!(
                    group.state(),
                    GroupState::Stable | GroupState::PreparingRebalance
                );
                if keeps_session {
                    let mut out = GroupOutcome::default();
                    if let Some(mut rebalance) = self.rebalance(commit.group_id, &mut out, now) {
                        rebalance.refresh_session(commit.member_id);
                    }
                }
            }
            // Anybody may store offsets under a new name without joining; replay makes the group.
            None if commit.generation < 0 => self.arm_expiry(now),
            None => return Err(commit.missing_group),
        }
        let expires_at = commit.retention_ms.map(|ms| now.wall.plus_ms(ms));
        let group: Arc<str> = commit.group_id.into();
        let mut out = GroupOutcome::default();
        let mut verdicts = Vec::with_capacity(commit.topics.len());
        for topic in &commit.topics {
            let name: Arc<str> = topic.name.into();
            let mut of_topic = Vec::with_capacity(topic.partitions.len());
            for partition in &topic.partitions {
                let metadata = partition.metadata.unwrap_or("");
                if self.is_too_long(metadata) {
                    of_topic.push(Err(GroupError::MetadataTooLarge));
                    continue;
                }
                of_topic.push(Ok(()));
                out.records.push(CoordinatorRecord::Offset {
                    key: OffsetKey {
                        group: group.clone(),
                        topic: name.clone(),
                        partition: partition.partition,
                    },
                    value: Some(CommittedOffset {
                        offset: partition.offset,
                        leader_epoch: partition.leader_epoch,
                        metadata: metadata.into(),
                        committed_at: partition.committed_at.unwrap_or(now.wall),
                        expires_at,
                        topic_id: topic.id,
                    }),
                });
            }
            verdicts.push(of_topic);
        }
        Ok((out, verdicts))
    }

    fn is_too_long(&self, metadata: &str) -> bool {
        let max = self.settings.offset_metadata_len_max;
        // A text has at most as many UTF-16 units as bytes, so most need no counting.
        metadata.len() > max && metadata.encode_utf16().count() > max
    }

    /// OffsetFetch of some partitions: per topic, per partition, in the order asked. A missing group
    /// has committed nothing, which is no error.
    pub fn fetch_offsets(
        &self,
        group_id: &str,
        topics: &[FetchTopic<'_>],
        stability: Stability,
    ) -> Vec<Vec<FetchedPartition>> {
        topics
            .iter()
            .map(|topic| self.offsets.fetch(group_id, topic, stability))
            .collect()
    }

    /// OffsetFetch of everything.
    pub fn fetch_all_offsets(&self, group_id: &str, stability: Stability) -> Vec<FetchedTopic> {
        self.offsets.fetch_all(group_id, stability)
    }

    /// OffsetDelete: a verdict per asked partition of the topics given.
    pub fn on_offset_delete(
        &mut self,
        group_id: &str,
        topics: &[(&str, &[i32])],
    ) -> Result<(GroupOutcome, Vec<Result<(), GroupError>>), GroupError> {
        let group = self.groups.get(group_id).ok_or(GroupError::GroupNotFound)?;
        if group.state() != GroupState::Empty && !group.is_consumer_group() {
            return Err(GroupError::NonEmptyGroup);
        }
        let mut out = GroupOutcome::default();
        let mut verdicts = Vec::with_capacity(topics.len());
        for (topic, partitions) in topics {
            if group.is_subscribed_to(topic) {
                verdicts.push(Err(GroupError::SubscribedToTopic));
                continue;
            }
            for &partition in *partitions {
                let key = OffsetKey {
                    group: group.id().clone(),
                    topic: (*topic).into(),
                    partition,
                };
                if self.offsets.get(&key).is_some() || self.offsets.is_open(&key) {
                    out.records
                        .push(CoordinatorRecord::Offset { key, value: None });
                }
            }
            verdicts.push(Ok(()));
        }
        Ok((out, verdicts))
    }

    /// The offsets committed for topics that were deleted go with them.
    pub fn on_topics_deleted(&mut self, topics: &[DeletedTopic]) -> GroupOutcome {
        let mut out = GroupOutcome {
            splittable: true,
            ..GroupOutcome::default()
        };
        for topic in topics {
            out.records.extend(
                self.offsets
                    .keys_of_topic(&topic.name, topic.id)
                    .into_iter()
                    .map(|key| CoordinatorRecord::Offset { key, value: None }),
            );
        }
        out
    }

    // ---- groups ----

    /// ListGroups, in order of their ids.
    pub fn list(&self) -> Vec<ListedGroup> {
        self.groups.values().map(ClassicGroup::listed).collect()
    }

    /// DescribeGroups of one group.
    pub fn describe(&self, group_id: &str) -> Option<DescribedGroup> {
        self.groups.get(group_id).map(ClassicGroup::described)
    }

    /// DeleteGroups of one group: its offsets go first, so that a crash in between leaves a group that
    /// can be deleted again.
    pub fn on_delete_group(&mut self, group_id: &str) -> Result<GroupOutcome, GroupError> {
        let group = self.groups.get(group_id).ok_or(GroupError::GroupNotFound)?;
        if group.state() != GroupState::Empty {
            return Err(GroupError::NonEmptyGroup);
        }
        let mut out = GroupOutcome::default();
        out.records.extend(
            self.offsets
                .keys(group_id)
                .into_iter()
                .map(|key| CoordinatorRecord::Offset { key, value: None }),
        );
        out.records.push(CoordinatorRecord::Group {
            group: group.id().clone(),
            value: None,
        });
        Ok(out)
    }

    // ---- expiry ----

    fn arm_expiry(&mut self, now: Now) {
        if self.deadlines.get(&TimerKey::Expiry).is_none() {
            let at = now.tick.plus_ms(self.settings.offsets_retention_check_ms);
            self.deadlines.set(TimerKey::Expiry, at);
        }
    }

    /// Tombstones for offsets whose retention is over, and for empty groups that have none left.
    fn on_expiry(&mut self, now: Now) -> GroupOutcome {
        let mut out = GroupOutcome {
            splittable: true,
            ..GroupOutcome::default()
        };
        for group in self.groups.values() {
            let retention_ms = self.settings.offsets_retention_ms;
            let (expired, left) = self.offsets.expired(group, now.wall, retention_ms);
            out.records.extend(
                expired
                    .into_iter()
                    .map(|key| CoordinatorRecord::Offset { key, value: None }),
            );
            if left == Left::Nothing && group.state() == GroupState::Empty {
                out.records.push(CoordinatorRecord::Group {
                    group: group.id().clone(),
                    value: None,
                });
            }
        }
        if !out.records.is_empty() {
            info!(tombstones = out.records.len(), "offsets and groups expired");
        }
        if !self.groups.is_empty() {
            self.arm_expiry(now);
        }
        out
    }

    // ---- replay ----

    fn replay_offset(&mut self, at: Position, key: OffsetKey, value: Option<CommittedOffset>) {
        match value {
            Some(value) => {
                if !self.groups.contains_key(&key.group) {
                    // A "simple" group: it stores offsets and has no members.
                    let group = ClassicGroup::new(key.group.clone(), value.committed_at);
                    self.groups.insert(key.group.clone(), group);
                }
                self.offsets.put(at.offset, at.producer, key, value);
            }
            None => self.offsets.remove(&key),
        }
    }

    /// A group's tombstone: whoever still uses an id of it is told so when it comes back.
    fn remove_group(&mut self, group_id: &str) {
        let Some(group) = self.groups.remove(group_id) else {
            return;
        };
        for member in group.member_ids().iter().chain(&group.pending_joins) {
            self.deadlines.cancel(&TimerKey::Session {
                group: group.id().clone(),
                member: member.clone(),
            });
        }
        let group = group.id().clone();
        self.deadlines.cancel(&TimerKey::Join {
            group: group.clone(),
        });
        self.deadlines.cancel(&TimerKey::Sync { group });
    }
}

impl Shard for GroupShard {
    type Record = CoordinatorRecord;
    type Reply = GroupReply;
    type After = After;

    fn encode(record: &CoordinatorRecord) -> (Bytes, Option<Bytes>) {
        record.encode()
    }

    fn decode(
        key: &Bytes,
        value: Option<&Bytes>,
    ) -> Result<Option<CoordinatorRecord>, ReplayError> {
        CoordinatorRecord::decode(key, value)
    }

    fn replay(&mut self, at: Position, record: CoordinatorRecord) {
        match record {
            CoordinatorRecord::Offset { key, value } => self.replay_offset(at, key, value),
            CoordinatorRecord::Group { group, value: None } => self.remove_group(&group),
            // A snapshot of the group beside it, which may be further already.
            CoordinatorRecord::Group { value: Some(_), .. } => {}
        }
    }

    fn load(&mut self, at: Position, record: CoordinatorRecord) {
        match record {
            CoordinatorRecord::Group {
                group,
                value: Some(snapshot),
            } => {
                let loaded = ClassicGroup::from_snapshot(group.clone(), snapshot);
                self.groups.insert(group, loaded);
            }
            other => self.replay(at, other),
        }
    }

    fn end_transaction(&mut self, producer: ProducerId, result: TransactionResult) {
        self.offsets.end_transaction(producer, result);
    }

    fn on_loaded(&mut self, now: Now) -> Vec<GroupOutcome> {
        if !self.groups.is_empty() {
            self.arm_expiry(now);
        }
        let ids: Vec<Arc<str>> = self.groups.keys().cloned().collect();
        ids.iter()
            .map(|group_id| {
                let mut out = GroupOutcome::default();
                if let Some(mut rebalance) = self.rebalance(group_id, &mut out, now) {
                    rebalance.on_loaded();
                }
                out
            })
            .filter(|out| !out.records.is_empty() || !out.replies.is_empty())
            .collect()
    }

    fn on_timer(&mut self, now: Now) -> Option<GroupOutcome> {
        let key = self.deadlines.pop(now.tick)?;
        let mut out = GroupOutcome::default();
        match &key {
            TimerKey::Expiry => return Some(self.on_expiry(now)),
            TimerKey::Session { group, member } => {
                if let Some(mut rebalance) = self.rebalance(group, &mut out, now) {
                    rebalance.on_session_deadline(member);
                }
            }
            TimerKey::Join { group } => {
                if let Some(mut rebalance) = self.rebalance(group, &mut out, now) {
                    rebalance.on_join_deadline();
                }
            }
            TimerKey::Sync { group } => {
                if let Some(mut rebalance) = self.rebalance(group, &mut out, now) {
                    rebalance.on_sync_deadline();
                }
            }
        }
        Some(out)
    }

    fn on_written(
        &mut self,
        after: After,
        written: Result<(), WriteError>,
        now: Now,
    ) -> GroupOutcome {
        let mut out = GroupOutcome::default();
        let is_late = written == Err(WriteError::TimedOut);
        let written = written.map_err(GroupError::from);
        match after {
            // Written but not committed yet: it may still be, and the members wait anyway.
            After::Created { .. } if is_late => {}
            After::Created { group_id, reply } => {
                if let Err(error) = written {
                    warn!(group = %group_id, %error, "a new group could not be written");
                    self.remove_group(&group_id);
                    let refused = JoinRefused {
                        error,
                        member_id: "".into(),
                    };
                    out.replies.push((reply, GroupReply::Join(Err(refused))));
                }
            }
            After::Emptied { group_id } => {
                if let Err(error) = written {
                    // After a crash the generation before would come back and time out: harmless.
                    warn!(group = %group_id, %error, "an empty generation could not be written");
                }
            }
            After::Assigned {
                group_id,
                generation,
                assignment,
            } => {
                if let Some(mut rebalance) = self.rebalance(&group_id, &mut out, now) {
                    rebalance.on_assignment_written(generation, &assignment, written);
                }
            }
            After::StaticReplaced(replaced) => {
                let group_id = replaced.group_id.clone();
                if let Some(mut rebalance) = self.rebalance(&group_id, &mut out, now) {
                    rebalance.on_static_written(*replaced, written);
                }
            }
        }
        out
    }

    fn next_deadline(&self) -> Option<Tick> {
        self.deadlines.next()
    }
}
