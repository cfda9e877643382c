//! The binary in a process of its own.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot set its scene has failed"
)]

#[path = "../common/mod.rs"]
mod common;

mod cli;
mod few_open_files;
mod full_file_system;
mod kill_loop;
