//! Record batches (magic 2): built once for sending, checked when they come back.

use crate::wire::Fail;

const HEADER_LEN: usize = 61;
/// Base offset, length and leader epoch: what a broker may stamp without touching the CRC.
const STAMPED_LEN: usize = 16;
const CRC_END: usize = 21;

/// A batch of `records` records with values of `value_len` bytes. The same seed gives the same bytes.
pub(crate) fn build(records: usize, value_len: usize, seed: u64) -> Vec<u8> {
    let mut chance = seed | 1;
    let mut value = Vec::with_capacity(value_len + 8);
    while value.len() < value_len {
        chance ^= chance << 13;
        chance ^= chance >> 7;
        chance ^= chance << 17;
        value.extend(chance.to_be_bytes());
    }
    value.truncate(value_len);

    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |past| i64::try_from(past.as_millis()).unwrap_or(0));
    let count = i32::try_from(records).expect("a batch holds few records");
    let mut out = Vec::with_capacity(HEADER_LEN + records * (value_len + 16));
    out.extend(0_i64.to_be_bytes()); // base offset
    out.extend(0_i32.to_be_bytes()); // length, below
    out.extend((-1_i32).to_be_bytes()); // leader epoch
    out.push(2);
    out.extend(0_u32.to_be_bytes()); // CRC, below
    out.extend(0_i16.to_be_bytes()); // attributes
    out.extend((count - 1).to_be_bytes());
    out.extend(now.to_be_bytes());
    out.extend(now.to_be_bytes());
    out.extend((-1_i64).to_be_bytes()); // producer id
    out.extend((-1_i16).to_be_bytes()); // producer epoch
    out.extend((-1_i32).to_be_bytes()); // base sequence
    out.extend(count.to_be_bytes());
    let mut record = Vec::with_capacity(value_len + 16);
    for delta in 0..i64::from(count) {
        record.clear();
        record.push(0); // attributes
        varint(&mut record, 0); // timestamp delta
        varint(&mut record, delta);
        varint(&mut record, -1); // no key
        varint(
            &mut record,
            i64::try_from(value_len).expect("values are small"),
        );
        record.extend(&value);
        varint(&mut record, 0); // no headers
        varint(
            &mut out,
            i64::try_from(record.len()).expect("records are small"),
        );
        out.extend(&record);
    }
    let len = i32::try_from(out.len() - 12).expect("batches are below 2 GiB");
    out[8..12].copy_from_slice(&len.to_be_bytes());
    let crc = crc32c::crc32c(&out[CRC_END..]);
    out[17..21].copy_from_slice(&crc.to_be_bytes());
    out
}

fn varint(out: &mut Vec<u8>, value: i64) {
    let mut rest = ((value << 1) ^ (value >> 63)).cast_unsigned();
    while rest >= 0x80 {
        out.push((rest & 0x7f) as u8 | 0x80);
        rest >>= 7;
    }
    out.push((rest & 0x7f) as u8);
}

/// One whole batch as it came back.
pub(crate) struct Batch<'a> {
    pub(crate) base_offset: i64,
    pub(crate) records: i64,
    bytes: &'a [u8],
}

impl Batch<'_> {
    pub(crate) fn next_offset(&self) -> i64 {
        self.base_offset + self.records
    }

    /// The CRC matches.
    pub(crate) fn check_crc(&self) -> Result<(), Fail> {
        let stored = u32::from_be_bytes(array(self.bytes, 17));
        let found = crc32c::crc32c(&self.bytes[CRC_END..]);
        if stored != found {
            return Err(format!(
                "void: CRC {found:08x} at offset {}, not {stored:08x}",
                self.base_offset
            ));
        }
        Ok(())
    }

    /// Apart from the stamped head, these are the bytes that were sent.
    pub(crate) fn check_equals(&self, sent: &[u8]) -> Result<(), Fail> {
        if self.bytes[STAMPED_LEN..] == sent[STAMPED_LEN..] {
            return Ok(());
        }
        Err(format!(
            "void: the batch at offset {} is not the one that was sent",
            self.base_offset
        ))
    }
}

/// The whole batches of a fetched range; a cut one at its end is left out, as consumers do.
pub(crate) fn split(mut bytes: &[u8]) -> impl Iterator<Item = Batch<'_>> {
    std::iter::from_fn(move || {
        if bytes.len() < HEADER_LEN {
            return None;
        }
        let len = 12 + usize::try_from(i32::from_be_bytes(array(bytes, 8))).ok()?;
        let (batch, rest) = bytes.split_at_checked(len)?;
        bytes = rest;
        Some(Batch {
            base_offset: i64::from_be_bytes(array(batch, 0)),
            records: i64::from(i32::from_be_bytes(array(batch, 23))) + 1,
            bytes: batch,
        })
    })
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes[at..at + N]
        .try_into()
        .expect("the header is complete")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_built_batch_reads_back_and_a_changed_byte_is_found() {
        let mut sent = build(3, 1000, 7);
        sent.extend(build(2, 10, 7));
        let batches: Vec<_> = split(&sent)
            .map(|batch| (batch.base_offset, batch.records))
            .collect();
        assert_eq!(batches, [(0, 3), (0, 2)]);
        assert!(split(&sent).all(|batch| batch.check_crc().is_ok()));
        sent[500] ^= 1;
        assert!(
            split(&sent)
                .next()
                .is_some_and(|batch| batch.check_crc().is_err())
        );
    }

    #[test]
    fn a_cut_batch_is_left_out() {
        let sent = build(3, 100, 7);
        assert_eq!(split(&sent[..sent.len() - 1]).count(), 0);
    }
}
