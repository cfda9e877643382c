//! What can be typed.

use clap::{Args as ClapArgs, Parser, Subcommand};
use std::path::PathBuf;

#[derive(Debug, Parser)]
#[command(
    name = "ottla",
    version,
    about = "A Kafka broker in one small binary",
    after_help = "Start here:\n  \
        ottla run                       a broker on localhost:9092, data in ./ottla-data\n  \
        ottla run server.properties     a broker configured as Apache Kafka's\n  \
        ottla COMMAND --help            more about a command, with examples",
    disable_help_subcommand = true
)]
pub struct Args {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    Run(RunArgs),
    Check(CheckArgs),
    Format(FormatArgs),
    Dump(DumpArgs),
    /// Print a new id, as `ottla format` and Apache Kafka's tools take it
    RandomUuid,
    Container(ContainerArgs),
}

/// Say what a broker would make of a configuration, without starting one
///
/// Reads the file as `ottla run` would, and prints what is refused, what is not enforced yet, what
/// has no effect and what is unknown. Nothing is written, no port is opened.
#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:\n  \
    ottla check /etc/kafka/server.properties\n  \
    ottla check server.properties --set log.dirs=/var/lib/ottla\n\n\
    Exit code: 0 if a broker would start with it, 2 if not.")]
pub struct CheckArgs {
    /// Apache Kafka's server.properties
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    #[command(flatten)]
    pub set: SetArgs,
}

#[derive(Debug, Clone, ClapArgs)]
pub struct SetArgs {
    /// Set one configuration key, over everything else; may be repeated
    #[arg(long = "set", visible_alias = "override", value_name = "KEY=VALUE")]
    pub set: Vec<String>,
}

/// Run a broker
///
/// Without FILE it listens on localhost:9092 and keeps its data in ./ottla-data, which it makes and
/// formats by itself. With FILE it is configured as Apache Kafka would be; KAFKA_* variables are
/// read as the apache/kafka image reads them, and lie over the file.
///
/// Once it serves, one line of JSON on standard output says so:
/// {"ready":true,"bootstrap":"localhost:9092","cluster_id":"…","node_id":1,"pid":…}. Logs go to
/// standard error. SIGTERM and SIGINT (Ctrl-C) stop it cleanly; a second one stops it at once.
#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:\n  \
    ottla run\n  \
    ottla run --listen localhost:0 --data /tmp/test1     any free port, for tests\n  \
    ottla run --set num.partitions=3 --set log.retention.hours=1\n  \
    ottla run server.properties --log debug\n  \
    ottla run --http 9644     health and metrics on http://127.0.0.1:9644\n  \
    KAFKA_LOG_RETENTION_MS=60000 ottla run")]
pub struct RunArgs {
    /// Apache Kafka's server.properties
    #[arg(value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Listen here only, without encryption; port 0 takes a free one, host 0.0.0.0 every interface
    #[arg(long, value_name = "HOST:PORT")]
    pub listen: Option<String>,
    /// Keep all data here instead of in log.dirs
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Serve /health and /metrics (Prometheus) over HTTP here; a port alone means this machine only
    #[arg(long, value_name = "[HOST:]PORT")]
    pub http: Option<String>,
    #[command(flatten)]
    pub set: SetArgs,
    /// How much to log: error, warn, info, debug, trace, or a filter such as info,ottla::net=debug
    /// [default: $OTTLA_LOG, else $RUST_LOG, else info]
    #[arg(long, value_name = "LEVEL")]
    pub log: Option<String>,
    /// Also print the lines that Apache Kafka logs when it has started, for programs that wait for
    /// them
    #[arg(long)]
    pub kafka_log_lines: bool,
}

/// Give empty data directories the id of a cluster
///
/// Takes what kafka-storage.sh format takes. It is not needed: `ottla run` formats empty directories
/// by itself, with a new id. Directories of another cluster or node are never touched.
#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:\n  \
    ottla format -t $(ottla random-uuid) -c server.properties\n  \
    ottla format -t 5L6g3nShT-eMCtK--X86sw -c server.properties --ignore-formatted")]
pub struct FormatArgs {
    /// The cluster's id, 22 characters; `ottla random-uuid` prints a new one
    #[arg(short = 't', long, value_name = "ID")]
    pub cluster_id: String,
    /// Apache Kafka's server.properties: its log.dirs and metadata.log.dir are formatted
    #[arg(short = 'c', long, value_name = "FILE")]
    pub config: PathBuf,
    /// Leave directories alone that are formatted already, instead of failing
    #[arg(short = 'g', long)]
    pub ignore_formatted: bool,
    /// This node alone is the quorum; it always is
    #[arg(short = 's', long, conflicts_with = "no_initial_controllers")]
    pub standalone: bool,
    /// The quorum is found later; for this node alone it makes no difference
    #[arg(short = 'N', long)]
    pub no_initial_controllers: bool,
}

/// Show what is in a broker's files
///
/// Reads segments (.log), indexes (.index, .timeindex, .txnindex), producer snapshots (.snapshot),
/// metadata snapshots (.checkpoint), and the small text files beside them; a directory stands for all
/// files in it. Records of __consumer_offsets, __transaction_state and __cluster_metadata are decoded.
/// Works on a directory that Apache Kafka wrote too. Nothing is changed.
#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:\n  \
    ottla dump ottla-data/orders-0/00000000000000000000.log\n  \
    ottla dump --batches ottla-data/orders-0/00000000000000000000.log\n  \
    ottla dump ottla-data/__consumer_offsets-12\n\n\
    Exit code: 0 if every file could be read to its end, 1 if not.")]
pub struct DumpArgs {
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    /// Show batches only, without their records
    #[arg(long)]
    pub batches: bool,
}

/// Run as the apache/kafka image does: settings from KAFKA_* variables and /mnt/shared/config
#[derive(Debug, ClapArgs)]
#[command(hide = true)]
pub struct ContainerArgs {
    /// Set environment variables, over those that are set
    #[arg(value_name = "NAME=VALUE")]
    pub variables: Vec<String>,
}
