//! One classic group: members, generation, protocol, leader.

use super::member::Member;
use super::{
    DescribedGroup, DescribedMember, GroupError, GroupSnapshot, JoinedMember, ListedGroup,
    MemberSnapshot, Protocol, subscription,
};
use crate::coordinator::ReplyId;
use crate::types::Timestamp;
use bytes::Bytes;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

/// Where a group stands. A group that does not exist is what Kafka calls Dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum GroupState {
    /// No members; perhaps offsets.
    Empty,
    /// Waits until the members have joined.
    PreparingRebalance,
    /// Everybody has joined; waits for the leader's assignment.
    CompletingRebalance,
    /// Every member may have its assignment.
    Stable,
}

impl GroupState {
    /// The name that ListGroups and DescribeGroups give.
    pub fn name(self) -> &'static str {
        match self {
            GroupState::Empty => "Empty",
            GroupState::PreparingRebalance => "PreparingRebalance",
            GroupState::CompletingRebalance => "CompletingRebalance",
            GroupState::Stable => "Stable",
        }
    }

    fn may_become(self, next: GroupState) -> bool {
        match next {
            GroupState::PreparingRebalance => self != GroupState::PreparingRebalance,
            GroupState::CompletingRebalance | GroupState::Empty => {
                self == GroupState::PreparingRebalance
            }
            GroupState::Stable => self == GroupState::CompletingRebalance,
        }
    }
}

impl fmt::Display for GroupState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How much longer the first rebalance of an empty group waits for more members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InitialDelay {
    /// The wait that is running.
    pub delay_ms: i32,
    /// What is left of the rebalance timeout after it.
    pub remaining_ms: i32,
    /// Somebody joined while it ran, so it is worth waiting once more.
    pub joined_meanwhile: bool,
}

/// A group of the classic protocol.
#[derive(Debug)]
pub struct ClassicGroup {
    id: Arc<str>,
    state: GroupState,
    state_since: Option<Timestamp>,
    protocol_type: Option<Arc<str>>,
    protocol: Option<Arc<str>>,
    generation: i32,
    leader: Option<Arc<str>>,
    members: HashMap<Arc<str>, Member>,
    /// Member ids by their place in the order of joining.
    order: BTreeMap<u64, Arc<str>>,
    /// Instance id → member id, for every static member.
    static_members: HashMap<Arc<str>, Arc<str>>,
    /// Ids that were given out and not used yet.
    pub pending_joins: HashSet<Arc<str>>,
    /// Members that have not synced in this generation.
    pub pending_syncs: BTreeSet<Arc<str>>,
    /// Set while the group prepares its first rebalance.
    pub initial_delay: Option<InitialDelay>,
    awaiting_join: usize,
    /// How many members offer a protocol.
    offers: HashMap<Arc<str>, usize>,
    /// Topics that the members subscribe to; `None` if that is not known.
    subscribed: Option<BTreeSet<Arc<str>>>,
    joined_ever: u64,
}

impl ClassicGroup {
    /// A group that nobody has joined.
    pub fn new(id: Arc<str>, now: Timestamp) -> ClassicGroup {
        ClassicGroup {
            id,
            state: GroupState::Empty,
            state_since: Some(now),
            protocol_type: None,
            protocol: None,
            generation: 0,
            leader: None,
            members: HashMap::new(),
            order: BTreeMap::new(),
            static_members: HashMap::new(),
            pending_joins: HashSet::new(),
            pending_syncs: BTreeSet::new(),
            initial_delay: None,
            awaiting_join: 0,
            offers: HashMap::new(),
            subscribed: None,
            joined_ever: 0,
        }
    }

