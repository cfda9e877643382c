//! Kafka's APIs: one file each. A handler translates in, calls one part, translates out.

mod context;

pub use context::{RequestContext, Staged};
