//! InitProducerId, key 22, versions 0–5.
//!
//! Without a transactional id: a fresh id at epoch 0, each time. v3: a producer may name the id and
//! epoch that it had; without a transactional id that makes no difference.
//! Not done: transactional ids, which need the transaction coordinator. They are answered
//! NOT_COORDINATOR, as by a broker that leads none of them.

use super::context::{RequestContext, Staged};
use crate::controller::ProducerIds;
use crate::protocol::ErrorCode;
use crate::protocol::messages::{InitProducerIdRequest, InitProducerIdResponse};
use std::sync::Arc;

pub(super) fn handle(
    request: &InitProducerIdRequest,
    _context: &RequestContext,
    ids: &Arc<ProducerIds>,
) -> Staged<InitProducerIdResponse> {
    // An id comes with its epoch or not at all.
    if (request.producer_id == -1) != (request.producer_epoch == -1) {
        return Staged::Ready(refused(ErrorCode::InvalidRequest));
    }
    match request.transactional_id.as_deref() {
        Some("") => Staged::Ready(refused(ErrorCode::InvalidRequest)),
        Some(_) => Staged::Ready(refused(ErrorCode::NotCoordinator)),
        None => {
            let ids = ids.clone();
            Staged::later(async move {
                match ids.next().await {
                    Ok(id) => InitProducerIdResponse {
                        producer_id: id.get(),
                        producer_epoch: 0,
                        ..InitProducerIdResponse::default()
                    },
                    Err(error) => refused(ErrorCode::from(&error)),
                }
            })
        }
    }
}

fn refused(error: ErrorCode) -> InitProducerIdResponse {
    InitProducerIdResponse {
        error_code: error.code(),
        producer_epoch: -1,
        ..InitProducerIdResponse::default()
    }
}
