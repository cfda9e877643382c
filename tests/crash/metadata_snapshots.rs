//! Snapshots of the metadata: written, read back, and the log cut behind them, whenever the broker stops.

use crate::common::crash::{self, new_disk, observe};
use ottla::config::MetadataLogConfig;
use ottla::log::{LogManager, ManagerOptions, Unformatted};
use ottla::metadata::{ImageHandle, METADATA_VERSION, METADATA_VERSION_NAME, MetadataRecord};
use ottla::protocol::messages::{FeatureLevelRecord, TopicRecord};
use ottla::quorum::{self, MetadataQuorum, SingleQuorum};
use ottla::runtime::Disk;
use ottla::sim::{self, Keep, Operation, SimClock, SimDisk};
use ottla::types::{NodeId, Timestamp, Uuid};
use parking_lot::Mutex;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

const DIR: &str = "/data/__cluster_metadata-0";

/// Topics that a run makes.
const TOPICS: u8 = 60;

/// A snapshot after a few topics, and segments so small that snapshots cut some off.
fn config() -> MetadataLogConfig {
    MetadataLogConfig {
        segment_bytes: 1_000,
        segment_ms: i64::MAX,
        snapshot_bytes: 1_000,
        snapshot_interval_ms: None,
        retention_bytes: Some(4_000),
        retention_ms: None,
        file_delete_delay_ms: 0,
    }
}

/// Starts a quorum on `disk`; its image is what it has agreed on.
fn open(disk: &SimDisk) -> Result<(SingleQuorum, ImageHandle), String> {
    open_with(disk, &config())
}

fn open_with(
    disk: &SimDisk,
    config: &MetadataLogConfig,
) -> Result<(SingleQuorum, ImageHandle), String> {
    let runtime = sim::runtime(1, disk, &SimClock::simulated());
    let options = ManagerOptions {
        dirs: vec!["/data".into()],
        metadata_dir: None,
        node_id: NodeId(1),
        unformatted: Unformatted::FormatAs {
            cluster_id: "c".to_owned(),
        },
    };
    let logs = LogManager::open(&runtime, options).map_err(|error| error.to_string())?;
    let opened = logs.open_metadata_log(quorum::log_config(config), Timestamp(1_000));
    let (log, _) = opened.map_err(|error| error.to_string())?;
    let image = ImageHandle::new(Default::default());
    let level = FeatureLevelRecord {
        name: METADATA_VERSION_NAME.into(),
        feature_level: METADATA_VERSION,
    };
    let first = |_| vec![MetadataRecord::from(level)];
    let quorum = SingleQuorum::open(
        runtime,
        log,
        logs.metadata_directory().clone(),
        NodeId(1),
        image.clone(),
        first,
        config,
    );
    Ok((quorum.map_err(|error| error.to_string())?, image))
}

fn topic(number: u8) -> MetadataRecord {
    let record = TopicRecord {
        name: format!("topic-{number:03}").into(),
        topic_id: Uuid::from_bytes([number + 1; 16]),
    };
    record.into()
}

