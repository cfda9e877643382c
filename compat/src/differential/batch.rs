//! Record batches, good ones and bad ones, made without the broker's code.

use std::sync::OnceLock;
use std::time::{SystemTime, UNIX_EPOCH};

use super::codec::hex;

/// What a batch says of itself; the default is a good batch of two records.
#[derive(Clone, Copy)]
pub(super) struct Batch {
    pub(super) base_offset: i64,
    pub(super) magic: u8,
    pub(super) attributes: i16,
    pub(super) last_offset_delta: i32,
    pub(super) count: i32,
    pub(super) timestamp: i64,
    pub(super) producer: (i64, i16, i32),
    pub(super) values: &'static [&'static str],
    /// Added to the right checksum.
    pub(super) crc_off_by: u32,
    /// Added to the right length.
    pub(super) length_off_by: i32,
}

/// The time of the run's first batch, in milliseconds: both brokers are sent the same bytes, and neither
/// finds them older than its retention.
pub(super) fn now() -> i64 {
    static NOW: OnceLock<i64> = OnceLock::new();
    *NOW.get_or_init(|| {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        since.map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(0))
    })
}

impl Default for Batch {
    fn default() -> Batch {
        Batch {
            base_offset: 0,
            magic: 2,
            attributes: 0,
            last_offset_delta: 1,
            count: 2,
            timestamp: now(),
            producer: (-1, -1, -1),
            values: &["one", "two"],
            crc_off_by: 0,
            length_off_by: 0,
        }
    }
}

impl Batch {
    pub(super) fn hex(self) -> String {
        hex(&self.bytes())
    }

    pub(super) fn bytes(self) -> Vec<u8> {
        let mut checked = Vec::new();
        checked.extend(self.attributes.to_be_bytes());
        checked.extend(self.last_offset_delta.to_be_bytes());
        checked.extend(self.timestamp.to_be_bytes());
        checked.extend(self.timestamp.to_be_bytes());
        let (id, epoch, sequence) = self.producer;
        checked.extend(id.to_be_bytes());
        checked.extend(epoch.to_be_bytes());
        checked.extend(sequence.to_be_bytes());
        checked.extend(self.count.to_be_bytes());
        for (delta, value) in self.values.iter().enumerate() {
            let mut record = vec![0, 0];
            zigzag(delta, &mut record);
            zigzag(1, &mut record);
            record.push(b'k');
            zigzag(value.len(), &mut record);
            record.extend_from_slice(value.as_bytes());
            record.push(0);
            zigzag(record.len(), &mut checked);
            checked.extend(record);
        }
        let length = i32::try_from(checked.len() + 9).unwrap_or(i32::MAX) + self.length_off_by;
        let mut batch = Vec::new();
        batch.extend(self.base_offset.to_be_bytes());
        batch.extend(length.to_be_bytes());
        batch.extend((-1_i32).to_be_bytes());
        batch.push(self.magic);
        batch.extend((crc32c::crc32c(&checked).wrapping_add(self.crc_off_by)).to_be_bytes());
        batch.extend(checked);
        batch
    }
}

fn zigzag(value: usize, out: &mut Vec<u8>) {
    super::codec::varint(value as u64 * 2, out);
}
