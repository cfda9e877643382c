//! A log of before Kafka 0.11: messages of formats 0 and 1, plain and compressed, are found, served as they
//! lie, looked up by time, and written behind.

use super::batches::{Vector, vectors};
use bytes::Bytes;
use ottla::log::{FirstBatch, Log, LogConfig, Opening, Shutdown};
use ottla::record::{BatchBuilder, BatchOptions, DecodeLimits, NewRecord};
use ottla::runtime::{Open, os, write_whole};
use ottla::types::{LeaderEpoch, Offset, Timestamp, TopicName, TopicPartition};
use std::path::Path;

/// What a segment holds: offset and timestamp of each record, and the bytes.
struct OldSegment {
    records: Vec<(i64, i64)>,
    bytes: Vec<u8>,
}

/// Kafka's old vectors one behind the other; a message's offset is not under its checksum.
fn old_segment() -> OldSegment {
    let mut old: Vec<Vector> = vectors().into_iter().filter(Vector::is_legacy).collect();
    old.sort_by_key(|vector| vector.int("magic"));
    let mut segment = OldSegment {
        records: Vec::new(),
        bytes: Vec::new(),
    };
    for vector in old {
        let next = i64::try_from(segment.records.len()).expect("few");
        let records = vector.records().iter().zip(next..);
        segment.records.extend(
            records.map(|(record, offset)| (offset, record["timestamp"].as_i64().expect("a time"))),
        );
        let span = vector.int("lastOffset") - vector.int("baseOffset");
        segment.bytes.extend((next + span).to_be_bytes());
        segment.bytes.extend(&vector.bytes[8..]);
    }
    segment
}

fn open(dir: &Path, shutdown: Shutdown) -> Log {
    let partition = TopicPartition::new(TopicName::parse("old").expect("a name"), 0);
    let config = LogConfig {
        index_interval_bytes: 0,
        ..LogConfig::default()
    };
    let mut opening = Opening::new(partition, config, Timestamp(1_760_000_100_000));
    opening.shutdown = shutdown;
    let (log, recovered) = Log::open(&os::runtime(), dir, opening).expect("a log");
    assert_eq!((recovered.bytes_cut, recovered.segments_removed), (0, 0));
    log
}

fn read(log: &Log, from: i64) -> Bytes {
    let view = log.view();
    let slice = view.read(Offset(from), 1 << 20, view.log_end(), FirstBatch::Whole);
    slice.expect("in the log").bytes.read().expect("bytes")
}

fn check(log: &Log, old: &OldSegment) {
    assert!(read(log, 0).starts_with(&old.bytes), "served as they lie");
    for (offset, _) in &old.records {
        let bytes = read(log, *offset);
        let last = i64::from_be_bytes(*bytes.first_chunk().expect("a message"));
        assert!(
            last >= *offset,
            "a reader at {offset} got what ends at {last}"
        );
        assert!(
            old.bytes.windows(12).any(|head| bytes.starts_with(head)),
            "a message begins where a reader at {offset} is sent"
        );
    }
    for wanted in old.records.iter().map(|(_, timestamp)| *timestamp) {
        if wanted < 0 {
            continue;
        }
        let first = old
            .records
            .iter()
            .find(|(_, timestamp)| *timestamp >= wanted);
        let found = log
            .view()
            .offset_for_timestamp(Timestamp(wanted), DecodeLimits::default())
            .expect("readable")
            .map(|found| (found.offset.0, found.timestamp.0));
        assert_eq!(found.as_ref(), first);
    }
}

#[test]
fn what_kafka_wrote_before_0_11_is_served_as_it_lies_and_never_cut() {
    let home = tempfile::tempdir().expect("a directory");
    let dir = home.path().join("old-0");
    let disk = os::runtime().disk;
    disk.create_dir_all(&dir).expect("created");
    let old = old_segment();
    let file = dir.join("00000000000000000000.log");
    write_whole(&*disk, &file, &old.bytes).expect("written");
    let end = i64::try_from(old.records.len()).expect("few");

    let mut log = open(&dir, Shutdown::Unclean);
    assert_eq!(log.log_end(), Offset(end));
    check(&log, &old);
    let mut batch = BatchBuilder::new(BatchOptions::default());
    batch.push(Timestamp(1_760_000_100_000), NewRecord::default());
    log.append_as_leader(
        batch.build().expect("a batch"),
        LeaderEpoch(0),
        Timestamp(1_760_000_100_000),
    )
    .expect("appended");
    log.close().expect("closed");

    let log = open(&dir, Shutdown::Clean);
    assert_eq!(log.log_end(), Offset(end + 1));
    check(&log, &old);
    assert_eq!(log.view().latest_epoch(), Some(LeaderEpoch(0)));
    drop(log);
    let log = open(&dir, Shutdown::Unclean);
    assert_eq!(log.log_end(), Offset(end + 1));
    check(&log, &old);
    let len = disk.open(&file, Open::Read).and_then(|file| file.len());
    assert!(len.expect("a file") > old.bytes.len() as u64);
}
