//! Golden vectors: every file under `vectors/` was written by Apache Kafka's own Java classes. What
//! they wrote, we read to the same values and write to the same bytes.
//!
//! Each test counts what it read, so that a file that was not found or a loop that did not run fails.

mod batches;
mod coordinator;
mod disk;
mod framed;
mod messages;
mod names;
mod old_formats;
mod served;
mod takeover;

use std::path::PathBuf;

/// A file or folder under `vectors/`.
fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("vectors")
        .join(name)
}

#[expect(
    clippy::disallowed_methods,
    reason = "a test reads the vectors beside it; no broker runs here"
)]
fn text(name: &str) -> String {
    let path = path(name);
    std::fs::read_to_string(&path).unwrap_or_else(|why| panic!("{}: {why}", path.display()))
}

/// The bytes behind pairs of hexadecimal digits.
fn unhex(hex: &str) -> Vec<u8> {
    assert!(hex.len().is_multiple_of(2), "half a byte in {hex}");
    (0..hex.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hexadecimal"))
        .collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
