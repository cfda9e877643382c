//! A wall clock that a test sets.

use crate::runtime::{Clock, Instant};
use crate::types::Timestamp;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// Where every simulated run begins: 2026-01-01 00:00:00 UTC.
const BASE_MS: i64 = 1_767_225_600_000;

/// A wall clock that starts at a fixed date. It moves with simulated time, or only by hand, and can
/// be put forward and back as a person or NTP would. The monotonic clock is tokio's, paused by the
/// simulator.
pub struct SimClock {
    follows: Follows,
    moved_ms: AtomicI64,
}

enum Follows {
    Nothing,
    /// The time of the turmoil simulation around the caller, or else tokio's since the first use.
    SimulatedTime(OnceLock<Instant>),
}

impl SimClock {
    /// Stands still until [`SimClock::advance`] moves it: for tests without a runtime.
    pub fn manual() -> Arc<SimClock> {
        Arc::new(SimClock {
            follows: Follows::Nothing,
            moved_ms: AtomicI64::new(0),
        })
    }

    /// Moves with simulated time.
    pub fn simulated() -> Arc<SimClock> {
        Arc::new(SimClock {
            follows: Follows::SimulatedTime(OnceLock::new()),
            moved_ms: AtomicI64::new(0),
        })
    }

    /// Moves the wall clock by `ms`; backwards if negative.
    pub fn advance(&self, ms: i64) {
        self.moved_ms.fetch_add(ms, Ordering::Relaxed);
    }

    fn passed(&self) -> Duration {
        match &self.follows {
            Follows::Nothing => Duration::ZERO,
            Follows::SimulatedTime(first) => turmoil::sim_elapsed().unwrap_or_else(|| {
                let now = self.monotonic();
                now - *first.get_or_init(|| now)
            }),
        }
    }
}

impl Clock for SimClock {
    fn wall(&self) -> Timestamp {
        let passed = i64::try_from(self.passed().as_millis()).expect("a run is shorter than time");
        Timestamp(BASE_MS + passed + self.moved_ms.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manual_clock_moves_only_by_hand_and_backwards_too() {
        let clock = SimClock::manual();
        assert_eq!(clock.wall(), Timestamp(BASE_MS));
        clock.advance(5);
        clock.advance(-7);
        assert_eq!(clock.wall(), Timestamp(BASE_MS - 2));
    }

    #[tokio::test(start_paused = true)]
    async fn a_simulated_clock_moves_with_tokios_time() {
        let clock = SimClock::simulated();
        assert_eq!(clock.wall(), Timestamp(BASE_MS));
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        assert_eq!(clock.wall(), Timestamp(BASE_MS + 1_500));
    }
}
