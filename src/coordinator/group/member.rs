//! One member of a classic group.

use super::Protocol;
use crate::coordinator::ReplyId;
use bytes::Bytes;
use std::collections::HashSet;
use std::sync::Arc;

/// A member and the answers it waits for.
#[derive(Clone, Debug)]
pub struct Member {
    pub id: Arc<str>,
    /// `group.instance.id`; a static member keeps its place while it is away.
    pub instance_id: Option<Arc<str>>,
    pub client_id: Arc<str>,
    pub client_host: Arc<str>,
    pub rebalance_timeout_ms: i32,
    pub session_timeout_ms: i32,
    /// In order of preference, each name once.
    pub protocols: Vec<Protocol>,
    /// Set when the leader's assignment is committed; empty before.
    pub assignment: Bytes,
    /// Its place in the order of joining; the first to join leads.
    pub seq: u64,
    /// Who waits for its JoinGroup.
    pub awaiting_join: Option<ReplyId>,
    /// Who waits for its SyncGroup.
    pub awaiting_sync: Option<ReplyId>,
    /// It has not been through a rebalance yet, so it cannot send heartbeats.
    pub is_new: bool,
}

impl Member {
    pub fn is_static(&self) -> bool {
        self.instance_id.is_some()
    }

    /// The metadata it gave for a protocol.
    pub fn metadata(&self, protocol: &str) -> Option<&Bytes> {
        self.protocols
            .iter()
            .find(|offered| &*offered.name == protocol)
            .map(|offered| &offered.metadata)
    }

    /// A session cannot run out while the coordinator itself keeps the member waiting; except that of
    /// a new member, whose client may long be gone.
    pub fn is_excused_from_heartbeats(&self) -> bool {
        !self.is_new && (self.awaiting_join.is_some() || self.awaiting_sync.is_some())
    }
}

/// Keeps the first of protocols with equal names, and copies what is kept: it outlives the request.
pub fn distinct(protocols: &[Protocol]) -> Vec<Protocol> {
    let mut seen = HashSet::with_capacity(protocols.len());
    protocols
        .iter()
        .filter(|protocol| seen.insert(&protocol.name))
        .map(|protocol| Protocol {
            name: protocol.name.clone(),
            metadata: Bytes::copy_from_slice(&protocol.metadata),
        })
        .collect()
}
