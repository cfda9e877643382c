//! How much of a log can be cleaned, and whether it should be (`LogCleanerManager`, `LogToClean`).

use crate::log::config::LogConfig;
use crate::types::{Offset, Timestamp};

/// A segment as far as the choice looks at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) base: Offset,
    pub(super) size: u64,
    /// Of its records; of its file, if they have none.
    pub(super) newest: Timestamp,
    /// Of its first batch. −1 if it has none, or nobody wants to know.
    pub(super) first: Timestamp,
}

/// Where a log ends for the cleaner, and where it was cleaned before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bounds {
    pub(super) log_start: Offset,
    pub(super) log_end: Offset,
    pub(super) last_stable: Offset,
    /// Everything below was cleaned.
    pub(super) cleaned_end: Option<Offset>,
}

/// The part of a log that could be cleaned now.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cleanable {
    /// Everything below was cleaned.
    pub first_dirty: Offset,
    /// The base of the first segment that must stay as it is: the active one, one that reaches beyond the
    /// last stable offset, or one with records younger than `min.compaction.lag.ms`.
    pub first_uncleanable: Offset,
    pub clean_bytes: u64,
    pub cleanable_bytes: u64,
    /// How long ago `max.compaction.lag.ms` wanted it cleaned; 0 if it did not.
    pub delay_ms: i64,
}

impl Cleanable {
    /// Of a log with these segments, the last of which is the active one.
    pub(super) fn of(
        pieces: &[Piece],
        bounds: &Bounds,
        config: &LogConfig,
        now: Timestamp,
    ) -> Cleanable {
        let first_dirty = match bounds.cleaned_end {
            // Below the start nothing is left; above the end it was of another past of this log.
            Some(end) if end >= bounds.log_start && end <= bounds.log_end => end,
            _ => bounds.log_start,
        };
        let (active, closed) = match pieces.split_last() {
            Some((active, closed)) => (active.base, closed),
            None => (bounds.log_end, pieces),
        };
        let dirty = match closed.get(floor(closed, first_dirty)..) {
            Some(dirty) if first_dirty < active => dirty,
            _ => &[],
        };
        let too_young = dirty.iter().find(|piece| {
            let lag_ms = config.min_compaction_lag_ms;
            lag_ms > 0 && now.ms_since(piece.newest) < lag_ms
        });
        let bound = [Some(bounds.last_stable), too_young.map(|piece| piece.base)]
            .into_iter()
            .flatten()
            .fold(active, Offset::min)
            .max(first_dirty);
        // Only whole segments are cleaned.
        let first_uncleanable = match closed.get(floor(closed, bound)) {
            Some(piece) if bound < active => piece.base,
            _ => active,
        };
        let bytes_below = |pieces: &[Piece], end: Offset| {
            let below = pieces.iter().take_while(|piece| piece.base < end);
            below.map(|piece| piece.size).sum()
        };
        Cleanable {
            first_dirty,
            first_uncleanable,
            clean_bytes: bytes_below(pieces, first_dirty),
            cleanable_bytes: bytes_below(dirty, first_uncleanable),
            delay_ms: delay_ms(dirty, config, now),
        }
    }

    /// The part of the log that is dirty and could be cleaned, 0 to 1.
    #[expect(clippy::cast_precision_loss, reason = "a ratio")]
    pub fn ratio(&self) -> f64 {
        match self.clean_bytes + self.cleanable_bytes {
            0 => 0.0,
            total => self.cleanable_bytes as f64 / total as f64,
        }
    }

    /// Whether the topic wants it cleaned now.
    pub fn is_due(&self, config: &LogConfig) -> bool {
        let is_late = self.delay_ms > 0 && self.cleanable_bytes > 0;
        is_late || self.ratio() > config.min_cleanable_dirty_ratio
    }
}

/// The place of the last piece whose base is at or below `offset`, or the first.
fn floor(pieces: &[Piece], offset: Offset) -> usize {
    pieces
        .partition_point(|piece| piece.base <= offset)
        .saturating_sub(1)
}