    /// The group that a record describes: stable if it has members, else empty.
    pub fn from_snapshot(id: Arc<str>, snapshot: GroupSnapshot) -> ClassicGroup {
        let GroupSnapshot {
            protocol_type,
            generation,
            protocol,
            leader,
            state_since,
            members,
        } = snapshot;
        let mut group = ClassicGroup::new(id, Timestamp(0));
        group.state_since = state_since;
        group.generation = generation;
        group.protocol_type = (!protocol_type.is_empty()).then_some(protocol_type);
        group.leader = leader;
        let name = protocol.clone().unwrap_or_else(|| "".into());
        group.protocol = protocol;
        for member in members {
            let instance_taken = member
                .instance_id
                .as_ref()
                .is_some_and(|id| group.static_members.contains_key(id));
            if instance_taken || group.members.contains_key(&member.id) {
                continue; // no coordinator writes that; the first one counts
            }
            group.add(Member {
                id: member.id,
                instance_id: member.instance_id,
                client_id: member.client_id,
                client_host: member.client_host,
                rebalance_timeout_ms: member
                    .rebalance_timeout_ms
                    .unwrap_or(member.session_timeout_ms),
                session_timeout_ms: member.session_timeout_ms,
                protocols: vec![Protocol {
                    name: name.clone(),
                    metadata: member.subscription,
                }],
                assignment: member.assignment,
                seq: 0,
                awaiting_join: None,
                awaiting_sync: None,
                is_new: false,
            });
        }
        if !group.members.is_empty() {
            group.state = GroupState::Stable;
        }
        group.subscribed = group.read_subscriptions();
        group
    }

    pub fn id(&self) -> &Arc<str> {
        &self.id
    }

    pub fn state(&self) -> GroupState {
        self.state
    }

    /// When the group came into its state; `None` for records of old versions.
    pub fn state_since(&self) -> Option<Timestamp> {
        self.state_since
    }

    pub fn generation(&self) -> i32 {
        self.generation
    }

    /// `None` for a group that only stores offsets.
    pub fn protocol_type(&self) -> Option<&Arc<str>> {
        self.protocol_type.as_ref()
    }

    pub fn protocol(&self) -> Option<&Arc<str>> {
        self.protocol.as_ref()
    }

    pub fn leader(&self) -> Option<&Arc<str>> {
        self.leader.as_ref()
    }

    pub fn is_leader(&self, member_id: &str) -> bool {
        self.leader.as_deref() == Some(member_id)
    }

    pub fn is_consumer_group(&self) -> bool {
        self.protocol_type.as_deref() == Some(subscription::CONSUMER)
    }

    pub fn member(&self, member_id: &str) -> Option<&Member> {
        self.members.get(member_id)
    }

    pub fn member_mut(&mut self, member_id: &str) -> Option<&mut Member> {
        self.members.get_mut(member_id)
    }

    pub fn len(&self) -> usize {
        self.members.len()
    }

    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Members in the order in which they joined.
    pub fn members(&self) -> impl Iterator<Item = &Member> {
        self.order.values().filter_map(|id| self.members.get(id))
    }

    /// Their ids, in the order in which they joined.
    pub fn member_ids(&self) -> Vec<Arc<str>> {
        self.order.values().cloned().collect()
    }

    pub fn static_member(&self, instance_id: &str) -> Option<&Arc<str>> {
        self.static_members.get(instance_id)
    }

    pub fn awaiting_join(&self) -> usize {
        self.awaiting_join
    }

    /// Nobody is missing from the join phase, ids just given out included.
    pub fn has_everybody_joined(&self) -> bool {
        self.awaiting_join == self.members.len() && self.pending_joins.is_empty()
    }

    /// The longest of the members' rebalance timeouts.
    pub fn rebalance_timeout_ms(&self) -> i32 {
        self.members
            .values()
            .map(|member| member.rebalance_timeout_ms)
            .max()
            .unwrap_or(0)
            .max(0)
    }

