//! ListGroups, key 16, versions 0–5.
//!
//! Lists the groups that this broker coordinates; while some of them are being loaded the list would
//! have gaps, so it is COORDINATOR_LOAD_IN_PROGRESS.
//! v4: states, and a filter by them. v5: types, and a filter by them. Names are read without regard to
//! case; one that is not known matches nothing.

use super::context::Staged;
use super::groups::{code, staged, text};
use crate::coordinator::group::{GroupCoordinator, GroupError, ListedGroup};
use crate::protocol::Text;
use crate::protocol::messages::list_groups_response::ListedGroup as ListedGroupResponse;
use crate::protocol::messages::{ListGroupsRequest, ListGroupsResponse};

/// The only type of group there is here yet.
const CLASSIC: &str = "classic";

pub(super) fn handle(
    request: ListGroupsRequest,
    groups: &GroupCoordinator,
) -> Staged<ListGroupsResponse> {
    staged(groups.list().map(move |listed| response(listed, &request)))
}

fn response(
    listed: Result<Vec<ListedGroup>, GroupError>,
    request: &ListGroupsRequest,
) -> ListGroupsResponse {
    let error_code = code(&listed);
    let listed = listed.unwrap_or_default();
    let wanted = listed.iter().filter(|group| {
        has_state(group, &request.states_filter) && has_type(CLASSIC, &request.types_filter)
    });
    ListGroupsResponse {
        error_code,
        groups: wanted.map(listed_group).collect(),
        ..ListGroupsResponse::default()
    }
}

fn has_state(group: &ListedGroup, states: &[Text]) -> bool {
    let state = group.state.name();
    states.is_empty() || states.iter().any(|s| s.trim().eq_ignore_ascii_case(state))
}

fn has_type(group_type: &str, types: &[Text]) -> bool {
    types.is_empty() || types.iter().any(|t| t.eq_ignore_ascii_case(group_type))
}

fn listed_group(group: &ListedGroup) -> ListedGroupResponse {
    ListedGroupResponse {
        group_id: text(&group.group_id),
        protocol_type: text(&group.protocol_type),
        group_state: group.state.name().into(),
        group_type: CLASSIC.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::groups::tests::{answer, context, coordinator, stable_group};
    use super::super::offset_commit::handle as commit;
    use super::super::offset_commit::tests::{image, request as commit_request};
    use super::*;
    use crate::protocol::Message;
    use crate::types::Uuid;
    use bytes::BytesMut;

    /// A stable group `g`, and a group `offsets` that has committed from outside.
    async fn two_groups() -> GroupCoordinator {
        let groups = coordinator();
        stable_group(&groups).await;
        let mut request = commit_request(&[("t", Uuid::ZERO, &[0])]);
        request.group_id = "offsets".into();
        answer(commit(&request, &context(8), &groups, &image())).await;
        groups
    }

    async fn listed(
        groups: &GroupCoordinator,
        states: &[&'static str],
        types: &[&'static str],
    ) -> Vec<String> {
        let request = ListGroupsRequest {
            states_filter: states.iter().map(|&state| state.into()).collect(),
            types_filter: types.iter().map(|&name| name.into()).collect(),
        };
        let answered = answer(handle(request, groups)).await;
        assert_eq!(answered.error_code, 0);
        answered
            .groups
            .iter()
            .map(|g| g.group_id.to_string())
            .collect()
    }

    #[tokio::test(start_paused = true)]
    async fn every_version_lists_all_groups() {
        let groups = two_groups().await;
        let group =
            |id: &'static str, kind: &'static str, state: &'static str| ListedGroupResponse {
                group_id: id.into(),
                protocol_type: kind.into(),
                group_state: state.into(),
                group_type: "classic".into(),
            };
        for version in 0..=5 {
            let answered = answer(handle(ListGroupsRequest::default(), &groups)).await;
            let expected = [
                group("g", "consumer", "Stable"),
                group("offsets", "", "Empty"),
            ];
            assert_eq!(answered.groups, expected);
            assert_eq!(answered.encode(&mut BytesMut::new(), version), Ok(()));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn states_and_types_filter_without_regard_to_case() {
        let groups = two_groups().await;
        assert_eq!(listed(&groups, &["stable"], &[]).await, ["g"]);
        assert_eq!(
            listed(&groups, &["Dead", " EMPTY "], &[]).await,
            ["offsets"]
        );
        assert_eq!(listed(&groups, &[], &["Classic"]).await, ["g", "offsets"]);
        assert_eq!(listed(&groups, &["Empty"], &["classic"]).await, ["offsets"]);
        let nothing = Vec::<String>::new();
        assert_eq!(listed(&groups, &[], &["consumer"]).await, nothing);
        assert_eq!(listed(&groups, &["no such state"], &[]).await, nothing);
        assert_eq!(listed(&groups, &[], &["no such type"]).await, nothing);
    }
}
