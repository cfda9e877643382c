use super::*;
use crate::record::{Compression, compress};
use crate::sim::SimRng;

fn telemetry() -> Telemetry {
    Telemetry::new(Arc::new(SimRng::new(1)), 1_000)
}

fn peer(port: u16) -> SocketAddr {
    ([127, 0, 0, 1], port).into()
}

const LATER: Timestamp = Timestamp(PUSH_INTERVAL_MS as i64);

fn push_of(subscription: &Subscription) -> Push<'static> {
    Push {
        client_instance_id: subscription.client_instance_id,
        subscription_id: subscription.id,
        terminating: false,
        compression: 0,
        metrics: b"",
    }
}

/// The first client has asked what to push; what it was told.
fn subscribed(now: Timestamp) -> (Telemetry, Subscription) {
    let telemetry = telemetry();
    let told = telemetry.subscribe(Uuid::ZERO, peer(1), now).unwrap();
    (telemetry, told)
}

#[test]
fn a_client_without_an_id_is_given_one_and_keeps_it() {
    let (telemetry, first) = subscribed(Timestamp(0));
    let second = telemetry
        .subscribe(Uuid::ZERO, peer(2), Timestamp(0))
        .unwrap();
    assert_ne!(first.client_instance_id, second.client_instance_id);
    let again = telemetry.subscribe(first.client_instance_id, peer(1), LATER);
    assert_eq!(again, Ok(first));
}

/// Computed with Kafka's own classes.
#[test]
fn the_number_of_a_subscription_is_kafkas() {
    let id: Uuid = "4L6g3nShT-eMCtK--X86sw".parse().unwrap();
    assert_eq!(java_hash(&id), -513_145_036);
    assert_eq!(subscription_id(&id), 900_553_962);
}

#[test]
fn a_client_that_asks_again_too_early_is_held_back_until_the_interval_is_over() {
    let (telemetry, told) = subscribed(Timestamp(0));
    let ask = |port, now| telemetry.subscribe(told.client_instance_id, peer(port), Timestamp(now));
    assert_eq!(ask(1, 299_999), Err(TelemetryError::TooEarly));
    assert_eq!(ask(1, 300_000), Ok(told));
    assert_eq!(ask(2, 300_001), Ok(told), "a new connection starts afresh");
}

#[test]
fn a_push_is_taken_after_asking_and_then_once_an_interval() {
    let (telemetry, told) = subscribed(Timestamp(1));
    let push = push_of(&told);
    let at = |now| telemetry.push(&push, peer(1), Timestamp(now));
    assert_eq!(at(2), Ok(()));
    assert_eq!(at(3), Err(TelemetryError::TooEarly));
    assert_eq!(at(300_002), Ok(()));
}

#[test]
fn after_its_last_push_a_client_is_refused() {
    let (telemetry, told) = subscribed(Timestamp(1));
    let push = push_of(&told);
    let last = Push {
        terminating: true,
        ..push
    };
    assert_eq!(telemetry.push(&push, peer(1), Timestamp(2)), Ok(()));
    assert_eq!(telemetry.push(&last, peer(1), Timestamp(3)), Ok(()));
    let after = telemetry.push(&last, peer(1), Timestamp(4));
    assert_eq!(after, Err(TelemetryError::Closed));
}

#[test]
fn a_wrong_subscription_is_refused_and_may_be_asked_for_at_once() {
    let (telemetry, told) = subscribed(Timestamp(1));
    let wrong = Push {
        subscription_id: told.id.wrapping_add(1),
        ..push_of(&told)
    };
    let refused = telemetry.push(&wrong, peer(1), Timestamp(2));
    assert_eq!(refused, Err(TelemetryError::UnknownSubscription));
    let again = telemetry.subscribe(told.client_instance_id, peer(1), Timestamp(3));
    assert_eq!(again, Ok(told));
    let once_more = telemetry.subscribe(told.client_instance_id, peer(1), Timestamp(4));
    assert_eq!(once_more, Err(TelemetryError::TooEarly));
}

#[test]
fn metrics_are_refused_that_are_too_long_or_cannot_be_unpacked() {
    let push = |compression, metrics: &[u8]| {
        let (telemetry, told) = subscribed(Timestamp(1));
        let push = Push {
            compression,
            metrics,
            ..push_of(&told)
        };
        telemetry.push(&push, peer(1), Timestamp(2))
    };
    assert_eq!(push(0, &[7; 1_000]), Ok(()));
    assert_eq!(push(0, &[7; 1_001]), Err(TelemetryError::TooLarge));
    assert_eq!(push(5, b"x"), Err(TelemetryError::UnknownCodec));
    assert_eq!(push(4, b"not zstd"), Err(TelemetryError::Broken));
    let zeros = |len| compress(Compression::of(Codec::Zstd), &vec![0; len]).unwrap();
    assert_eq!(push(4, &zeros(1_000)), Ok(()));
    assert_eq!(push(4, &zeros(1_001)), Err(TelemetryError::Broken));
}

#[test]
fn reserved_ids_cannot_push() {
    for id in [Uuid::ZERO, Uuid::METADATA_TOPIC] {
        let push = Push {
            client_instance_id: id,
            subscription_id: 0,
            terminating: false,
            compression: 0,
            metrics: b"",
        };
        let refused = telemetry().push(&push, peer(1), Timestamp(0));
        assert_eq!(refused, Err(TelemetryError::InvalidInstance));
    }
}

#[test]
fn clients_that_are_silent_make_room_for_others() {
    let telemetry = telemetry();
    for n in 0..20_000 {
        let asked = telemetry.subscribe(Uuid::ZERO, peer(1), Timestamp(n));
        assert!(asked.is_ok());
    }
    assert_eq!(telemetry.instances.lock().len(), 16_384);
}
