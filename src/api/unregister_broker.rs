//! UnregisterBroker, key 64, version 0.
//!
//! Takes a broker out of the cluster. One that still runs leads nothing from then on, until it starts again.

use super::context::Staged;
use crate::controller::Controller;
use crate::protocol::ErrorCode;
use crate::protocol::messages::{UnregisterBrokerRequest, UnregisterBrokerResponse};
use crate::types::NodeId;

pub(super) fn handle(
    request: &UnregisterBrokerRequest,
    controller: &Controller,
) -> Staged<UnregisterBrokerResponse> {
    let (broker, controller) = (NodeId(request.broker_id), controller.clone());
    Staged::later(async move {
        let (code, text) = match controller.unregister_broker(broker).await {
            Ok(Ok(())) => return UnregisterBrokerResponse::default(),
            Ok(Err(error)) => (ErrorCode::from(&error), error.to_string()),
            Err(error) => (ErrorCode::from(&error), error.to_string()),
        };
        UnregisterBrokerResponse {
            error_code: code.code(),
            error_message: Some(text.into()),
            ..UnregisterBrokerResponse::default()
        }
    })
}
