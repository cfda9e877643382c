//! The group coordinator's decisions, without a broker: a shard, a log in memory, time by hand.
//!
//! The scenarios are Kafka's own (ClassicGroupTest, GroupMetadataManagerTest, OffsetMetadataManagerTest),
//! told anew. Long ones are scripts, beside this file: input above the line, everything observable below;
//! `UPDATE=1 cargo test coordinator::group` rewrites what is below, and review reads the difference.

mod host;
mod large;
mod offsets;
mod rebalance;
mod script;
mod world;
