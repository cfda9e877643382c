//! DescribeTransactions, key 65, version 0.
//!
//! Transactions that this broker coordinates: none, so every transactional id is somebody else's.

use super::context::Staged;
use crate::protocol::ErrorCode;
use crate::protocol::messages::describe_transactions_response::TransactionState;
use crate::protocol::messages::{DescribeTransactionsRequest, DescribeTransactionsResponse};

pub(super) fn handle(request: DescribeTransactionsRequest) -> Staged<DescribeTransactionsResponse> {
    let states = request
        .transactional_ids
        .into_iter()
        .map(|transactional_id| {
            let code = if transactional_id.is_empty() {
                ErrorCode::InvalidRequest
            } else {
                ErrorCode::NotCoordinator
            };
            TransactionState {
                error_code: code.code(),
                transactional_id,
                ..TransactionState::default()
            }
        });
    Staged::Ready(DescribeTransactionsResponse {
        transaction_states: states.collect(),
        ..DescribeTransactionsResponse::default()
    })
}
