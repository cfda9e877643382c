//! The differential driver: the same requests to Apache Kafka and to Ottla, in every version, good and bad,
//! and their answers compared field by field. A difference is a failure unless [`allowed`] has a line
//! for it, with its reason.
//!
//! `cargo run -p ottla-compat -- --differential [--seed N] [--mutations N]`
//!
//! `--old-kafka HOME` asks only the versions that Kafka 4 has dropped and Ottla still serves, and compares
//! with the release in HOME, which must have them (`compat/kafka/setup.sh` fills such a directory).

mod allowed;
mod batch;
mod cases;
mod codec;
mod mutate;
mod pair;

use std::path::{Path, PathBuf};

use crate::broker::{Broker, Kind, TWO_LOG_DIRS};
use crate::checks::Checked;
use allowed::ALLOWED;
use codec::{Asked, Schemas};
use pair::Pair;

/// Places that are printed of one difference.
const SHOWN_MAX: usize = 4;

/// How many requests are made, and from which seed.
pub(crate) struct Settings {
    pub(crate) seed: u64,
    /// Requests with one field changed by chance, beside the written cases.
    pub(crate) mutations: u32,
    /// Only the cases whose name contains this.
    pub(crate) only: String,
    /// Where a release is that has the old versions; then only these are asked.
    pub(crate) old_kafka: Option<PathBuf>,
}

/// Runs all cases; true if there was no difference that is not allowed.
pub(crate) fn run(
    root: &Path,
    kafka: Kind,
    ottla: Kind,
    runs: &Path,
    settings: &Settings,
) -> Checked<bool> {
    let schemas = Schemas::read(root)?;
    let (asked, kafka) = match &settings.old_kafka {
        Some(home) => (Asked::Old, Kind::Kafka { home: home.clone() }),
        None => (Asked::Release, kafka),
    };
    let start = |kind, name| Broker::start_with(kind, &[TWO_LOG_DIRS], None, &runs.join(name));
    let kafka = start(kafka, "kafka")?;
    let ottla = start(ottla, "ottla")?;
    let mut pair = Pair::new(&schemas, asked, kafka.bootstrap(), ottla.bootstrap());
    for (name, case) in cases::CASES {
        if name.contains(&settings.only) {
            pair.begin(name);
            case(&mut pair)?;
        }
    }
    if asked == Asked::Release && "mutations".contains(&settings.only) {
        pair.begin("mutations");
        mutate::run(&mut pair, settings)?;
    }
    let report = &pair.report;
    for (difference, shown_by) in &report.differences {
        let mut shown: Vec<&str> = shown_by
            .iter()
            .take(SHOWN_MAX)
            .map(String::as_str)
            .collect();
        if shown_by.len() > SHOWN_MAX {
            shown.push("…");
        }
        println!("DIFFERS  {difference}");
        println!("         {} places: {}", shown_by.len(), shown.join("; "));
    }
    println!("\nallowed differences met:");
    for (place, times) in &report.allowed {
        let allowed = &ALLOWED[*place];
        println!(
            "  {times:6}  {} {}: {}",
            allowed.api, allowed.path, allowed.why
        );
    }
    println!(
        "\nseed {}: {} requests, {} fields compared",
        settings.seed, report.requests, report.fields
    );
    let differing = report.differences.len();
    println!("{differing} differences that are not allowed");
    Ok(differing == 0)
}