fn delay_ms(dirty: &[Piece], config: &LogConfig, now: Timestamp) -> i64 {
    let first = (dirty.iter().map(|piece| piece.first)).filter(|first| first.0 > 0);
    let age = first.min().map_or(0, |first| now.ms_since(first));
    age.saturating_sub(config.max_compaction_lag_ms).max(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(100_000);

    /// Segments of 100 bytes and 10 offsets, a second apart; the last one is the active one.
    fn pieces(count: i64) -> Vec<Piece> {
        (0..count)
            .map(|n| Piece {
                base: Offset(n * 10),
                size: 100,
                newest: Timestamp(n * 1_000 + 999),
                first: Timestamp(n * 1_000 + 1),
            })
            .collect()
    }

    fn bounds(count: i64) -> Bounds {
        Bounds {
            log_start: Offset(0),
            log_end: Offset(count * 10),
            last_stable: Offset(count * 10),
            cleaned_end: None,
        }
    }

    fn config() -> LogConfig {
        LogConfig::default()
    }

    #[test]
    fn everything_but_the_active_segment_can_be_cleaned() {
        let found = Cleanable::of(&pieces(5), &bounds(5), &config(), NOW);
        assert_eq!(found.first_dirty, Offset(0));
        assert_eq!(found.first_uncleanable, Offset(40));
        assert_eq!((found.clean_bytes, found.cleanable_bytes), (0, 400));
        assert!((found.ratio() - 1.0).abs() < 1e-9 && found.is_due(&config()));
    }

    #[test]
    fn a_log_of_one_segment_has_nothing_to_clean() {
        let found = Cleanable::of(&pieces(1), &bounds(1), &config(), NOW);
        assert_eq!((found.clean_bytes, found.cleanable_bytes), (0, 0));
        assert!(!found.is_due(&config()));
    }

    #[test]
    fn cleaning_stops_at_the_segment_that_holds_the_last_stable_offset() {
        let bounds = Bounds {
            last_stable: Offset(25),
            ..bounds(5)
        };
        let found = Cleanable::of(&pieces(5), &bounds, &config(), NOW);
        assert_eq!(found.first_uncleanable, Offset(20));
        assert_eq!(found.cleanable_bytes, 200);
    }

    #[test]
    fn what_is_younger_than_the_smallest_lag_is_not_cleaned() {
        let config = LogConfig {
            min_compaction_lag_ms: 98_000,
            ..config()
        };
        let found = Cleanable::of(&pieces(5), &bounds(5), &config, NOW);
        assert_eq!(
            found.first_uncleanable,
            Offset(20),
            "newest 2999 is younger, 1999 is not"
        );
    }

    #[test]
    fn the_ratio_is_of_bytes_and_must_be_exceeded() {
        let config = config();
        let cleaned_to = |end| {
            let bounds = Bounds {
                cleaned_end: Some(Offset(end)),
                ..bounds(5)
            };
            Cleanable::of(&pieces(5), &bounds, &config, NOW)
        };
        let half = cleaned_to(20);
        assert_eq!((half.clean_bytes, half.cleanable_bytes), (200, 200));
        assert!(!half.is_due(&config));
        assert!(cleaned_to(10).is_due(&config));
        assert_eq!(cleaned_to(40).cleanable_bytes, 0);
    }

    #[test]
    fn what_is_older_than_the_largest_lag_is_cleaned_whatever_the_ratio() {
        let config = LogConfig {
            max_compaction_lag_ms: 90_000,
            ..config()
        };
        let bounds = Bounds {
            cleaned_end: Some(Offset(30)),
            ..bounds(5)
        };
        let found = Cleanable::of(&pieces(5), &bounds, &config, NOW);
        assert_eq!(found.delay_ms, 100_000 - 3_001 - 90_000);
        assert!(found.ratio() < 0.5 && found.is_due(&config));
    }

    #[test]
    fn a_checkpoint_outside_of_the_log_counts_for_nothing() {
        for (log_start, cleaned_end) in [(15, 5), (0, 51)] {
            let bounds = Bounds {
                log_start: Offset(log_start),
                cleaned_end: Some(Offset(cleaned_end)),
                ..bounds(5)
            };
            let found = Cleanable::of(&pieces(5), &bounds, &config(), NOW);
            assert_eq!(found.first_dirty, Offset(log_start));
        }
    }
}
