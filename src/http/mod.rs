//! The pages for people and programs that watch a broker: `/health` and `/metrics`, over HTTP/1.
//!
//! Off until somebody asks for it. It reads one request of a few headers, answers and closes: no keep-alive,
//! no body, nothing that a broker would need a library for.

mod exposition;
mod request;

pub use exposition::{Exposition, Kind};

use crate::runtime::{Listener, More, Runtime, Stream, next_connection, sleep_until, write_all};
use bytes::BytesMut;
use request::{Request, Unread};
use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tracing::debug;

/// How long a client may take to ask and to read.
const PATIENCE: Duration = Duration::from_secs(10);
/// Clients served at a time; more wait.
const CLIENTS_MAX: usize = 8;

/// What there is to tell of a broker.
pub trait Pages: Send + Sync + 'static {
    /// `Err` with what is wrong, in one line.
    fn health(&self) -> Result<(), String>;
    /// All metrics in Prometheus' text format. May take a while: it is called outside of the threads that
    /// serve clients.
    fn metrics(&self) -> String;
}

/// Serves `pages` on `listener` until the runtime's tasks are told to stop.
pub fn serve(runtime: &Runtime, listener: Box<dyn Listener>, pages: Arc<dyn Pages>) {
    let (runtime, places) = (runtime.clone(), Arc::new(Semaphore::new(CLIENTS_MAX)));
    let tasks = runtime.tasks.clone();
    tasks.spawn(async move {
        while let Some((mut stream, _)) = next_connection(&runtime, "HTTP", &*listener).await {
            let Ok(place) = places.clone().acquire_owned().await else {
                return;
            };
            let (client, pages) = (runtime.clone(), pages.clone());
            runtime.tasks.spawn(async move {
                let deadline = client.clock.monotonic() + PATIENCE;
                tokio::select! {
                    biased;
                    () = client.tasks.stopping() => {}
                    () = sleep_until(deadline) => debug!("an HTTP client took too long"),
                    done = exchange(&mut *stream, &client, pages) => {
                        if let Err(error) = done {
                            debug!(%error, "an HTTP connection ended");
                        }
                    }
                }
                drop(place);
            });
        }
    });
}

async fn exchange(
    stream: &mut dyn Stream,
    runtime: &Runtime,
    pages: Arc<dyn Pages>,
) -> io::Result<()> {
    let mut buffer = BytesMut::new();
    let answer = loop {
        match request::parse(&buffer) {
            Ok(request) => break answer(&request, runtime, pages).await,
            Err(Unread::Incomplete) => {}
            Err(Unread::Malformed) => break Answer::plain(400, "Bad Request", "no HTTP request\n"),
            Err(Unread::TooLong) => {
                break Answer::plain(431, "Request Header Fields Too Large", "too many headers\n");
            }
        }
        buffer.reserve(1024);
        if poll_fn(|cx| stream.poll_read(cx, &mut buffer, request::BYTES_MAX)).await? == 0 {
            return Ok(());
        }
    };
    write_all(stream, &answer.bytes(), More::Nothing).await
}

async fn answer(request: &Request, runtime: &Runtime, pages: Arc<dyn Pages>) -> Answer {
    let mut answer = match request.path.as_str() {
        "/health" => match pages.health() {
            Ok(()) => Answer::plain(200, "OK", "ok\n"),
            Err(why) => Answer::plain(503, "Service Unavailable", &format!("{why}\n")),
        },
        "/metrics" => match runtime.tasks.blocking(move || pages.metrics()).await {
            Some(text) => Answer {
                content_type: "text/plain; version=0.0.4; charset=utf-8",
                ..Answer::plain(200, "OK", &text)
            },
            None => Answer::plain(500, "Internal Server Error", "the metrics cannot be read\n"),
        },
        _ => Answer::plain(404, "Not Found", "there are /health and /metrics\n"),
    };
    match request.method.as_str() {
        "GET" => {}
        "HEAD" => answer.with_body = false,
        _ => return Answer::plain(405, "Method Not Allowed", "only GET and HEAD\n"),
    }
    answer
}

struct Answer {
    status: u16,
    reason: &'static str,
    content_type: &'static str,
    body: String,
    with_body: bool,
}

impl Answer {
    fn plain(status: u16, reason: &'static str, body: &str) -> Answer {
        Answer {
            status,
            reason,
            content_type: "text/plain; charset=utf-8",
            body: body.to_owned(),
            with_body: true,
        }
    }

    fn bytes(&self) -> Vec<u8> {
        let mut bytes = format!(
            "HTTP/1.1 {} {}\r\nContent-Type: {}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            self.status,
            self.reason,
            self.content_type,
            self.body.len()
        )
        .into_bytes();
        if self.with_body {
            bytes.extend_from_slice(self.body.as_bytes());
        }
        bytes
    }
}
