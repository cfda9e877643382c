//! What a connection costs while its peer behaves badly: on a socket in memory, with time by hand.

use super::buffers::{Buffers, READ_BYTES};
use super::connection::{Activity, Connection, PERMIT_BYTES, Shared};
use super::service::{Peer, Served, Service};
use crate::runtime::{File, Instant, More, Reply, Stream};
use bytes::{BufMut, Bytes, BytesMut};
use parking_lot::Mutex;
use std::future::Future;
use std::io::{self, IoSlice};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

/// Both ends of a socket: what the peer has sent, and how much it takes of the answers.
#[derive(Clone, Default)]
struct Pipe(Arc<Mutex<Ends>>);

#[derive(Default)]
struct Ends {
    sent: BytesMut,
    /// How many of the peer's bytes the broker has taken.
    read: usize,
    /// How many more bytes the peer takes.
    room: usize,
    received: BytesMut,
    wakers: Vec<Waker>,
}

impl Pipe {
    fn send(&self, bytes: &[u8]) {
        let mut ends = self.0.lock();
        ends.sent.extend_from_slice(bytes);
        ends.wakers.drain(..).for_each(Waker::wake);
    }

    fn make_room(&self, bytes: usize) {
        let mut ends = self.0.lock();
        ends.room += bytes;
        ends.wakers.drain(..).for_each(Waker::wake);
    }

    fn read(&self) -> usize {
        self.0.lock().read
    }

    fn received(&self) -> BytesMut {
        self.0.lock().received.split()
    }
}

impl Ends {
    fn wait<T>(&mut self, cx: &Context<'_>) -> Poll<io::Result<T>> {
        self.wakers.push(cx.waker().clone());
        Poll::Pending
    }
}

impl Stream for Pipe {
    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut BytesMut,
        max: usize,
    ) -> Poll<io::Result<usize>> {
        let mut ends = self.0.lock();
        if ends.sent.is_empty() {
            return ends.wait(cx);
        }
        // As a socket does: no more than there is capacity for.
        let spare = buf.capacity() - buf.len();
        let taken = ends.sent.len().min(max).min(spare);
        let bytes = ends.sent.split_to(taken);
        buf.extend_from_slice(&bytes);
        ends.read += taken;
        Poll::Ready(Ok(taken))
    }

    fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut ends = self.0.lock();
        if ends.sent.is_empty() {
            return ends.wait(cx);
        }
        Poll::Ready(Ok(()))
    }

    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
        _: More,
    ) -> Poll<io::Result<usize>> {
        let mut ends = self.0.lock();
        if ends.room == 0 {
            return ends.wait(cx);
        }
        let taken = parts[0].len().min(ends.room);
        ends.received.extend_from_slice(&parts[0][..taken]);
        ends.room -= taken;
        Poll::Ready(Ok(taken))
    }

    fn poll_send_file(
        &mut self,
        _: &mut Context<'_>,
        _: &dyn File,
        _: u64,
        _: usize,
    ) -> Poll<io::Result<usize>> {
        unreachable!("no file is sent here")
    }
}

/// Answers every request with its first four bytes and padding, once the gate lets it.
struct Padding {
    answer_bytes: usize,
    calls: AtomicUsize,
    gate: Option<Arc<Semaphore>>,
}

impl Padding {
    fn new(answer_bytes: usize) -> Arc<Padding> {
        Arc::new(Padding {
            answer_bytes,
            calls: AtomicUsize::new(0),
            gate: None,
        })
    }

    fn calls(&self) -> usize {
        self.calls.load(Ordering::Relaxed)
    }
}

impl Service for Padding {
    fn call(&self, _: &Peer, frame: Bytes, reply: &mut Reply) -> Served {
        self.calls.fetch_add(1, Ordering::Relaxed);
        if let Some(gate) = self.gate.clone() {
            return Served::Later(Box::pin(async move {
                gate.acquire().await.expect("an open gate").forget();
                drop(frame);
                Ok(Reply::new())
            }));
        }
        let start = reply.begin_frame();
        reply.bytes.extend_from_slice(&frame[..4]);
        reply.bytes.put_bytes(0, self.answer_bytes - 4);
        reply.end_frame(start).expect("a short frame");
        Served::Done
    }
}

fn shared(service: Arc<dyn Service>, memory: usize) -> Arc<Shared> {
    let permits = memory / PERMIT_BYTES;
    Arc::new(Shared {
        service,
        buffers: Buffers::default(),
        frame_bytes_max: 1024 * 1024,
        request_memory: Semaphore::new(permits),
        request_memory_permits: u32::try_from(permits).expect("a small budget"),
    })
}

fn connection(pipe: &Pipe, shared: &Arc<Shared>) -> Connection {
    let peer = Peer {
        addr: ([127, 0, 0, 1], 5000).into(),
        listener: "T".into(),
    };
    let activity = Arc::new(Activity::new(Instant::now()));
    Connection::new(Box::new(pipe.clone()), peer, shared.clone(), activity)
}

/// A request of `len` bytes that begins with its number.
fn frame(number: u32, len: usize) -> Bytes {
    let mut frame = BytesMut::new();
    frame.put_u32(u32::try_from(len).expect("short"));
    frame.put_u32(number);
    frame.put_bytes(0, len - 4);
    frame.freeze()
}

/// Lets it run until nothing happens any more.
async fn settle<T>(work: impl Future<Output = T>) {
    let ended = timeout(Duration::from_secs(1), work).await;
    assert!(ended.is_err(), "a connection ended");
}

const MEMORY: usize = 1024 * 1024;

