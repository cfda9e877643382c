//! Crate rskafka: its own integration tests, one process for each.

use std::time::Duration;

use super::{Fast, Suite, cargo};

pub(super) const SUITE: Suite = Suite {
    name: "rskafka",
    version: "0.6.0",
    from: "crates.io, rskafka, tests",
    prepare: |places| CRATE.jobs(places),
    port: None,
    waits: &[],
    unsteady: &[],
    fast: Fast::All,
};

static CRATE: cargo::Crate = cargo::Crate {
    name: SUITE.name,
    version: SUITE.version,
    pins: "suites/rskafka/Cargo.toml",
    patch: Some("suites/rskafka/source.patch"),
    // As the crate's own docker-compose-kafka.yml.
    broker: &[("auto.create.topics.enable", "false")],
    address: "KAFKA_CONNECT",
    environment: &[("TEST_INTEGRATION", "1"), ("TEST_BROKER_IMPL", "kafka")],
    limit: Duration::from_secs(60),
};
