//! A log directory that Kafka's own log classes left behind: we open it as it is, repair it to the
//! same files, and the same appends leave the same files.

use super::{path, text};
use bytes::Bytes;
use ottla::log::{
    AbortedTransaction, Appended, EpochStart, FirstBatch, Log, LogConfig, Opening, Shutdown,
};
use ottla::record::control::{self, ControlRecord};
use ottla::record::{Batch, Batches, DecodeLimits, TransactionVersion, ValidBatch, ZstdUse};
use ottla::runtime::{os, read_exact_at};
use ottla::types::{LeaderEpoch, Offset, ProducerId, Timestamp, TopicName, TopicPartition};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;

const SEGMENTS: usize = 3;
const BATCHES: usize = 47;

pub(super) fn told() -> Value {
    serde_json::from_str(&text("disk/logdir.json")).expect("logdir.json")
}

pub(super) fn int(json: &Value) -> i64 {
    json.as_i64()
        .unwrap_or_else(|| panic!("not a number: {json}"))
}

/// Names and bytes of the files of one folder.
#[expect(
    clippy::disallowed_methods,
    reason = "a test compares files; what wrote them went through the seam"
)]
pub(super) fn files(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    std::fs::read_dir(dir)
        .unwrap_or_else(|why| panic!("{}: {why}", dir.display()))
        .map(|entry| entry.expect("entry"))
        .filter(|entry| entry.path().is_file())
        .map(|entry| {
            let name = entry.file_name().into_string().expect("name");
            (name, std::fs::read(entry.path()).expect("a file"))
        })
        .collect()
}

#[expect(
    clippy::disallowed_methods,
    reason = "a test lays out the files that the seam then finds"
)]
pub(super) fn write(dir: &Path, files: &BTreeMap<String, Vec<u8>>) {
    std::fs::create_dir_all(dir).expect("a folder");
    for (name, bytes) in files {
        std::fs::write(dir.join(name), bytes).expect("a file");
    }
}

fn kafkas() -> BTreeMap<String, Vec<u8>> {
    files(&path("disk/logdir/ledger-0"))
}

/// The configuration that Kafka's log had.
pub(super) fn ledger_config() -> LogConfig {
    LogConfig {
        segment_bytes: 2600,
        segment_index_bytes: 1200,
        index_interval_bytes: 400,
        ..LogConfig::default()
    }
}

fn opening(shutdown: Shutdown) -> Opening {
    let partition = TopicPartition::new(TopicName::parse("ledger").expect("a name"), 0);
    Opening {
        shutdown,
        ..Opening::new(partition, ledger_config(), Timestamp(1_760_000_100_000))
    }
}

/// The batches of all segments, in order.
pub(super) fn batches() -> Vec<Batch> {
    let mut all = Vec::new();
    for (name, bytes) in kafkas() {
        if name.ends_with(".log") {
            let batches: Result<Vec<Batch>, _> = Batches::of(bytes.into()).collect();
            all.extend(batches.expect(&name));
        }
    }
    assert_eq!(all.len(), BATCHES);
    all
}

/// A producer snapshot with its entries in order of producer and no checksum: Kafka writes them as they
/// lie in its hash table, and reads them in any order.
fn in_order(snapshot: &[u8]) -> Vec<u8> {
    let (head, entries) = snapshot.split_at(10);
    let mut entries: Vec<&[u8]> = entries.chunks(46).collect();
    entries.sort_unstable();
    [&head[..2], &head[6..], &entries.concat()].concat()
}

