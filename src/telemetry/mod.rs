//! Client telemetry (KIP-714) as a broker without subscriptions keeps it.
//!
//! A client asks what it should measure and is told: nothing. It gets an id of its own, and is held to the
//! protocol: not too often, not too much, not after it has said goodbye. What it pushes all the same is
//! checked and dropped, as Kafka does where no plug-in takes it up.

mod instance;

use crate::record::{Codec, DecodeLimits, decompress};
use crate::runtime::Rng;
use crate::types::{Timestamp, Uuid};
use instance::{Instance, Instances};
use parking_lot::Mutex;
use std::net::SocketAddr;
use std::sync::Arc;

/// How often a client without a subscription asks again (`ClientMetricsConfigs.INTERVAL_MS_DEFAULT`).
pub const PUSH_INTERVAL_MS: i32 = 300_000;

/// What a client is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subscription {
    pub client_instance_id: Uuid,
    /// Changes with what is asked of the client.
    pub id: i32,
    /// Longest push that is taken.
    pub bytes_max: u32,
}

/// What a client sends.
#[derive(Clone, Copy, Debug)]
pub struct Push<'a> {
    pub client_instance_id: Uuid,
    pub subscription_id: i32,
    /// The client closes: this is its last push.
    pub terminating: bool,
    /// Kafka's number of the codec.
    pub compression: i8,
    pub metrics: &'a [u8],
}

/// Why telemetry is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TelemetryError {
    #[error("the id of the client instance is not one")]
    InvalidInstance,
    #[error("the client has said that it closes")]
    Closed,
    #[error("the next request is not due yet")]
    TooEarly,
    #[error("the subscription is not the client's")]
    UnknownSubscription,
    #[error("there is no codec with this number")]
    UnknownCodec,
    #[error("the push is too long")]
    TooLarge,
    #[error("the metrics cannot be unpacked")]
    Broken,
}

/// The clients that have asked.
pub struct Telemetry {
    rng: Arc<dyn Rng>,
    /// `telemetry.max.bytes`
    bytes_max: u32,
    /// Held for one request.
    instances: Mutex<Instances>,
}

impl Telemetry {
    pub fn new(rng: Arc<dyn Rng>, bytes_max: u32) -> Telemetry {
        Telemetry {
            rng,
            bytes_max,
            instances: Mutex::default(),
        }
    }

    /// What the client should measure: nothing. One without an id is given one.
    pub fn subscribe(
        &self,
        client_instance_id: Uuid,
        peer: SocketAddr,
        now: Timestamp,
    ) -> Result<Subscription, TelemetryError> {
        let mut instances = self.instances.lock();
        let id = if client_instance_id.is_zero() {
            self.rng.uuid()
        } else {
            client_instance_id
        };
        let instance = instances.of(id, peer, now);
        instance.ask(now)?;
        Ok(Subscription {
            client_instance_id: id,
            id: subscription_id(&id),
            bytes_max: self.bytes_max,
        })
    }

    /// Takes what a client measured.
    pub fn push(
        &self,
        push: &Push<'_>,
        peer: SocketAddr,
        now: Timestamp,
    ) -> Result<(), TelemetryError> {
        let id = push.client_instance_id;
        if id.is_zero() || id == Uuid::METADATA_TOPIC {
            return Err(TelemetryError::InvalidInstance);
        }
        let mut instances = self.instances.lock();
        let instance = instances.of(id, peer, now);
        let taken = self.check(push, instance, now);
        instance.remember(push.terminating, taken);
        taken
    }

    fn check(
        &self,
        push: &Push<'_>,
        instance: &mut Instance,
        now: Timestamp,
    ) -> Result<(), TelemetryError> {
        instance.begin_push(push.terminating, now)?;
        if push.subscription_id != subscription_id(&push.client_instance_id) {
            return Err(TelemetryError::UnknownSubscription);
        }
        let codec =
            Codec::from_number(i16::from(push.compression)).ok_or(TelemetryError::UnknownCodec)?;
        let bytes_max = self.bytes_max as usize;
        if push.metrics.len() > bytes_max {
            return Err(TelemetryError::TooLarge);
        }
        if push.metrics.is_empty() {
            return Ok(());
        }
        match decompress(codec, push.metrics, DecodeLimits { bytes_max }) {
            Ok(_) => Ok(()),
            Err(_) => Err(TelemetryError::Broken),
        }
    }
}

/// Kafka's number of a subscription to no metrics at all
/// (`ClientMetricsManager.computeSubscriptionId`).
fn subscription_id(client_instance_id: &Uuid) -> i32 {
    let nothing = crc32c::crc32c(format!("[]{PUSH_INTERVAL_MS}").as_bytes());
    i32::from_be_bytes(nothing.to_be_bytes()) ^ java_hash(client_instance_id)
}

/// `Uuid.hashCode` of Kafka's class: the four words of the id, each into the others.
fn java_hash(id: &Uuid) -> i32 {
    let (words, _) = id.as_bytes().as_chunks::<4>();
    words
        .iter()
        .fold(0, |hash, word| hash ^ i32::from_be_bytes(*word))
}

#[cfg(test)]
mod tests;
