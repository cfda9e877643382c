//! Chance from a seed.

use crate::runtime::Rng;
use std::sync::atomic::{AtomicU64, Ordering};

/// SplitMix64: small, the same on every machine and in every version, and any seed is a good one.
/// Not for secrets.
pub struct SimRng(AtomicU64);

impl SimRng {
    pub fn new(seed: u64) -> SimRng {
        SimRng(AtomicU64::new(seed))
    }

    /// The next 64 bits.
    pub fn next(&self) -> u64 {
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        let state = self.0.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`, which is not 0. The bias of the remainder is far below what a test
    /// could see.
    pub fn below(&self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// An index into something of `len` elements, which is not empty.
    pub fn index(&self, len: usize) -> usize {
        usize::try_from(self.below(len as u64)).expect("below a usize")
    }

    /// True in `parts` of `of` cases.
    pub fn chance(&self, parts: u64, of: u64) -> bool {
        self.below(of) < parts
    }
}

impl Rng for SimRng {
    fn fill(&self, bytes: &mut [u8]) {
        for part in bytes.chunks_mut(8) {
            let drawn = self.next().to_be_bytes();
            part.copy_from_slice(&drawn[..part.len()]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_draws_the_same_on_every_machine() {
        // The first values of SplitMix64 for the seed 1234567, as its author publishes them.
        let rng = SimRng::new(1_234_567);
        assert_eq!(rng.next(), 6_457_827_717_110_365_317);
        assert_eq!(rng.next(), 3_203_168_211_198_807_973);
        let mut bytes = [0; 11];
        SimRng::new(1_234_567).fill(&mut bytes);
        assert_eq!(bytes[..8], 6_457_827_717_110_365_317u64.to_be_bytes());
    }
}
