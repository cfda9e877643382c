//! What a handler is told besides the request's body, and how it answers.

use crate::protocol::Text;
use crate::runtime::Tasks;
use crate::types::Timestamp;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;

/// An answer that is there at once, or one that waits (for bytes, for members, for replicas).
///
/// What must happen in the connection's order has happened when a handler returns; a
/// [`Staged::Later`] only waits.
pub enum Staged<T> {
    Ready(T),
    Later(Pin<Box<dyn Future<Output = T> + Send>>),
}

impl<T: Send + 'static> Staged<T> {
    pub fn later(future: impl Future<Output = T> + Send + 'static) -> Staged<T> {
        Staged::Later(Box::pin(future))
    }

    /// The answer of `work`, which may block and leaves the connection's thread.
    pub fn blocking(tasks: &Tasks, work: impl FnOnce() -> T + Send + 'static) -> Staged<T>
    where
        T: Default,
    {
        let tasks = tasks.clone();
        Staged::later(async move {
            // A panic in there has been logged; the client asks again.
            tasks.blocking(work).await.unwrap_or_default()
        })
    }

    pub fn map<U: Send + 'static>(self, change: impl FnOnce(T) -> U + Send + 'static) -> Staged<U> {
        match self {
            Staged::Ready(answer) => Staged::Ready(change(answer)),
            Staged::Later(answer) => Staged::later(async move { change(answer.await) }),
        }
    }
}

/// Who asks, in which version, and when.
#[derive(Clone, Debug)]
pub struct RequestContext {
    pub version: i16,
    pub correlation_id: i32,
    /// Names the client program in logs, quotas and member ids; null is allowed.
    pub client_id: Option<Text>,
    pub peer: SocketAddr,
    /// The listener's name; answers name brokers as they are seen through it.
    pub listener: std::sync::Arc<str>,
    /// The wall clock when the request was taken up.
    pub now: Timestamp,
}
