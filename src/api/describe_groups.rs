//! DescribeGroups, key 15, versions 0–6.
//!
//! A group that nobody knows is Dead, which is no error before v6, and GROUP_ID_NOT_FOUND from then on
//! (KIP-1043). A group named twice is described once: the answer is never larger than what is known.
//! v3: authorized operations, when asked for. v4: group instance ids.

use super::context::{RequestContext, Staged};
use super::groups::{all, distinct, text, text_opt};
use super::operations;
use crate::coordinator::group::{DescribedGroup, DescribedMember, GroupCoordinator, GroupError};
use crate::protocol::messages::describe_groups_response::{
    DescribedGroup as DescribedGroupResponse, DescribedGroupMember,
};
use crate::protocol::messages::{DescribeGroupsRequest, DescribeGroupsResponse};
use crate::protocol::{ErrorCode, Text};

/// The first version that calls a missing group an error.
const MISSING_IS_AN_ERROR: i16 = 6;

/// What a group that does not exist is called.
const DEAD: &str = "Dead";

pub(super) fn handle(
    request: DescribeGroupsRequest,
    context: &RequestContext,
    groups: &GroupCoordinator,
) -> Staged<DescribeGroupsResponse> {
    let version = context.version;
    let operations = if request.include_authorized_operations {
        operations::GROUP
    } else {
        operations::NOT_ASKED
    };
    let described = distinct(request.groups).map(|group_id| {
        groups.describe(&group_id).map(move |found| match found {
            Ok(Some(group)) => known(group_id, group, operations),
            Ok(None) => missing(group_id, version, operations),
            Err(error) => failed(group_id, error),
        })
    });
    all(described.collect(), |groups| DescribeGroupsResponse {
        groups,
        ..DescribeGroupsResponse::default()
    })
}

fn known(group_id: Text, group: DescribedGroup, operations: i32) -> DescribedGroupResponse {
    DescribedGroupResponse {
        group_id,
        group_state: group.state.name().into(),
        protocol_type: text(&group.protocol_type),
        protocol_data: text(&group.protocol),
        members: group.members.into_iter().map(member).collect(),
        authorized_operations: operations,
        ..DescribedGroupResponse::default()
    }
}

fn member(member: DescribedMember) -> DescribedGroupMember {
    DescribedGroupMember {
        member_id: text(&member.member_id),
        group_instance_id: text_opt(member.instance_id.as_ref()),
        client_id: text(&member.client_id),
        client_host: text(&member.client_host),
        member_metadata: member.metadata,
        member_assignment: member.assignment,
    }
}

fn missing(group_id: Text, version: i16, operations: i32) -> DescribedGroupResponse {
    if version < MISSING_IS_AN_ERROR {
        return DescribedGroupResponse {
            group_id,
            group_state: DEAD.into(),
            authorized_operations: operations,
            ..DescribedGroupResponse::default()
        };
    }
    DescribedGroupResponse {
        error_code: ErrorCode::GroupIdNotFound.code(),
        error_message: Some(format!("Group {group_id} not found.").into()),
        group_id,
        group_state: DEAD.into(),
        ..DescribedGroupResponse::default()
    }
}

fn failed(group_id: Text, error: GroupError) -> DescribedGroupResponse {
    DescribedGroupResponse {
        error_code: ErrorCode::from(error).code(),
        group_id,
        ..DescribedGroupResponse::default()
    }
}

#[cfg(test)]
mod tests {
    use super::super::groups::tests::{
        SUBSCRIPTION, answer, context, coordinator, stable_group, stranger,
    };
    use super::*;
    use crate::protocol::Message;
    use bytes::BytesMut;

    fn request(groups: &[&'static str]) -> DescribeGroupsRequest {
        DescribeGroupsRequest {
            groups: groups.iter().map(|&group| group.into()).collect(),
            ..DescribeGroupsRequest::default()
        }
    }

    async fn describe(
        groups: &GroupCoordinator,
        version: i16,
        request: DescribeGroupsRequest,
    ) -> Vec<DescribedGroupResponse> {
        let answered = answer(handle(request, &context(version), groups)).await;
        assert_eq!(answered.encode(&mut BytesMut::new(), version), Ok(()));
        answered.groups
    }

    #[tokio::test(start_paused = true)]
    async fn every_version_describes_a_stable_group_and_its_member() {
        let groups = coordinator();
        let id = stable_group(&groups).await;
        for version in 0..=6 {
            let described = describe(&groups, version, request(&["g"])).await;
            let expected = DescribedGroupResponse {
                group_id: "g".into(),
                group_state: "Stable".into(),
                protocol_type: "consumer".into(),
                protocol_data: "range".into(),
                members: vec![DescribedGroupMember {
                    member_id: Text::copy(&id),
                    group_instance_id: Some("i".into()),
                    client_id: "c".into(),
                    client_host: "/127.0.0.1".into(),
                    member_metadata: SUBSCRIPTION.into(),
                    member_assignment: b"mine"[..].into(),
                }],
                ..DescribedGroupResponse::default()
            };
            assert_eq!(described, [expected], "version {version}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_missing_group_is_dead_and_from_version_6_on_an_error() {
        let groups = coordinator();
        for version in 0..=6 {
            let described = describe(&groups, version, request(&["x"])).await;
            let (error_code, error_message) = if version < 6 {
                (0, None)
            } else {
                (69, Some("Group x not found.".into()))
            };
            let expected = DescribedGroupResponse {
                error_code,
                error_message,
                group_id: "x".into(),
                group_state: "Dead".into(),
                ..DescribedGroupResponse::default()
            };
            assert_eq!(described, [expected], "version {version}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn operations_are_told_when_asked_for_unless_the_group_is_an_error() {
        let groups = coordinator();
        stable_group(&groups).await;
        let asked = DescribeGroupsRequest {
            include_authorized_operations: true,
            ..request(&["g", "x"])
        };
        // READ, DELETE, DESCRIBE, DESCRIBE_CONFIGS and ALTER_CONFIGS, by their codes in Kafka.
        let all = [3, 6, 8, 10, 11].map(|code| 1 << code).iter().sum();
        for (version, of_missing) in [(3, all), (6, i32::MIN)] {
            let described = describe(&groups, version, asked.clone()).await;
            let told: Vec<i32> = described.iter().map(|g| g.authorized_operations).collect();
            assert_eq!(told, [all, of_missing], "version {version}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_group_named_twice_is_described_once() {
        let groups = coordinator();
        let described = describe(&groups, 5, request(&["b", "a", "b"])).await;
        let names: Vec<&str> = described.iter().map(|group| &*group.group_id).collect();
        assert_eq!(names, ["b", "a"]);
    }

    #[tokio::test(start_paused = true)]
    async fn another_brokers_group_is_an_error_without_a_state() {
        let described = describe(&stranger(), 5, request(&["g"])).await;
        let expected = DescribedGroupResponse {
            error_code: ErrorCode::NotCoordinator.code(),
            group_id: "g".into(),
            ..DescribedGroupResponse::default()
        };
        assert_eq!(described, [expected]);
    }
}