/// Makes topics one after another; `acknowledged` counts those that were answered.
async fn make_topics(disk: &SimDisk, acknowledged: &Mutex<u8>) {
    let (quorum, _) = open(disk).unwrap();
    for number in 0..TOPICS {
        quorum.append(vec![topic(number)]).await.unwrap();
        *acknowledged.lock() = number + 1;
        // Long enough for a snapshot that was begun.
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A change of more bytes than a metadata segment was refused as if the disk had failed, for as long as that setting stood.
#[tokio::test]
async fn a_change_larger_than_a_segment_of_the_log_gets_one_of_its_own() {
    let small = MetadataLogConfig {
        segment_bytes: 100,
        ..config()
    };
    let disk = new_disk(&SimClock::manual());
    let (quorum, _) = open_with(&disk, &small).unwrap();
    quorum.append((0..20).map(topic).collect()).await.unwrap();
    quorum.append(vec![topic(20)]).await.unwrap();
    drop(quorum);
    let (_, image) = open_with(&disk, &small).unwrap();
    assert_eq!(image.load().topic_count(), 21);
}

/// With how many topics the broker had acknowledged.
type Point = crash::Point<u8>;

/// All moments of one run; `prepare` may break the disk first.
async fn points(prepare: impl Fn(&SimDisk)) -> (SimDisk, Vec<Point>) {
    let disk = new_disk(&SimClock::manual());
    prepare(&disk);
    let acknowledged = Arc::<Mutex<u8>>::default();
    let points = observe(&disk, &acknowledged);
    make_topics(&disk, &acknowledged).await;
    let after = disk.snapshot();
    drop(disk);
    let points = std::mem::take(&mut *points.lock());
    (after, points)
}

/// What a restart after `point` misses.
fn missed(point: &Point, keep: Keep) -> Option<String> {
    let acknowledged = point.known;
    match open(&point.disk.crash(keep, 1)) {
        Ok((_, image)) => {
            let count = image.load().topic_count();
            let is_whole = [acknowledged, acknowledged + 1].map(usize::from);
            let missed = || format!("{point}, {keep:?}: {count} of {acknowledged} topics");
            (!is_whole.contains(&count)).then(missed)
        }
        Err(error) => Some(format!("{point}, {keep:?}: {error}")),
    }
}

fn names(disk: &SimDisk, ending: &str) -> Vec<String> {
    let entries = disk.list(Path::new(DIR)).unwrap().into_iter();
    let mut names: Vec<String> = entries
        .map(|entry| entry.name)
        .filter(|name| name.ends_with(ending))
        .collect();
    names.sort();
    names
}

#[tokio::test(start_paused = true)]
async fn a_stop_at_any_operation_loses_no_metadata() {
    let (_, points) = points(|_| ()).await;
    let of_snapshots = |point: &&Point| point.record.path.contains(".checkpoint");
    assert!(points.iter().filter(of_snapshots).count() > 20);
    for point in &points {
        for keep in [Keep::Written, Keep::Synced, Keep::Names, Keep::Torn] {
            assert_eq!(missed(point, keep), None);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_log_is_cut_below_snapshots_that_are_too_much() {
    let (disk, _) = points(|_| ()).await;
    let first_segment = names(&disk, ".log").remove(0);
    assert!(first_segment > format!("{:020}.log", 10), "{first_segment}");
    let snapshots = names(&disk, ".checkpoint");
    assert!((1..5).contains(&snapshots.len()), "{snapshots:?}");
}

#[tokio::test(start_paused = true)]
async fn snapshots_that_are_not_synced_before_the_log_is_cut_are_found() {
    let (_, points) = points(|disk| disk.lie(Operation::Sync, ".checkpoint")).await;
    assert!(
        points
            .iter()
            .any(|point| missed(point, Keep::Names).is_some())
    );
}

#[tokio::test(start_paused = true)]
async fn what_a_stopped_snapshot_left_is_removed_at_the_next_start() {
    let disk = new_disk(&SimClock::manual());
    make_topics(&disk, &Mutex::default()).await;
    let unfinished = "00000000000000000099-0000000001.checkpoint.part";
    disk.put(Path::new(DIR).join(unfinished), b"half").unwrap();
    open(&disk).unwrap();
    assert_eq!(names(&disk, ".part"), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn after_the_interval_what_is_new_is_written_and_nothing_is_not() {
    let disk = new_disk(&SimClock::manual());
    let config = MetadataLogConfig {
        snapshot_bytes: u64::MAX,
        snapshot_interval_ms: Some(300_000),
        ..config()
    };
    let (quorum, _) = open_with(&disk, &config).unwrap();
    quorum.start_upkeep();
    quorum.append(vec![topic(1)]).await.unwrap();
    let mut snapshots = Vec::new();
    for minutes in [4, 2, 60] {
        tokio::time::sleep(Duration::from_secs(60 * minutes)).await;
        snapshots.push(names(&disk, ".checkpoint").len());
    }
    assert_eq!(snapshots, [0, 1, 1]);
}