    /// Adds a member. The caller has checked its protocols and that its instance id is free.
    pub fn add(&mut self, mut member: Member) {
        assert!(
            !self.members.contains_key(&member.id),
            "a member joins a group once"
        );
        self.joined_ever += 1;
        member.seq = self.joined_ever;
        if let Some(instance_id) = &member.instance_id {
            let before = self
                .static_members
                .insert(instance_id.clone(), member.id.clone());
            assert!(before.is_none(), "an instance id belongs to one member");
        }
        if self.leader.is_none() {
            self.leader = Some(member.id.clone());
        }
        if member.awaiting_join.is_some() {
            self.awaiting_join += 1;
        }
        for protocol in &member.protocols {
            *self.offers.entry(protocol.name.clone()).or_default() += 1;
        }
        self.pending_joins.remove(&member.id);
        self.order.insert(member.seq, member.id.clone());
        self.members.insert(member.id.clone(), member);
    }

    /// Takes a member (or an id not used yet) out. Whoever waits for its answers is the caller's to tell.
    pub fn remove(&mut self, member_id: &str) -> Option<Member> {
        self.pending_joins.remove(member_id);
        self.pending_syncs.remove(member_id);
        let member = self.members.remove(member_id)?;
        self.order.remove(&member.seq);
        self.withdraw_offers(&member.protocols);
        if member.awaiting_join.is_some() {
            self.awaiting_join -= 1;
        }
        if let Some(instance_id) = &member.instance_id {
            self.static_members.remove(instance_id);
        }
        if self.is_leader(member_id) {
            self.leader = self.order.values().next().cloned();
        }
        Some(member)
    }

    /// Gives the place of a static member to its next incarnation, which inherits everything but the
    /// id and the answers. Returns the old one.
    pub fn replace_static(
        &mut self,
        instance_id: &str,
        old_id: &str,
        new_id: Arc<str>,
    ) -> Option<Member> {
        let old = self.members.remove(old_id)?;
        if old.awaiting_join.is_some() {
            self.awaiting_join -= 1;
        }
        if self.is_leader(old_id) {
            self.leader = Some(new_id.clone());
        }
        self.pending_syncs.remove(old_id);
        if let Some(holder) = self.static_members.get_mut(instance_id) {
            *holder = new_id.clone();
        }
        let new = Member {
            id: new_id.clone(),
            awaiting_join: None,
            awaiting_sync: None,
            is_new: false,
            ..old.clone()
        };
        self.order.insert(new.seq, new_id.clone());
        self.members.insert(new_id, new);
        Some(old)
    }

    /// Sets what a member offers and for how long it may be silent.
    pub fn update(
        &mut self,
        member_id: &str,
        protocols: Vec<Protocol>,
        rebalance_timeout_ms: i32,
        session_timeout_ms: i32,
    ) {
        let Some(member) = self.members.get_mut(member_id) else {
            return;
        };
        member.rebalance_timeout_ms = rebalance_timeout_ms;
        member.session_timeout_ms = session_timeout_ms;
        for protocol in &protocols {
            *self.offers.entry(protocol.name.clone()).or_default() += 1;
        }
        let old = std::mem::replace(&mut member.protocols, protocols);
        self.withdraw_offers(&old);
    }

    fn withdraw_offers(&mut self, protocols: &[Protocol]) {
        for protocol in protocols {
            if let Some(count) = self.offers.get_mut(&protocol.name) {
                *count -= 1;
                if *count == 0 {
                    self.offers.remove(&protocol.name);
                }
            }
        }
    }

    /// Sets or clears who waits for a member's join; gives back who waited before.
    pub fn set_awaiting_join(
        &mut self,
        member_id: &str,
        reply: Option<ReplyId>,
    ) -> Option<ReplyId> {
        let member = self.members.get_mut(member_id)?;
        let before = std::mem::replace(&mut member.awaiting_join, reply);
        self.awaiting_join += usize::from(reply.is_some());
        self.awaiting_join -= usize::from(before.is_some());
        before
    }

