//! How many instructions the broker executes for a request: a count that neither a busy machine nor a slow
//! disk changes, so that CI can hold it.
//!
//! `ottla-instructions count LOOP --requests N` runs one broker in this process, whose only client sends the
//! loop's request N times. Without a command every loop is run twice under callgrind, with few and with many
//! requests: the difference, divided, is what a request costs, without start and preparation. It is
//! compared with `benches/instructions/counts.txt`; `UPDATE=1` writes that file.

mod callgrind;
/// As the tests of the whole broker write requests and read answers.
#[path = "../../../tests/common/frames.rs"]
#[expect(
    dead_code,
    clippy::unwrap_used,
    reason = "the tests use more of it, and panic at what they did not expect"
)]
mod frames;
mod loops;
mod socket;

use clap::{Parser, Subcommand};
use loops::Loop;
use ottla::Server;
use ottla::config::{BrokerConfig, Properties};
use ottla::runtime::{Blocking, Runtime, Tasks, os};
use socket::{Answered, Scripted};
use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Parser)]
#[command(about = "Instructions per request, counted by callgrind and held against a table")]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// The table of counts
    #[arg(long, default_value = "benches/instructions/counts.txt")]
    table: PathBuf,
}

#[derive(Subcommand)]
enum Command {
    /// Serve one loop in this process, and nothing else
    Count {
        #[arg(value_enum)]
        which: Loop,
        #[arg(long)]
        requests: u64,
    },
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = match arguments.command {
        Some(Command::Count { which, requests }) => serve(which, requests),
        None => callgrind::check(&arguments.table),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("ottla-instructions: {reason}");
            ExitCode::FAILURE
        }
    }
}

/// One broker on an empty directory, and its client's whole script.
fn serve(which: Loop, requests: u64) -> Result<(), Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    let mut properties = Properties::new();
    properties.set("listeners", "PLAINTEXT://127.0.0.1:9092");
    let path = directory.path().to_str().ok_or("a directory in UTF-8")?;
    properties.set("log.dirs", path);
    let (config, _) = BrokerConfig::from_properties(&properties)?;

    let (net, answered) = Scripted::new(which.script(requests)?);
    let runtime = Runtime {
        net,
        // Everything in one order: the same requests, the same instructions.
        tasks: Tasks::new(Blocking::Inline),
        ..os::runtime()
    };
    let threads = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    threads.block_on(async {
        let server = Server::start(config, runtime).await?;
        let answered: Answered = answered.await?;
        which.check(&answered)?;
        server.kill().await;
        Ok(())
    })
}