#[tokio::test(start_paused = true)]
async fn who_never_reads_is_not_served_on() {
    let service = Padding::new(10_000);
    let shared = shared(service.clone(), MEMORY);
    let pipe = Pipe::default();
    for number in 0..10_000 {
        pipe.send(&frame(number, 100));
    }
    let mut connection = connection(&pipe, &shared);
    settle(connection.serve()).await;
    let (waiting, buffered) = connection.held();
    assert_eq!(service.calls(), 7, "one turn");
    assert_eq!(waiting, 7 * 10_004);
    assert_eq!(pipe.read(), READ_BYTES);
    assert!(buffered <= READ_BYTES);

    // It goes on where it stopped, as far as the peer takes what it asked for.
    pipe.make_room(300_000);
    settle(connection.serve()).await;
    assert_eq!(pipe.received().len(), 300_000);
    assert!(service.calls() < 40, "{} are served", service.calls());
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_pipelined_requests_are_answered_in_order_out_of_one_buffer() {
    let service = Padding::new(20);
    let shared = shared(service.clone(), MEMORY);
    let pipe = Pipe::default();
    pipe.make_room(usize::MAX);
    for number in 0..10_000 {
        pipe.send(&frame(number, 100 + number as usize % 50));
    }
    let mut connection = connection(&pipe, &shared);
    settle(connection.serve()).await;
    let received = pipe.received();
    let answers: Vec<u32> = received
        .chunks(24)
        .map(|answer| u32::from_be_bytes([answer[4], answer[5], answer[6], answer[7]]))
        .collect();
    assert_eq!(answers, (0..10_000).collect::<Vec<u32>>());
    assert_eq!(connection.held(), (0, 0));
    assert_eq!(shared.buffers.kept(), 1);
}

#[tokio::test(start_paused = true)]
async fn frames_beyond_the_memory_for_requests_stay_in_their_sockets() {
    let gate = Arc::new(Semaphore::new(0));
    let service = Arc::new(Padding {
        answer_bytes: 4,
        calls: AtomicUsize::new(0),
        gate: Some(gate.clone()),
    });
    const FRAME: usize = 400 * 1024;
    let shared = shared(service.clone(), MEMORY);
    let pipes = [(); 4].map(|()| Pipe::default());
    let [mut a, mut b, mut c, mut d] = pipes.each_ref().map(|pipe| {
        pipe.send(&frame(0, FRAME));
        connection(pipe, &shared)
    });
    let script = async {
        for served in [2, 3, 4] {
            sleep(Duration::from_millis(100)).await;
            assert_eq!(service.calls(), served);
            let whole = pipes.iter().filter(|p| p.read() == FRAME + 4).count();
            let begun = pipes.iter().filter(|p| p.read() == READ_BYTES).count();
            assert_eq!((whole, begun), (served, 4 - served));
            gate.add_permits(1);
        }
    };
    tokio::select! {
        biased;
        _ = async { tokio::join!(a.serve(), b.serve(), c.serve(), d.serve()) } => panic!("all ended"),
        () = script => {}
    }
}

#[tokio::test(start_paused = true)]
async fn a_frame_that_stops_coming_gives_its_memory_back() {
    let service = Padding::new(4);
    let shared = shared(service.clone(), MEMORY);
    let (stalled, waits) = (Pipe::default(), Pipe::default());
    // Each is as large as all the memory there is.
    stalled.send(&frame(0, MEMORY)[..MEMORY / 2]);
    waits.send(&frame(0, MEMORY));
    waits.make_room(usize::MAX);
    let (mut one, mut other) = (connection(&stalled, &shared), connection(&waits, &shared));
    let start = Instant::now();
    let ended = async {
        let ended = one.serve().await;
        assert_eq!(ended.to_string(), "a large request stopped coming in");
        assert_eq!((Instant::now() - start).as_secs(), 30);
        assert_eq!(service.calls(), 0);
        sleep(Duration::from_secs(1)).await;
    };
    tokio::select! {
        biased;
        () = ended => {}
        _ = other.serve() => panic!("a connection ended"),
    }
    assert_eq!(service.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn waiting_connections_hold_next_to_nothing() {
    let service = Padding::new(30_000);
    let shared = shared(service.clone(), MEMORY);
    for (asked, held) in [
        // Idle after a request with a large answer.
        (frame(0, 100), 0),
        // A few bytes of the next one have come.
        (
            Bytes::from([frame(0, 100), frame(1, 100).slice(..50)].concat()),
            50,
        ),
        (frame(0, 60_000).slice(..3), 3),
    ] {
        for _ in 0..20 {
            let pipe = Pipe::default();
            pipe.make_room(usize::MAX);
            pipe.send(&asked);
            let mut connection = connection(&pipe, &shared);
            settle(connection.serve()).await;
            assert_eq!(connection.held(), (0, held));
        }
    }
    assert!(shared.buffers.kept() <= 8);
    // There is no memory for a request, and so no buffer either.
    let all = shared
        .request_memory
        .try_acquire_many(shared.request_memory_permits);
    let pipe = Pipe::default();
    pipe.send(&frame(0, 60_000)[..1000]);
    let mut without_memory = connection(&pipe, &shared);
    settle(without_memory.serve()).await;
    assert_eq!(without_memory.held(), (0, 1000));
    drop(all);
    // Larger frames that have come in part hold a part of the memory for requests.
    let pipe = Pipe::default();
    pipe.send(&frame(0, 60_000)[..1000]);
    let mut connection = connection(&pipe, &shared);
    let served = connection.serve();
    let script = async {
        sleep(Duration::from_secs(1)).await;
        let free = shared.request_memory.available_permits();
        assert_eq!(MEMORY / PERMIT_BYTES - free, 59);
    };
    tokio::select! {
        biased;
        _ = served => panic!("a connection ended"),
        () = script => {}
    }
}
