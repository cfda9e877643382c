//! What is remembered of one client.

use super::{PUSH_INTERVAL_MS, TelemetryError};
use crate::types::{Timestamp, Uuid};
use std::collections::HashMap;
use std::net::SocketAddr;

/// Clients that are remembered; beyond it, the one that has been silent the longest is forgotten
/// (`ClientMetricsManager.CACHE_MAX_SIZE`).
const INSTANCES_MAX: usize = 16_384;

/// A client that has been silent for three intervals is forgotten.
const SILENCE_MS_MAX: i64 = 3 * PUSH_INTERVAL_MS as i64;

/// One client instance.
pub(super) struct Instance {
    /// The connection that it came through. Kafka forgets an instance when its connection closes.
    peer: SocketAddr,
    heard: Timestamp,
    asked: Option<Timestamp>,
    pushed: Option<Timestamp>,
    terminating: bool,
    last: Result<(), TelemetryError>,
}

impl Instance {
    fn new(peer: SocketAddr, now: Timestamp) -> Instance {
        Instance {
            peer,
            heard: now,
            asked: None,
            pushed: None,
            terminating: false,
            last: Ok(()),
        }
    }

    /// Asks for the subscription: once an interval, and at once after an error that a new one mends.
    pub(super) fn ask(&mut self, now: Timestamp) -> Result<(), TelemetryError> {
        if is_due(self.asked.max(self.pushed), now) {
            self.asked = Some(now);
        } else if !matches!(
            self.last,
            Err(TelemetryError::UnknownSubscription | TelemetryError::UnknownCodec)
        ) {
            return Err(TelemetryError::TooEarly);
        }
        self.last = Ok(());
        Ok(())
    }

    /// Pushes: once an interval, at once after asking, and at the very end.
    pub(super) fn begin_push(
        &mut self,
        terminating: bool,
        now: Timestamp,
    ) -> Result<(), TelemetryError> {
        if self.terminating {
            return Err(TelemetryError::Closed);
        }
        if self.asked > self.pushed || is_due(self.pushed, now) {
            self.pushed = Some(now);
        } else if !terminating {
            return Err(TelemetryError::TooEarly);
        }
        Ok(())
    }

    pub(super) fn remember(&mut self, terminating: bool, last: Result<(), TelemetryError>) {
        self.terminating = terminating;
        self.last = last;
    }
}

fn is_due(last: Option<Timestamp>, now: Timestamp) -> bool {
    last.is_none_or(|last| now.ms_since(last) >= i64::from(PUSH_INTERVAL_MS))
}

/// All client instances, by id.
#[derive(Default)]
pub(super) struct Instances(HashMap<Uuid, Instance>);

impl Instances {
    /// What is remembered of a client that was just heard.
    pub(super) fn of(&mut self, id: Uuid, peer: SocketAddr, now: Timestamp) -> &mut Instance {
        if self.0.len() >= INSTANCES_MAX && !self.0.contains_key(&id) {
            self.make_room(now);
        }
        let instance = self.0.entry(id).or_insert_with(|| Instance::new(peer, now));
        if instance.peer != peer || now.ms_since(instance.heard) >= SILENCE_MS_MAX {
            *instance = Instance::new(peer, now);
        }
        instance.heard = now;
        instance
    }

    fn make_room(&mut self, now: Timestamp) {
        self.0
            .retain(|_, instance| now.ms_since(instance.heard) < SILENCE_MS_MAX);
        if self.0.len() < INSTANCES_MAX {
            return;
        }
        let silent = self.0.iter().min_by_key(|(_, instance)| instance.heard);
        if let Some(id) = silent.map(|(id, _)| *id) {
            self.0.remove(&id);
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}
