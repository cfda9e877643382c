//! Crate rskafka: its own integration tests, one process for each.

use std::process::Command;
use std::time::Duration;

use super::{Company, Job, Suite, cargo};
use crate::checks::Checked;
use crate::clients::Places;

pub(super) const SUITE: Suite = Suite {
    name: "rskafka",
    version: "0.6.0",
    from: "crates.io, rskafka, tests",
    prepare,
    waits: &[],
    unsteady: &[],
    fast: &[],
};

const LIMIT: Duration = Duration::from_secs(60);

fn prepare(places: &Places) -> Checked<Vec<Job>> {
    let pins = places.sources.join("suites/rskafka/Cargo.toml");
    let source = cargo::source(&pins, SUITE.name, SUITE.version)?;
    let mut jobs = Vec::new();
    for (file, binary) in cargo::test_binaries(&source, &places.suite(SUITE.name)?)? {
        for test in cargo::tests(&binary)? {
            let (binary, name) = (binary.clone(), format!("{file}::{test}"));
            jobs.push(Job {
                name,
                // As the crate's own docker-compose-kafka.yml.
                broker: &[("auto.create.topics.enable", "false")],
                command: Box::new(move |bootstrap, dir| {
                    let mut command = Command::new(&binary);
                    command
                        .args(["--exact", &test, "--nocapture"])
                        .env("TEST_INTEGRATION", "1")
                        .env("TEST_BROKER_IMPL", "kafka")
                        .env("KAFKA_CONNECT", bootstrap)
                        .current_dir(dir);
                    Ok(command)
                }),
                read: cargo::row,
                limit: LIMIT,
                company: Company::Others,
            });
        }
    }
    Ok(jobs)
}
