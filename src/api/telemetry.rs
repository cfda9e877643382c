//! GetTelemetrySubscriptions, key 71, and PushTelemetry, key 72, version 0 each (KIP-714).
//!
//! Nothing is asked of clients, so nothing is advertised, as in Kafka without a plug-in that takes metrics
//! up. Who asks all the same is answered: with an id of its own, no metrics and an interval.

use super::context::{RequestContext, Staged};
use crate::protocol::ErrorCode;
use crate::protocol::messages::{
    GetTelemetrySubscriptionsRequest, GetTelemetrySubscriptionsResponse, PushTelemetryRequest,
    PushTelemetryResponse,
};
use crate::telemetry::{PUSH_INTERVAL_MS, Push, Telemetry};

/// Zstd, lz4, gzip, snappy: in the order of Kafka's preference.
const COMPRESSIONS: [i8; 4] = [4, 3, 1, 2];

pub(super) fn subscriptions(
    request: &GetTelemetrySubscriptionsRequest,
    context: &RequestContext,
    telemetry: &Telemetry,
) -> Staged<GetTelemetrySubscriptionsResponse> {
    let asked = telemetry.subscribe(request.client_instance_id, context.peer, context.now);
    Staged::Ready(match asked {
        Ok(subscription) => GetTelemetrySubscriptionsResponse {
            client_instance_id: subscription.client_instance_id,
            subscription_id: subscription.id,
            accepted_compression_types: COMPRESSIONS.to_vec(),
            push_interval_ms: PUSH_INTERVAL_MS,
            telemetry_max_bytes: i32::try_from(subscription.bytes_max).unwrap_or(i32::MAX),
            delta_temporality: true,
            ..GetTelemetrySubscriptionsResponse::default()
        },
        Err(error) => GetTelemetrySubscriptionsResponse {
            error_code: ErrorCode::from(error).code(),
            ..GetTelemetrySubscriptionsResponse::default()
        },
    })
}

pub(super) fn push(
    request: &PushTelemetryRequest,
    context: &RequestContext,
    telemetry: &Telemetry,
) -> Staged<PushTelemetryResponse> {
    let push = Push {
        client_instance_id: request.client_instance_id,
        subscription_id: request.subscription_id,
        terminating: request.terminating,
        compression: request.compression_type,
        metrics: &request.metrics,
    };
    let taken = telemetry.push(&push, context.peer, context.now);
    let code = taken.map_or_else(ErrorCode::from, |()| ErrorCode::None);
    Staged::Ready(PushTelemetryResponse {
        error_code: code.code(),
        ..PushTelemetryResponse::default()
    })
}