    /// Whether a member that offers these protocols could take part.
    pub fn supports(&self, protocol_type: &str, protocols: &[Protocol]) -> bool {
        if self.state == GroupState::Empty {
            return !protocol_type.is_empty() && !protocols.is_empty();
        }
        self.protocol_type.as_deref() == Some(protocol_type)
            && protocols
                .iter()
                .any(|protocol| self.is_common(&protocol.name))
    }

    fn is_common(&self, protocol: &str) -> bool {
        self.offers.get(protocol).copied().unwrap_or(0) == self.members.len()
    }

    /// Sets the protocol type, when the first member joins.
    pub fn set_protocol_type(&mut self, protocol_type: &str) {
        self.protocol_type = Some(protocol_type.into());
    }

    /// The protocol that most members prefer among those that all of them offer. Between equals, the
    /// one that the earlier member prefers (Kafka leaves that to chance).
    pub fn select_protocol(&self) -> Option<Arc<str>> {
        // Votes, and whose choice came first, by protocol.
        let mut votes: HashMap<&Arc<str>, (usize, Reverse<u64>)> = HashMap::new();
        for member in self.members() {
            let choice = member
                .protocols
                .iter()
                .find(|protocol| self.is_common(&protocol.name))?;
            votes
                .entry(&choice.name)
                .or_insert((0, Reverse(member.seq)))
                .0 += 1;
        }
        let most = votes.into_iter().max_by_key(|(_, rank)| *rank)?;
        Some(most.0.clone())
    }

    /// Makes sure that the leader is one who has joined. False if nobody has.
    pub fn elect_joined_leader(&mut self) -> bool {
        let leader_joined = self
            .leader
            .as_deref()
            .and_then(|id| self.members.get(id))
            .is_some_and(|leader| leader.awaiting_join.is_some());
        if leader_joined {
            return true;
        }
        let first = self
            .members()
            .find(|member| member.awaiting_join.is_some())
            .map(|member| member.id.clone());
        match first {
            Some(id) => {
                self.leader = Some(id);
                true
            }
            None => false,
        }
    }

    /// Ends the join phase: the next generation, with a protocol if there are members.
    pub fn start_next_generation(&mut self, now: Timestamp) {
        self.generation = self.generation.wrapping_add(1);
        self.pending_syncs.clear();
        self.initial_delay = None;
        if self.members.is_empty() {
            self.protocol = None;
            self.become_state(GroupState::Empty, now);
        } else {
            self.protocol = self.select_protocol();
            assert!(
                self.protocol.is_some(),
                "members are only let in with a common protocol"
            );
            self.become_state(GroupState::CompletingRebalance, now);
        }
        self.subscribed = self.read_subscriptions();
    }

    pub fn become_state(&mut self, state: GroupState, now: Timestamp) {
        assert!(
            self.state.may_become(state),
            "group {} cannot go from {} to {state}",
            self.id,
            self.state
        );
        self.state = state;
        self.state_since = Some(now);
    }

    /// Whether a caller is who it says it is.
    pub fn check_member(
        &self,
        member_id: &str,
        instance_id: Option<&str>,
    ) -> Result<(), GroupError> {
        if let Some(instance_id) = instance_id {
            match self.static_members.get(instance_id) {
                None => return Err(GroupError::UnknownMember),
                Some(holder) if &**holder != member_id => return Err(GroupError::FencedInstance),
                Some(_) => {}
            }
        }
        if !self.members.contains_key(member_id) {
            return Err(GroupError::UnknownMember);
        }
        Ok(())
    }

    /// Whether a commit is to be taken (`ClassicGroup.validateOffsetCommit`).
    pub fn check_commit(
        &self,
        member_id: &str,
        instance_id: Option<&str>,
        generation: i32,
    ) -> Result<(), GroupError> {
        if generation < 0 && self.state == GroupState::Empty {
            // An administrator, or a consumer without group management.
            return Ok(());
        }
        if generation < 0 && member_id.is_empty() && instance_id.is_none() {
            return if self.state == GroupState::Empty {
                Ok(())
            } else {
                Err(GroupError::UnknownMember)
            };
        }
        self.check_member(member_id, instance_id)?;
        if generation != self.generation {
            return Err(GroupError::IllegalGeneration);
        }
        if self.state == GroupState::CompletingRebalance {
            return Err(GroupError::RebalanceInProgress);
        }
        Ok(())
    }

