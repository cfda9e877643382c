//! ListTransactions, key 66, versions 0–2.
//!
//! Transactions that this broker coordinates: none. Filters are checked all the same: states that nobody
//! knows are named. v1: by duration. v2: by a pattern of transactional ids, which must be one.

use super::context::Staged;
use crate::config::is_pattern;
use crate::protocol::messages::{ListTransactionsRequest, ListTransactionsResponse};
use crate::protocol::{ErrorCode, Text};

/// Kafka's names of a transaction's states.
const STATES: [&str; 8] = [
    "Empty",
    "Ongoing",
    "PrepareCommit",
    "PrepareAbort",
    "CompleteCommit",
    "CompleteAbort",
    "Dead",
    "PrepareEpochFence",
];

pub(super) fn handle(request: ListTransactionsRequest) -> Staged<ListTransactionsResponse> {
    let pattern = request.transactional_id_pattern.as_deref().unwrap_or("");
    if !pattern.is_empty() && !is_pattern(pattern) {
        return Staged::Ready(ListTransactionsResponse {
            error_code: ErrorCode::InvalidRegularExpression.code(),
            ..ListTransactionsResponse::default()
        });
    }
    let states = request.state_filters.into_iter();
    let unknown: Vec<Text> = states.filter(|state| !STATES.contains(&&**state)).collect();
    Staged::Ready(ListTransactionsResponse {
        unknown_state_filters: unknown,
        ..ListTransactionsResponse::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(request: ListTransactionsRequest) -> ListTransactionsResponse {
        match handle(request) {
            Staged::Ready(response) => response,
            Staged::Later(_) => panic!("there is nothing to wait for"),
        }
    }

    #[test]
    fn states_that_nobody_knows_are_named() {
        let response = list(ListTransactionsRequest {
            state_filters: vec!["Ongoing".into(), "ongoing".into(), "Lost".into()],
            ..ListTransactionsRequest::default()
        });
        let unknown: Vec<&str> = response
            .unknown_state_filters
            .iter()
            .map(|s| &**s)
            .collect();
        assert_eq!(unknown, ["ongoing", "Lost"]);
        assert_eq!(response.error_code, ErrorCode::None.code());
    }

    #[test]
    fn a_pattern_must_be_one() {
        let code = |pattern: &'static str| {
            let request = ListTransactionsRequest {
                transactional_id_pattern: Some(pattern.into()),
                ..ListTransactionsRequest::default()
            };
            list(request).error_code
        };
        for good in ["", "orders-.*", r"(?=a)b", r"\Qa.b\E", r"(a)\1"] {
            assert_eq!(code(good), ErrorCode::None.code(), "{good}");
        }
        for bad in ["[a", "(a", "*a", "a)"] {
            assert_eq!(
                code(bad),
                ErrorCode::InvalidRegularExpression.code(),
                "{bad}"
            );
        }
    }
}
