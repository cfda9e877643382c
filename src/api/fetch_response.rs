//! The answer to a fetch, encoded by hand: its records are ranges of files that never come into
//! this process, so the generated encoder, which wants them as bytes, cannot write it.
//!
//! Field by field as in `schemas/FetchResponse`; a test compares every version with the generated
//! encoder.

use super::answer::Answer;
use crate::protocol::writer;
use crate::protocol::{EncodeError, ErrorCode};
use crate::replica::{AbortedTransaction, Told, TopicKey, Wanted};
use crate::runtime::{FileSlice, Reply};
use crate::types::Uuid;
use bytes::{BufMut, BytesMut};

const FLEXIBLE: i16 = 12;
const TOPIC_IDS: i16 = 13;

/// All that goes back for one request.
pub(super) struct FetchAnswer {
    pub(super) error: ErrorCode,
    pub(super) session_id: i32,
    pub(super) partitions: Vec<PartitionAnswer>,
}

/// What goes back for one partition. `−1` where there is nothing to tell.
pub(super) struct PartitionAnswer {
    topic: TopicKey,
    partition: i32,
    error: ErrorCode,
    pub(super) high_watermark: i64,
    pub(super) last_stable: i64,
    pub(super) log_start: i64,
    /// The largest epoch known that is not later than the client's last, and where it ends.
    pub(super) diverging: Option<(i32, i64)>,
    pub(super) current_leader: Option<(i32, i32)>,
    /// `None` for read_uncommitted.
    pub(super) aborted: Option<Vec<AbortedTransaction>>,
    pub(super) records: Option<FileSlice>,
}

impl FetchAnswer {
    pub(super) fn refused(error: ErrorCode) -> FetchAnswer {
        FetchAnswer {
            error,
            session_id: 0,
            partitions: Vec::new(),
        }
    }
}

impl PartitionAnswer {
    pub(super) fn empty(wanted: &Wanted) -> PartitionAnswer {
        PartitionAnswer {
            topic: wanted.topic.clone(),
            partition: wanted.partition,
            error: ErrorCode::None,
            high_watermark: -1,
            last_stable: -1,
            log_start: -1,
            diverging: None,
            current_leader: None,
            aborted: None,
            records: None,
        }
    }

    /// Not read at all: the partition is not here, or the request is at fault as a whole. Kafka's list of
    /// aborted transactions is empty then, and null for a read that failed.
    pub(super) fn refused(wanted: &Wanted, error: ErrorCode) -> PartitionAnswer {
        PartitionAnswer {
            aborted: Some(Vec::new()),
            ..PartitionAnswer::failed(wanted, error)
        }
    }

    pub(super) fn failed(wanted: &Wanted, error: ErrorCode) -> PartitionAnswer {
        PartitionAnswer {
            error,
            ..PartitionAnswer::empty(wanted)
        }
    }

    pub(super) fn bytes(&self) -> u64 {
        self.records.as_ref().map_or(0, |slice| slice.len as u64)
    }

    /// Whether the client must hear of it without waiting for more bytes.
    pub(super) fn is_urgent(&self) -> bool {
        self.error != ErrorCode::None || self.diverging.is_some()
    }

    pub(super) fn told(&self) -> Told {
        Told {
            has_news: self.bytes() > 0 || self.diverging.is_some(),
            failed: self.error != ErrorCode::None,
            high_watermark: self.high_watermark,
            log_start: self.log_start,
        }
    }

    fn write(&self, reply: &mut Reply, version: i16) {
        let flexible = version >= FLEXIBLE;
        let out = &mut reply.bytes;
        out.put_i32(self.partition);
        out.put_i16(self.error.code());
        out.put_i64(self.high_watermark);
        out.put_i64(self.last_stable);
        if version >= 5 {
            out.put_i64(self.log_start);
        }
        match &self.aborted {
            None => put_count(out, None, flexible),
            Some(aborted) => {
                put_count(out, Some(aborted.len()), flexible);
                for transaction in aborted {
                    out.put_i64(transaction.producer.get());
                    out.put_i64(transaction.first.get());
                    put_no_tags(out, flexible);
                }
            }
        }
        if version >= 11 {
            // No preferred replica: this leader serves.
            out.put_i32(-1);
        }
        // Never null: librdkafka takes that for a broken answer.
        let len = self.records.as_ref().map_or(0, |slice| slice.len);
        if flexible {
            put_count(out, Some(len), true);
        } else {
            out.put_i32(i32::try_from(len).unwrap_or(i32::MAX));
        }
        if let Some(slice) = self.records.as_ref().filter(|slice| slice.len > 0) {
            reply.push_file(slice.clone());
        }
        if flexible {
            self.write_tags(&mut reply.bytes);
        }
    }

    fn write_tags(&self, out: &mut BytesMut) {
        let tags = u32::from(self.diverging.is_some()) + u32::from(self.current_leader.is_some());
        writer::uvarint(out, tags);
        if let Some((epoch, end)) = self.diverging {
            writer::uvarint(out, 0);
            writer::uvarint(out, 4 + 8 + 1);
            out.put_i32(epoch);
            out.put_i64(end);
            out.put_u8(0);
        }
        if let Some((leader, epoch)) = self.current_leader {
            writer::uvarint(out, 1);
            writer::uvarint(out, 4 + 4 + 1);
            out.put_i32(leader);
            out.put_i32(epoch);
            out.put_u8(0);
        }
    }
}

