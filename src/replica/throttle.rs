//! A rate that is kept on average. Pure: it says how long to wait, and somebody else waits.

use crate::runtime::Instant;
use std::time::Duration;

/// Longest wait at a time. A rate close to nothing still lets its owner look whether it is to stop.
const WAIT_MAX: Duration = Duration::from_secs(3600);

/// Counts what was used against a rate.
#[derive(Debug, Default)]
pub(super) struct Throttle {
    per_second: f64,
    /// Until then everything that the rate allows is used up.
    used_until: Option<Instant>,
}

impl Throttle {
    /// `amount` was used, of `per_second`; a negative rate is none, as in Kafka. Gives when more may be used.
    pub(super) fn used(&mut self, amount: u64, per_second: f64, now: Instant) -> Instant {
        if self.per_second.to_bits() != per_second.to_bits() {
            // What was used under another rate is not held against this one.
            *self = Throttle {
                per_second,
                used_until: None,
            };
        }
        if per_second < 0.0 {
            return now;
        }
        #[expect(clippy::cast_precision_loss, reason = "bytes of one step")]
        let seconds = amount as f64 / per_second.max(f64::MIN_POSITIVE);
        let cost = Duration::try_from_secs_f64(seconds).unwrap_or(WAIT_MAX);
        // What was not used in time is lost: a pause is no credit for a burst.
        let begins = self.used_until.map_or(now, |until| until.max(now));
        let until = begins + cost.min(WAIT_MAX);
        self.used_until = Some(until);
        until
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_rate_is_kept_on_average_and_a_pause_is_no_credit() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut throttle = Throttle::default();
        assert_eq!(throttle.used(500, 1_000.0, start), at(500));
        assert_eq!(
            throttle.used(500, 1_000.0, at(100)),
            at(1_000),
            "both together"
        );
        assert_eq!(throttle.used(100, 1_000.0, at(9_000)), at(9_100));
        assert_eq!(throttle.used(1, 0.0, at(9_100)), at(9_100) + WAIT_MAX);
        for no_limit in [f64::MAX, -1.0] {
            assert_eq!(throttle.used(1 << 40, no_limit, at(9_100)), at(9_100));
        }
    }
}
