//! Connections: from bytes on a socket to frames for a [`Service`], and back in order.
//!
//! **Invariant:** this folder knows no API. It cuts frames, hands each to the service that
//! `server.rs` gave it, and sends the answers in the order of the requests, one request at a time.

mod admission;
mod buffers;
mod connection;
mod framing;
mod listener;
mod service;

pub use admission::{Admission, ConnectionLimits, ListenerLimits};
pub use listener::{Acceptor, Limits};
pub use service::{CloseReason, Peer, Served, Service};

#[cfg(test)]
mod tests;
