//! `ottla run`: a broker, until it is told to stop.

use super::args::RunArgs;
use super::check::shown;
use super::settings::{self, HttpAddress, Settings};
use super::{Failure, logging};
use crate::config::{BrokerConfig, Listeners, Report};
use crate::runtime::{Disk, Runtime, os};
use crate::server::Server;
use std::io::Write;
use std::net::SocketAddr;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::{info, warn};

/// Threads that carry all the broker's work. More than eight would only wait for the same disk.
const WORKERS_MAX: usize = 8;

/// Threads for work that blocks (recovery, fsync, deleting files). They come and go; a broker that
/// has sixteen syncs under way has a stalled disk, which more threads do not cure.
const BLOCKING_THREADS_MAX: usize = 16;

/// Whether to print what Apache Kafka logs when it has started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LogLines {
    Ours,
    KafkasToo,
}

pub(super) fn run(args: &RunArgs, disk: &dyn Disk) -> Result<(), Failure> {
    let settings = settings::gather(args, disk, settings::variables())?;
    let lines = if args.kafka_log_lines {
        LogLines::KafkasToo
    } else {
        LogLines::Ours
    };
    start(&settings, args.log.as_deref(), lines)
}

/// Runs a broker with these settings, and returns when it has stopped.
pub(super) fn start(
    settings: &Settings,
    log: Option<&str>,
    lines: LogLines,
) -> Result<(), Failure> {
    let (config, report) =
        BrokerConfig::from_properties(&settings.properties).map_err(Failure::input)?;
    let loggers = logging::start(log, &settings.env)?;
    start_report(&config, &report, settings);
    if let Err(error) = os::raise_file_limit() {
        warn!(%error, "could not raise the limit of open files");
    }
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let tokio = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(cores.min(WORKERS_MAX))
        .max_blocking_threads(BLOCKING_THREADS_MAX)
        .thread_name("ottla")
        .enable_all()
        .build()
        .map_err(Failure::work)?;
    let runtime = Runtime {
        loggers,
        ..os::runtime()
    };
    tokio.block_on(serve(config, runtime, settings.http.as_ref(), lines))
}

async fn serve(
    config: BrokerConfig,
    runtime: Runtime,
    http: Option<&HttpAddress>,
    lines: LogLines,
) -> Result<(), Failure> {
    // Before anything else: a stop that is asked for during the start must not be lost.
    let mut stop = Stop::watch().map_err(Failure::work)?;
    let listeners = config.listeners.clone();
    let mut server = tokio::select! {
        started = Server::start(config, runtime) => started.map_err(Failure::work)?,
        () = stop.asked() => return Ok(()),
    };
    let http = match http {
        Some(address) => match server.serve_http(&address.host, address.port).await {
            Ok(bound) => Some(bound),
            Err(error) => {
                server.stop().await;
                let HttpAddress { host, port } = address;
                return Err(Failure::work(format!(
                    "cannot serve HTTP on {host}:{port}: {error}"
                )));
            }
        },
        None => None,
    };
    let bootstrap = bootstrap(&listeners, server.bootstrap());
    say_ready(&server, &bootstrap, http, lines)
        .map_err(|error| Failure::work(format!("cannot write to standard output: {error}")))?;
    let ended = tokio::select! {
        () = stop.asked() => Ok(()),
        reason = server.failed() => Err(Failure::work(reason)),
    };
    info!("stopping; a second signal stops at once");
    tokio::select! {
        () = server.stop() => ended,
        () = stop.asked() => Err(Failure::work("stopped at once; the next start recovers the logs")),
    }
}

/// The address for a client on this machine: the host as it was configured, since names are what
/// people type, and the port that was bound.
fn bootstrap(listeners: &Listeners, bound: SocketAddr) -> String {
    match listeners
        .bound
        .first()
        .and_then(|listener| listener.host.as_deref())
    {
        Some(host) if host.contains(':') => format!("[{host}]:{}", bound.port()),
        Some(host) if host != "0.0.0.0" => format!("{host}:{}", bound.port()),
        _ => format!("localhost:{}", bound.port()),
    }
}

fn say_ready(
    server: &Server,
    bootstrap: &str,
    http: Option<SocketAddr>,
    lines: LogLines,
) -> std::io::Result<()> {
    let node = server.node_id();
    // In the order in which people read it; a program does not mind.
    let quoted = |text: &str| serde_json::Value::from(text);
    let http = http.map_or_else(String::new, |at| format!(",\"http\":\"http://{at}\""));
    let ready = format!(
        "{{\"ready\":true,\"bootstrap\":{},\"cluster_id\":{},\"node_id\":{node},\"pid\":{}{http}}}",
        quoted(bootstrap),
        quoted(server.cluster_id()),
        std::process::id(),
    );
    let mut out = std::io::stdout().lock();
    writeln!(out, "{ready}")?;
    if lines == LogLines::KafkasToo {
        writeln!(out, "[KafkaRaftServer nodeId={node}] Kafka Server started")?;
        writeln!(
            out,
            "[BrokerLifecycleManager id={node}] The broker has been unfenced. \
             Transitioning from RECOVERY to RUNNING."
        )?;
        writeln!(out, "[KafkaServer id={node}] started")?;
    }
    out.flush()
}

fn start_report(config: &BrokerConfig, report: &Report, settings: &Settings) {
    let dirs: Vec<String> = config
        .directories
        .log_dirs
        .iter()
        .map(|dir| dir.display().to_string())
        .collect();
    info!(
        "ottla {}: node {}, {}, data in {}",
        env!("CARGO_PKG_VERSION"),
        config.node_id,
        shown(&config.listeners),
        dirs.join(", ")
    );
    for line in report.summary() {
        warn!("configuration: {line}");
    }
    if !settings.env.ignored.is_empty() {
        info!(
            "environment: without effect here: {}",
            settings.env.ignored.join(", ")
        );
    }
}

/// SIGTERM and SIGINT.
struct Stop {
    terminate: Signal,
    interrupt: Signal,
}

impl Stop {
    fn watch() -> std::io::Result<Stop> {
        Ok(Stop {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Returns at the next signal.
    async fn asked(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Properties;

    #[test]
    fn the_bootstrap_address_is_one_that_a_client_here_can_use() {
        for (listener, expected) in [
            ("localhost:9092", "localhost:7"),
            ("127.0.0.1:0", "127.0.0.1:7"),
            ("[::1]:9092", "[::1]:7"),
            (":9092", "localhost:7"),
        ] {
            let mut properties = Properties::embedded();
            properties.set("listeners", format!("PLAINTEXT://{listener}"));
            let (config, _) = BrokerConfig::from_properties(&properties).unwrap();
            let bound = "1.2.3.4:7".parse().unwrap();
            assert_eq!(bootstrap(&config.listeners, bound), expected);
        }
    }
}
