//! Bytes: what Kafka writes, we read and write.

pub mod codec;
pub mod generated;
pub mod sample;
