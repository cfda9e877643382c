//! One connection: read what is there, hand over every whole frame, send the answers.
//!
//! One request is under way at a time, so answers keep the order of the requests however many the
//! client has pipelined (Kafka mutes the socket for that; we just do not read on). Requests that lie
//! in the buffer together are answered with one write.

use super::buffers::{Buffers, READ_BYTES};
use super::framing::{self, FrameError, Next};
use super::service::{CloseReason, Peer, Served, Service};
use crate::runtime::{Instant, More, Reply, Stream, write_all};
use bytes::{Bytes, BytesMut};
use std::future::{Future, poll_fn};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;
use tokio::sync::Semaphore;

/// Requests handled before their answers are sent and other connections get their turn on this thread.
const TURN_REQUESTS_MAX: u32 = 32;
/// The same in bytes of requests and answers: two hundred connections that ask for much and read little
/// would otherwise have everybody else wait for seconds.
const TURN_BYTES_MAX: u64 = 64 * 1024;
/// File bytes given to the kernel in one call: about 30 µs, so that one reader delays no other.
const SEND_FILE_BYTES_MAX: usize = 256 * 1024;
/// How long a large frame, for which memory was taken, may bring no byte.
const STALLED_MAX: Duration = Duration::from_secs(30);
/// A reply buffer larger than this is not kept.
const REPLY_CAPACITY_MAX: usize = 64 * 1024;
/// Bytes of each kind that a connection may keep while it waits: of answers that have been sent, and of
/// a frame that has come in part. Ten thousand waiting connections hold at most 80 MB.
const WAITING_BYTES_MAX: usize = 4 * 1024;
/// Request memory is counted in pieces of this size.
pub(super) const PERMIT_BYTES: usize = 1024;

/// What all connections of a broker share.
pub(super) struct Shared {
    pub(super) service: Arc<dyn Service>,
    pub(super) buffers: Buffers,
    pub(super) frame_bytes_max: usize,
    /// Memory for frames that come in parts, unless they are tiny; in pieces of [`PERMIT_BYTES`].
    pub(super) request_memory: Semaphore,
    pub(super) request_memory_permits: u32,
}

/// When a connection last did something, in milliseconds since the listener started.
pub(super) struct Activity {
    since: Instant,
    at_ms: AtomicU64,
}

impl Activity {
    pub(super) fn new(since: Instant) -> Activity {
        let activity = Activity {
            since,
            at_ms: AtomicU64::new(0),
        };
        activity.touch();
        activity
    }

    fn touch(&self) {
        let ms = u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.at_ms.store(ms, Ordering::Relaxed);
    }

