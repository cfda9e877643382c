//! A network with one client that has written down beforehand what it will ask.
//!
//! The client asks one request at a time, as most do: the next one is there when the answer to the last
//! has been written whole. What it is answered is kept only for the last request.

use bytes::{BufMut, Bytes, BytesMut};
use ottla::runtime::{File, Listener, More, Net, Stream};
use std::collections::VecDeque;
use std::future::{Future, pending};
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use tokio::sync::oneshot;

type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What a client asks: the preparation once, then the same request again and again.
pub(crate) struct Script {
    pub(crate) before: VecDeque<Bytes>,
    pub(crate) request: Bytes,
    pub(crate) times: u64,
}

/// What came back for the last request.
#[derive(Debug, Default)]
pub(crate) struct Answered {
    /// The answer's own bytes, its length first.
    pub(crate) bytes: BytesMut,
    /// Bytes of files that were sent along.
    pub(crate) file_bytes: usize,
}

/// Gives the one client to whoever listens first.
pub(crate) struct Scripted(Mutex<Option<Client>>);

impl Scripted {
    /// A network with this client, and where its last answer will be.
    pub(crate) fn new(script: Script) -> (Arc<Scripted>, oneshot::Receiver<Answered>) {
        let (done, answered) = oneshot::channel();
        let client = Client {
            script,
            current: Bytes::new(),
            waits: true,
            answered: Answered::default(),
            done: Some(done),
        };
        (Arc::new(Scripted(Mutex::new(Some(client)))), answered)
    }
}

impl Net for Scripted {
    fn bind<'a>(
        &'a self,
        _host: &'a str,
        _port: u16,
    ) -> BoxFuture<'a, io::Result<Box<dyn Listener>>> {
        let client = self.0.lock().expect("no one panicked").take();
        Box::pin(async { Ok(Box::new(Door(Mutex::new(client))) as Box<dyn Listener>) })
    }
}

struct Door(Mutex<Option<Client>>);

impl Listener for Door {
    fn accept(&self) -> BoxFuture<'_, io::Result<(Box<dyn Stream>, SocketAddr)>> {
        let client = self.0.lock().expect("no one panicked").take();
        Box::pin(async {
            match client {
                Some(client) => Ok((Box::new(client) as Box<dyn Stream>, address())),
                None => pending().await,
            }
        })
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(address())
    }
}

fn address() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 9092))
}

struct Client {
    script: Script,
    /// What is left of the request that is being read.
    current: Bytes,
    /// Whether the broker has yet to be told that there is nothing to read.
    waits: bool,
    answered: Answered,
    done: Option<oneshot::Sender<Answered>>,
}

impl Client {
    /// Takes the next request; false when there is none.
    fn ask(&mut self) -> bool {
        if let Some(request) = self.script.before.pop_front() {
            self.current = request;
        } else if self.script.times > 0 {
            self.script.times -= 1;
            self.current = self.script.request.clone();
        } else {
            return false;
        }
        self.answered.bytes.clear();
        self.answered.file_bytes = 0;
        true
    }
}

impl Stream for Client {
    fn poll_read(
        &mut self,
        _cx: &mut Context<'_>,
        buf: &mut BytesMut,
        max: usize,
    ) -> Poll<io::Result<usize>> {
        if self.current.is_empty() && !self.ask() {
            if let Some(done) = self.done.take() {
                let _ = done.send(std::mem::take(&mut self.answered));
            }
            return Poll::Ready(Ok(0));
        }
        let len = max.min(self.current.len()).min(buf.capacity() - buf.len());
        buf.put(self.current.split_to(len));
        self.waits = self.current.is_empty();
        Poll::Ready(Ok(len))
    }

    fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if std::mem::take(&mut self.waits) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }

    fn poll_write(
        &mut self,
        _cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
        _more: More,
    ) -> Poll<io::Result<usize>> {
        let mut len = 0;
        for part in parts {
            self.answered.bytes.put_slice(part);
            len += part.len();
        }
        Poll::Ready(Ok(len))
    }

    fn poll_send_file(
        &mut self,
        _cx: &mut Context<'_>,
        _file: &dyn File,
        _position: u64,
        len: usize,
    ) -> Poll<io::Result<usize>> {
        self.answered.file_bytes += len;
        Poll::Ready(Ok(len))
    }
}
