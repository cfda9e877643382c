//! Latencies in buckets no wider than 1/64 of their value.

use std::time::Duration;

const SUB_BITS: u32 = 6;
const SUB: u64 = 1 << SUB_BITS;

/// Counts of nanosecond values, from 0 to about 18 minutes.
pub(crate) struct Histogram {
    counts: Vec<u64>,
    total: u64,
    max: u64,
}

impl Histogram {
    pub(crate) fn new() -> Histogram {
        Histogram {
            counts: vec![0; 36 * 64],
            total: 0,
            max: 0,
        }
    }

    pub(crate) fn add(&mut self, value: Duration) {
        let nanos = u64::try_from(value.as_nanos()).unwrap_or(u64::MAX);
        let index = index(nanos).min(self.counts.len() - 1);
        self.counts[index] += 1;
        self.total += 1;
        self.max = self.max.max(nanos);
    }

    pub(crate) fn merge(&mut self, other: &Histogram) {
        for (mine, theirs) in self.counts.iter_mut().zip(&other.counts) {
            *mine += theirs;
        }
        self.total += other.total;
        self.max = self.max.max(other.max);
    }

    /// The value that `per_mille` thousandths of all values do not exceed, in microseconds.
    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    pub(crate) fn micros(&self, per_mille: u64) -> f64 {
        let rank = (self.total * per_mille).div_ceil(1000).max(1);
        let mut seen = 0;
        for (index, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return upper(index).min(self.max) as f64 / 1e3;
            }
        }
        0.0
    }
}

fn index(nanos: u64) -> usize {
    let exponent = (64 - nanos.leading_zeros()).saturating_sub(SUB_BITS + 1);
    usize::try_from(u64::from(exponent) * SUB + (nanos >> exponent)).unwrap_or(usize::MAX)
}

fn upper(index: usize) -> u64 {
    let index = index as u64;
    if index < 2 * SUB {
        return index;
    }
    let exponent = index / SUB - 1;
    ((index - exponent * SUB + 1) << exponent) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_within_a_64th_of_the_truth() {
        let mut histogram = Histogram::new();
        for micros in 1..=10_000 {
            histogram.add(Duration::from_micros(micros));
        }
        for (per_mille, truth) in [
            (500, 5_000.0),
            (990, 9_900.0),
            (999, 9_990.0),
            (1000, 10_000.0),
        ] {
            let found = histogram.micros(per_mille);
            assert!(
                (found / truth - 1.0).abs() < 1.0 / 64.0,
                "{per_mille}: {found} for {truth}"
            );
        }
    }
}
