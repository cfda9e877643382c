//! The clients' own test suites, as their authors publish them, run against a broker.
//!
//! A suite is cut into jobs, one process each, so that a failure hides nothing. A job reports rows:
//! the tests it ran. What counts is written in `column.rs`.

mod cargo;
mod column;
mod confluent_go;
mod franz_go;
mod go;
mod kafka_programs;
mod kafka_python;
mod librdkafka;
mod page;
mod process;
mod rdkafka;
mod rskafka;
mod run;

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::broker::Settings;
use crate::checks::{Checked, Failure};
use crate::clients::Places;
use crate::results::Outcome;

pub(crate) use kafka_programs::run as run_program;
pub(crate) use page::replace;
pub(crate) use process::Ended;
pub(crate) use run::{Choice, Part, Purpose, run};

/// The section of docs/compatibility.md, from what is committed below `compat`.
pub(crate) fn section(compat: &Path) -> Checked<String> {
    let kafka = column::load(&compat.join(column::FILE))?;
    let ours = page::load(&compat.join(page::FILE))?;
    Ok(page::section(&kafka, &ours))
}

/// A client's own tests.
pub(crate) struct Suite {
    pub(crate) name: &'static str,
    /// The pinned release, as the lock file it is installed with has it.
    pub(crate) version: &'static str,
    pub(crate) from: &'static str,
    /// Installs and builds the tests, and answers what there is to run.
    prepare: fn(&Places) -> Checked<Vec<Job>>,
    /// The broker's port, where tests have it built in; None is any free one.
    port: Option<u16>,
    /// Tests that Kafka passes and that cannot pass here before a feature is built.
    pub(crate) waits: &'static [Wait],
    /// Tests that say nothing about a broker, and why: they fail now and then on Apache Kafka too.
    pub(crate) unsteady: &'static [(&'static str, &'static str)],
    fast: Fast,
}

/// The jobs that are run with every change; all others are run before a release.
enum Fast {
    All,
    AllBut(&'static [&'static str]),
    Only(&'static [&'static str]),
}

impl Fast {
    fn has(&self, job: &str) -> bool {
        match self {
            Fast::All => true,
            Fast::AllBut(slow) => !slow.contains(&job),
            Fast::Only(fast) => fast.contains(&job),
        }
    }

    fn names(&self) -> &'static [&'static str] {
        match self {
            Fast::All => &[],
            Fast::AllBut(names) | Fast::Only(names) => names,
        }
    }
}

impl Suite {
    fn waits_for(&self, row: &str) -> Option<&'static Wait> {
        self.waits.iter().find(|wait| is_named(wait.test, row))
    }

    fn is_unsteady(&self, row: &str) -> bool {
        self.unsteady.iter().any(|(line, _)| is_named(line, row))
    }
}

/// A test that waits for a feature: it must fail or skip until its line is deleted.
pub(crate) struct Wait {
    /// The row's name; with `*` at its end, every row that begins so.
    pub(crate) test: &'static str,
    pub(crate) feature: &'static str,
    pub(crate) reason: &'static str,
}

/// Whether a line of a list, which may end in `*`, names it.
fn is_named(line: &str, name: &str) -> bool {
    match line.strip_suffix('*') {
        Some(beginning) => name.starts_with(beginning),
        None => name == line,
    }
}

/// What one process runs.
pub(crate) struct Job {
    pub(crate) name: String,
    /// The settings of the broker it runs against; jobs with the same settings share a broker.
    broker: &'static Settings,
    /// The command, given the broker's address and an empty directory of its own.
    command: Box<Start>,
    /// The rows in what the process left behind.
    read: fn(&Ended) -> Checked<Rows>,
    /// After this long the process is killed and the job has failed.
    limit: Duration,
    company: Company,
}

/// Whether other jobs may run at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Company {
    Others,
    /// It measures times, or loads the machine.
    Alone,
}

/// Makes a job's command.
type Start = dyn Fn(&str, &Path) -> Checked<Command> + Send + Sync;

/// Test names and how they ended.
pub(crate) type Rows = Vec<(String, Outcome)>;

pub(crate) const SUITES: &[Suite] = &[
    franz_go::SUITE,
    librdkafka::SUITE,
    rdkafka::SUITE,
    kafka_python::SUITE,
    confluent_go::SUITE,
    rskafka::SUITE,
    kafka_programs::SUITE,
];

/// The suites with these names; `all` is every one.
pub(crate) fn named(names: &[String]) -> Checked<Vec<&'static Suite>> {
    for name in names {
        if name != "all" && !SUITES.iter().any(|suite| suite.name == name) {
            return Err(Failure(format!("no suite is called {name}")));
        }
    }
    let wanted = |suite: &&Suite| names.iter().any(|name| name == "all" || name == suite.name);
    Ok(SUITES.iter().filter(wanted).collect())
}
