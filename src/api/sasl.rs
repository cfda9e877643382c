//! SaslHandshake, key 17, versions 0–1, and SaslAuthenticate, key 36, versions 0–2.
//!
//! On a listener without SASL there is nothing to negotiate: ILLEGAL_SASL_STATE, and the connection goes on.

use super::context::Staged;
use crate::protocol::ErrorCode;
use crate::protocol::messages::{SaslAuthenticateResponse, SaslHandshakeResponse};

pub(super) fn handshake() -> Staged<SaslHandshakeResponse> {
    Staged::Ready(SaslHandshakeResponse {
        error_code: ErrorCode::IllegalSaslState.code(),
        ..SaslHandshakeResponse::default()
    })
}

pub(super) fn authenticate() -> Staged<SaslAuthenticateResponse> {
    let text = "SaslAuthenticate request received after successful authentication";
    Staged::Ready(SaslAuthenticateResponse {
        error_code: ErrorCode::IllegalSaslState.code(),
        error_message: Some(text.into()),
        ..SaslAuthenticateResponse::default()
    })
}
