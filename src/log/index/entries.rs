//! Entries of the two sparse indexes.

use crate::types::{Offset, Timestamp};

/// An entry as it lies in the file.
pub(in crate::log) trait Entry: Copy {
    const LEN: usize;
    fn encode(&self, base: Offset, out: &mut Vec<u8>);
    /// `bytes` has [`Entry::LEN`] bytes.
    fn decode(base: Offset, bytes: &[u8]) -> Self;
}

/// Offset index entry, 8 bytes, big-endian:
///
/// ```text
/// 0..4  offset, relative to the segment's base
/// 4..8  position in the segment of the batch whose *last* offset this is
/// ```
///
/// So a search for an offset starts at the entry at or below it, and never too late.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::log) struct OffsetEntry {
    pub(in crate::log) offset: Offset,
    pub(in crate::log) position: u32,
}

/// Time index entry, 12 bytes, big-endian:
///
/// ```text
/// 0..8   largest timestamp in the segment so far
/// 8..12  last offset of the first batch that has it, relative to the segment's base
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::log) struct TimeEntry {
    pub(in crate::log) timestamp: Timestamp,
    pub(in crate::log) offset: Offset,
}

fn relative(base: Offset, offset: Offset) -> u32 {
    u32::try_from(offset.0 - base.0).expect("a segment is closed before its offsets pass 31 bits")
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let part = bytes.get(at..at + 4).and_then(|part| part.try_into().ok());
    u32::from_be_bytes(part.unwrap_or_default())
}

impl Entry for OffsetEntry {
    const LEN: usize = 8;

    fn encode(&self, base: Offset, out: &mut Vec<u8>) {
        out.extend_from_slice(&relative(base, self.offset).to_be_bytes());
        out.extend_from_slice(&self.position.to_be_bytes());
    }

    fn decode(base: Offset, bytes: &[u8]) -> OffsetEntry {
        OffsetEntry {
            offset: base.plus(i64::from(u32_at(bytes, 0))),
            position: u32_at(bytes, 4),
        }
    }
}

impl Entry for TimeEntry {
    const LEN: usize = 12;

    fn encode(&self, base: Offset, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.timestamp.0.to_be_bytes());
        out.extend_from_slice(&relative(base, self.offset).to_be_bytes());
    }

    fn decode(base: Offset, bytes: &[u8]) -> TimeEntry {
        let timestamp = bytes.first_chunk().copied().unwrap_or_default();
        TimeEntry {
            timestamp: Timestamp(i64::from_be_bytes(timestamp)),
            offset: base.plus(i64::from(u32_at(bytes, 8))),
        }
    }
}
