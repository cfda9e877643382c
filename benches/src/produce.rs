//! Produce load: batches built once, many requests in flight, one thread for all connections of its share.
//!
//! Closed loop (no rate): each connection keeps `depth` requests in flight; the figure is the rate.
//! Open loop (a rate): requests have a planned time, whatever the broker does; the figure is the latency
//! from the planned time to the answer, so that a stalled broker cannot hide by slowing the client.

use std::collections::VecDeque;
use std::io::{IoSlice, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::num::NonZeroU64;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use clap::{Args, FromArgMatches};
use rustix::event::{Timespec, epoll};

use crate::batch::{self, Compression, Contents};
use crate::client::{Client, Setting, partition_ids};
use crate::histogram::Histogram;
use crate::process::{Meter, Work, round};
use crate::wire::{self, Fail, HEAD_LEN};

#[derive(Args, Clone)]
pub(crate) struct Options {
    #[arg(long, default_value = "127.0.0.1:9092")]
    pub(crate) bootstrap: SocketAddr,
    /// The broker's process, for its CPU and memory
    #[arg(long)]
    pub(crate) pid: Option<u32>,
    #[arg(long, default_value = "bench")]
    pub(crate) topic: String,
    #[arg(long, default_value_t = 1)]
    pub(crate) partitions: usize,
    /// KEY=VALUE the topic is made with; may be repeated
    #[arg(long = "topic-config")]
    pub(crate) topic_configs: Vec<Setting>,
    /// Partitions written by one request
    #[arg(long, default_value_t = 1)]
    pub(crate) partitions_per_request: usize,
    #[arg(long, default_value_t = 1)]
    pub(crate) connections: usize,
    #[arg(long, default_value_t = 1)]
    pub(crate) threads: usize,
    /// Bytes of a record's value
    #[arg(long, default_value_t = 1024)]
    pub(crate) record_size: usize,
    /// Records in a batch
    #[arg(long, default_value_t = 60)]
    pub(crate) batch_records: usize,
    /// How batches are compressed, once and before they are sent; values are words then, not noise
    #[arg(long, value_enum, default_value_t)]
    pub(crate) compression: Compression,
    /// Every record has a key, of as many as a batch has records
    #[arg(long)]
    pub(crate) keys: bool,
    /// Records to send in all
    #[arg(long, default_value_t = 1_000_000)]
    pub(crate) records: u64,
    #[arg(long, default_value_t = 1, allow_negative_numbers = true)]
    pub(crate) acks: i16,
    /// Requests in flight per connection (closed loop)
    #[arg(long, default_value_t = 5)]
    pub(crate) depth: usize,
    /// Records a second; 0 = as fast as answers come
    #[arg(long, default_value_t = 0)]
    pub(crate) rate: u64,
}

impl Options {
    /// What the command line means that names only the broker.
    pub(crate) fn new(bootstrap: SocketAddr) -> Options {
        let command = Options::augment_args(clap::Command::new("produce"));
        let address = bootstrap.to_string();
        let given = command.get_matches_from(["produce", "--bootstrap", &address]);
        Options::from_arg_matches(&given).expect("every option has a default or may be left out")
    }
}

/// The seed of every batch's contents; `consume --verify-contents` builds the same batch again.
pub(crate) const CONTENTS_SEED: u64 = 0x6f74_746c_6121;

/// Prepares the topic, sends, and gives the figures.
pub(crate) fn run(options: &Options) -> Result<serde_json::Value, Fail> {
    Client::connect(options.bootstrap)?.ensure_topic(
        &options.topic,
        options.partitions,
        &options.topic_configs,
    )?;
    let meter = Meter::start(options.pid);
    let start = Instant::now();
    let (latencies, work) = send(options, start)?;
    let mut out = meter.json("produce", &work);
    if options.acks != 0 {
        let name = if options.rate == 0 {
            "answer"
        } else {
            "from_planned"
        };
        for (label, per_mille) in [("p50", 500), ("p99", 990), ("p999", 999), ("max", 1000)] {
            out[format!("{name}_{label}_us")] = round(latencies.micros(per_mille)).into();
        }
    }
    Ok(out)
}

/// Sends the load; planned times count from `start`.
pub(crate) fn send(options: &Options, start: Instant) -> Result<(Histogram, Work), Fail> {
    let per_request = options.batch_records * options.partitions_per_request;
    let requests = options.records.div_ceil(per_request as u64).max(1);
    let frames = frames(options);
    let threads = options.threads.clamp(1, options.connections.max(1));
    let mut merged = Histogram::new();
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|worker| {
                let frames = &frames;
                scope.spawn(move || {
                    let share = Share {
                        worker,
                        threads,
                        requests,
                        start,
                    };
                    Loop::new(options, frames, &share)?.run(&share)
                })
            })
            .collect();
        for worker in workers {
            merged.merge(&worker.join().map_err(|_| "a sender panicked")??);
        }
        Ok::<(), Fail>(())
    })?;
    let bytes = requests * per_request as u64 * options.record_size as u64;
    let seconds = start.elapsed().as_secs_f64();
    Ok((
        merged,
        Work {
            requests,
            records: requests * per_request as u64,
            bytes,
            seconds,
        },
    ))
}

