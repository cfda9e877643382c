//! Heartbeat, key 12, versions 0–4.
//!
//! Renews a member's session. While the group prepares a rebalance it does so too, and says
//! REBALANCE_IN_PROGRESS; while the coordinator loads the group every member is believed.
//! v3: static members.

use super::context::{RequestContext, Staged};
use super::groups::{code, staged};
use crate::coordinator::group::{GroupCoordinator, Heartbeat};
use crate::protocol::messages::{HeartbeatRequest, HeartbeatResponse};

pub(super) fn handle(
    request: &HeartbeatRequest,
    _context: &RequestContext,
    groups: &GroupCoordinator,
) -> Staged<HeartbeatResponse> {
    let heartbeat = Heartbeat {
        group_id: &request.group_id,
        member_id: &request.member_id,
        instance_id: request.group_instance_id.as_deref(),
        generation: request.generation_id,
    };
    staged(
        groups
            .heartbeat(&heartbeat)
            .map(|result| HeartbeatResponse {
                error_code: code(&result),
                ..HeartbeatResponse::default()
            }),
    )
}
