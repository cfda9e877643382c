//! Join, sync, heartbeat, leave and their time-outs, for one group.
//!
//! A rebalance goes Empty/Stable → PreparingRebalance (join) → CompletingRebalance (sync) → Stable.
//! Every verb changes the volatile group at once and puts what must be written, answered or waited for
//! into the outcome and the deadlines.

use super::member::{Member, distinct};
use super::shard::{After, GroupDeadlines, GroupOutcome, StaticReplaced, TimerKey};
use super::state::InitialDelay;
use super::{
    ClassicGroup, CoordinatorRecord, GroupError, GroupReply, GroupSettings, GroupState, Heartbeat,
    Join, JoinRefused, Joined, Leaving, MemberIdRule, SkipAssignment, SyncRequest, Synced,
};
use crate::coordinator::{Now, ReplyId};
use crate::protocol::TEXT_LEN_MAX;
use bytes::Bytes;
use std::collections::HashMap;
use std::sync::Arc;
use tracing::{debug, info, warn};

/// Why a member could not be told the result: it asked again meanwhile, so nobody listens.
const SUPERSEDED: GroupError = GroupError::RebalanceInProgress;

/// One group, and where the effects of a decision about it go.
pub(super) struct Rebalance<'a> {
    pub group: &'a mut ClassicGroup,
    pub deadlines: &'a mut GroupDeadlines,
    pub settings: &'a GroupSettings,
    pub out: &'a mut GroupOutcome,
    pub now: Now,
}

