//! What the coordinator is asked and what it answers, free of wire versions.

use super::GroupError;
use crate::types::{LeaderEpoch, Offset, Timestamp, Uuid};
use bytes::Bytes;
use std::sync::Arc;

/// One way of assigning partitions that a member offers, with the bytes only its leader reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Protocol {
    pub name: Arc<str>,
    pub metadata: Bytes,
}

/// Whether a client that joins without a member id is first told one (JoinGroup v4, KIP-394).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemberIdRule {
    /// It may join at once.
    AssignedOnJoin,
    /// It must join again with the id it is told, so that lost answers leave no dead members.
    RequiredFirst,
}

/// Whether a client understands `skip_assignment` (JoinGroup v9, KIP-814).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SkipAssignment {
    Understood,
    Unknown,
}

/// JoinGroup.
#[derive(Clone, Debug)]
pub struct Join<'a> {
    pub group_id: &'a str,
    /// Empty for a client that has no id yet.
    pub member_id: &'a str,
    /// `group.instance.id` of a static member.
    pub instance_id: Option<&'a str>,
    pub client_id: &'a str,
    /// As `/127.0.0.1`.
    pub client_host: &'a str,
    pub session_timeout_ms: i32,
    pub rebalance_timeout_ms: i32,
    pub protocol_type: &'a str,
    pub protocols: Vec<Protocol>,
    /// Why the client joins; for the log only.
    pub reason: Option<&'a str>,
    pub member_id_rule: MemberIdRule,
    pub skip_assignment: SkipAssignment,
    /// Makes a new member's id unique: the text of a random uuid.
    pub new_id_suffix: &'a str,
}

/// What a member is told when a join phase is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Joined {
    pub member_id: Arc<str>,
    pub generation: i32,
    pub protocol_type: Option<Arc<str>>,
    pub protocol: Option<Arc<str>>,
    pub leader: Arc<str>,
    /// The leader need not assign: the assignment of this generation stands.
    pub skip_assignment: bool,
    /// All members, for the leader; empty for the others.
    pub members: Vec<JoinedMember>,
}

/// A member as its leader sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinedMember {
    pub member_id: Arc<str>,
    pub instance_id: Option<Arc<str>>,
    pub metadata: Bytes,
}

/// A join that did not work out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinRefused {
    pub error: GroupError,
    /// The id that the answer carries: the one to join again with, the caller's own, or none.
    pub member_id: Arc<str>,
}

/// SyncGroup.
#[derive(Clone, Debug)]
pub struct SyncRequest<'a> {
    pub group_id: &'a str,
    pub member_id: &'a str,
    pub instance_id: Option<&'a str>,
    pub generation: i32,
    pub protocol_type: Option<&'a str>,
    pub protocol: Option<&'a str>,
    /// From the leader: member id and what it is assigned.
    pub assignments: Vec<(&'a str, Bytes)>,
}

/// What a member is told when the leader's assignment is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Synced {
    pub protocol_type: Option<Arc<str>>,
    pub protocol: Option<Arc<str>>,
    pub assignment: Bytes,
}

/// An answer that comes later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GroupReply {
    Join(Result<Joined, JoinRefused>),
    Sync(Result<Synced, GroupError>),
}

/// Heartbeat.
#[derive(Clone, Copy, Debug)]
pub struct Heartbeat<'a> {
    pub group_id: &'a str,
    pub member_id: &'a str,
    pub instance_id: Option<&'a str>,
    pub generation: i32,
}

/// One member of a LeaveGroup request. A static member may be named by its instance id alone.
#[derive(Clone, Copy, Debug)]
pub struct Leaving<'a> {
    pub member_id: &'a str,
    pub instance_id: Option<&'a str>,
    pub reason: Option<&'a str>,
}

/// OffsetCommit.
#[derive(Clone, Debug)]
pub struct Commit<'a> {
    pub group_id: &'a str,
    /// Empty without group membership.
    pub member_id: &'a str,
    pub instance_id: Option<&'a str>,
    /// −1 without group membership.
    pub generation: i32,
    /// Set only by OffsetCommit v2–4: the offsets expire this long after now.
    pub retention_ms: Option<i64>,
    /// What a missing group is called: v9+ knows a code for it.
    pub missing_group: GroupError,
    pub topics: Vec<CommitTopic<'a>>,
}

/// Offsets of one topic that exists.
#[derive(Clone, Debug)]
pub struct CommitTopic<'a> {
    pub name: &'a str,
    pub id: Uuid,
    pub partitions: Vec<CommitPartition<'a>>,
}

#[derive(Clone, Copy, Debug)]
pub struct CommitPartition<'a> {
    pub partition: i32,
    pub offset: Offset,
    pub leader_epoch: Option<LeaderEpoch>,
    pub metadata: Option<&'a str>,
    /// Set only by OffsetCommit v1: counts as committed then, not now.
    pub committed_at: Option<Timestamp>,
}

/// What becomes of each partition of a commit, by topic, in the order of the request.
pub type CommitVerdicts = Vec<Vec<Result<(), GroupError>>>;

/// Whether a transaction's offsets that are not decided yet fail the fetch of a partition (KIP-447).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stability {
    Required,
    Any,
}

/// One topic of an OffsetFetch.
#[derive(Clone, Debug)]
pub struct FetchTopic<'a> {
    pub name: &'a str,
    /// The topic that is meant; zero if the request names topics. An offset committed for an older
    /// topic of the same name does not count.
    pub id: Uuid,
    pub partitions: &'a [i32],
}

/// A committed offset as it is fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchedPartition {
    pub partition: i32,
    /// `Ok(None)`: nothing is committed.
    pub offset: Result<Option<FetchedOffset>, GroupError>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchedOffset {
    pub offset: Offset,
    pub leader_epoch: Option<LeaderEpoch>,
    pub metadata: Arc<str>,
}

/// One topic of a fetch of everything that a group has committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchedTopic {
    pub name: Arc<str>,
    pub partitions: Vec<FetchedPartition>,
}

/// One group of ListGroups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedGroup {
    pub group_id: Arc<str>,
    /// Empty for a group that only stores offsets.
    pub protocol_type: Arc<str>,
    pub state: super::GroupState,
}

/// One group of DescribeGroups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribedGroup {
    pub group_id: Arc<str>,
    pub state: super::GroupState,
    pub protocol_type: Arc<str>,
    /// Empty unless the group is stable.
    pub protocol: Arc<str>,
    pub members: Vec<DescribedMember>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribedMember {
    pub member_id: Arc<str>,
    pub instance_id: Option<Arc<str>>,
    pub client_id: Arc<str>,
    pub client_host: Arc<str>,
    /// Empty unless the group is stable.
    pub metadata: Bytes,
    pub assignment: Bytes,
}

/// A topic that was deleted, so that the offsets committed for it go too.
#[derive(Clone, Debug)]
pub struct DeletedTopic {
    pub name: Arc<str>,
    pub id: Uuid,
}
