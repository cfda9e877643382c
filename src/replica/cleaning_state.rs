//! What the cleaner does with a partition's log.

use std::sync::atomic::{AtomicU8, Ordering};

const IDLE: u8 = 0;
const BUSY: u8 = 1;
const UNCLEANABLE: u8 = 2;

/// Idle, or being cleaned, or never to be cleaned again by this process.
#[derive(Debug, Default)]
pub(super) struct CleaningState(AtomicU8);

impl CleaningState {
    /// Takes the log for one cleaning, if nobody else has it.
    pub(super) fn claim(&self) -> bool {
        let claimed = (self.0).compare_exchange(IDLE, BUSY, Ordering::AcqRel, Ordering::Acquire);
        claimed.is_ok()
    }

    /// The cleaning is over.
    pub(super) fn release(&self) {
        self.0.store(IDLE, Ordering::Release);
    }

    /// The log cannot be cleaned.
    pub(super) fn give_up(&self) {
        self.0.store(UNCLEANABLE, Ordering::Release);
    }

    pub(super) fn is_busy(&self) -> bool {
        self.0.load(Ordering::Acquire) == BUSY
    }

    pub(super) fn is_uncleanable(&self) -> bool {
        self.0.load(Ordering::Acquire) == UNCLEANABLE
    }
}
