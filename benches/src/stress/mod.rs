//! What a broker does with clients that are many or behave badly: memory, and how long an ordinary client
//! waits meanwhile. All stages use one broker, one after the other.

mod connections;
mod groups;
mod partitions;

use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::{Value, json};

use crate::client::Client;
use crate::histogram::Histogram;
use crate::life::{self, Scratch, local};
use crate::process::{Broker, cpu_seconds, memory_mib, round};
use crate::wire::{self, Fail, Writer};

#[derive(clap::Args, Clone)]
pub(crate) struct Options {
    /// The broker's command line; %d = data directory, %p = port
    #[arg(long)]
    command: String,
    #[arg(long, default_value_t = 19092)]
    port: u16,
    /// Where data directories are made; what a run made there is removed
    #[arg(long, default_value_os_t = std::env::temp_dir())]
    scratch: std::path::PathBuf,
    /// Connections that are idle, and then as many that have sent a part of a request
    #[arg(long, default_value_t = 10_000)]
    connections: usize,
    /// Clients that ask for much and read nothing
    #[arg(long, default_value_t = 200)]
    slow_readers: usize,
    /// Requests that one client sends before it reads an answer
    #[arg(long, default_value_t = 10_000)]
    pipelined: usize,
    /// Requests of the largest size, sent at once
    #[arg(long, default_value_t = 8)]
    bodies: usize,
    /// Bytes of each of them (the broker's socket.request.max.bytes)
    #[arg(long, default_value_t = 104_857_600)]
    body_bytes: usize,
    /// Members of the group that rebalances
    #[arg(long, default_value_t = 200)]
    members: usize,
    /// Groups of one member each
    #[arg(long, default_value_t = 1000)]
    groups: usize,
    /// Topics of a thousand partitions
    #[arg(long, default_value_t = 10)]
    topics: usize,
}

/// A broker under stress, and what it is held to.
struct Stress {
    address: SocketAddr,
    pid: u32,
}

pub(crate) fn run(options: &Options) -> Result<Value, Fail> {
    raise_open_files()?;
    let scratch = Scratch::new(&options.scratch, "stress")?;
    let (data, log) = (scratch.data(), scratch.log());
    let mut broker = Broker::start(&options.command, &data, options.port, &log)?;
    life::connect(&mut broker, options.port, &scratch)?.ensure_topic(
        TOPIC,
        TOPIC_PARTITIONS,
        &[],
    )?;
    let stress = Stress {
        address: local(options.port),
        pid: broker.pid(),
    };
    let connections = options.connections;
    let mut figures = json!({"mode": "stress"});
    let mut stage = |name: &str, work: &dyn Fn(&Stress) -> Result<Value, Fail>| {
        let measured = stress.stage(work);
        figures[name] = measured.map_err(|reason| format!("{name}: {reason}"))?;
        Ok::<(), Fail>(())
    };
    stage("idle", &|s| connections::idle(s, connections))?;
    stage("half_requests", &|s| {
        connections::half_requests(s, connections)
    })?;
    stage("slow_readers", &|s| {
        connections::slow_readers(s, options.slow_readers)
    })?;
    stage("pipelined", &|s| {
        connections::pipelined(s, options.pipelined)
    })?;
    stage("bodies", &|s| {
        connections::bodies(s, options.bodies, options.body_bytes)
    })?;
    stage("large_group", &|s| groups::large(s, options.members))?;
    stage("many_groups", &|s| groups::many(s, options.groups))?;
    stage("partitions", &|s| partitions::many(s, options.topics))?;
    Ok(figures)
}

/// A topic whose description is long enough to be worth not reading.
const TOPIC: &str = "stress";
const TOPIC_PARTITIONS: usize = 400;

/// Both sides of every connection are open files; the broker inherits what is allowed here.
fn raise_open_files() -> Result<(), Fail> {
    let allowed = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: allowed.maximum,
        ..allowed
    };
    setrlimit(Resource::Nofile, raised).map_err(|error| format!("open files: {error}"))
}

impl Stress {
    /// Runs a stage beside a client that asks for little, and adds what that cost to its figures.
    fn stage(&self, work: impl FnOnce(&Stress) -> Result<Value, Fail>) -> Result<Value, Fail> {
        let (before, cpu) = (self.rss_mib(), cpu_seconds(self.pid));
        let done = AtomicBool::new(false);
        let (figures, waits, peak) = thread::scope(|scope| {
            let bystander = scope.spawn(|| self.stand_by(&done));
            let peak = scope.spawn(|| self.watch_memory(&done));
            let figures = work(self);
            done.store(true, Ordering::Relaxed);
            (figures, bystander.join(), peak.join())
        });
        let mut figures = figures?;
        let waits = waits.map_err(|_| "the bystander panicked")??;
        let peak = peak.map_err(|_| "the watch panicked")?;
        figures["rss_mib_before"] = round(before).into();
        figures["rss_mib_max"] = round(peak).into();
        figures["broker_cpu_s"] = round(cpu_seconds(self.pid) - cpu).into();
        figures["bystander_p50_us"] = round(waits.micros(500)).into();
        figures["bystander_p99_us"] = round(waits.micros(990)).into();
        Ok(figures)
    }

    fn rss_mib(&self) -> f64 {
        memory_mib(self.pid, "VmRSS")
    }

    /// How long an ordinary client waits for an answer, asked two hundred times a second.
    fn stand_by(&self, done: &AtomicBool) -> Result<Histogram, Fail> {
        let mut client = Client::connect(self.address)?;
        let mut waits = Histogram::new();
        while !done.load(Ordering::Relaxed) {
            let asked = Instant::now();
            client.call(api_versions())?;
            waits.add(asked.elapsed());
            thread::sleep(Duration::from_millis(5));
        }
        Ok(waits)
    }

    /// The most memory the broker had while the stage ran.
    fn watch_memory(&self, done: &AtomicBool) -> f64 {
        let mut peak = self.rss_mib();
        while !done.load(Ordering::Relaxed) {
            peak = peak.max(self.rss_mib());
            thread::sleep(Duration::from_millis(10));
        }
        peak.max(self.rss_mib())
    }

    fn connect(&self) -> Result<TcpStream, Fail> {
        let stream = TcpStream::connect(self.address).map_err(|e| format!("connect: {e}"))?;
        let patience = Some(Duration::from_secs(60));
        let set = stream.set_read_timeout(patience);
        set.and_then(|()| stream.set_nodelay(true))
            .map_err(|error| error.to_string())?;
        Ok(stream)
    }
}

fn api_versions() -> Vec<u8> {
    Writer::request(wire::API_VERSIONS, 0).finish()
}

/// Metadata v4 of the topic: tens of bytes that ask for thousands.
fn metadata() -> Vec<u8> {
    let mut request = Writer::request(wire::METADATA, 4);
    request.count(1);
    request.string(TOPIC);
    request.int8(0);
    request.finish()
}
