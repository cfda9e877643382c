//! Record batches (magic 2): built once for sending, checked when they come back.

use std::io::Write;

use flate2::write::GzEncoder;

use crate::wire::Fail;

const HEADER_LEN: usize = 61;
const CRC_END: usize = 21;

/// How a batch is compressed.
#[derive(clap::ValueEnum, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Compression {
    #[default]
    None,
    Gzip,
    Lz4,
    Zstd,
}

/// What is in a batch. The same contents give the same bytes, but for the time of building.
pub(crate) struct Contents {
    pub(crate) records: usize,
    /// Bytes of a record's value.
    pub(crate) value_len: usize,
    pub(crate) seed: u64,
    pub(crate) compression: Compression,
    /// Whether the nth record has the key n.
    pub(crate) keys: bool,
}

impl Contents {
    /// Records of noise, neither keyed nor compressed.
    pub(crate) fn plain(records: usize, value_len: usize, seed: u64) -> Contents {
        Contents {
            records,
            value_len,
            seed,
            compression: Compression::None,
            keys: false,
        }
    }
}

/// A batch as a producer sends it.
pub(crate) fn build(contents: &Contents) -> Vec<u8> {
    let records = compress(contents.compression, records(contents));
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |past| i64::try_from(past.as_millis()).unwrap_or(0));
    let count = i32::try_from(contents.records).expect("a batch holds few records");
    let attributes: i16 = match contents.compression {
        Compression::None => 0,
        Compression::Gzip => 1,
        Compression::Lz4 => 3,
        Compression::Zstd => 4,
    };
    let mut out = Vec::with_capacity(HEADER_LEN + records.len());
    out.extend(0_i64.to_be_bytes()); // base offset
    out.extend(0_i32.to_be_bytes()); // length, below
    out.extend((-1_i32).to_be_bytes()); // leader epoch
    out.push(2);
    out.extend(0_u32.to_be_bytes()); // CRC, below
    out.extend(attributes.to_be_bytes());
    out.extend((count - 1).to_be_bytes());
    out.extend(now.to_be_bytes());
    out.extend(now.to_be_bytes());
    out.extend((-1_i64).to_be_bytes()); // producer id
    out.extend((-1_i16).to_be_bytes()); // producer epoch
    out.extend((-1_i32).to_be_bytes()); // base sequence
    out.extend(count.to_be_bytes());
    out.extend(records);
    let len = i32::try_from(out.len() - 12).expect("batches are below 2 GiB");
    out[8..12].copy_from_slice(&len.to_be_bytes());
    let crc = crc32c::crc32c(&out[CRC_END..]);
    out[17..21].copy_from_slice(&crc.to_be_bytes());
    out
}

fn records(contents: &Contents) -> Vec<u8> {
    let mut chance = contents.seed | 1;
    let mut out = Vec::with_capacity(contents.records * (contents.value_len + 16));
    let mut record = Vec::with_capacity(contents.value_len + 24);
    for nth in 0..contents.records {
        let nth = i64::try_from(nth).expect("a batch holds few records");
        record.clear();
        record.push(0); // attributes
        varint(&mut record, 0); // timestamp delta
        varint(&mut record, nth);
        if contents.keys {
            varint(&mut record, 8);
            record.extend(nth.to_be_bytes());
        } else {
            varint(&mut record, -1);
        }
        varint(&mut record, signed_len(contents.value_len));
        record.extend(value(&mut chance, contents));
        varint(&mut record, 0); // no headers
        varint(&mut out, signed_len(record.len()));
        out.extend(&record);
    }
    out
}

/// Noise; for compression words of sixteen letters out of 64, which shrink to between a tenth and a third.
fn value(chance: &mut u64, contents: &Contents) -> Vec<u8> {
    let mut value = Vec::with_capacity(contents.value_len + 16);
    while value.len() < contents.value_len {
        *chance ^= *chance << 13;
        *chance ^= *chance >> 7;
        *chance ^= *chance << 17;
        if contents.compression == Compression::None {
            value.extend(chance.to_be_bytes());
        } else {
            let word = (*chance % 64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            value.extend(format!("{word:016x}").into_bytes());
        }
    }
    value.truncate(contents.value_len);
    value
}

fn compress(compression: Compression, plain: Vec<u8>) -> Vec<u8> {
    match compression {
        Compression::None => plain,
        Compression::Gzip => {
            let mut out = GzEncoder::new(Vec::new(), flate2::Compression::default());
            out.write_all(&plain).expect("memory takes everything");
            out.finish().expect("memory takes everything")
        }
        Compression::Lz4 => {
            let mut out = lz4_flex::frame::FrameEncoder::new(Vec::new());
            out.write_all(&plain).expect("memory takes everything");
            out.finish().expect("memory takes everything")
        }
        Compression::Zstd => zstd::encode_all(&plain[..], zstd::DEFAULT_COMPRESSION_LEVEL)
            .expect("memory takes everything"),
    }
}

fn signed_len(len: usize) -> i64 {
    i64::try_from(len).expect("records are small")
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

    /// The records are those of `sent`. Headers differ: brokers stamp some fields, and `sent` may be the
    /// same batch built at another time.
    pub(crate) fn check_records(&self, sent: &[u8]) -> Result<(), Fail> {
        if self.bytes[HEADER_LEN..] == sent[HEADER_LEN..] {
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
        let mut sent = build(&Contents::plain(3, 1000, 7));
        sent.extend(build(&Contents::plain(2, 10, 7)));
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
    fn records_are_compared_without_the_time_in_the_header() {
        let sent = build(&Contents::plain(3, 100, 7));
        let mut later = sent.clone();
        later[27..43].copy_from_slice(&[1; 16]);
        let check = |came: &[u8]| split(came).all(|batch| batch.check_records(&sent).is_ok());
        assert!(check(&later));
        later[100] ^= 1;
        assert!(!check(&later));
    }

    #[test]
    fn a_cut_batch_is_left_out() {
        let sent = build(&Contents::plain(3, 100, 7));
        assert_eq!(split(&sent[..sent.len() - 1]).count(), 0);
    }
}
