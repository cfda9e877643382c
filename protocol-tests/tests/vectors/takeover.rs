//! A whole log directory of Kafka's: we take it over, and hand it back as we found it.

use super::disk::{batches, files, int, ledger_config, same_files, told, write};
use super::path;
use bytes::Bytes;
use ottla::log::{
    FirstBatch, LogConfig, LogManager, LogView, ManagerError, ManagerOptions, Unformatted,
};
use ottla::metadata::MetadataRecord;
use ottla::record::control::{self, ControlRecord, ControlType};
use ottla::record::{Batch, Batches, DecodeLimits};
use ottla::runtime::{os, read_exact_at};
use ottla::types::{NodeId, Timestamp};
use ottla_protocol_tests::codec::find;
use serde_json::Value;
use std::path::Path;

const NOW: Timestamp = Timestamp(1_760_000_100_000);
const FOLDERS: [&str; 4] = [
    "",
    "ledger-0",
    "other.topic_with-signs-12",
    "__cluster_metadata-0",
];

/// A copy of Kafka's directory, to be written to.
pub(super) fn copy() -> tempfile::TempDir {
    let temp = tempfile::tempdir().expect("a folder");
    for folder in FOLDERS {
        write(
            &temp.path().join(folder),
            &files(&path("disk/logdir").join(folder)),
        );
    }
    temp
}

fn options(dir: &Path, node: i32) -> ManagerOptions {
    ManagerOptions {
        dirs: vec![dir.to_owned()],
        metadata_dir: None,
        node_id: NodeId(node),
        unformatted: Unformatted::Refuse,
    }
}

#[tokio::test]
async fn a_directory_of_kafkas_is_taken_over_and_handed_back() {
    let temp = copy();
    let told = told();
    let text = |field: &str| told[field].as_str().expect(field).to_owned();
    let manager = LogManager::open(&os::runtime(), options(temp.path(), 1)).expect("ours now");
    assert_eq!(manager.cluster_id(), text("clusterId"));
    assert_eq!(
        manager.directories()[0].id().to_string(),
        text("directoryId")
    );
    assert_eq!(
        manager.previous_broker_epoch(),
        Some(2),
        "Kafka stopped cleanly"
    );

    let mut loaded = manager
        .load(NOW, 1, |_| ledger_config())
        .await
        .expect("Kafka's logs");
    assert_eq!((loaded.logs.len(), loaded.offline.len()), (2, 0));
    for found in &loaded.logs {
        let view = found.log.view();
        let told = &told[view.partition().to_string()];
        assert_eq!(view.log_start().get(), int(&told["logStartOffset"]));
        assert_eq!(view.log_end().get(), int(&told["logEndOffset"]));
        assert_eq!(view.high_watermark().get(), int(&told["highWatermark"]));
        assert_eq!(
            found.recovered.bytes_checked, 0,
            "a clean stop needs no repair"
        );
    }
    let id = loaded.logs[0].topic_id.expect("an id");
    assert_eq!(
        id.to_string(),
        told["ledger-0"]["topicId"].as_str().expect("an id")
    );

    let mut views: Vec<LogView> = Vec::new();
    for found in &mut loaded.logs {
        found.log.close().expect("a clean stop");
        views.push(found.log.view());
    }
    manager.close(&views, 2).expect("a clean stop");
    drop(manager);
    for folder in FOLDERS {
        let ours = files(&temp.path().join(folder));
        same_files(&ours, &files(&path("disk/logdir").join(folder)), &[".lock"]);
    }
}

#[test]
fn a_directory_of_another_node_is_refused_and_left_alone() {
    let temp = copy();
    let refused = LogManager::open(&os::runtime(), options(temp.path(), 2));
    let error = refused.err().expect("node 1's directory");
    assert!(matches!(error, ManagerError::OtherNode { .. }), "{error}");
    same_files(
        &files(temp.path()),
        &files(&path("disk/logdir")),
        &[".lock"],
    );
}

