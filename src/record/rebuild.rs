//! Taking records out of a batch, as compaction does. What stays keeps its offset, its time and its
//! bytes; the batch keeps its first and last offset, and with them its sequence numbers.

use super::batch::{Batch, BatchHeader, Codec, TimestampType};
use super::builder::write_raw;
use super::compression::{Compression, DecodeError, DecodeLimits, compress};
use super::records::{plain_body, timestamp_of};
use super::walk::{self, Malformed, RawRecord};
use super::{Attributes, BATCH_HEADER_LEN};
use crate::types::{Offset, Timestamp};
use bytes::Bytes;
use std::io;

/// A batch whose records can be looked at in place.
pub struct Unpacked {
    header: BatchHeader,
    body: Bytes,
}

/// One record of an [`Unpacked`] batch.
#[derive(Clone, Copy, Debug)]
pub struct RecordRef<'a> {
    pub offset: Offset,
    raw: RawRecord<'a>,
}

impl<'a> RecordRef<'a> {
    pub fn key(&self) -> Option<&'a [u8]> {
        self.raw.key
    }

    /// Whether the record says that its key is gone.
    pub fn is_tombstone(&self) -> bool {
        self.raw.value.is_none()
    }
}

impl Unpacked {
    /// Decompresses the records if need be.
    pub fn of(batch: &Batch, limits: DecodeLimits) -> Result<Unpacked, DecodeError> {
        Ok(Unpacked {
            header: *batch.header(),
            body: plain_body(batch.header(), &batch.body(), limits)?,
        })
    }

    pub fn records(&self) -> impl Iterator<Item = Result<RecordRef<'_>, Malformed>> {
        let mut rest = &self.body[..];
        (0..self.header.records_count).map(move |_| {
            let raw = walk::take_record(&mut rest)?;
            Ok(RecordRef {
                offset: self.header.base_offset.plus(i64::from(raw.offset_delta)),
                raw,
            })
        })
    }

    /// The batch with only the records of `kept`, which are its own, and at least one.
    /// `delete_horizon` is when its tombstones or its marker may go; the batch then says so.
    pub fn with_only(
        &self,
        kept: &[RecordRef<'_>],
        delete_horizon: Option<Timestamp>,
    ) -> io::Result<Bytes> {
        let time_of = |record: &RecordRef<'_>| timestamp_of(&self.header, &record.raw);
        let first = kept.first().map_or(Timestamp::NONE, time_of);
        let base_timestamp = delete_horizon.unwrap_or(first);
        let mut plain = Vec::with_capacity(self.body.len());
        for record in kept {
            let timestamp_delta = time_of(record).0.wrapping_sub(base_timestamp.0);
            let raw = RawRecord {
                timestamp_delta,
                ..record.raw
            };
            write_raw(&mut plain, &raw);
        }
        let attributes = self.header.attributes;
        let body = match attributes.codec() {
            None | Some(Codec::None) => plain,
            Some(codec) => compress(Compression::of(codec), &plain)?,
        };
        let max_timestamp = match attributes.timestamp_type() {
            TimestampType::LogAppendTime => self.header.max_timestamp,
            TimestampType::CreateTime => (kept.iter().map(time_of)).fold(Timestamp::NONE, Ord::max),
        };
        let header = BatchHeader {
            attributes: attributes.with_delete_horizon(delete_horizon.is_some()),
            base_timestamp,
            max_timestamp,
            records_count: i32::try_from(kept.len()).unwrap_or(i32::MAX),
            ..self.header
        };
        Ok(sealed(header, &body))
    }
}

/// The batch without its records. It stays for its offsets, its producer's epoch and sequence, and its
/// time.
pub fn emptied(header: &BatchHeader) -> Bytes {
    let was = header.attributes;
    let header = BatchHeader {
        attributes: Attributes::default()
            .with_timestamp_type(was.timestamp_type())
            .with_transactional(was.is_transactional())
            .with_control(was.is_control()),
        base_timestamp: Timestamp::NONE,
        records_count: 0,
        ..*header
    };
    sealed(header, &[])
}

