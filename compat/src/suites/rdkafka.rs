//! Crate rdkafka: its own integration tests, one process for each.

use std::time::Duration;

use super::{Fast, Suite, Wait, cargo};

pub(super) const SUITE: Suite = Suite {
    name: "rdkafka",
    version: "0.39.0",
    from: "crates.io, rdkafka (librdkafka 2.12.1), tests",
    prepare: |places| CRATE.jobs(places),
    // Some tests connect to `localhost`, whatever they are told.
    port: Some(9092),
    waits: &[Wait {
        test: "test_transactions::test_transaction_*",
        feature: "transactions",
        reason: "it produces in a transaction",
    }],
    unsteady: &[(
        "test_low_consumers::test_produce_consume_message_queue_nonempty_callback",
        "on a busy machine, librdkafka's own note that fetching begins wakes it up once more",
    )],
    fast: Fast::All,
};

static CRATE: cargo::Crate = cargo::Crate {
    name: SUITE.name,
    version: SUITE.version,
    pins: "clients/rdkafka/Cargo.toml",
    patch: None,
    // As the crate's own docker-compose.yaml.
    broker: &[("node.id", "0"), ("num.partitions", "3")],
    address: "KAFKA_HOST",
    environment: &[],
    // The slowest waits for a session to time out, three times over.
    limit: Duration::from_secs(120),
};
