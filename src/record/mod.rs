//! Record batches: the bytes that are equal on the wire and on disk.
//!
//! A produced batch is checked once, by [`ValidBatch::parse`], and from then on travels as it came: a
//! 61-byte header that the leader stamps, and a body that nobody decodes unless the topic asks for it.
//! What the broker writes itself (offsets, metadata, transaction markers) is made by [`BatchBuilder`].
//! Readers that do need records go through [`Batches`] and [`Batch::records`], which stop at a byte
//! budget ([`DecodeLimits`]) before a hostile batch can fill the memory.
//!
//! **Invariant:** nothing here knows files, offsets already given out or topics.

#![deny(clippy::indexing_slicing)]

mod batch;
mod builder;
mod compression;
pub mod control;
pub mod old;
mod rebuild;
mod records;
mod valid;
mod varint;
mod walk;

pub use batch::{
    Attributes, BATCH_CRC_START, BATCH_HEADER_LEN, Batch, BatchError, BatchHeader, Batches, Codec,
    MAGIC_V2, TimestampType,
};
pub use builder::{BatchBuilder, BatchOptions, NewRecord, ProducerStamp};
pub use compression::{Compression, DecodeError, DecodeLimits, compress, decompress};
pub use rebuild::{RecordRef, Unpacked, emptied};
pub use records::{Record, RecordHeader, Records};
pub use valid::{
    InvalidBatch, Keys, Origin, ProduceRules, RecordError, RecordFault, TargetCompression,
    TimestampRules, TransactionVersion, ValidBatch, ZstdUse,
};

#[cfg(test)]
mod tests;
