//! Two clocks: the wall clock for what people and records see, the monotonic one for time-outs.

use crate::types::Timestamp;

/// A point on the monotonic clock. It is tokio's, so that paused and simulated time move it.
pub type Instant = tokio::time::Instant;

/// Reads the time.
pub trait Clock: Send + std::marker::Sync + 'static {
    /// The wall clock. May jump, backwards too: never used to measure a wait.
    fn wall(&self) -> Timestamp;

    /// Never goes back. Every time-out is measured on it.
    fn monotonic(&self) -> Instant {
        Instant::now()
    }
}

/// Returns at `deadline`, or at once if it has passed.
pub async fn sleep_until(deadline: Instant) {
    tokio::time::sleep_until(deadline).await;
}