impl Answer for FetchAnswer {
    fn write(&self, reply: &mut Reply, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= FLEXIBLE;
        reply.bytes.put_i32(0); // throttle_time_ms: there are no quotas
        if version >= 7 {
            reply.bytes.put_i16(self.error.code());
            reply.bytes.put_i32(self.session_id);
        }
        // Neighbours of one topic share its entry; the order is the one in which they were read.
        let topics = self.partitions.chunk_by(|a, b| a.topic == b.topic);
        put_count(&mut reply.bytes, Some(topics.count()), flexible);
        for partitions in self.partitions.chunk_by(|a, b| a.topic == b.topic) {
            write_topic(&mut reply.bytes, &partitions[0].topic, version);
            put_count(&mut reply.bytes, Some(partitions.len()), flexible);
            for partition in partitions {
                partition.write(reply, version);
            }
            put_no_tags(&mut reply.bytes, flexible);
        }
        put_no_tags(&mut reply.bytes, flexible);
        Ok(())
    }
}

fn write_topic(out: &mut BytesMut, topic: &TopicKey, version: i16) {
    match topic {
        TopicKey::Id(id) => out.put_slice(id.as_bytes()),
        TopicKey::Name(name) if version >= TOPIC_IDS => {
            debug_assert!(
                false,
                "topic {name} is answered by name in version {version}"
            );
            out.put_slice(Uuid::ZERO.as_bytes());
        }
        TopicKey::Name(name) => {
            if version >= FLEXIBLE {
                put_count(out, Some(name.len()), true);
            } else {
                // A name came in with 16 bits of length, so it goes out with them.
                out.put_i16(i16::try_from(name.len()).unwrap_or(i16::MAX));
            }
            out.put_slice(name.as_bytes());
        }
    }
}

fn put_count(out: &mut BytesMut, count: Option<usize>, flexible: bool) {
    let count = count.map(|count| u32::try_from(count).unwrap_or(u32::MAX - 1));
    if flexible {
        writer::uvarint(out, count.map_or(0, |count| count + 1));
    } else {
        out.put_i32(count.map_or(-1, |count| i32::try_from(count).unwrap_or(i32::MAX)));
    }
}

fn put_no_tags(out: &mut BytesMut, flexible: bool) {
    if flexible {
        out.put_u8(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::messages::FetchResponse;
    use crate::protocol::messages::fetch_response as schema;
    use crate::protocol::{Message, Reader};
    use crate::runtime::{Disk, Open, os::OsDisk};
    use crate::types::{Offset, ProducerId};
    use std::io::IoSlice;

    fn wanted(topic: TopicKey, partition: i32) -> Wanted {
        Wanted {
            topic,
            partition,
            from: Offset(0),
            bytes_max: 1,
            leader_epoch: -1,
            last_fetched_epoch: -1,
        }
    }

    /// The reply as it goes over the wire, files read in.
    fn wire(reply: &Reply) -> Vec<u8> {
        let mut out = Vec::new();
        for (bytes, file) in reply.pieces() {
            out.extend_from_slice(bytes);
            if let Some(slice) = file {
                out.extend_from_slice(&slice.read().unwrap());
            }
        }
        out
    }

    #[test]
    fn every_version_is_the_bytes_of_the_generated_encoder() {
        let dir = tempfile::tempdir().unwrap();
        let file = OsDisk::default()
            .open(&dir.path().join("log"), Open::Create)
            .unwrap();
        file.write_at(&mut [IoSlice::new(b"0123456789")], 0)
            .unwrap();
        for version in 4..=18 {
            let id = Uuid::from_bytes([7; 16]);
            let key = if version >= 13 {
                TopicKey::Id(id)
            } else {
                TopicKey::Name("t".into())
            };
            let mut full = PartitionAnswer::empty(&wanted(key.clone(), 3));
            full.high_watermark = 10;
            full.last_stable = 9;
            full.log_start = 1;
            full.aborted = Some(vec![AbortedTransaction {
                producer: ProducerId(5),
                first: Offset(6),
            }]);
            full.records = Some(FileSlice {
                file: file.clone(),
                position: 2,
                len: 4,
            });
            let mut told = PartitionAnswer::refused(&wanted(key, 4), ErrorCode::FencedLeaderEpoch);
            if version >= 12 {
                told.diverging = Some((2, 8));
                told.current_leader = Some((1, 3));
            }
            let answer = FetchAnswer {
                error: ErrorCode::None,
                session_id: if version >= 7 { 77 } else { 0 },
                partitions: vec![full, told],
            };
            let mut reply = Reply::new();
            answer.write(&mut reply, version).unwrap();
            let bytes = wire(&reply);

            let mut reader = Reader::new(bytes.clone().into());
            let decoded = FetchResponse::decode(&mut reader, version).unwrap();
            assert_eq!(reader.remaining(), 0, "version {version}");
            let partition = &decoded.responses[0].partitions[0];
            assert_eq!(partition.records.as_deref(), Some(&b"2345"[..]));
            assert_eq!(
                partition.aborted_transactions.as_ref().unwrap()[0].first_offset,
                6
            );
            let refused: &schema::PartitionData = &decoded.responses[0].partitions[1];
            assert_eq!(refused.error_code, ErrorCode::FencedLeaderEpoch.code());

            let mut again = BytesMut::new();
            decoded.encode(&mut again, version).unwrap();
            assert_eq!(bytes, again, "version {version}");
        }
    }
}