    pub(super) fn last_ms(&self) -> u64 {
        self.at_ms.load(Ordering::Relaxed)
    }
}

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum Ended {
    #[error("the client closed it")]
    ByClient,
    #[error("{0}")]
    Frame(#[from] FrameError),
    #[error("{0}")]
    Refused(#[from] CloseReason),
    #[error("{0}")]
    Socket(#[from] io::Error),
    #[error("a large request stopped coming in")]
    Stalled,
    #[error("the handler panicked")]
    Panicked,
}

/// What was done since other connections had their turn.
#[derive(Default)]
struct Turn {
    requests: u32,
    bytes: u64,
}

impl Turn {
    fn is_over(&self) -> bool {
        self.requests >= TURN_REQUESTS_MAX || self.bytes >= TURN_BYTES_MAX
    }
}

pub(super) struct Connection {
    stream: Box<dyn Stream>,
    peer: Peer,
    shared: Arc<Shared>,
    activity: Arc<Activity>,
    /// Bytes read and not yet handled. Without spare capacity while the connection waits.
    inbox: BytesMut,
    /// Answers not yet sent.
    outbox: Reply,
}

impl Connection {
    pub(super) fn new(
        stream: Box<dyn Stream>,
        peer: Peer,
        shared: Arc<Shared>,
        activity: Arc<Activity>,
    ) -> Connection {
        Connection {
            stream,
            peer,
            shared,
            activity,
            inbox: BytesMut::new(),
            outbox: Reply::new(),
        }
    }

    /// Bytes of answers that wait, and the capacity for requests.
    #[cfg(test)]
    pub(super) fn held(&self) -> (u64, usize) {
        (self.outbox.len(), self.inbox.capacity())
    }

    /// Serves the connection until it ends.
    pub(super) async fn serve(&mut self) -> Ended {
        match self.serve_all().await {
            Ok(never) => match never {},
            Err(ended) => ended,
        }
    }

    async fn serve_all(&mut self) -> Result<std::convert::Infallible, Ended> {
        let mut turn = Turn::default();
        loop {
            match framing::next(&mut self.inbox, self.shared.frame_bytes_max)? {
                Next::Whole(frame) => {
                    turn.requests += 1;
                    turn.bytes += frame.len() as u64;
                    let waiting = self.outbox.len();
                    self.handle(frame).await?;
                    turn.bytes += self.outbox.len().saturating_sub(waiting);
                    if turn.is_over() {
                        turn = Turn::default();
                        self.flush().await?;
                        tokio::task::yield_now().await;
                    }
                }
                Next::Incomplete { missing, frame } => {
                    turn = Turn::default();
                    self.flush().await?;
                    if frame <= WAITING_BYTES_MAX {
                        self.wait().await?;
                        self.fill(missing, READ_BYTES).await?;
                    } else {
                        self.handle_large(frame).await?;
                    }
                }
            }
        }
    }

    /// Reads and handles a frame that has come in part: its memory is taken first, so that the socket
    /// waits and not the heap.
    async fn handle_large(&mut self, frame: usize) -> Result<(), Ended> {
        let permits = u32::try_from(frame.div_ceil(PERMIT_BYTES)).unwrap_or(u32::MAX);
        let permits = permits.min(self.shared.request_memory_permits);
        let shared = self.shared.clone();
        let at_once = shared.request_memory.try_acquire_many(permits);
        let permit = match at_once {
            Ok(permit) => Ok(permit),
            Err(_) => {
                self.give_up_buffers();
                shared.request_memory.acquire_many(permits).await
            }
        };
        while self.inbox.len() < frame {
            let missing = frame - self.inbox.len();
            // Behind a frame that fits the buffer anyway, the next ones may come along.
            let max = if frame <= READ_BYTES {
                READ_BYTES
            } else {
                missing
            };
            // What is taken for this frame is missing elsewhere, so nobody may sit on it.
            let filled = tokio::time::timeout(STALLED_MAX, self.fill(missing, max)).await;
            filled.map_err(|_| Ended::Stalled)??;
        }
        let handled = match framing::next(&mut self.inbox, self.shared.frame_bytes_max)? {
            Next::Whole(bytes) => self.handle(bytes).await,
            Next::Incomplete { .. } => unreachable!("the frame was read whole"),
        };
        drop(permit);
        handled
    }

    /// Reads once, at most `max` bytes, into a buffer with room for `missing` of them.
    async fn fill(&mut self, missing: usize, max: usize) -> Result<(), Ended> {
        // Room that is left behind handled frames comes back here, with a copy of at most the few
        // bytes that have already come of the next one.
        let spare = self.inbox.capacity() - self.inbox.len();
        if spare < missing.max(READ_BYTES / 4) {
            self.inbox
                .reserve(missing.max(READ_BYTES.saturating_sub(self.inbox.len())));
        }
        let read = poll_fn(|cx| self.stream.poll_read(cx, &mut self.inbox, max)).await?;
        if read == 0 {
            return Err(Ended::ByClient);
        }
        self.activity.touch();
        Ok(())
    }

    /// Waits until there is something to read.
    async fn wait(&mut self) -> Result<(), Ended> {
        let at_once = poll_fn(|cx| Poll::Ready(self.stream.poll_readable(cx))).await;
        if at_once.is_pending() {
            self.give_up_buffers();
            poll_fn(|cx| self.stream.poll_readable(cx)).await?;
        }
        if at_once.is_pending() || self.inbox.capacity() == 0 {
            let mut buffer = self.shared.buffers.take();
            buffer.extend_from_slice(&self.inbox);
            self.inbox = buffer;
        }
        Ok(())
    }

    /// Before it waits: nothing is to be sent, and of the buffer only what has come is kept.
    fn give_up_buffers(&mut self) {
        let came = BytesMut::from(&self.inbox[..]);
        let buffer = std::mem::replace(&mut self.inbox, came);
        self.shared.buffers.give(buffer);
        self.outbox.clear(WAITING_BYTES_MAX);
    }

    async fn handle(&mut self, frame: Bytes) -> Result<(), Ended> {
        let mark = self.outbox.mark();
        let (service, peer, outbox) = (&self.shared.service, &self.peer, &mut self.outbox);
        // A handler that panics has broken a promise of ours: this connection pays, no other does.
        let served = catch_unwind(AssertUnwindSafe(|| service.call(peer, frame, outbox)));
        match served {
            Ok(Served::Done) => Ok(()),
            Ok(Served::Later(answer)) => {
                // What was asked before must not wait for what is asked now.
                self.flush().await?;
                let reply = guarded(answer).await.ok_or(Ended::Panicked)?;
                self.activity.touch();
                match reply {
                    Ok(reply) => {
                        self.outbox.append(reply);
                        Ok(())
                    }
                    Err(reason) => Err(reason.into()),
                }
            }
            Ok(Served::Close(reason)) => {
                self.outbox.rollback(mark);
                self.flush().await?;
                Err(reason.into())
            }
            Err(_) => {
                self.outbox.rollback(mark);
                self.flush().await?;
                Err(Ended::Panicked)
            }
        }
    }

    /// Sends all answers.
    async fn flush(&mut self) -> Result<(), Ended> {
        if self.outbox.is_empty() {
            return Ok(());
        }
        let stream = &mut self.stream;
        for (bytes, file) in self.outbox.pieces() {
            let more = if file.is_some_and(|slice| slice.len > 0) {
                More::Follows
            } else {
                More::Nothing
            };
            write_all(&mut **stream, bytes, more).await?;
            let Some(slice) = file else { continue };
            let mut sent = 0;
            while sent < slice.len {
                let len = (slice.len - sent).min(SEND_FILE_BYTES_MAX);
                let position = slice.position + sent as u64;
                let count =
                    poll_fn(|cx| stream.poll_send_file(cx, &*slice.file, position, len)).await?;
                if count == 0 {
                    // The length was promised in the frame; the client must not wait for the rest.
                    return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
                }
                sent += count;
                if sent < slice.len {
                    tokio::task::consume_budget().await;
                }
            }
        }
        self.outbox.clear(REPLY_CAPACITY_MAX);
        self.activity.touch();
        Ok(())
    }
}

/// The future's result, or `None` if it panicked.
async fn guarded<T>(mut future: Pin<Box<dyn Future<Output = T> + Send>>) -> Option<T> {
    poll_fn(
        move |cx| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
            Ok(poll) => poll.map(Some),
            Err(_) => Poll::Ready(None),
        },
    )
    .await
}
