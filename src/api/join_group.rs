//! JoinGroup, key 11, versions 0–9.
//!
//! The answer comes when the join phase ends: for the first members of a group after
//! `group.initial.rebalance.delay.ms`, later when everybody has joined again.
//! v1: rebalance timeout (before, it is the session timeout). v4: a client without an id is told one and
//! joins again with it. v5: static members. v7: the protocol's type comes back, and its name may be null.
//! v9: a static leader that came back may be told to skip the assignment.

use super::context::{RequestContext, Staged};
use super::groups::{client_host, client_id, staged, text, text_opt};
use crate::coordinator::group::{
    GroupCoordinator, Join, JoinRefused, Joined, MemberIdRule, Protocol, SkipAssignment,
};
use crate::protocol::messages::join_group_response::JoinGroupResponseMember;
use crate::protocol::messages::{JoinGroupRequest, JoinGroupResponse};
use crate::protocol::{ErrorCode, Text};

pub(super) fn handle(
    request: &JoinGroupRequest,
    context: &RequestContext,
    groups: &GroupCoordinator,
) -> Staged<JoinGroupResponse> {
    let version = context.version;
    let host = client_host(context);
    let protocols = request.protocols.iter().map(|protocol| Protocol {
        name: protocol.name.as_str().into(),
        metadata: protocol.metadata.clone(),
    });
    let join = Join {
        group_id: &request.group_id,
        member_id: &request.member_id,
        instance_id: request.group_instance_id.as_deref(),
        client_id: client_id(context),
        client_host: &host,
        session_timeout_ms: request.session_timeout_ms,
        rebalance_timeout_ms: if version == 0 {
            request.session_timeout_ms
        } else {
            request.rebalance_timeout_ms
        },
        protocol_type: &request.protocol_type,
        protocols: protocols.collect(),
        reason: request.reason.as_deref(),
        member_id_rule: if version >= 4 {
            MemberIdRule::RequiredFirst
        } else {
            MemberIdRule::AssignedOnJoin
        },
        skip_assignment: if version >= 9 {
            SkipAssignment::Understood
        } else {
            SkipAssignment::Unknown
        },
        new_id_suffix: "",
    };
    staged(
        groups
            .join(join)
            .map(move |answer| response(answer, version)),
    )
}

fn response(answer: Result<Joined, JoinRefused>, version: i16) -> JoinGroupResponse {
    match answer {
        Ok(joined) => JoinGroupResponse {
            generation_id: joined.generation,
            protocol_type: text_opt(joined.protocol_type.as_ref()),
            protocol_name: protocol_name(text_opt(joined.protocol.as_ref()), version),
            leader: text(&joined.leader),
            skip_assignment: joined.skip_assignment,
            member_id: text(&joined.member_id),
            members: joined
                .members
                .into_iter()
                .map(|member| JoinGroupResponseMember {
                    member_id: text(&member.member_id),
                    group_instance_id: text_opt(member.instance_id.as_ref()),
                    metadata: member.metadata,
                })
                .collect(),
            ..JoinGroupResponse::default()
        },
        Err(JoinRefused { error, member_id }) => JoinGroupResponse {
            error_code: ErrorCode::from(error).code(),
            protocol_name: protocol_name(None, version),
            member_id: text(&member_id),
            ..JoinGroupResponse::default()
        },
    }
}

/// No protocol is null from version 7 on, the empty name before.
fn protocol_name(name: Option<Text>, version: i16) -> Option<Text> {
    match name {
        Some(name) if !name.is_empty() => Some(name),
        _ if version >= 7 => None,
        _ => Some(Text::default()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::groups::tests::{answer, context, coordinator};
    use super::*;
    use crate::protocol::Message;
    use crate::protocol::messages::join_group_request::JoinGroupRequestProtocol;
    use bytes::{Bytes, BytesMut};

    fn request() -> JoinGroupRequest {
        JoinGroupRequest {
            group_id: "g".into(),
            session_timeout_ms: 10_000,
            rebalance_timeout_ms: 10_000,
            protocol_type: "consumer".into(),
            protocols: vec![JoinGroupRequestProtocol {
                name: "range".into(),
                metadata: Bytes::from_static(b"m"),
            }],
            ..JoinGroupRequest::default()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn every_version_joins_and_its_answer_can_be_encoded() {
        for version in 0..=9 {
            let groups = coordinator();
            let context = context(version);
            let mut request = request();
            if version >= 4 {
                let asked = answer(handle(&request, &context, &groups)).await;
                assert_eq!(asked.error_code, ErrorCode::MemberIdRequired.code());
                let name = if version >= 7 { None } else { Some("".into()) };
                assert_eq!(asked.protocol_name, name);
                request.member_id = asked.member_id;
            }
            let joined = answer(handle(&request, &context, &groups)).await;
            assert_eq!(joined.error_code, 0, "version {version}");
            assert_eq!(joined.generation_id, 1);
            assert_eq!(joined.leader, joined.member_id);
            assert!(joined.member_id.starts_with("c-"));
            assert_eq!(joined.protocol_name.as_deref(), Some("range"));
            assert_eq!(joined.members[0].metadata, "m");
            let mut out = BytesMut::new();
            assert_eq!(joined.encode(&mut out, version), Ok(()));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_refused_join_carries_its_code_and_the_callers_id() {
        let groups = coordinator();
        let stranger = JoinGroupRequest {
            member_id: "x-1".into(),
            ..request()
        };
        let refused = answer(handle(&stranger, &context(5), &groups)).await;
        assert_eq!(refused.error_code, ErrorCode::UnknownMemberId.code());
        assert_eq!(
            (refused.member_id.as_str(), refused.generation_id),
            ("x-1", -1)
        );
        let short = JoinGroupRequest {
            session_timeout_ms: 1,
            ..request()
        };
        let refused = answer(handle(&short, &context(5), &groups)).await;
        assert_eq!(refused.error_code, ErrorCode::InvalidSessionTimeout.code());
    }

    #[tokio::test(start_paused = true)]
    async fn before_version_1_the_session_timeout_is_the_rebalance_timeout_too() {
        let groups = coordinator();
        let old = JoinGroupRequest {
            rebalance_timeout_ms: -1,
            ..request()
        };
        let joined = answer(handle(&old, &context(0), &groups)).await;
        // Whoever does not sync within the rebalance timeout is removed: that is 10 s here, not none.
        tokio::time::sleep(std::time::Duration::from_millis(9_000)).await;
        let described = groups.describe("g").get().await.unwrap().unwrap();
        assert_eq!(
            described.members[0].member_id.as_ref(),
            joined.member_id.as_str()
        );
        assert_eq!(described.members[0].client_host.as_ref(), "/127.0.0.1");
    }
}
