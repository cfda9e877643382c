//! Apache Kafka's own Java programs: those that its system tests run, and Streams, Connect and MirrorMaker.
//!
//! A job is this executable again, as `ottla-compat --program NAME BROKER LIBS`: it starts the Java programs, tells
//! them what to do and checks what they did. So whatever it leaves behind is killed with it when its time is up.

mod connect;
mod mirror;
mod run;
mod streams;
mod verifiable;

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::{Company, Ended, Fast, Job, Rows, Suite, Wait};
use crate::broker::Settings;
use crate::checks::{Checked, Failure};
use crate::clients::{self, Places};
use crate::results::Outcome;
use run::ProgramRun;

pub(super) const SUITE: Suite = Suite {
    name: "kafka-programs",
    version: "4.3.1",
    from: "Maven Central, kafka-tools, trogdor, kafka-streams, connect-runtime, connect-mirror",
    prepare,
    port: None,
    waits: &[
        Wait {
            test: "transactional-copy",
            feature: "transactions",
            reason: "it copies in transactions",
        },
        Wait {
            test: "streams-smoke-exactly-once",
            feature: "transactions",
            reason: "it processes in transactions",
        },
    ],
    unsteady: &[],
    fast: Fast::Only(&["client-compatibility", "verifiable", "trogdor"]),
};

struct Program {
    name: &'static str,
    broker: &'static Settings,
    run: fn(&mut ProgramRun) -> Checked,
    /// Generous: JVMs take long where there are few cores.
    seconds_max: u64,
}

const PROGRAMS: &[Program] = &[
    program(
        "client-compatibility",
        verifiable::client_compatibility,
        120,
    ),
    program("verifiable", verifiable::produce_and_consume, 120),
    program("trogdor", verifiable::trogdor, 180),
    program("transactional-copy", verifiable::transactional_copy, 120),
    program("streams-word-count", streams::word_count, 300),
    program("streams-smoke", streams::smoke_at_least_once, 600),
    Program {
        // The topics of the smoke test have fixed names, so it has a broker of its own.
        broker: &[("num.partitions", "1")],
        ..program(
            "streams-smoke-exactly-once",
            streams::smoke_exactly_once,
            600,
        )
    },
    program("connect-standalone", connect::standalone, 240),
    program("connect-distributed", connect::distributed, 420),
    program("mirror-maker", mirror::mirror_maker, 420),
];

const fn program(
    name: &'static str,
    run: fn(&mut ProgramRun) -> Checked,
    seconds_max: u64,
) -> Program {
    Program {
        name,
        broker: &[],
        run,
        seconds_max,
    }
}

fn prepare(places: &Places) -> Checked<Vec<Job>> {
    let home = places.suite(SUITE.name)?;
    let pom = places.sources.join("suites/kafka-programs/pom.xml");
    clients::jars(places, &home, &pom)?;
    let job = |program: &Program| Job {
        name: program.name.to_owned(),
        broker: program.broker,
        command: {
            let (home, name) = (home.clone(), program.name);
            Box::new(move |bootstrap, dir| {
                let mut command = Command::new(std::env::current_exe()?);
                command
                    .args(["--program", name, bootstrap])
                    .arg(&home)
                    .current_dir(dir);
                Ok(command)
            })
        },
        read: row,
        limit: Duration::from_secs(program.seconds_max),
        company: Company::Others,
    };
    Ok(PROGRAMS.iter().map(job).collect())
}

/// Runs the program of this name, in the current directory, and says how it went: [`row`] reads it.
pub(crate) fn run(name: &str, bootstrap: &str, home: &Path) -> Checked {
    let program = PROGRAMS.iter().find(|program| program.name == name);
    let program = program.ok_or_else(|| Failure(format!("no program is called {name}")))?;
    let mut run = ProgramRun::new(bootstrap, home);
    (program.run)(&mut run)?;
    println!("{CHECKS}{}", run.checks.held);
    Ok(())
}

/// What the line with the number of checks that held begins with.
const CHECKS: &str = "checks held: ";

fn row(ended: &Ended) -> Checked<Rows> {
    let held = ended
        .text
        .lines()
        .find_map(|line| line.strip_prefix(CHECKS));
    let outcome = match held.and_then(|held| held.parse().ok()) {
        Some(held) => Outcome::Passed(held),
        None => {
            let why = ended.failure().unwrap_or_default();
            let last = ended.text.lines().last().unwrap_or_default();
            Outcome::Failed(format!("{why}: {last}"))
        }
    };
    Ok(vec![(ended.job.clone(), outcome)])
}
