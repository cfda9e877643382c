//! Kafka's message definitions: imported from a release's jars into `schemas/`, and turned from
//! there into the Rust types of `src/protocol/messages/`.
//!
//! The product never runs this; its output is committed, and `ottla-codegen check` proves that it
//! still belongs to the schemas.
#![expect(
    clippy::disallowed_methods,
    reason = "a build tool reads and writes the repository"
)]

pub mod emit;
pub mod emit_json;
pub mod import;
pub mod old_versions;
pub mod plan;
pub mod schema;
pub mod tree;
