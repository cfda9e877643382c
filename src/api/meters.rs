//! What was asked and moved since the broker started, counted where it happens.

use super::ROWS;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counters over all clients. Each is one relaxed addition per request or batch.
pub struct Meters {
    /// By place in [`ROWS`].
    requests: Vec<AtomicU64>,
    refused: AtomicU64,
    records_in: AtomicU64,
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
}

impl Default for Meters {
    fn default() -> Meters {
        Meters {
            requests: ROWS.iter().map(|_| AtomicU64::new(0)).collect(),
            refused: AtomicU64::new(0),
            records_in: AtomicU64::new(0),
            bytes_in: AtomicU64::new(0),
            bytes_out: AtomicU64::new(0),
        }
    }
}

impl Meters {
    pub(super) fn request(&self, row: usize) {
        if let Some(count) = self.requests.get(row) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn refused(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn produced(&self, records: u64, bytes: u64) {
        self.records_in.fetch_add(records, Ordering::Relaxed);
        self.bytes_in.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn fetched(&self, bytes: u64) {
        self.bytes_out.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Requests taken, per API.
    pub fn requests(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let counts = self.requests.iter().map(|n| n.load(Ordering::Relaxed));
        ROWS.iter().map(|row| row.key.name()).zip(counts)
    }

    /// Requests that were answered by closing the connection.
    pub fn refusals(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// Records that producers wrote.
    pub fn records_in(&self) -> u64 {
        self.records_in.load(Ordering::Relaxed)
    }

    /// Bytes of batches that producers wrote.
    pub fn bytes_in(&self) -> u64 {
        self.bytes_in.load(Ordering::Relaxed)
    }

    /// Bytes of batches that were given to fetches.
    pub fn bytes_out(&self) -> u64 {
        self.bytes_out.load(Ordering::Relaxed)
    }
}
