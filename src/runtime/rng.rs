//! Chance, handed in so that a seed can stand for it.

use crate::types::Uuid;

/// A source of random bytes.
pub trait Rng: Send + std::marker::Sync + 'static {
    fn fill(&self, bytes: &mut [u8]);

    fn next_u64(&self) -> u64 {
        let mut bytes = [0u8; 8];
        self.fill(&mut bytes);
        u64::from_be_bytes(bytes)
    }

    /// A new uuid as Kafka draws them.
    fn uuid(&self) -> Uuid {
        loop {
            let mut bytes = [0u8; 16];
            self.fill(&mut bytes);
            if let Some(uuid) = Uuid::from_random(bytes) {
                return uuid;
            }
        }
    }
}
