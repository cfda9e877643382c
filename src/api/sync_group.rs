//! SyncGroup, key 14, versions 0–5.
//!
//! The answer comes when the leader's assignment is stored; for the leader that is at once.
//! v3: static members. v5: the member says which protocol it thinks was chosen; both fields must be there.

use super::context::{RequestContext, Staged};
use super::groups::{staged, text_opt};
use crate::coordinator::group::{GroupCoordinator, GroupError, SyncRequest, Synced};
use crate::protocol::ErrorCode;
use crate::protocol::messages::{SyncGroupRequest, SyncGroupResponse};

pub(super) fn handle(
    request: &SyncGroupRequest,
    context: &RequestContext,
    groups: &GroupCoordinator,
) -> Staged<SyncGroupResponse> {
    let names_protocol = request.protocol_type.is_some() && request.protocol_name.is_some();
    if context.version >= 5 && !names_protocol {
        return Staged::Ready(response(Err(GroupError::InconsistentProtocol)));
    }
    let assignments = request.assignments.iter();
    let sync = SyncRequest {
        group_id: &request.group_id,
        member_id: &request.member_id,
        instance_id: request.group_instance_id.as_deref(),
        generation: request.generation_id,
        protocol_type: request.protocol_type.as_deref(),
        protocol: request.protocol_name.as_deref(),
        assignments: assignments
            .map(|given| (given.member_id.as_str(), given.assignment.clone()))
            .collect(),
    };
    staged(groups.sync(&sync).map(response))
}

fn response(answer: Result<Synced, GroupError>) -> SyncGroupResponse {
    match answer {
        Ok(synced) => SyncGroupResponse {
            protocol_type: text_opt(synced.protocol_type.as_ref()),
            protocol_name: text_opt(synced.protocol.as_ref()),
            assignment: synced.assignment,
            ..SyncGroupResponse::default()
        },
        Err(error) => SyncGroupResponse {
            error_code: ErrorCode::from(error).code(),
            ..SyncGroupResponse::default()
        },
    }
}

#[cfg(test)]
mod tests {
    use super::super::groups::tests::{answer, context, coordinator};
    use super::*;
    use crate::protocol::Message;
    use crate::protocol::messages::sync_group_request::SyncGroupRequestAssignment;
    use bytes::{Bytes, BytesMut};

    #[tokio::test(start_paused = true)]
    async fn every_version_syncs_and_its_answer_can_be_encoded() {
        for version in 0..=5 {
            let groups = coordinator();
            let joined = groups
                .join(crate::coordinator::group::Join {
                    group_id: "g",
                    member_id: "",
                    instance_id: None,
                    client_id: "c",
                    client_host: "/127.0.0.1",
                    session_timeout_ms: 10_000,
                    rebalance_timeout_ms: 10_000,
                    protocol_type: "consumer",
                    protocols: vec![crate::coordinator::group::Protocol {
                        name: "range".into(),
                        metadata: Bytes::new(),
                    }],
                    reason: None,
                    member_id_rule: crate::coordinator::group::MemberIdRule::AssignedOnJoin,
                    skip_assignment: crate::coordinator::group::SkipAssignment::Unknown,
                    new_id_suffix: "",
                })
                .get()
                .await
                .unwrap();
            let named = |name: &'static str| (version >= 5).then(|| name.into());
            let request = SyncGroupRequest {
                group_id: "g".into(),
                generation_id: joined.generation,
                member_id: crate::protocol::Text::copy(&joined.member_id),
                protocol_type: named("consumer"),
                protocol_name: named("range"),
                assignments: vec![SyncGroupRequestAssignment {
                    member_id: crate::protocol::Text::copy(&joined.member_id),
                    assignment: Bytes::from_static(b"x"),
                }],
                ..SyncGroupRequest::default()
            };
            let synced = answer(handle(&request, &context(version), &groups)).await;
            assert_eq!((synced.error_code, &synced.assignment[..]), (0, &b"x"[..]));
            let mut out = BytesMut::new();
            assert_eq!(synced.encode(&mut out, version), Ok(()));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn from_version_5_on_a_member_must_say_which_protocol_it_means() {
        let groups = coordinator();
        let request = SyncGroupRequest {
            group_id: "g".into(),
            ..SyncGroupRequest::default()
        };
        let refused = answer(handle(&request, &context(5), &groups)).await;
        assert_eq!(
            refused.error_code,
            ErrorCode::InconsistentGroupProtocol.code()
        );
        let refused = answer(handle(&request, &context(4), &groups)).await;
        assert_eq!(refused.error_code, ErrorCode::UnknownMemberId.code());
    }
}
