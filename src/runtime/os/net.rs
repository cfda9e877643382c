//! TCP sockets of the operating system, through tokio.

use crate::runtime::net::{Listener, More, Net, Stream};
use crate::runtime::{File, disk};
use bytes::{BufMut, BytesMut};
use rustix::net::{SendAncillaryBuffer, SendFlags, sendmsg};
use std::future::Future;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::Interest;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::io::poll_read_buf;

type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Connections that wait to be accepted; more are turned away by the kernel.
/// Kafka's `socket.listen.backlog.size` is 50, which a storm of reconnecting clients overflows.
const BACKLOG: i32 = 1024;

/// Bytes that the kernel holds for a peer and has not sent yet. Without a bound it takes megabytes from the page
/// cache for each peer that asks and does not read (two hundred of them cost a third of the CPU time with it);
/// a quarter of this made fast readers a fifth dearer.
const UNSENT_BYTES_MAX: u32 = 1024 * 1024;

/// The machine's TCP.
pub struct OsNet;

struct OsListener(TcpListener);

struct OsStream(TcpStream);

impl Net for OsNet {
    fn bind<'a>(
        &'a self,
        host: &'a str,
        port: u16,
    ) -> BoxFuture<'a, io::Result<Box<dyn Listener>>> {
        Box::pin(async move {
            let addresses: Vec<SocketAddr> = if host.is_empty() {
                vec![
                    SocketAddr::from(([0u16; 8], port)),
                    SocketAddr::from(([0, 0, 0, 0], port)),
                ]
            } else {
                tokio::net::lookup_host((host, port)).await?.collect()
            };
            let mut failure = io::Error::from(io::ErrorKind::AddrNotAvailable);
            for address in addresses {
                match listen(address) {
                    Ok(listener) => return Ok(Box::new(OsListener(listener)) as Box<dyn Listener>),
                    Err(error) => failure = error,
                }
            }
            Err(failure)
        })
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    use socket2::{Domain, Protocol, Socket, Type};
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    if address.is_ipv6() {
        // An empty host means IPv4 too, as it does in Java.
        socket.set_only_v6(!address.ip().is_unspecified())?;
    }
    // A broker that was killed must be able to listen again at once.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    // Accepted connections inherit it.
    socket.set_tcp_notsent_lowat(UNSENT_BYTES_MAX)?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

impl Listener for OsListener {
    fn accept(&self) -> BoxFuture<'_, io::Result<(Box<dyn Stream>, SocketAddr)>> {
        Box::pin(async {
            let (stream, peer) = self.0.accept().await?;
            stream.set_nodelay(true)?;
            Ok((Box::new(OsStream(stream)) as Box<dyn Stream>, peer))
        })
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

impl Stream for OsStream {
    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut BytesMut,
        max: usize,
    ) -> Poll<io::Result<usize>> {
        poll_read_buf(Pin::new(&mut self.0), cx, &mut buf.limit(max))
    }

    fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_read_ready(cx)
    }

    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
        more: More,
    ) -> Poll<io::Result<usize>> {
        let flags = SendFlags::NOSIGNAL
            | match more {
                More::Follows => SendFlags::MORE,
                More::Nothing => SendFlags::empty(),
            };
        self.poll_when_writable(cx, |socket| {
            Ok(sendmsg(
                socket,
                parts,
                &mut SendAncillaryBuffer::default(),
                flags,
            )?)
        })
    }

    fn poll_send_file(
        &mut self,
        cx: &mut Context<'_>,
        file: &dyn File,
        position: u64,
        len: usize,
    ) -> Poll<io::Result<usize>> {
        match file.descriptor()? {
            Some(descriptor) => self.poll_when_writable(cx, |socket| {
                let mut position = position;
                Ok(rustix::fs::sendfile(
                    socket,
                    &descriptor,
                    Some(&mut position),
                    len,
                )?)
            }),
            None => {
                let mut piece = vec![0; len.min(disk::COPY_BYTES)];
                let read = file.read_at(&mut piece, position)?;
                if read == 0 {
                    return Poll::Ready(Ok(0));
                }
                self.poll_write(cx, &[IoSlice::new(&piece[..read])], More::Nothing)
            }
        }
    }
}

impl OsStream {
    /// Tries `write` whenever the socket has room, until it does something other than block.
    fn poll_when_writable(
        &mut self,
        cx: &mut Context<'_>,
        mut write: impl FnMut(&TcpStream) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.0.poll_write_ready(cx))?;
            match self.0.try_io(Interest::WRITABLE, || write(&self.0)) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                done => return Poll::Ready(done),
            }
        }
    }
}
