//! DescribeAcls, key 29, CreateAcls, key 30, and DeleteAcls, key 31, versions 0–3 each (0 is of Kafka before 4).
//!
//! There is no authorizer, so every one is refused with SECURITY_DISABLED, as by Apache Kafka without one: no
//! access control list is taken that would not be enforced.

use super::context::Staged;
use crate::protocol::messages::create_acls_response::AclCreationResult;
use crate::protocol::messages::delete_acls_response::DeleteAclsFilterResult;
use crate::protocol::messages::{
    CreateAclsRequest, CreateAclsResponse, DeleteAclsRequest, DeleteAclsResponse,
    DescribeAclsResponse,
};
use crate::protocol::{ErrorCode, Text};

const REASON: &str = "No Authorizer is configured.";

pub(super) fn describe() -> Staged<DescribeAclsResponse> {
    Staged::Ready(DescribeAclsResponse {
        error_code: ErrorCode::SecurityDisabled.code(),
        error_message: Some(Text::from(REASON)),
        ..DescribeAclsResponse::default()
    })
}

pub(super) fn create(request: &CreateAclsRequest) -> Staged<CreateAclsResponse> {
    let refused = AclCreationResult {
        error_code: ErrorCode::SecurityDisabled.code(),
        error_message: Some(Text::from(REASON)),
    };
    Staged::Ready(CreateAclsResponse {
        results: vec![refused; request.creations.len()],
        ..CreateAclsResponse::default()
    })
}

pub(super) fn delete(request: &DeleteAclsRequest) -> Staged<DeleteAclsResponse> {
    let refused = DeleteAclsFilterResult {
        error_code: ErrorCode::SecurityDisabled.code(),
        error_message: Some(Text::from(REASON)),
        ..DeleteAclsFilterResult::default()
    };
    Staged::Ready(DeleteAclsResponse {
        filter_results: vec![refused; request.filters.len()],
        ..DeleteAclsResponse::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::messages::create_acls_request::AclCreation;

    /// Kafka's ClientCompatibilityTest describes access control lists and expects this very answer where
    /// nothing authorizes. We closed the connection, and it reported a broker that is too old.
    #[test]
    fn without_an_authorizer_every_list_is_refused_by_itself() {
        let Staged::Ready(described) = describe() else {
            panic!("there is nothing to wait for");
        };
        assert_eq!(described.error_code, ErrorCode::SecurityDisabled.code());
        let request = CreateAclsRequest {
            creations: vec![AclCreation::default(); 2],
        };
        let Staged::Ready(created) = create(&request) else {
            panic!("there is nothing to wait for");
        };
        let codes: Vec<i16> = created.results.iter().map(|one| one.error_code).collect();
        assert_eq!(codes, [ErrorCode::SecurityDisabled.code(); 2]);
    }
}