/// One frame per group of partitions, all with the same batch.
fn frames(options: &Options) -> Vec<Vec<u8>> {
    let batch = batch::build(&Contents {
        compression: options.compression,
        keys: options.keys,
        ..Contents::plain(options.batch_records, options.record_size, CONTENTS_SEED)
    });
    partition_ids(options.partitions)
        .chunks(options.partitions_per_request.max(1))
        .map(|group| wire::produce(&options.topic, group, options.acks, &batch))
        .collect()
}

/// Which requests a thread sends: every `threads`-th one.
struct Share {
    worker: usize,
    threads: usize,
    requests: u64,
    start: Instant,
}

struct Loop<'a> {
    options: &'a Options,
    frames: &'a [Vec<u8>],
    epoll: OwnedFd,
    connections: Vec<Connection<'a>>,
    scratch: Vec<u8>,
    latencies: Histogram,
}

impl<'a> Loop<'a> {
    fn new(options: &'a Options, frames: &'a [Vec<u8>], share: &Share) -> Result<Loop<'a>, Fail> {
        let epoll =
            epoll::create(epoll::CreateFlags::CLOEXEC).map_err(|error| error.to_string())?;
        let mut connections = Vec::new();
        for _ in (share.worker..options.connections).step_by(share.threads) {
            let connection = Connection::open(options.bootstrap, connections.len())?;
            let data = epoll::EventData::new_u64(connections.len() as u64);
            // Edge-triggered: nothing to switch when a socket fills up or drains.
            let flags = epoll::EventFlags::IN | epoll::EventFlags::OUT | epoll::EventFlags::ET;
            epoll::add(&epoll, &connection.stream, data, flags)
                .map_err(|error| error.to_string())?;
            connections.push(connection);
        }
        let scratch = vec![0; 64 * 1024];
        Ok(Loop {
            options,
            frames,
            epoll,
            connections,
            scratch,
            latencies: Histogram::new(),
        })
    }

    fn run(mut self, share: &Share) -> Result<Histogram, Fail> {
        // Planned sending times are met to the microsecond, not to the usual 50.
        let _ = rustix::thread::set_current_timer_slack(NonZeroU64::new(1));
        let mine = (share.worker as u64..share.requests)
            .step_by(share.threads)
            .count() as u64;
        let mut issued = 0;
        let mut done = 0;
        if self.options.rate == 0 {
            'fill: for _ in 0..self.options.depth {
                for at in 0..self.connections.len() {
                    if issued == mine {
                        break 'fill;
                    }
                    self.connections[at].issue(self.frames, Instant::now());
                    issued += 1;
                }
            }
        }
        for at in 0..self.connections.len() {
            done += self.connections[at].flush(self.options.acks)?;
        }
        let mut events = Vec::with_capacity(self.connections.len().max(1));
        while done < mine {
            let now = Instant::now();
            let mut timeout = Duration::from_secs(60);
            if self.options.rate > 0 {
                while issued < mine {
                    let planned = self.planned(share, issued);
                    if planned > now {
                        timeout = planned - now;
                        break;
                    }
                    let at = usize::try_from(issued).unwrap_or(0) % self.connections.len();
                    self.connections[at].issue(self.frames, planned);
                    done += self.connections[at].flush(self.options.acks)?;
                    issued += 1;
                }
                if done == mine {
                    break;
                }
            }
            events.clear();
            let spec = Timespec::try_from(timeout).map_err(|error| error.to_string())?;
            let room = rustix::buffer::spare_capacity(&mut events);
            match epoll::wait(&self.epoll, room, Some(&spec)) {
                Ok(0) if timeout >= Duration::from_secs(60) => {
                    return Err(format!(
                        "void: no answer for a minute after {done} of {mine} requests"
                    ));
                }
                Ok(_) => {}
                Err(rustix::io::Errno::INTR) => continue,
                Err(error) => return Err(error.to_string()),
            }
            for event in &events {
                let data = event.data;
                let at = usize::try_from(data.u64()).map_err(|error| error.to_string())?;
                let connection = &mut self.connections[at];
                let flags = event.flags;
                if flags.contains(epoll::EventFlags::IN) {
                    let answered = connection.read(&mut self.scratch, &mut self.latencies)?;
                    done += answered;
                    if self.options.rate == 0 {
                        for _ in 0..answered.min(mine - issued) {
                            connection.issue(self.frames, Instant::now());
                            issued += 1;
                        }
                    }
                }
                let written = connection.flush(self.options.acks)?;
                done += written;
                if self.options.rate == 0 && written > 0 {
                    for _ in 0..written.min(mine - issued) {
                        connection.issue(self.frames, Instant::now());
                        issued += 1;
                    }
                    done += connection.flush(self.options.acks)?;
                }
            }
            // Without answers nothing but a writable socket starts the next request: keep writing.
            if self.options.acks == 0 && self.options.rate == 0 {
                done += self.send_unanswered(&mut issued, mine)?;
            }
        }
        if self.options.acks == 0 {
            for connection in self.connections {
                connection.settle()?;
            }
        }
        Ok(self.latencies)
    }

    /// acks=0: issues until no socket takes more.
    fn send_unanswered(&mut self, issued: &mut u64, mine: u64) -> Result<u64, Fail> {
        let mut done = 0;
        for connection in &mut self.connections {
            while connection.unsent.is_empty() && *issued < mine {
                connection.issue(self.frames, Instant::now());
                *issued += 1;
                done += connection.flush(0)?;
            }
        }
        Ok(done)
    }

    fn planned(&self, share: &Share, issued: u64) -> Instant {
        let nth = issued * share.threads as u64 + share.worker as u64;
        share.start + planned_after(self.options, nth)
    }
}