/// `header` with the length and the checksum of `body`, and `body`.
fn sealed(mut header: BatchHeader, body: &[u8]) -> Bytes {
    header.length = i32::try_from(BATCH_HEADER_LEN - 12 + body.len())
        .expect("a batch does not grow past 2 GiB by losing records");
    header.crc = header.crc_with(body);
    [&header.encode()[..], body].concat().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{BatchBuilder, BatchOptions, Batches, NewRecord, ProducerStamp, Record};
    use crate::types::{LeaderEpoch, ProducerEpoch, ProducerId};

    fn batch(codec: Codec, timestamp_type: TimestampType) -> Batch {
        let mut builder = BatchBuilder::new(BatchOptions {
            compression: Compression::of(codec),
            timestamp_type,
            producer: ProducerStamp {
                id: ProducerId(7),
                epoch: ProducerEpoch(2),
                base_sequence: 40,
            },
            base_offset: Offset(100),
            leader_epoch: LeaderEpoch(3),
            ..BatchOptions::default()
        });
        for (index, key) in [b"a", b"b", b"c", b"d"].into_iter().enumerate() {
            let at = i64::try_from(index).unwrap();
            builder.push(
                Timestamp(1_000 + at * 10),
                NewRecord {
                    key: Some(key),
                    value: (index != 2).then_some(b"value"),
                    headers: &[(b"h", Some(b"1")), (b"n", None)],
                },
            );
        }
        read(builder.build().unwrap().to_bytes())
    }

    fn read(bytes: Bytes) -> Batch {
        let batch = Batches::of(bytes).next().unwrap().unwrap();
        batch.check_crc().unwrap();
        batch
    }

    fn records(batch: &Batch) -> Vec<Record> {
        let records = batch.records(DecodeLimits::default());
        records.map(Result::unwrap).collect()
    }

    #[test]
    fn what_stays_keeps_its_offset_time_and_bytes_in_every_codec() {
        for codec in [
            Codec::None,
            Codec::Gzip,
            Codec::Snappy,
            Codec::Lz4,
            Codec::Zstd,
        ] {
            for kind in [TimestampType::CreateTime, TimestampType::LogAppendTime] {
                for horizon in [None, Some(Timestamp(5_000))] {
                    let before = batch(codec, kind);
                    let unpacked = Unpacked::of(&before, DecodeLimits::default()).unwrap();
                    let kept: Vec<_> = (unpacked.records().map(Result::unwrap))
                        .filter(|record| [b"b", b"c"].iter().any(|key| record.key() == Some(*key)))
                        .collect();
                    let after = read(unpacked.with_only(&kept, horizon).unwrap());
                    assert_eq!(
                        records(&after),
                        records(&before)[1..3],
                        "{codec:?} {kind:?}"
                    );
                    let (was, is) = (before.header(), after.header());
                    assert_eq!(is.last_offset(), was.last_offset());
                    assert_eq!(is.last_sequence(), was.last_sequence());
                    assert_eq!(is.leader_epoch, was.leader_epoch);
                    assert_eq!(is.delete_horizon(), horizon);
                    assert_eq!(is.attributes.codec(), Some(codec));
                    let newest = match kind {
                        TimestampType::CreateTime => Timestamp(1_020),
                        TimestampType::LogAppendTime => was.max_timestamp,
                    };
                    assert_eq!(is.max_timestamp, newest);
                }
            }
        }
    }

    #[test]
    fn an_emptied_batch_keeps_its_offsets_and_its_producers_sequence() {
        let before = batch(Codec::Gzip, TimestampType::CreateTime);
        let after = read(emptied(before.header()));
        assert_eq!(records(&after), []);
        let (was, is) = (before.header(), after.header());
        assert_eq!(after.bytes().len(), BATCH_HEADER_LEN);
        assert_eq!(
            (is.base_offset, is.last_offset(), is.last_sequence()),
            (was.base_offset, was.last_offset(), was.last_sequence())
        );
        assert_eq!(
            (is.producer_id, is.producer_epoch),
            (was.producer_id, was.producer_epoch)
        );
        assert_eq!(is.max_timestamp, was.max_timestamp);
        assert_eq!(is.attributes.codec(), Some(Codec::None));
    }
}