#[test]
fn kafkas_metadata_log_reads_to_the_records_that_were_written() {
    let temp = copy();
    let manager = LogManager::open(&os::runtime(), options(temp.path(), 1)).expect("ours now");
    let (log, _) = manager
        .open_metadata_log(LogConfig::default(), NOW)
        .expect("a log");
    let view = log.view();
    assert_eq!((view.log_start().get(), view.log_end().get()), (0, 8));
    let slice = view
        .read(view.log_start(), 1 << 20, view.log_end(), FirstBatch::Whole)
        .expect("in range");
    let mut bytes = vec![0; slice.bytes.len];
    read_exact_at(&*slice.bytes.file, &mut bytes, slice.bytes.position).expect("bytes");
    let batches: Vec<Batch> = Batches::of(bytes.into())
        .collect::<Result<_, _>>()
        .expect("batches");
    assert_eq!(batches.len(), 2);
    let Some(ControlRecord::Raft(ControlType::LeaderChange, value)) = control::read(&batches[0])
    else {
        panic!("no leader change")
    };
    let (leader, rest) = (find("LeaderChangeMessage").expect("known").read)(value, 0).expect("one");
    assert_eq!((&leader["leaderId"], rest), (&Value::from(1), 0));
    assert_eq!(same_records(&batches[1], &told()), 7);
}

#[test]
fn a_snapshot_of_the_metadata_reads_to_the_same_records_between_header_and_footer() {
    let mut read = 0;
    for (name, count) in [
        (
            "__cluster_metadata-0/00000000000000000008-0000000001.checkpoint",
            7,
        ),
        ("bootstrap.checkpoint", 1),
    ] {
        let folder = path("disk/logdir");
        let file = folder.join(name);
        let (folder, name) = (
            file.parent().expect("a folder"),
            file.file_name().expect("a name"),
        );
        let bytes = files(folder)
            .remove(name.to_str().expect("a name"))
            .expect("a file");
        let batches: Vec<Batch> = Batches::of(bytes.into())
            .collect::<Result<_, _>>()
            .expect("batches");
        let [header, records, footer] = &batches[..] else {
            panic!("{} batches", batches.len())
        };
        for (batch, kind) in [
            (header, ControlType::SnapshotHeader),
            (footer, ControlType::SnapshotFooter),
        ] {
            let Some(ControlRecord::Raft(found, _)) = control::read(batch) else {
                panic!("{kind:?}")
            };
            assert_eq!(found, kind);
        }
        assert_eq!(same_records(records, &told()), count);
        read += count;
    }
    assert_eq!(read, 8);
}

/// Compares the records of `batch` with the first of those that Kafka was given; how many there are.
fn same_records(batch: &Batch, told: &Value) -> usize {
    batch.check_crc().expect("Kafka's checksum");
    let mut count = 0;
    for (record, kafkas) in batch
        .records(DecodeLimits::default())
        .zip(told["metadataRecords"].as_array().expect("some"))
    {
        let value: Bytes = record.expect("a record").value.expect("a value");
        let name = kafkas["name"].as_str().expect("a name");
        let codec = find(name).expect(name);
        let version = i16::try_from(int(&kafkas["version"])).expect("small");
        let kind = u8::try_from(codec.key.expect("a kind")).expect("small");
        assert_eq!(
            value[..3],
            [1, kind, u8::try_from(version).expect("small")],
            "{name}"
        );
        let (data, rest) = (codec.read)(value.slice(3..), version).expect(name);
        assert_eq!((&data, rest), (&kafkas["data"], 0), "{name}");
        let record = MetadataRecord::decode(value).expect(name);
        assert_eq!(record.kind(), u32::from(kind), "{name}");
        count += 1;
    }
    count
}

#[test]
fn the_ledger_has_batches_of_every_codec() {
    let mut codecs: Vec<&str> = batches()
        .iter()
        .map(|batch| batch.header().attributes.codec().expect("a codec").name())
        .collect();
    codecs.sort_unstable();
    codecs.dedup();
    assert_eq!(codecs, ["gzip", "lz4", "none", "snappy", "zstd"]);
}
