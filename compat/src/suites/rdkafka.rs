//! Crate rdkafka: its own integration tests, one process for each.

use std::process::Command;
use std::time::Duration;

use super::{Company, Job, Suite, cargo};
use crate::checks::Checked;
use crate::clients::Places;

pub(super) const SUITE: Suite = Suite {
    name: "rdkafka",
    version: "0.39.0",
    from: "crates.io, rdkafka (librdkafka 2.12.1), tests",
    prepare,
    waits: &[],
    unsteady: &[],
    fast: &[],
};

/// The slowest waits for a session to time out, three times over.
const LIMIT: Duration = Duration::from_secs(120);

fn prepare(places: &Places) -> Checked<Vec<Job>> {
    let pins = places.client("rdkafka").join("Cargo.toml");
    let source = cargo::source(&pins, SUITE.name, SUITE.version)?;
    let mut jobs = Vec::new();
    for (file, binary) in cargo::test_binaries(&source, &places.suite(SUITE.name)?)? {
        for test in cargo::tests(&binary)? {
            let (binary, name) = (binary.clone(), format!("{file}::{test}"));
            jobs.push(Job {
                name,
                // As the crate's own docker-compose.yaml.
                broker: &[("num.partitions", "3")],
                command: Box::new(move |bootstrap, dir| {
                    let mut command = Command::new(&binary);
                    command
                        .args(["--exact", &test, "--nocapture"])
                        .env("KAFKA_HOST", bootstrap)
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
