//! Producer snapshots: `<20-digit offset>.snapshot`, the state after all batches below that offset.
//!
//! ```text
//! 0..2    version, 1
//! 2..6    CRC-32C of everything after it
//! 6..10   number of entries
//! 10..    entries, 46 bytes each:
//!   0..8    producer id
//!   8..10   producer epoch
//!  10..14   last sequence, -1: none
//!  14..22   last offset, -1: none
//!  22..26   offset delta of the last batch
//!  26..34   timestamp
//!  34..38   coordinator epoch
//!  38..46   first offset of the open transaction, -1: none
//! ```
//!
//! Only the newest batch of a producer is kept, so a restart shortens its memory from five to one.

use super::{BatchMemory, Producer, Producers};
use crate::log::files;
use crate::runtime::{Disk, read_whole};
use crate::types::{Offset, ProducerEpoch, ProducerId, Timestamp};
use bytes::{Buf, BufMut};
use std::collections::VecDeque;
use std::io;
use std::path::Path;

const VERSION: i16 = 1;
const CRC_END: usize = 6;
const HEAD_LEN: usize = 10;
const ENTRY_LEN: usize = 46;

fn encode(producers: &Producers) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEAD_LEN + producers.by_id.len() * ENTRY_LEN);
    out.put_i16(VERSION);
    out.put_u32(0);
    out.put_i32(i32::try_from(producers.by_id.len()).unwrap_or(i32::MAX));
    // Kafka's order is that of its hash table; ours is fixed, so that the same run leaves the same bytes.
    let mut by_id: Vec<_> = producers.by_id.iter().collect();
    by_id.sort_unstable_by_key(|(id, _)| **id);
    for (id, producer) in by_id {
        let last = producer.batches.back();
        out.put_i64(id.0);
        out.put_i16(producer.epoch.0);
        out.put_i32(producer.last_sequence());
        out.put_i64(last.map_or(-1, |batch| batch.last_offset.0));
        out.put_i32(last.map_or(0, |batch| batch.offset_delta));
        out.put_i64(producer.last_timestamp.0);
        out.put_i32(producer.coordinator_epoch);
        out.put_i64(producer.transaction_start.map_or(-1, |first| first.0));
    }
    let crc = crc32c::crc32c(out.get(CRC_END..).unwrap_or_default());
    if let Some(mut field) = out.get_mut(2..CRC_END) {
        field.put_u32(crc);
    }
    out
}

/// `None` if the bytes are no whole snapshot.
fn decode(bytes: &[u8]) -> Option<Producers> {
    let mut head = bytes.get(..HEAD_LEN)?;
    if head.get_i16() != VERSION
        || head.get_u32() != crc32c::crc32c(bytes.get(CRC_END..).unwrap_or_default())
    {
        return None;
    }
    let count = usize::try_from(head.get_i32()).ok()?;
    let mut producers = Producers::new();
    let entries = bytes.get(HEAD_LEN..)?.chunks_exact(ENTRY_LEN);
    if entries.len() != count {
        return None;
    }
    for mut entry in entries {
        let id = ProducerId(entry.get_i64());
        let epoch = ProducerEpoch(entry.get_i16());
        let last_sequence = entry.get_i32();
        let last_offset = Offset(entry.get_i64());
        let offset_delta = entry.get_i32();
        let timestamp = Timestamp(entry.get_i64());
        let coordinator_epoch = entry.get_i32();
        let transaction_start = entry.get_i64();
        let mut batches = VecDeque::new();
        if last_offset >= Offset::ZERO {
            batches.push_back(BatchMemory {
                last_sequence,
                last_offset,
                offset_delta,
                timestamp,
            });
        }
        producers.restore(
            id,
            Producer {
                epoch,
                coordinator_epoch,
                last_timestamp: timestamp,
                transaction_start: (transaction_start >= 0).then_some(Offset(transaction_start)),
                batches,
            },
        );
    }
    Some(producers)
}

/// Writes the snapshot of the state at `end`. Not synced: a broken one is found by its CRC and left out.
pub(in crate::log) fn write(
    disk: &dyn Disk,
    dir: &Path,
    end: Offset,
    producers: &Producers,
) -> io::Result<()> {
    let path = files::named(dir, end, files::SNAPSHOT);
    files::replace_unsynced(disk, &path, &encode(producers))
}

/// Reads the snapshot at `end`. `None` if it is broken.
pub(in crate::log) fn read(
    disk: &dyn Disk,
    dir: &Path,
    end: Offset,
) -> io::Result<Option<Producers>> {
    match read_whole(disk, &files::named(dir, end, files::SNAPSHOT)) {
        Ok(bytes) => Ok(decode(&bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_comes_back_and_a_flipped_bit_is_found() {
        let mut producers = Producers::new();
        producers.restore(
            ProducerId(7),
            Producer {
                epoch: ProducerEpoch(2),
                coordinator_epoch: 3,
                last_timestamp: Timestamp(99),
                transaction_start: Some(Offset(10)),
                batches: VecDeque::from([BatchMemory {
                    last_sequence: 4,
                    last_offset: Offset(14),
                    offset_delta: 4,
                    timestamp: Timestamp(99),
                }]),
            },
        );
        let mut bytes = encode(&producers);
        assert_eq!(bytes.len(), HEAD_LEN + ENTRY_LEN);
        let back = decode(&bytes).unwrap();
        assert_eq!(back.by_id, producers.by_id);
        assert_eq!(back.first_undecided(), Some(Offset(10)));
        bytes[20] ^= 1;
        assert!(decode(&bytes).is_none());
        assert!(decode(&[]).is_none());
        assert!(decode(&encode(&Producers::new())).unwrap().is_empty());
    }
}