    /// Whether live members still want this topic's offsets. An unknown subscription of a consumer
    /// group counts as everything.
    pub fn is_subscribed_to(&self, topic: &str) -> bool {
        match &self.subscribed {
            Some(topics) => topics.contains(topic),
            None => self.is_consumer_group(),
        }
    }

    /// Whether the subscribed topics are known.
    pub fn knows_subscriptions(&self) -> bool {
        self.subscribed.is_some()
    }

    fn read_subscriptions(&self) -> Option<BTreeSet<Arc<str>>> {
        if !self.is_consumer_group() {
            return None;
        }
        let mut topics = BTreeSet::new();
        if self.members.is_empty() {
            return Some(topics);
        }
        let protocol = self.protocol.as_deref()?;
        for member in self.members.values() {
            topics.append(&mut subscription::topics(member.metadata(protocol)?)?);
        }
        Some(topics)
    }

    /// All members, as the leader is told them.
    pub fn joined_members(&self) -> Vec<JoinedMember> {
        let protocol = self.protocol.as_deref().unwrap_or("");
        self.members()
            .map(|member| JoinedMember {
                member_id: member.id.clone(),
                instance_id: member.instance_id.clone(),
                metadata: member.metadata(protocol).cloned().unwrap_or_default(),
            })
            .collect()
    }

    /// The group as it is written, with the assignments that `assignment` gives its members.
    pub fn snapshot(&self, assignment: impl Fn(&Member) -> Bytes) -> GroupSnapshot {
        let protocol = self.protocol.as_deref().unwrap_or("");
        GroupSnapshot {
            protocol_type: self.protocol_type.clone().unwrap_or_else(|| "".into()),
            generation: self.generation,
            protocol: self.protocol.clone(),
            leader: self.leader.clone(),
            state_since: self.state_since,
            members: self
                .members()
                .map(|member| MemberSnapshot {
                    id: member.id.clone(),
                    instance_id: member.instance_id.clone(),
                    client_id: member.client_id.clone(),
                    client_host: member.client_host.clone(),
                    rebalance_timeout_ms: Some(member.rebalance_timeout_ms),
                    session_timeout_ms: member.session_timeout_ms,
                    subscription: member.metadata(protocol).cloned().unwrap_or_default(),
                    assignment: assignment(member),
                })
                .collect(),
        }
    }

    pub fn listed(&self) -> ListedGroup {
        ListedGroup {
            group_id: self.id.clone(),
            protocol_type: self.protocol_type.clone().unwrap_or_else(|| "".into()),
            state: self.state,
        }
    }

    pub fn described(&self) -> DescribedGroup {
        let stable_protocol = match self.state {
            GroupState::Stable => self.protocol.clone(),
            _ => None,
        };
        DescribedGroup {
            group_id: self.id.clone(),
            state: self.state,
            protocol_type: self.protocol_type.clone().unwrap_or_else(|| "".into()),
            protocol: stable_protocol.clone().unwrap_or_else(|| "".into()),
            members: self
                .members()
                .map(|member| DescribedMember {
                    member_id: member.id.clone(),
                    instance_id: member.instance_id.clone(),
                    client_id: member.client_id.clone(),
                    client_host: member.client_host.clone(),
                    metadata: stable_protocol
                        .as_deref()
                        .and_then(|protocol| member.metadata(protocol))
                        .cloned()
                        .unwrap_or_default(),
                    assignment: member.assignment.clone(),
                })
                .collect(),
        }
    }
}
