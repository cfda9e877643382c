//! What is left after a power loss, a full disk or a flipped bit: logs and whole brokers, mostly on a simulated disk.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot set its scene has failed"
)]

#[path = "../common/mod.rs"]
mod common;

mod broker;
mod compaction;
mod flipped_bits;
mod full_disk;
mod log;
mod metadata_snapshots;
mod moving;
mod synced_acknowledgements;
