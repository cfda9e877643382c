//! Ottla: a Kafka broker in one small binary.
//!
//! The code map, bottom-up; a module may use the ones above its line, and within a line only what
//! the layer table of ARCHITECTURE.md names.
//!
//! | layer | modules |
//! |---|---|
//! | L0 | [`types`], [`config`] |
//! | L1 | [`runtime`] (the seam), [`protocol`], [`record`] |
//! | L2 | [`log`], [`metadata`] |
//! | L3 | [`quorum`], [`replica`] |
//! | L4 | [`coordinator`], [`controller`], [`node`], [`telemetry`] |
//! | L5 | [`api`] |
//! | L6 | [`net`], [`http`] |
//! | L7 | [`cli`]; [`Server`] wires the parts |
//!
//! A stranger starts at [`Server`]: it runs a whole broker inside a test in milliseconds.

pub mod types;

pub mod config;

pub mod protocol;
pub mod record;
pub mod runtime;

pub mod log;
pub mod metadata;

pub mod quorum;
pub mod replica;

pub mod controller;
pub mod coordinator;
pub mod node;
pub mod telemetry;

pub mod api;

pub mod http;
pub mod net;

mod monitor;

mod server;

pub use server::{Server, StartError};

pub mod cli;

#[cfg(any(test, feature = "sim"))]
pub mod sim;
