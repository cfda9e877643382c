//! One broker in this process, asked over TCP.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot set its scene has failed"
)]

#[path = "../common/mod.rs"]
mod common;

mod administration;
mod bad_directories;
mod compaction;
mod connection_limits;
mod cordoned_directories;
mod delete_records;
mod dynamic_configs;
mod failed_directories;
mod fetch_as_replica;
mod fixtures;
mod hostile_clients;
mod http;
mod more_partitions;
mod moving_replicas;
mod topic_rules;
