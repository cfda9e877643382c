//! A broker's life: how soon after its start the first record is acknowledged, on an empty directory and
//! after a kill; what it uses while idle.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::batch::{self, Contents};
use crate::client::{Client, partition_ids};
use crate::process::{Broker, core_percent, memory_mib, round};
use crate::produce;
use crate::wire::Fail;

/// Apache Kafka reads all of its log again after a kill: minutes when there is much of it.
const PATIENCE: Duration = Duration::from_secs(300);

#[derive(clap::Args, Clone)]
pub(crate) struct Options {
    /// The broker's command line; %d = data directory, %p = port
    #[arg(long)]
    pub(crate) command: String,
    #[arg(long, default_value_t = 19092)]
    pub(crate) port: u16,
    /// Where data directories are made; what a run made there is removed
    #[arg(long, default_value_os_t = std::env::temp_dir())]
    pub(crate) scratch: PathBuf,
    #[arg(long, default_value_t = 5)]
    pub(crate) rounds: u16,
}

#[derive(clap::Args, Clone)]
pub(crate) struct RecoverOptions {
    #[command(flatten)]
    pub(crate) life: Options,
    #[arg(long, default_value_t = 100)]
    pub(crate) partitions: usize,
    /// Bytes written before the kill
    #[arg(long, default_value_t = 1_000_000_000)]
    pub(crate) bytes: u64,
}

#[derive(clap::Args, Clone)]
pub(crate) struct IdleOptions {
    #[arg(long)]
    pub(crate) pid: u32,
    #[arg(long, default_value_t = 10)]
    pub(crate) seconds: u64,
}

/// A data directory that goes away with the run.
pub(crate) struct Scratch(pub(crate) PathBuf);

impl Scratch {
    pub(crate) fn new(parent: &Path, name: &str) -> Result<Scratch, Fail> {
        let path = parent.join(format!("ottla-bench-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(Scratch(path))
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.0.join("data")
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.0.join("broker.log")
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

pub(crate) fn local(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

/// Process start to first acknowledged record, topic creation included, each time on an empty directory.
pub(crate) fn start(options: &Options) -> Result<serde_json::Value, Fail> {
    let batch = batch::build(&Contents::plain(1, 100, 1));
    let mut listening = Vec::new();
    let mut acknowledged = Vec::new();
    for round in 0..options.rounds {
        let scratch = Scratch::new(&options.scratch, &format!("start-{round}"))?;
        let port = options.port + round * 2;
        let begin = Instant::now();
        let mut broker = Broker::start(&options.command, &scratch.data(), port, &scratch.log())?;
        let mut client = connect(&mut broker, port, &scratch)?;
        listening.push(millis(begin));
        poll(
            || Ok((client.leaders("first", true)? > 0).then_some(())),
            "a leader",
        )?;
        poll(
            || Ok(client.produce_one("first", 0, &batch)?.ok()),
            "an acknowledgement",
        )?;
        acknowledged.push(millis(begin));
        broker.kill();
    }
    Ok(serde_json::json!({
        "mode": "start",
        "listening_ms": summary(&mut listening),
        "first_ack_ms": summary(&mut acknowledged),
    }))
}

/// Writes, kills with SIGKILL, starts again: how soon is a record acknowledged, on one and on all partitions?
pub(crate) fn recover(options: &RecoverOptions) -> Result<serde_json::Value, Fail> {
    let life = &options.life;
    let batch = batch::build(&Contents::plain(1, 100, 1));
    let mut first_ack = Vec::new();
    let mut all_acks = Vec::new();
    let mut lost = 0;
    for round in 0..life.rounds {
        let scratch = Scratch::new(&life.scratch, &format!("recover-{round}"))?;
        let port = life.port + round * 2;
        let mut broker = Broker::start(&life.command, &scratch.data(), port, &scratch.log())?;
        let mut client = connect(&mut broker, port, &scratch)?;
        client.ensure_topic("bench", options.partitions, &[])?;
        produce::send(
            &produce::Options {
                partitions: options.partitions,
                connections: 2,
                records: options.bytes / 1024,
                acks: -1,
                ..produce::Options::new(local(port))
            },
            Instant::now(),
        )?;
        let acked = client.offsets("bench", options.partitions, -1)?;
        broker.kill();

        let begin = Instant::now();
        let mut broker = Broker::start(&life.command, &scratch.data(), port, &scratch.log())?;
        let mut client = connect(&mut broker, port, &scratch)?;
        for partition in partition_ids(options.partitions) {
            let base = poll(
                || Ok(client.produce_one("bench", partition, &batch)?.ok()),
                "an acknowledgement",
            )?;
            lost += (acked[&partition] - base).max(0);
            if partition == 0 {
                first_ack.push(millis(begin));
            }
        }
        all_acks.push(millis(begin));
        broker.kill();
    }
    if lost > 0 {
        return Err(format!("{lost} acknowledged records were lost"));
    }
    Ok(serde_json::json!({
        "mode": "recover",
        "partitions": options.partitions,
        "bytes": options.bytes,
        "first_ack_ms": summary(&mut first_ack),
        "all_partitions_ms": summary(&mut all_acks),
    }))
}

/// Share of one core and memory over some seconds.
pub(crate) fn idle(options: &IdleOptions) -> serde_json::Value {
    let time = Duration::from_secs(options.seconds);
    serde_json::json!({
        "mode": "idle",
        "core_percent": core_percent(options.pid, time),
        "rss_mib": round(memory_mib(options.pid, "VmRSS")),
        "hwm_mib": round(memory_mib(options.pid, "VmHWM")),
    })
}

/// Waits until the port accepts.
pub(crate) fn connect(broker: &mut Broker, port: u16, scratch: &Scratch) -> Result<Client, Fail> {
    poll(
        || {
            if broker.ended() {
                let log = fs::read_to_string(scratch.log()).unwrap_or_default();
                return Err(format!(
                    "the broker ended: {}",
                    log.lines().last().unwrap_or_default()
                ));
            }
            Ok(TcpStream::connect(local(port)).ok())
        },
        "a listener",
    )?;
    Client::connect(local(port))
}

fn poll<T>(mut ready: impl FnMut() -> Result<Option<T>, Fail>, what: &str) -> Result<T, Fail> {
    let begin = Instant::now();
    while begin.elapsed() < PATIENCE {
        if let Some(done) = ready()? {
            return Ok(done);
        }
        std::thread::sleep(Duration::from_micros(300));
    }
    Err(format!("no {what} after {PATIENCE:?}"))
}

/// Waits until a record written to partition 0 of a topic that exists is acknowledged.
pub(crate) fn first_acknowledgement(port: u16, topic: &str) -> Result<(), Fail> {
    let mut client = Client::connect(local(port))?;
    let batch = batch::build(&Contents::plain(1, 100, 1));
    poll(
        || Ok(client.produce_one(topic, 0, &batch)?.ok()),
        "an acknowledgement",
    )?;
    Ok(())
}

pub(crate) fn millis(begin: Instant) -> f64 {
    begin.elapsed().as_secs_f64() * 1e3
}

fn summary(values: &mut [f64]) -> serde_json::Value {
    values.sort_by(f64::total_cmp);
    let middle = values.get(values.len() / 2).copied().unwrap_or(0.0);
    serde_json::json!({
        "median": round(middle),
        "min": round(values.first().copied().unwrap_or(0.0)),
        "max": round(values.last().copied().unwrap_or(0.0)),
    })
}
