//! Sockets.

use super::{File, Runtime, sleep_until};
use bytes::BytesMut;
use std::future::{Future, poll_fn};
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tracing::warn;

type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Whether more bytes of the same answer follow at once, so that the kernel may hold a short packet
/// back. The last write of an answer never says [`More::Follows`]: it would stay corked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum More {
    Follows,
    Nothing,
}

/// Opens sockets.
pub trait Net: Send + Sync + 'static {
    /// Listens on `host:port`; port 0 picks a free one; an empty host means every address.
    fn bind<'a>(&'a self, host: &'a str, port: u16)
    -> BoxFuture<'a, io::Result<Box<dyn Listener>>>;
}

/// A listening socket.
pub trait Listener: Send + Sync + 'static {
    fn accept(&self) -> BoxFuture<'_, io::Result<(Box<dyn Stream>, SocketAddr)>>;
    fn local_addr(&self) -> io::Result<SocketAddr>;
}

/// One connection.
pub trait Stream: Send + 'static {
    /// Appends at most `max` bytes of what is there to `buf`, into capacity that it already has
    /// where that suffices; how many. 0 means the peer has closed its side.
    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut BytesMut,
        max: usize,
    ) -> Poll<io::Result<usize>>;

    /// Ready once a read would give something (bytes, the end or an error), without a buffer held.
    fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Writes some of `parts`; how many bytes.
    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
        more: More,
    ) -> Poll<io::Result<usize>>;

    /// Sends up to `len` bytes of `file` from `position` on, without a copy where the kernel can;
    /// how many. 0 means the file ends before `position`.
    fn poll_send_file(
        &mut self,
        cx: &mut Context<'_>,
        file: &dyn File,
        position: u64,
        len: usize,
    ) -> Poll<io::Result<usize>>;
}

/// How long an accept loop rests when the process has no file descriptor left.
const ACCEPT_BACK_OFF: Duration = Duration::from_millis(100);

/// The next connection on a listener, whatever it takes; `None` once the runtime's tasks are told to stop.
pub async fn next_connection(
    runtime: &Runtime,
    name: &str,
    listener: &dyn Listener,
) -> Option<(Box<dyn Stream>, SocketAddr)> {
    loop {
        let accepted = tokio::select! {
            biased;
            () = runtime.tasks.stopping() => return None,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok(connection) => return Some(connection),
            Err(error) => {
                // Out of descriptors, most likely: those who are connected go on.
                warn!(listener = name, %error, "could not accept a connection");
                sleep_until(runtime.clock.monotonic() + ACCEPT_BACK_OFF).await;
            }
        }
    }
}

/// Writes all of `bytes`.
pub async fn write_all(stream: &mut dyn Stream, mut bytes: &[u8], more: More) -> io::Result<()> {
    while !bytes.is_empty() {
        let sent = poll_fn(|cx| stream.poll_write(cx, &[IoSlice::new(bytes)], more)).await?;
        if sent == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        bytes = &bytes[sent..];
    }
    Ok(())
}