impl Rebalance<'_> {
    // ---- join ----

    /// JoinGroup.
    pub(super) fn join(&mut self, join: &Join<'_>, reply: ReplyId) {
        if !self.has_room_for(join.member_id) {
            self.remove_member(join.member_id, GroupError::UnknownMember);
            return self.refuse_join(reply, GroupError::GroupFull, "");
        }
        if !self.group.supports(join.protocol_type, &join.protocols) {
            let error = GroupError::InconsistentProtocol;
            return self.refuse_join(reply, error, join.member_id);
        }
        if join.member_id.is_empty() {
            self.join_without_id(join, reply);
        } else if self.group.pending_joins.contains(join.member_id) {
            if join.instance_id.is_some() {
                // Static members are never given an id ahead, so this is somebody else's.
                let error = GroupError::UnknownMember;
                return self.refuse_join(reply, error, join.member_id);
            }
            self.add_member(join, &join.member_id.into(), reply);
        } else {
            self.rejoin(join, reply);
        }
    }

    /// New members are let in up to the limit. While members join, those who have joined count: the
    /// last to rejoin an overfull group are the ones who stay outside.
    fn has_room_for(&self, member_id: &str) -> bool {
        let member = self.group.member(member_id);
        let max = self.settings.members_max;
        match self.group.state() {
            GroupState::Empty => true,
            GroupState::PreparingRebalance => {
                member.is_some_and(|member| member.awaiting_join.is_some())
                    || self.group.awaiting_join() < max
            }
            GroupState::CompletingRebalance | GroupState::Stable => {
                member.is_some() || self.group.len() < max
            }
        }
    }

    fn join_without_id(&mut self, join: &Join<'_>, reply: ReplyId) {
        let new_id = new_member_id(join);
        if let Some(instance_id) = join.instance_id {
            match self.group.static_member(instance_id).cloned() {
                Some(old_id) => self.replace_static(join, instance_id, &old_id, new_id, reply),
                None => self.add_member(join, &new_id, reply),
            }
        } else if join.member_id_rule == MemberIdRule::RequiredFirst {
            debug!(group = %self.group.id(), member = %new_id, "asked to join again with an id");
            self.group.pending_joins.insert(new_id.clone());
            let at = self.now.tick.plus_ms(join.session_timeout_ms);
            self.deadlines.set(self.session_key(&new_id), at);
            self.refuse_join(reply, GroupError::MemberIdRequired, &new_id);
        } else {
            self.add_member(join, &new_id, reply);
        }
    }

    /// JoinGroup of a member that the group should know.
    fn rejoin(&mut self, join: &Join<'_>, reply: ReplyId) {
        let member_id = join.member_id;
        if let Err(error) = self.group.check_member(member_id, join.instance_id) {
            return self.refuse_join(reply, error, member_id);
        }
        let unchanged = self
            .group
            .member(member_id)
            .is_some_and(|member| member.protocols == join.protocols);
        match self.group.state() {
            GroupState::PreparingRebalance => {
                self.update_member(join, reply, "a member joins again");
            }
            // It may have missed the answer: give it once more.
            GroupState::CompletingRebalance if unchanged => {
                let answer = self.joined(member_id, SkipAssignment::Unknown);
                self.answer_join(reply, Ok(answer));
            }
            // Nothing to do for a follower who has nothing new. The leader may know of changes that
            // its metadata does not show (new partitions), so its join always rebalances.
            GroupState::Stable if unchanged && !self.group.is_leader(member_id) => {
                let answer = self.joined(member_id, SkipAssignment::Unknown);
                self.answer_join(reply, Ok(answer));
            }
            GroupState::CompletingRebalance | GroupState::Stable => {
                let reason = if self.group.is_leader(member_id) {
                    "the leader joins again"
                } else {
                    "a member joins with other metadata"
                };
                self.update_member(join, reply, reason);
            }
            GroupState::Empty => {
                self.refuse_join(reply, GroupError::UnknownMember, member_id);
            }
        }
    }

    fn add_member(&mut self, join: &Join<'_>, member_id: &Arc<str>, reply: ReplyId) {
        info!(group = %self.group.id(), member = %member_id, instance = ?join.instance_id,
            reason = join.reason, state = %self.group.state(), "a member joins");
        if let Some(delay) = &mut self.group.initial_delay {
            delay.joined_meanwhile = true;
        }
        if self.group.is_empty() {
            self.group.set_protocol_type(join.protocol_type);
        }
        self.group.add(Member {
            id: member_id.clone(),
            instance_id: join.instance_id.map(Arc::from),
            client_id: join.client_id.into(),
            client_host: join.client_host.into(),
            rebalance_timeout_ms: join.rebalance_timeout_ms,
            session_timeout_ms: join.session_timeout_ms,
            protocols: distinct(&join.protocols),
            assignment: Bytes::new(),
            seq: 0,
            awaiting_join: Some(reply),
            awaiting_sync: None,
            is_new: true,
        });
        let at = self
            .now
            .tick
            .plus_ms(self.settings.new_member_join_timeout_ms);
        self.deadlines.set(self.session_key(member_id), at);
        self.rebalance_or_go_on("a member was added");
    }

    fn update_member(&mut self, join: &Join<'_>, reply: ReplyId, reason: &str) {
        self.group.update(
            join.member_id,
            distinct(&join.protocols),
            join.rebalance_timeout_ms,
            join.session_timeout_ms,
        );
        self.await_join(join.member_id, reply);
        self.rebalance_or_go_on(reason);
    }

    /// A static member came back without its id: it gets a new one, and whoever used the old is fenced.
    fn replace_static(
        &mut self,
        join: &Join<'_>,
        instance_id: &str,
        old_id: &Arc<str>,
        new_id: Arc<str>,
        reply: ReplyId,
    ) {
        info!(group = %self.group.id(), instance = instance_id, old = %old_id, new = %new_id,
            state = %self.group.state(), "a static member came back");
        let old_leader = self.group.leader().cloned();
        let Some(old) = self
            .group
            .replace_static(instance_id, old_id, new_id.clone())
        else {
            return self.refuse_join(reply, GroupError::UnknownMember, "");
        };
        self.answer_fenced(&old);
        // The old id's deadline is for nobody any more.
        self.deadlines.cancel(&self.session_key(old_id));
        self.refresh_session(&new_id);
        self.group.update(
            &new_id,
            distinct(&join.protocols),
            join.rebalance_timeout_ms,
            join.session_timeout_ms,
        );
        self.await_join(&new_id, reply);

        match self.group.state() {
            GroupState::Stable
                if self.group.select_protocol().as_ref() == self.group.protocol() =>
            {
                // No rebalance, but the new id must survive a restart.
                let snapshot = self.group.snapshot(|member| member.assignment.clone());
                self.write_group(snapshot);
                self.out.after = Some(After::StaticReplaced(Box::new(StaticReplaced {
                    group_id: self.group.id().clone(),
                    instance_id: instance_id.into(),
                    new_id,
                    old,
                    old_leader,
                    skip_assignment: join.skip_assignment,
                })));
            }
            // The leader may already be assigning to the old id.
            GroupState::Stable | GroupState::CompletingRebalance => {
                self.prepare("a static member came back with other metadata");
            }
            GroupState::PreparingRebalance => self.complete_join_if_all_joined(),
            GroupState::Empty => debug_assert!(false, "an empty group has no static members"),
        }
    }

    /// The record with a returned static member's new id is committed, or could not be written.
    pub(super) fn on_static_written(
        &mut self,
        replaced: StaticReplaced,
        written: Result<(), GroupError>,
    ) {
        let StaticReplaced {
            group_id: _,
            instance_id,
            new_id,
            old,
            old_leader,
            skip_assignment,
        } = replaced;
        // It may have left, been replaced again, or been answered by a rebalance meanwhile.
        let Some(reply) = self
            .group
            .member(&new_id)
            .and_then(|member| member.awaiting_join)
        else {
            return;
        };
        match written {
            Ok(()) if self.group.state() == GroupState::Stable => {
                let mut answer = self.joined(&new_id, skip_assignment);
                if skip_assignment == SkipAssignment::Unknown {
                    // A client that cannot be told to skip must not take itself for the leader: it
                    // would assign, and nobody waits for that. The old leader's id is nobody's.
                    answer.leader = old_leader.unwrap_or_else(|| "".into());
                    answer.members = Vec::new();
                }
                self.group.set_awaiting_join(&new_id, None);
                self.answer_join(reply, Ok(answer));
            }
            Ok(()) => {} // a rebalance has begun; its end is the answer
            Err(error) => {
                warn!(group = %self.group.id(), member = %new_id, %error,
                    "could not store the return of a static member; its old id stands");
                self.group.set_awaiting_join(&new_id, None);
                self.answer_join(
                    reply,
                    Err(JoinRefused {
                        error,
                        member_id: "".into(),
                    }),
                );
                self.group.update(
                    &new_id,
                    old.protocols,
                    old.rebalance_timeout_ms,
                    old.session_timeout_ms,
                );
                self.deadlines.cancel(&self.session_key(&new_id));
                self.group
                    .replace_static(&instance_id, &new_id, old.id.clone());
                self.refresh_session(&old.id);
            }
        }
    }

    // ---- the join phase ----

    fn rebalance_or_go_on(&mut self, reason: &str) {
        match self.group.state() {
            GroupState::PreparingRebalance => self.complete_join_if_all_joined(),
            GroupState::Empty | GroupState::CompletingRebalance | GroupState::Stable => {
                self.prepare(reason);
            }
        }
    }

    /// Begins a rebalance.
    fn prepare(&mut self, reason: &str) {
        let group = self.group.id().clone();
        let was = self.group.state();
        if was == GroupState::CompletingRebalance {
            self.fail_syncs(GroupError::RebalanceInProgress);
        }
        self.cancel_sync_phase();
        self.group
            .become_state(GroupState::PreparingRebalance, self.now.wall);
        info!(%group, generation = self.group.generation(), from = %was, reason, "rebalancing");
        if was == GroupState::Empty {
            // The first members of a group tend to come together: wait a little for the others.
            let delay_ms = self.settings.initial_rebalance_delay_ms;
            let remaining_ms = self
                .group
                .rebalance_timeout_ms()
                .saturating_sub(delay_ms)
                .max(0);
            self.group.initial_delay = Some(InitialDelay {
                delay_ms,
                remaining_ms,
                joined_meanwhile: false,
            });
            let at = self.now.tick.plus_ms(delay_ms);
            self.deadlines.set(TimerKey::Join { group }, at);
        } else if self.group.has_everybody_joined() {
            self.complete_join();
        } else {
            self.await_the_others();
        }
    }

    /// The join phase ends at the latest when the slowest member's rebalance timeout is over.
    fn await_the_others(&mut self) {
        let at = self.now.tick.plus_ms(self.group.rebalance_timeout_ms());
        let group = self.group.id().clone();
        self.deadlines.set(TimerKey::Join { group }, at);
    }

    fn complete_join_if_all_joined(&mut self) {
        let is_first_rebalance = self.group.initial_delay.is_some();
        if self.group.state() == GroupState::PreparingRebalance
            && !is_first_rebalance
            && self.group.has_everybody_joined()
        {
            self.complete_join();
        }
    }

    /// The time of the join phase is over.
    pub(super) fn on_join_deadline(&mut self) {
        if self.group.state() != GroupState::PreparingRebalance {
            return;
        }
        match self.group.initial_delay {
            Some(delay) if delay.joined_meanwhile && delay.remaining_ms > 0 => {
                let next_ms = self
                    .settings
                    .initial_rebalance_delay_ms
                    .min(delay.remaining_ms);
                self.group.initial_delay = Some(InitialDelay {
                    delay_ms: next_ms,
                    remaining_ms: delay.remaining_ms.saturating_sub(delay.delay_ms).max(0),
                    joined_meanwhile: false,
                });
                let at = self.now.tick.plus_ms(next_ms);
                let group = self.group.id().clone();
                self.deadlines.set(TimerKey::Join { group }, at);
            }
            _ => self.complete_join(),
        }
    }

    /// Ends the join phase with those who are there.
    fn complete_join(&mut self) {
        let group_id = self.group.id().clone();
        self.deadlines.cancel(&TimerKey::Join {
            group: group_id.clone(),
        });
        for member_id in self.group.member_ids() {
            let is_absent = self
                .group
                .member(&member_id)
                .is_some_and(|member| member.awaiting_join.is_none() && !member.is_static());
            if is_absent {
                info!(group = %group_id, member = %member_id, "did not join again; removed");
                self.remove_member(&member_id, GroupError::UnknownMember);
            }
        }
        if !self.group.is_empty() && !self.group.elect_joined_leader() {
            // Only static members are left, and all of them are away. Their sessions decide.
            warn!(group = %group_id, "nobody joined; waiting once more");
            return self.await_the_others();
        }
        self.group.start_next_generation(self.now.wall);
        if self.group.is_empty() {
            info!(group = %group_id, generation = self.group.generation(), "the group is empty");
            let snapshot = self.group.snapshot(|_| Bytes::new());
            self.write_group(snapshot);
            self.out.after = Some(After::Emptied { group_id });
            return;
        }
        info!(group = %group_id, generation = self.group.generation(), members = self.group.len(),
            "everybody joined");
        for member_id in self.group.member_ids() {
            let answer = self.joined(&member_id, SkipAssignment::Unknown);
            if let Some(reply) = self.group.set_awaiting_join(&member_id, None) {
                self.answer_join(reply, Ok(answer));
            }
            if let Some(member) = self.group.member_mut(&member_id) {
                member.is_new = false;
            }
            self.refresh_session(&member_id);
            self.group.pending_syncs.insert(member_id);
        }
        let at = self.now.tick.plus_ms(self.group.rebalance_timeout_ms());
        self.deadlines.set(TimerKey::Sync { group: group_id }, at);
    }

    // ---- sync ----

    /// SyncGroup.
    pub(super) fn sync(&mut self, sync: &SyncRequest<'_>, reply: ReplyId) {
        if let Err(error) = self.check_sync(sync) {
            return self.answer_sync(reply, Err(error));
        }
        match self.group.state() {
            GroupState::Empty => self.answer_sync(reply, Err(GroupError::UnknownMember)),
            GroupState::PreparingRebalance => {
                self.answer_sync(reply, Err(GroupError::RebalanceInProgress));
            }
            GroupState::CompletingRebalance => {
                let before = self
                    .group
                    .member_mut(sync.member_id)
                    .and_then(|member| member.awaiting_sync.replace(reply));
                if let Some(before) = before {
                    self.answer_sync(before, Err(SUPERSEDED));
                }
                self.mark_synced(sync.member_id);
                if self.group.is_leader(sync.member_id) {
                    self.store_assignment(sync);
                }
            }
            GroupState::Stable => {
                self.mark_synced(sync.member_id);
                let assignment = self
                    .group
                    .member(sync.member_id)
                    .map(|member| member.assignment.clone())
                    .unwrap_or_default();
                let synced = self.synced(assignment);
                self.answer_sync(reply, Ok(synced));
            }
        }
    }

    /// In Kafka's order: member, generation, protocol; the state comes last.
    fn check_sync(&self, sync: &SyncRequest<'_>) -> Result<(), GroupError> {
        self.group.check_member(sync.member_id, sync.instance_id)?;
        if sync.generation != self.group.generation() {
            return Err(GroupError::IllegalGeneration);
        }
        let differ = |theirs: Option<&str>, ours: Option<&Arc<str>>| matches!((theirs, ours), (Some(theirs), Some(ours)) if *theirs != **ours);
        if differ(sync.protocol_type, self.group.protocol_type())
            || differ(sync.protocol, self.group.protocol())
        {
            return Err(GroupError::InconsistentProtocol);
        }
        Ok(())
    }

    fn mark_synced(&mut self, member_id: &str) {
        self.group.pending_syncs.remove(member_id);
        if self.group.pending_syncs.is_empty() {
            let group = self.group.id().clone();
            self.deadlines.cancel(&TimerKey::Sync { group });
        }
    }

    fn store_assignment(&mut self, sync: &SyncRequest<'_>) {
        let given: HashMap<&str, &Bytes> = sync
            .assignments
            .iter()
            .map(|(member_id, assignment)| (*member_id, assignment))
            .collect();
        let assignment: HashMap<Arc<str>, Bytes> = self
            .group
            .member_ids()
            .into_iter()
            .map(|id| {
                let bytes = given
                    .get(&*id)
                    .map(|bytes| Bytes::copy_from_slice(bytes))
                    .unwrap_or_default();
                (id, bytes)
            })
            .collect();
        info!(group = %self.group.id(), generation = self.group.generation(),
            leader = sync.member_id, "the leader has assigned");
        let snapshot = self
            .group
            .snapshot(|member| assignment.get(&member.id).cloned().unwrap_or_default());
        self.write_group(snapshot);
        self.out.after = Some(After::Assigned {
            group_id: self.group.id().clone(),
            generation: self.group.generation(),
            assignment,
        });
    }

    /// The leader's assignment is committed, or could not be written.
    pub(super) fn on_assignment_written(
        &mut self,
        generation: i32,
        assignment: &HashMap<Arc<str>, Bytes>,
        written: Result<(), GroupError>,
    ) {
        // Somebody may have joined or left meanwhile; then this assignment is for nobody.
        if self.group.state() != GroupState::CompletingRebalance
            || self.group.generation() != generation
        {
            return;
        }
        if let Err(error) = written {
            self.fail_syncs(error);
            return self.rebalance_or_go_on("the assignment could not be stored");
        }
        for member_id in self.group.member_ids() {
            let bytes = assignment.get(&member_id).cloned().unwrap_or_default();
            let reply = self.group.member_mut(&member_id).and_then(|member| {
                member.assignment = bytes.clone();
                member.awaiting_sync.take()
            });
            if let Some(reply) = reply {
                let synced = self.synced(bytes);
                self.answer_sync(reply, Ok(synced));
                // A session that ran out while we kept the member waiting was excused, not renewed.
                self.refresh_session(&member_id);
            }
        }
        self.group.become_state(GroupState::Stable, self.now.wall);
    }

    /// Takes the assignments back and tells everybody who waits for one why.
    fn fail_syncs(&mut self, error: GroupError) {
        for member_id in self.group.member_ids() {
            let reply = self.group.member_mut(&member_id).and_then(|member| {
                member.assignment = Bytes::new();
                member.awaiting_sync.take()
            });
            if let Some(reply) = reply {
                self.answer_sync(reply, Err(error));
                self.refresh_session(&member_id);
            }
        }
    }

    fn cancel_sync_phase(&mut self) {
        self.group.pending_syncs.clear();
        let group = self.group.id().clone();
        self.deadlines.cancel(&TimerKey::Sync { group });
    }

    /// Members that joined but did not sync in time are removed.
    pub(super) fn on_sync_deadline(&mut self) {
        let is_waiting = matches!(
            self.group.state(),
            GroupState::CompletingRebalance | GroupState::Stable
        );
        if !is_waiting || self.group.pending_syncs.is_empty() {
            return;
        }
        let late: Vec<Arc<str>> = self.group.pending_syncs.iter().cloned().collect();
        for member_id in &late {
            info!(group = %self.group.id(), member = %member_id, "did not sync in time; removed");
            self.remove_member(member_id, GroupError::UnknownMember);
        }
        self.prepare("members did not sync in time");
    }

    // ---- sessions ----

    /// Heartbeat.
    pub(super) fn heartbeat(&mut self, heartbeat: &Heartbeat<'_>) -> Result<(), GroupError> {
        self.group
            .check_member(heartbeat.member_id, heartbeat.instance_id)?;
        if heartbeat.generation != self.group.generation() {
            return Err(GroupError::IllegalGeneration);
        }
        match self.group.state() {
            GroupState::Empty => Err(GroupError::UnknownMember),
            GroupState::PreparingRebalance => {
                self.refresh_session(heartbeat.member_id);
                Err(GroupError::RebalanceInProgress)
            }
            GroupState::CompletingRebalance | GroupState::Stable => {
                self.refresh_session(heartbeat.member_id);
                Ok(())
            }
        }
    }

    /// The session of a member, or the time to use an id, is over.
    pub(super) fn on_session_deadline(&mut self, member_id: &str) {
        if self.group.pending_joins.contains(member_id) {
            info!(group = %self.group.id(), member = member_id, "an id was not used in time");
            self.group.remove(member_id);
            return self.go_on_without(GoOn::IfPreparing);
        }
        let is_lost = self
            .group
            .member(member_id)
            .is_some_and(|member| !member.is_excused_from_heartbeats());
        if is_lost {
            info!(group = %self.group.id(), member = member_id, "a session ran out; removed");
            self.remove_member(member_id, GroupError::UnknownMember);
            self.go_on_without(GoOn::Rebalancing("a member's session ran out"));
        }
    }

    /// What a group does when somebody is gone.
    fn go_on_without(&mut self, go_on: GoOn) {
        match (self.group.state(), go_on) {
            (GroupState::PreparingRebalance, _) => {
                // Not `complete_join_if_all_joined`: Kafka lets a first rebalance end early here.
                if self.group.has_everybody_joined() {
                    self.complete_join();
                }
            }
            (GroupState::Stable | GroupState::CompletingRebalance, GoOn::Rebalancing(reason)) => {
                self.prepare(reason);
            }
            (GroupState::Stable | GroupState::CompletingRebalance, GoOn::IfPreparing)
            | (GroupState::Empty, _) => {}
        }
    }

    /// A group that was just loaded: every member's session begins anew, and a group that is over a
    /// limit lowered meanwhile rebalances so that the last ones stay outside.
    pub(super) fn on_loaded(&mut self) {
        for member_id in self.group.member_ids() {
            self.refresh_session(&member_id);
        }
        if self.group.len() > self.settings.members_max {
            self.prepare("the group is over group.max.size");
        }
    }

    /// A member has shown that it lives.
    pub(super) fn refresh_session(&mut self, member_id: &str) {
        if let Some(member) = self.group.member(member_id) {
            let at = self.now.tick.plus_ms(member.session_timeout_ms);
            let key = TimerKey::Session {
                group: self.group.id().clone(),
                member: member.id.clone(),
            };
            self.deadlines.set(key, at);
        }
    }

    // ---- leave ----

    /// LeaveGroup: each named member's result, then one rebalance for all of them.
    pub(super) fn leave(&mut self, leaving: &[Leaving<'_>]) -> Vec<Result<(), GroupError>> {
        let results: Vec<_> = leaving
            .iter()
            .map(|member| self.leave_one(member))
            .collect();
        if results.iter().any(Result::is_ok) {
            match self.group.state() {
                GroupState::Stable | GroupState::CompletingRebalance => {
                    self.prepare("members left");
                }
                GroupState::PreparingRebalance => self.complete_join_if_all_joined(),
                GroupState::Empty => {}
            }
        }
        results
    }

    fn leave_one(&mut self, leaving: &Leaving<'_>) -> Result<(), GroupError> {
        let member_id: Arc<str> = if leaving.member_id.is_empty() {
            // An administrator names a static member by its instance alone.
            leaving
                .instance_id
                .and_then(|instance_id| self.group.static_member(instance_id))
                .cloned()
                .ok_or(GroupError::UnknownMember)?
        } else {
            if !self.group.pending_joins.contains(leaving.member_id) {
                self.group
                    .check_member(leaving.member_id, leaving.instance_id)?;
            }
            leaving.member_id.into()
        };
        info!(group = %self.group.id(), member = %member_id, reason = leaving.reason, "a member leaves");
        self.remove_member(&member_id, GroupError::UnknownMember);
        Ok(())
    }

    // ---- helpers ----

    /// Takes a member out, with its deadline and the answers it waits for.
    fn remove_member(&mut self, member_id: &str, error: GroupError) {
        self.deadlines.cancel(&self.session_key(member_id));
        let Some(member) = self.group.remove(member_id) else {
            return;
        };
        if let Some(reply) = member.awaiting_join {
            self.refuse_join(reply, error, "");
        }
        if let Some(reply) = member.awaiting_sync {
            self.answer_sync(reply, Err(error));
        }
    }

    fn await_join(&mut self, member_id: &str, reply: ReplyId) {
        if let Some(before) = self.group.set_awaiting_join(member_id, Some(reply)) {
            self.refuse_join(before, SUPERSEDED, member_id);
        }
    }

    fn answer_fenced(&mut self, old: &Member) {
        if let Some(reply) = old.awaiting_join {
            self.refuse_join(reply, GroupError::FencedInstance, &old.id);
        }
        if let Some(reply) = old.awaiting_sync {
            self.answer_sync(reply, Err(GroupError::FencedInstance));
        }
    }

    /// The current generation, as a member is told it.
    fn joined(&self, member_id: &str, skip_assignment: SkipAssignment) -> Joined {
        let is_leader = self.group.is_leader(member_id);
        Joined {
            member_id: member_id.into(),
            generation: self.group.generation(),
            protocol_type: self.group.protocol_type().cloned(),
            protocol: self.group.protocol().cloned(),
            leader: self.group.leader().cloned().unwrap_or_else(|| "".into()),
            skip_assignment: is_leader && skip_assignment == SkipAssignment::Understood,
            members: if is_leader {
                self.group.joined_members()
            } else {
                Vec::new()
            },
        }
    }

    fn synced(&self, assignment: Bytes) -> Synced {
        Synced {
            protocol_type: self.group.protocol_type().cloned(),
            protocol: self.group.protocol().cloned(),
            assignment,
        }
    }

    fn refuse_join(&mut self, reply: ReplyId, error: GroupError, member_id: &str) {
        let member_id = member_id.into();
        self.answer_join(reply, Err(JoinRefused { error, member_id }));
    }

    fn answer_join(&mut self, reply: ReplyId, answer: Result<Joined, JoinRefused>) {
        self.out.replies.push((reply, GroupReply::Join(answer)));
    }

    fn answer_sync(&mut self, reply: ReplyId, answer: Result<Synced, GroupError>) {
        self.out.replies.push((reply, GroupReply::Sync(answer)));
    }

    fn write_group(&mut self, snapshot: super::GroupSnapshot) {
        self.out.records.push(CoordinatorRecord::Group {
            group: self.group.id().clone(),
            value: Some(snapshot),
        });
    }

    fn session_key(&self, member_id: &str) -> TimerKey {
        TimerKey::Session {
            group: self.group.id().clone(),
            member: member_id.into(),
        }
    }
}

/// Whether the loss of somebody is a reason to rebalance a settled group.
#[derive(Clone, Copy)]
enum GoOn {
    Rebalancing(&'static str),
    /// It was only an id, no member.
    IfPreparing,
}

/// `client.id-uuid`, or `group.instance.id-uuid`; never longer than a text on the wire may be.
fn new_member_id(join: &Join<'_>) -> Arc<str> {
    let prefix = join.instance_id.unwrap_or(join.client_id);
    let room = TEXT_LEN_MAX.saturating_sub(join.new_id_suffix.len() + 1);
    let prefix = &prefix[..prefix.floor_char_boundary(room)];
    format!("{prefix}-{}", join.new_id_suffix).into()
}
