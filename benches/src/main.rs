//! ottla-bench: load for a Kafka broker, and the same load on several brokers side by side.
//!
//! Every command prints one JSON object; a run whose records do not come back whole prints a reason
//! instead and ends with code 1.

mod batch;
mod client;
mod compare;
mod consume;
mod histogram;
mod life;
mod null;
mod process;
mod produce;
mod stress;
mod tail;
mod wire;

use clap::Parser;

#[derive(Parser)]
#[command(
    name = "ottla-bench",
    about = "Load generator and side-by-side benchmark for Kafka brokers"
)]
enum Command {
    /// Send record batches: closed loop for the rate, open loop (--rate) for the latency
    Produce(produce::Options),
    /// Read a topic from its start and verify it
    Consume(consume::Options),
    /// Produce at a rate with a consumer at the end: latency from planned sending to arrival
    Tail(produce::Options),
    /// Start a broker on an empty directory: time to the first acknowledged record
    Start(life::Options),
    /// Write, SIGKILL, start again: time to the first acknowledged record
    Recover(life::RecoverOptions),
    /// CPU and memory of a process over some seconds
    Idle(life::IdleOptions),
    /// Start a broker and beset it with clients: memory, and how long an ordinary one waits meanwhile
    Stress(stress::Options),
    /// The same work on several brokers in turn, with ratios to the first
    Compare(compare::Options),
    /// A broker that acknowledges and keeps nothing (or checks and appends, and nothing else)
    Null(null::Options),
}

fn main() -> std::process::ExitCode {
    let done = match Command::parse() {
        Command::Produce(options) => produce::run(&options).map(Some),
        Command::Consume(options) => consume::run(&options).map(Some),
        Command::Tail(options) => tail::run(&options).map(Some),
        Command::Start(options) => life::start(&options).map(Some),
        Command::Recover(options) => life::recover(&options).map(Some),
        Command::Idle(options) => Ok(Some(life::idle(&options))),
        Command::Stress(options) => stress::run(&options).map(Some),
        Command::Compare(options) => compare::run(&options).map(|()| None),
        Command::Null(options) => null::run(&options).map(|()| None),
    };
    match done {
        Ok(figures) => {
            if let Some(figures) = figures {
                println!("{figures}");
            }
            std::process::ExitCode::SUCCESS
        }
        Err(reason) => {
            eprintln!("ottla-bench: {reason}");
            std::process::ExitCode::FAILURE
        }
    }
}
