//! Sockets.

use super::File;
use bytes::BytesMut;
use std::future::Future;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

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
