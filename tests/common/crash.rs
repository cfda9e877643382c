//! What the crash tests share.

#![allow(dead_code, reason = "each test file uses its own part of this")]

use std::ops::Range;

/// The seeds to try: those of `OTTLA_SEEDS=FIRST..END`, or `default`.
pub(crate) fn seeds(default: Range<u64>) -> Range<u64> {
    let Ok(text) = std::env::var("OTTLA_SEEDS") else {
        return default;
    };
    let (first, end) = text.split_once("..").expect("OTTLA_SEEDS=FIRST..END");
    first.parse().unwrap()..end.parse().unwrap()
}

/// The first of `violations`, and how many there are.
pub(crate) fn shown(violations: &[String]) -> String {
    let first: Vec<&str> = violations.iter().take(20).map(String::as_str).collect();
    format!("{} violations:\n{}", violations.len(), first.join("\n"))
}
