//! DeleteGroups, key 42, versions 0–2.
//!
//! Deletes groups that have no members, with everything they have committed. Each has its own result;
//! a group named twice is deleted once.

use super::context::Staged;
use super::groups::{all, code, distinct};
use crate::coordinator::group::GroupCoordinator;
use crate::protocol::messages::delete_groups_response::DeletableGroupResult;
use crate::protocol::messages::{DeleteGroupsRequest, DeleteGroupsResponse};

pub(super) fn handle(
    request: DeleteGroupsRequest,
    groups: &GroupCoordinator,
) -> Staged<DeleteGroupsResponse> {
    let deleted = distinct(request.groups_names).map(|group_id| {
        groups
            .delete(&group_id)
            .map(move |result| DeletableGroupResult {
                group_id,
                error_code: code(&result),
            })
    });
    all(deleted.collect(), |results| DeleteGroupsResponse {
        results,
        ..DeleteGroupsResponse::default()
    })
}

#[cfg(test)]
mod tests {
    use super::super::groups::tests::{answer, context, coordinator, stable_group};
    use super::super::offset_commit::handle as commit;
    use super::super::offset_commit::tests::{image, request as commit_request};
    use super::*;
    use crate::coordinator::group::Stability;
    use crate::protocol::{ErrorCode, Message};
    use crate::types::Uuid;
    use bytes::BytesMut;

    #[tokio::test(start_paused = true)]
    async fn every_version_deletes_empty_groups_and_says_why_others_stay() {
        for version in 0..=2 {
            let groups = coordinator();
            stable_group(&groups).await;
            let mut request = commit_request(&[("t", Uuid::ZERO, &[0])]);
            request.group_id = "".into();
            answer(commit(&request, &context(8), &groups, &image())).await;
            let request = DeleteGroupsRequest {
                groups_names: ["g", "", "x", ""].map(Into::into).to_vec(),
            };
            let answered = answer(handle(request, &groups)).await;
            let results: Vec<(&str, i16)> = answered
                .results
                .iter()
                .map(|result| (&*result.group_id, result.error_code))
                .collect();
            let (full, none) = (ErrorCode::NonEmptyGroup, ErrorCode::GroupIdNotFound);
            assert_eq!(results, [("g", full.code()), ("", 0), ("x", none.code())]);
            assert_eq!(answered.encode(&mut BytesMut::new(), version), Ok(()));
            assert_eq!(groups.describe("").get().await, Ok(None));
            let left = groups.fetch_all("", Stability::Any).get().await;
            assert_eq!(left, Ok(vec![]));
        }
    }
}