/// Compares all but `apart`; complains by name, for the bytes tell nobody anything.
pub(super) fn same_files(
    ours: &BTreeMap<String, Vec<u8>>,
    kafkas: &BTreeMap<String, Vec<u8>>,
    apart: &[&str],
) {
    let mut complaints = Vec::new();
    for name in kafkas.keys().chain(ours.keys()) {
        if apart.contains(&name.as_str()) {
            continue;
        }
        match (ours.get(name), kafkas.get(name)) {
            (Some(ours), Some(kafkas)) if ours == kafkas => {}
            (Some(ours), Some(kafkas))
                if name.ends_with(".snapshot") && in_order(ours) == in_order(kafkas) => {}
            (Some(ours), Some(kafkas)) => complaints.push(format!(
                "{name}:\n  kafka {}\n  ours  {}",
                super::hex(kafkas),
                super::hex(ours)
            )),
            (None, _) => complaints.push(format!("{name} is missing")),
            (_, None) => complaints.push(format!("{name} is not Kafka's")),
        }
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

#[test]
fn the_same_appends_leave_the_same_files_as_kafkas_log() {
    let temp = tempfile::tempdir().expect("a folder");
    let dir = temp.path().join("ledger-0");
    let (mut log, _) = Log::open(&os::runtime(), &dir, opening(Shutdown::Clean)).expect("a log");
    let (mut markers, mut now) = (0, 1_760_000_000_000);
    for (nth, batch) in batches().iter().enumerate() {
        if nth % 4 == 0 {
            now += 1000; // as the clock went when Kafka wrote it
            log.advance_high_watermark(log.log_end());
        }
        let header = *batch.header();
        let valid = if let Some(ControlRecord::EndTransaction(marker)) = control::read(batch) {
            markers += 1;
            control::end_transaction(
                header.producer_id,
                header.producer_epoch,
                marker,
                TransactionVersion::V1,
                header.max_timestamp,
            )
        } else {
            // As the producer sent it: numbered from 0, of no epoch.
            let mut sent = batch.bytes().to_vec();
            sent[..8].fill(0);
            sent[12..16].fill(0xff);
            let rules = log.config().produce_rules(Timestamp(now), ZstdUse::Allowed);
            ValidBatch::parse(&Bytes::from(sent), &rules).expect("a batch")
        };
        let appended = log
            .append_as_leader(valid, header.leader_epoch, Timestamp(now))
            .expect("an append");
        let Appended::Fresh { base, last, .. } = appended else {
            panic!("{appended:?}")
        };
        assert_eq!((base, last), (header.base_offset, header.last_offset()));
    }
    log.advance_high_watermark(log.log_end());
    assert_eq!(markers, 11);
    log.set_log_start(Offset(5))
        .expect("below the high watermark");
    log.close().expect("a clean stop");
    // The id of the topic is not the log's to write.
    same_files(&files(&dir), &kafkas(), &["partition.metadata"]);
}

#[test]
fn kafkas_directory_opens_as_it_is_and_closes_unchanged() {
    let temp = tempfile::tempdir().expect("a folder");
    let dir = temp.path().join("ledger-0");
    write(&dir, &kafkas());
    let told = &told()["ledger-0"];
    let opening = Opening {
        log_start: Offset(int(&told["logStartOffset"])),
        recovery_point: Offset(int(&told["logEndOffset"])),
        high_watermark: Offset(int(&told["highWatermark"])),
        ..opening(Shutdown::Clean)
    };
    let (mut log, recovered) = Log::open(&os::runtime(), &dir, opening).expect("Kafka's log");
    assert_eq!((recovered.bytes_cut, recovered.segments_removed), (0, 0));
    let view = log.view();
    assert_eq!(view.log_start().get(), int(&told["logStartOffset"]));
    assert_eq!(view.log_end().get(), int(&told["logEndOffset"]));
    assert_eq!(view.high_watermark().get(), int(&told["highWatermark"]));
    assert_eq!(
        view.last_stable_offset().get(),
        int(&told["lastStableOffset"])
    );
    assert_eq!(view.segment_count(), SEGMENTS);
    let id = log.topic_id().expect("readable").expect("an id");
    assert_eq!(id.to_string(), told["topicId"].as_str().expect("an id"));

    let epochs: Vec<EpochStart> = told["leaderEpochs"]
        .as_object()
        .expect("epochs")
        .iter()
        .map(|(epoch, start)| EpochStart {
            epoch: LeaderEpoch(epoch.parse().expect("an epoch")),
            start: Offset(int(start)),
        })
        .collect();
    assert_eq!(view.epochs(), epochs);

    let aborted: Vec<AbortedTransaction> = told["segments"]
        .as_array()
        .expect("segments")
        .iter()
        .flat_map(|segment| segment["abortedTransactions"].as_array().expect("a list"))
        .map(|txn| AbortedTransaction {
            producer: ProducerId(int(&txn["producerId"])),
            first: Offset(int(&txn["firstOffset"])),
        })
        .collect();
    assert_eq!(aborted.len(), 5);
    let found = view
        .aborted_transactions(view.log_start(), view.log_end())
        .expect("readable");
    assert_eq!(found, aborted);

    let producers = log.active_producers();
    let snapshot = told["producerSnapshots"]["119"]
        .as_array()
        .expect("a snapshot");
    assert_eq!(producers.len(), snapshot.len());
    for kafkas in snapshot {
        let id = int(&kafkas["producerId"]);
        let ours = producers
            .iter()
            .find(|ours| ours.id.get() == id)
            .expect("known");
        assert_eq!(i64::from(ours.epoch.get()), int(&kafkas["producerEpoch"]));
        assert_eq!(i64::from(ours.last_sequence), int(&kafkas["lastSequence"]));
        assert_eq!(ours.last_timestamp.get(), int(&kafkas["lastTimestamp"]));
        assert_eq!(
            i64::from(ours.coordinator_epoch),
            int(&kafkas["coordinatorEpoch"])
        );
        let open = ours.transaction_start.map_or(-1, |offset| offset.get());
        assert_eq!(open, int(&kafkas["currentTxnFirstOffset"]));
    }

    // Every batch is found by each of its offsets, and read as it lies.
    let mut reads = 0;
    for batch in batches() {
        let header = batch.header();
        for offset in header.base_offset.get().max(5)..=header.last_offset().get() {
            let slice = view
                .read(Offset(offset), 1, view.log_end(), FirstBatch::Whole)
                .expect("in range");
            let mut bytes = vec![0; slice.bytes.len];
            read_exact_at(&*slice.bytes.file, &mut bytes, slice.bytes.position).expect("bytes");
            assert!(bytes == batch.bytes()[..], "offset {offset}");
            reads += 1;
        }
    }
    assert_eq!(reads, 119 - 5);
    log.close().expect("a clean stop");
    same_files(&files(&dir), &kafkas(), &[]);
}

#[test]
fn lost_indexes_are_rebuilt_to_the_bytes_that_kafka_wrote() {
    let temp = tempfile::tempdir().expect("a folder");
    let dir = temp.path().join("ledger-0");
    let mut left = kafkas();
    left.retain(|name, _| !name.ends_with("index") && !name.ends_with("snapshot"));
    assert_eq!(left.len(), SEGMENTS + 2);
    write(&dir, &left);
    let opening = Opening {
        log_start: Offset(5),
        ..opening(Shutdown::Unclean)
    };
    let (mut log, recovered) = Log::open(&os::runtime(), &dir, opening).expect("Kafka's log");
    assert_eq!((recovered.bytes_cut, recovered.segments_removed), (0, 0));
    assert_eq!(log.log_end(), Offset(119));
    assert_eq!(log.first_undecided(), Some(Offset(117)));
    log.close().expect("a clean stop");
    let mut kafkas = kafkas();
    let mut ours = files(&dir);
    // Which snapshots are kept after a repair is not fixed; the last one counts.
    let passing = |name: &str| name.ends_with("snapshot") && !name.contains("119");
    kafkas.retain(|name, _| !passing(name));
    ours.retain(|name, _| !passing(name));
    same_files(&ours, &kafkas, &[]);
}

/// Every timestamp between the first and the last, looked up against a plain walk over all records.
#[test]
fn offsets_are_found_by_time_as_a_walk_over_all_records_finds_them() {
    let temp = tempfile::tempdir().expect("a folder");
    let dir = temp.path().join("ledger-0");
    write(&dir, &kafkas());
    let (log, _) = Log::open(&os::runtime(), &dir, opening(Shutdown::Clean)).expect("a log");
    let records: Vec<(i64, i64)> = batches()
        .iter()
        .flat_map(|batch| batch.records(DecodeLimits::default()))
        .map(|record| record.expect("a record"))
        .map(|record| (record.timestamp.get(), record.offset.get()))
        .collect();
    assert_eq!(records.len(), 119);
    let mut times: Vec<i64> = records
        .iter()
        .flat_map(|(time, _)| [time - 1, *time])
        .collect();
    times.push(times.iter().max().expect("some") + 1);
    for time in times {
        let expected = records
            .iter()
            .find(|(at, _)| *at >= time)
            .map(|(_, offset)| *offset);
        let found = log
            .view()
            .offset_for_timestamp(Timestamp(time), DecodeLimits::default())
            .expect("readable");
        assert_eq!(found.map(|found| found.offset.get()), expected, "at {time}");
    }
}