/// When the `nth` request is due, counted from the start of the run.
pub(crate) fn planned_after(options: &Options, nth: u64) -> Duration {
    let records = nth * (options.batch_records * options.partitions_per_request) as u64;
    let nanos = u128::from(records) * 1_000_000_000 / u128::from(options.rate.max(1));
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

struct Unsent<'a> {
    head: [u8; HEAD_LEN],
    rest: &'a [u8],
    written: usize,
}

struct Connection<'a> {
    stream: TcpStream,
    correlation: i32,
    answered: i32,
    /// Which frame comes next; connections start apart so that they do not write one partition in step.
    frame: usize,
    unsent: VecDeque<Unsent<'a>>,
    /// Planned or actual sending times of the requests without an answer yet.
    open: VecDeque<Instant>,
    input: Vec<u8>,
}

impl<'a> Connection<'a> {
    fn open(address: SocketAddr, number: usize) -> Result<Connection<'a>, Fail> {
        let stream = TcpStream::connect(address).map_err(|error| format!("{address}: {error}"))?;
        stream
            .set_nodelay(true)
            .map_err(|error| error.to_string())?;
        stream
            .set_nonblocking(true)
            .map_err(|error| error.to_string())?;
        Ok(Connection {
            stream,
            correlation: 0,
            answered: 0,
            frame: number,
            unsent: VecDeque::new(),
            open: VecDeque::new(),
            input: Vec::new(),
        })
    }

    fn issue(&mut self, frames: &'a [Vec<u8>], at: Instant) {
        let frame = &frames[self.frame % frames.len()];
        self.frame = self.frame.wrapping_add(1);
        self.correlation = self.correlation.wrapping_add(1);
        let (head, rest) = frame.split_at(HEAD_LEN);
        let mut head: [u8; HEAD_LEN] = head.try_into().expect("a frame has a head");
        head[8..].copy_from_slice(&self.correlation.to_be_bytes());
        self.unsent.push_back(Unsent {
            head,
            rest,
            written: 0,
        });
        self.open.push_back(at);
    }

    /// Writes what the socket takes; the number of requests that need no answer and are written.
    fn flush(&mut self, acks: i16) -> Result<u64, Fail> {
        let mut finished = 0;
        while !self.unsent.is_empty() {
            let mut slices = Vec::with_capacity(32);
            for unsent in self.unsent.iter().take(16) {
                let in_head = unsent.written.min(HEAD_LEN);
                slices.push(IoSlice::new(&unsent.head[in_head..]));
                slices.push(IoSlice::new(&unsent.rest[unsent.written - in_head..]));
            }
            let mut written = match self.stream.write_vectored(&slices) {
                Ok(written) => written,
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(format!("send: {error}")),
            };
            while let Some(first) = self.unsent.front_mut() {
                let left = HEAD_LEN + first.rest.len() - first.written;
                if written < left {
                    first.written += written;
                    break;
                }
                written -= left;
                self.unsent.pop_front();
                if acks == 0 {
                    self.open.pop_front();
                    finished += 1;
                }
            }
        }
        Ok(finished)
    }

    /// Reads all answers that are there; how many.
    fn read(&mut self, scratch: &mut [u8], latencies: &mut Histogram) -> Result<u64, Fail> {
        let mut answered = 0;
        loop {
            let len = match self.stream.read(scratch) {
                Ok(0) => return Err("the broker closed the connection".to_owned()),
                Ok(len) => len,
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                    return Ok(answered);
                }
                Err(error) => return Err(format!("answer: {error}")),
            };
            self.input.extend_from_slice(&scratch[..len]);
            let now = Instant::now();
            let mut used = 0;
            while let Some((size, rest)) = self.input[used..].split_first_chunk::<4>() {
                let size = usize::try_from(i32::from_be_bytes(*size))
                    .map_err(|error| error.to_string())?;
                let Some(frame) = rest.get(..size) else { break };
                self.answered = self.answered.wrapping_add(1);
                let correlation = wire::Reader::new(frame).int32()?;
                if correlation != self.answered {
                    return Err(format!(
                        "void: answer {correlation} came instead of {}",
                        self.answered
                    ));
                }
                wire::produced(&frame[4..], |one| match one.error {
                    0 => Ok(()),
                    code => Err(format!(
                        "void: partition {} answered error {code}",
                        one.partition
                    )),
                })?;
                let sent = self
                    .open
                    .pop_front()
                    .ok_or("void: an answer without a request")?;
                latencies.add(now.saturating_duration_since(sent));
                answered += 1;
                used += 4 + size;
            }
            self.input.drain(..used);
            if len < scratch.len() {
                return Ok(answered);
            }
        }
    }

    /// After acks=0: the answer to one more request means that all before it were taken.
    fn settle(self) -> Result<(), Fail> {
        self.stream
            .set_nonblocking(false)
            .map_err(|error| error.to_string())?;
        let mut request = wire::Writer::request(wire::API_VERSIONS, 0).finish();
        request[8..HEAD_LEN].copy_from_slice(&1_i32.to_be_bytes());
        (&self.stream)
            .write_all(&request)
            .map_err(|error| format!("send: {error}"))?;
        (&self.stream)
            .read_exact(&mut [0; 8])
            .map_err(|error| format!("answer: {error}"))
    }
}
