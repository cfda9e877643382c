//! Sockets in turmoil's simulated network.

use crate::runtime::{File, Listener, More, Net, Stream};
use bytes::{Buf, BytesMut};
use std::future::Future;
use std::io::{self, IoSlice};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use turmoil::net::{TcpListener, TcpStream};

type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Bytes taken from the network at a time.
const READ_BYTES: usize = 16 * 1024;

/// The network of the turmoil host that the caller runs on. Every listener is bound to all of the
/// host's addresses: that is all turmoil knows.
pub struct SimNet;

struct SimListener(TcpListener);

/// Turmoil's stream cannot tell that a read would succeed, so one piece is read ahead.
struct SimStream {
    tcp: TcpStream,
    ahead: BytesMut,
    ended: bool,
}

impl Net for SimNet {
    fn bind<'a>(
        &'a self,
        _host: &'a str,
        port: u16,
    ) -> BoxFuture<'a, io::Result<Box<dyn Listener>>> {
        Box::pin(async move {
            let all = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), port);
            let listener = TcpListener::bind(all).await?;
            Ok(Box::new(SimListener(listener)) as Box<dyn Listener>)
        })
    }
}

impl Listener for SimListener {
    fn accept(&self) -> BoxFuture<'_, io::Result<(Box<dyn Stream>, SocketAddr)>> {
        Box::pin(async {
            let (tcp, peer) = self.0.accept().await?;
            let stream = SimStream {
                tcp,
                ahead: BytesMut::new(),
                ended: false,
            };
            Ok((Box::new(stream) as Box<dyn Stream>, peer))
        })
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

impl SimStream {
    fn poll_ahead(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.ended || !self.ahead.is_empty() {
            return Poll::Ready(Ok(()));
        }
        let mut piece = vec![0; READ_BYTES];
        let mut buf = ReadBuf::new(&mut piece);
        ready!(Pin::new(&mut self.tcp).poll_read(cx, &mut buf))?;
        self.ended = buf.filled().is_empty();
        self.ahead.extend_from_slice(buf.filled());
        Poll::Ready(Ok(()))
    }
}

impl Stream for SimStream {
    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut BytesMut,
        max: usize,
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_ahead(cx))?;
        let taken = self.ahead.len().min(max);
        buf.extend_from_slice(&self.ahead[..taken]);
        self.ahead.advance(taken);
        Poll::Ready(Ok(taken))
    }

    fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_ahead(cx)
    }

    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
        _more: More,
    ) -> Poll<io::Result<usize>> {
        // One segment holds what one call writes; a short write is what a socket may always do.
        match parts.iter().find(|part| !part.is_empty()) {
            Some(part) => {
                let piece = &part[..part.len().min(READ_BYTES)];
                Pin::new(&mut self.tcp).poll_write(cx, piece)
            }
            None => Poll::Ready(Ok(0)),
        }
    }

    fn poll_send_file(
        &mut self,
        cx: &mut Context<'_>,
        file: &dyn File,
        position: u64,
        len: usize,
    ) -> Poll<io::Result<usize>> {
        let mut piece = vec![0; len.min(READ_BYTES)];
        let read = file.read_at(&mut piece, position)?;
        if read == 0 {
            return Poll::Ready(Ok(0));
        }
        self.poll_write(cx, &[IoSlice::new(&piece[..read])], More::Nothing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::Disk;
    use crate::sim::{SimClock, SimDisk};
    use std::future::poll_fn;
    use std::path::Path;
    use std::time::Duration;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    /// Sends back what comes, then a file, and closes.
    async fn serve(disk: SimDisk) -> turmoil::Result {
        let listener = SimNet.bind("", 9092).await?;
        let (mut stream, _) = listener.accept().await?;
        poll_fn(|cx| stream.poll_readable(cx)).await?;
        let mut buf = BytesMut::new();
        while buf.len() < 6 {
            let read = poll_fn(|cx| stream.poll_read(cx, &mut buf, 4)).await?;
            assert!((1..=4).contains(&read), "bounded by what was asked for");
        }
        let mut sent = 0;
        while sent < buf.len() {
            let parts = [IoSlice::new(&[]), IoSlice::new(&buf[sent..])];
            sent += poll_fn(|cx| stream.poll_write(cx, &parts, More::Follows)).await?;
        }
        let file = disk.open(Path::new("/f"), crate::runtime::Open::Read)?;
        let mut position = 2;
        loop {
            let sent =
                poll_fn(|cx| stream.poll_send_file(cx, &*file, position as u64, 40_000)).await?;
            if sent == 0 {
                break;
            }
            position += sent;
        }
        let end = poll_fn(|cx| stream.poll_read(cx, &mut buf, 4)).await?;
        assert_eq!(end, 0, "the peer has closed its side");
        Ok(())
    }

    #[test]
    fn bytes_and_files_cross_the_simulated_network_whole() {
        let disk = SimDisk::new(SimClock::manual());
        let file: Vec<u8> = (0..50_000u32).map(|n| n.to_be_bytes()[3]).collect();
        disk.put("/f", &file).unwrap();
        let mut world = turmoil::Builder::new()
            .simulation_duration(Duration::from_secs(30))
            .build();
        world.host("broker", move || serve(disk.clone()));
        world.client("client", async move {
            let mut stream = TcpStream::connect(("broker", 9092)).await?;
            stream.write_all(b"abcdef").await?;
            let mut received = vec![0; 6 + file.len() - 2];
            stream.read_exact(&mut received).await?;
            assert_eq!(&received[..6], b"abcdef");
            assert_eq!(received[6..], file[2..]);
            stream.shutdown().await?;
            Ok(())
        });
        world.run().unwrap();
    }
}
