//! What the tests of the whole broker share.

#![allow(dead_code, reason = "each test file uses its own part of this")]

pub(crate) mod client;
pub(crate) mod crash;
pub(crate) mod frames;
pub(crate) mod history;
pub(crate) mod local;
pub(crate) mod process;
pub(crate) mod world;
