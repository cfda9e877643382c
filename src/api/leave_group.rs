//! LeaveGroup, key 13, versions 0–5.
//!
//! v3: several members leave at once, each with its own result; a static member may be named by its
//! instance id alone, which is how administrators remove one. Before, the one member's result is the
//! answer's. v5: a reason, for the log.

use super::context::{RequestContext, Staged};
use super::groups::{code, staged};
use crate::coordinator::group::{GroupCoordinator, GroupError, Leaving};
use crate::protocol::messages::leave_group_request::MemberIdentity;
use crate::protocol::messages::leave_group_response::MemberResponse;
use crate::protocol::messages::{LeaveGroupRequest, LeaveGroupResponse};

/// The first version that names several members.
const BATCHED: i16 = 3;

pub(super) fn handle(
    request: LeaveGroupRequest,
    context: &RequestContext,
    groups: &GroupCoordinator,
) -> Staged<LeaveGroupResponse> {
    if context.version < BATCHED {
        let leaving = Leaving {
            member_id: &request.member_id,
            instance_id: None,
            reason: None,
        };
        let left = groups.leave(&request.group_id, &[leaving]);
        return staged(left.map(|results| LeaveGroupResponse {
            error_code: code(&only(results)),
            ..LeaveGroupResponse::default()
        }));
    }
    let members = request.members.iter();
    let leaving: Vec<Leaving<'_>> = members
        .map(|member| Leaving {
            member_id: &member.member_id,
            instance_id: member.group_instance_id.as_deref(),
            reason: member.reason.as_deref(),
        })
        .collect();
    let left = groups.leave(&request.group_id, &leaving);
    // The names go back as they came; they need not outlive the answer.
    let members = request.members;
    staged(left.map(move |results| response(members, results)))
}

fn only(results: Result<Vec<Result<(), GroupError>>, GroupError>) -> Result<(), GroupError> {
    results?.into_iter().next().unwrap_or(Ok(()))
}

fn response(
    members: Vec<MemberIdentity>,
    results: Result<Vec<Result<(), GroupError>>, GroupError>,
) -> LeaveGroupResponse {
    let error_code = code(&results);
    let results = results.unwrap_or_default();
    let members = members.into_iter().zip(results);
    LeaveGroupResponse {
        error_code,
        members: members
            .map(|(member, result)| MemberResponse {
                member_id: member.member_id,
                group_instance_id: member.group_instance_id,
                error_code: code(&result),
            })
            .collect(),
        ..LeaveGroupResponse::default()
    }
}

#[cfg(test)]
mod tests {
    use super::super::groups::tests::{answer, context, coordinator};
    use super::*;
    use crate::protocol::{ErrorCode, Message};
    use bytes::BytesMut;

    #[tokio::test(start_paused = true)]
    async fn before_version_3_the_members_result_is_the_answers() {
        let groups = coordinator();
        let request = LeaveGroupRequest {
            group_id: "g".into(),
            member_id: "x-1".into(),
            ..LeaveGroupRequest::default()
        };
        let left = answer(handle(request, &context(2), &groups)).await;
        assert_eq!(left.error_code, ErrorCode::UnknownMemberId.code());
        assert_eq!(left.members, []);
    }

    #[tokio::test(start_paused = true)]
    async fn from_version_3_on_each_member_has_its_own_result() {
        let groups = coordinator();
        let member = |id: &'static str, instance: Option<&'static str>| MemberIdentity {
            member_id: id.into(),
            group_instance_id: instance.map(Into::into),
            ..MemberIdentity::default()
        };
        for version in 3..=5 {
            let request = LeaveGroupRequest {
                group_id: "g".into(),
                members: vec![member("x-1", None), member("", Some("i"))],
                ..LeaveGroupRequest::default()
            };
            let left = answer(handle(request, &context(version), &groups)).await;
            assert_eq!(left.error_code, 0);
            let unknown = ErrorCode::UnknownMemberId.code();
            let results: Vec<_> = left
                .members
                .iter()
                .map(|m| {
                    (
                        m.member_id.as_str(),
                        m.group_instance_id.as_deref(),
                        m.error_code,
                    )
                })
                .collect();
            assert_eq!(results, [("x-1", None, unknown), ("", Some("i"), unknown)]);
            assert_eq!(left.encode(&mut BytesMut::new(), version), Ok(()));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_error_of_the_group_is_the_answers_and_names_nobody() {
        let groups = coordinator();
        let request = LeaveGroupRequest {
            members: vec![MemberIdentity::default()],
            ..LeaveGroupRequest::default()
        };
        let left = answer(handle(request, &context(5), &groups)).await;
        assert_eq!(left.error_code, ErrorCode::InvalidGroupId.code());
        assert_eq!(left.members, []);
    }
}
