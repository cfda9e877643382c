//! Bytes: what Kafka writes, we read and write.
