//! The one trait between sockets and what is behind them.

use crate::runtime::Reply;
use bytes::Bytes;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

/// The other end of a connection.
#[derive(Clone, Debug)]
pub struct Peer {
    pub addr: SocketAddr,
    /// Name of the listener that accepted the connection.
    pub listener: Arc<str>,
}

/// Takes requests, one at a time per connection.
pub trait Service: Send + Sync + 'static {
    /// Handles one frame (without its length). An answer that is ready at once is put behind what
    /// `reply` holds, as a whole frame.
    fn call(&self, peer: &Peer, frame: Bytes, reply: &mut Reply) -> Served;
}

/// How a request was taken.
pub enum Served {
    /// The answer is in the reply, or the request has none.
    Done,
    /// The answer comes later; the connection takes no other request until then.
    Later(Pin<Box<dyn Future<Output = Result<Reply, CloseReason>> + Send>>),
    /// The connection ends here, as Kafka ends it for the same reason.
    Close(CloseReason),
}

/// Why a connection is closed without an answer, in words for the log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct CloseReason(String);

impl CloseReason {
    pub fn new(reason: &dyn std::fmt::Display) -> CloseReason {
        CloseReason(reason.to_string())
    }
}
