//! The same work on several brokers in turn, in one run, as ratios to the first of them.
//!
//! A fresh process on a fresh directory for every figure; the order of the brokers turns round with each
//! round (A B, B A, …), so that a machine that becomes slower does not favour one.

mod measures;
mod rdkafka;
mod table;
mod workloads;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::life::{self, Scratch};
use crate::process::{Broker, round};
use crate::wire::Fail;
use measures::Figures;
use table::Results;
use workloads::{WORKLOADS, Workload};

#[derive(clap::Args, Clone)]
pub(crate) struct Options {
    /// NAME=COMMAND with %d for the data directory and %p for the port; the first is the reference
    #[arg(long = "broker", required = true)]
    brokers: Vec<String>,
    /// NAME=COMMAND of a broker that only takes part where nothing but Produce is asked (`ottla-bench null`)
    #[arg(long = "produce-only")]
    produce_only: Vec<String>,
    /// librdkafka's rdkafka_performance (scripts/bench/rdkafka.sh builds it)
    #[arg(long)]
    perf: Option<PathBuf>,
    /// NAME=FILE: an executable whose size is reported
    #[arg(long)]
    binary: Option<String>,
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// After so many minutes no further workload begins
    #[arg(long)]
    minutes: Option<u64>,
    /// Which workloads; all that the given clients allow when left out
    #[arg(long, value_delimiter = ',')]
    workloads: Vec<String>,
    /// 1 KiB records the reference gets before it is measured (a JVM compiles while it works)
    #[arg(long, default_value_t = 1_500_000)]
    reference_warm_up: u64,
    /// … and the others
    #[arg(long, default_value_t = 50_000)]
    warm_up: u64,
    /// MiB of memory touched and given back before each measured run: pages new to a virtual machine
    /// cost the broker that meets them first
    #[arg(long, default_value_t = 0)]
    touch_mib: usize,
    #[arg(long, default_value_t = 21000)]
    port: u16,
    #[arg(long, default_value_os_t = std::env::temp_dir())]
    scratch: PathBuf,
    /// All single figures, as JSON; written after each workload
    #[arg(long)]
    out: Option<PathBuf>,
    /// A Markdown file whose part between the `figures` marks is replaced by the table
    #[arg(long)]
    document: Option<PathBuf>,
}

/// One broker of the comparison.
struct Entry {
    name: String,
    command: String,
    warm_up: u64,
    produce_only: bool,
}

/// What a workload gets: a warm broker, or only the means to start one.
pub(crate) struct Bench<'a> {
    options: &'a Options,
    entry: &'a Entry,
    port: u16,
}

pub(crate) fn run(options: &Options) -> Result<(), Fail> {
    let entries = entries(options)?;
    let workloads = chosen(options)?;
    let mut results = Results::new(entries.iter().map(|entry| entry.name.clone()).collect());
    if let Some(binary) = &options.binary {
        let (name, file) = binary.split_once('=').ok_or("--binary wants NAME=FILE")?;
        results.add("size", name, size_of(file)?);
    }
    let begin = Instant::now();
    let mut port = options.port;
    for workload in workloads {
        if options
            .minutes
            .is_some_and(|max| begin.elapsed() >= Duration::from_secs(60 * max))
        {
            eprintln!("!! {}: no time is left for it", workload.name);
            continue;
        }
        for nth in 0..options.rounds {
            let able = |entry: &&Entry| workload.only_produces || !entry.produce_only;
            let mut order: Vec<&Entry> = entries.iter().filter(able).collect();
            if nth % 2 == 1 {
                order.reverse();
            }
            for entry in order {
                port += 4;
                let bench = Bench {
                    options,
                    entry,
                    port,
                };
                let started = begin.elapsed();
                match bench.measure(workload) {
                    Ok(figures) => results.add(workload.name, &entry.name, figures),
                    Err(reason) => eprintln!("!! {} {}: {reason}", workload.name, entry.name),
                }
                eprintln!(
                    "{} {} {}, {:.1?}",
                    clock(begin.elapsed()),
                    workload.name,
                    entry.name,
                    begin.elapsed() - started
                );
            }
        }
        print!("{}", results.lines(workload));
        // After each one: a run that somebody ends keeps what it has.
        save(options, &results)?;
    }
    Ok(())
}

fn entries(options: &Options) -> Result<Vec<Entry>, Fail> {
    let commands = options.brokers.iter().chain(&options.produce_only);
    let entry = |(nth, broker): (usize, &String)| {
        let (name, command) = (broker.split_once('=')).ok_or("a broker is NAME=COMMAND")?;
        Ok(Entry {
            name: name.to_owned(),
            command: command.to_owned(),
            warm_up: if nth == 0 {
                options.reference_warm_up
            } else {
                options.warm_up
            },
            produce_only: nth >= options.brokers.len(),
        })
    };
    commands.enumerate().map(entry).collect()
}

/// The figures of workload `size`.
fn size_of(file: &str) -> Result<Figures, Fail> {
    let found = std::fs::metadata(file).map_err(|error| format!("{file}: {error}"))?;
    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    let megabytes = found.len() as f64 / 1e6;
    Ok(Figures::from([("MB", round(megabytes))]))
}

fn save(options: &Options, results: &Results) -> Result<(), Fail> {
    if let Some(out) = &options.out {
        std::fs::write(out, results.json().to_string())
            .map_err(|error| format!("{}: {error}", out.display()))?;
    }
    if let Some(document) = &options.document {
        table::replace(document, &results.markdown(options.rounds))?;
    }
    Ok(())
}

/// Minutes and seconds.
fn clock(time: Duration) -> String {
    format!("{:02}:{:02}", time.as_secs() / 60, time.as_secs() % 60)
}

fn chosen(options: &Options) -> Result<Vec<&'static Workload>, Fail> {
    if options.workloads.is_empty() {
        let able = |workload: &&Workload| options.perf.is_some() || !workload.wants_librdkafka;
        return Ok(WORKLOADS.iter().filter(able).collect());
    }
    let by_name = |name: &String| {
        let found = WORKLOADS.iter().find(|workload| workload.name == name);
        found.ok_or_else(|| {
            let names: Vec<_> = WORKLOADS.iter().map(|workload| workload.name).collect();
            format!("no workload {name}; there are {}", names.join(", "))
        })
    };
    options.workloads.iter().map(by_name).collect()
}

impl Bench<'_> {
    fn measure(&self, workload: &Workload) -> Result<Figures, Fail> {
        touch(self.options.touch_mib);
        (workload.run)(self)
    }

    /// Starts the broker on a fresh directory, without any load.
    fn broker(&self) -> Result<(Scratch, Broker), Fail> {
        let scratch = Scratch::new(
            &self.options.scratch,
            &format!("{}-{}", self.entry.name, self.port),
        )?;
        let broker = self.start_on(&scratch)?;
        Ok((scratch, broker))
    }

    /// Starts the broker on a directory and waits until it accepts.
    fn start_on(&self, scratch: &Scratch) -> Result<Broker, Fail> {
        let mut broker = Broker::start(
            &self.entry.command,
            &scratch.data(),
            self.port,
            &scratch.log(),
        )?;
        life::connect(&mut broker, self.port, scratch)?;
        Ok(broker)
    }
}

/// Makes the kernel own `mib` MiB of real memory for a moment.
fn touch(mib: usize) {
    let mut memory = vec![0_u8; mib << 20];
    for page in memory.chunks_mut(4096) {
        page[0] = 1;
    }
    std::hint::black_box(&memory);
}
