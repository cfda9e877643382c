//! What a metadata log says: its newest snapshot, and the records behind it.

use super::snapshot::{self, Voters};
use crate::log::{FirstBatch, Log};
use crate::metadata::{
    ApplyError, METADATA_VERSION_NAME, MetadataImage, MetadataRecord, RecordError, SupportedFeature,
};
use crate::record::control::{self, ControlRecord, ControlType};
use crate::record::{Batch, BatchError, Batches, DecodeError, DecodeLimits};
use crate::runtime::{self, Runtime};
use crate::types::{NodeId, Offset};
use bytes::Bytes;
use std::io;
use std::path::{Path, PathBuf};
use tracing::warn;

/// Bytes of the metadata log read at a time while it is replayed.
const LOAD_BYTES: usize = 8 * 1024 * 1024;

/// Records of one batch are never larger than this once decompressed; we write them plain.
const DECODE_LIMITS: DecodeLimits = DecodeLimits {
    bytes_max: 64 * 1024 * 1024,
};

/// Why the metadata log cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("{path}: {error}")]
    State { path: PathBuf, error: io::Error },
    #[error("{path} is not a quorum-state file: {reason}")]
    BadState { path: PathBuf, reason: String },
    #[error("the metadata log was led by node {found}, this is node {expected}")]
    OtherLeader { found: i32, expected: NodeId },
    #[error(
        "the metadata log begins at offset {0}, and the snapshot of what was before is missing"
    )]
    NoSnapshot(Offset),
    #[error("snapshot {path}: {error}")]
    Snapshot { path: PathBuf, error: SnapshotError },
    #[error("{0}")]
    Log(#[from] BrokenRecords),
    #[error("the log cannot be read: {0}")]
    Read(io::Error),
    #[error("the log cannot be cut behind its snapshot: {0}")]
    Cut(String),
    #[error("{path} names no metadata.version that this release knows ({known})")]
    FormattedVersion {
        path: PathBuf,
        known: &'static SupportedFeature,
    },
    #[error("{0}")]
    Append(super::QuorumError),
}

/// What `kafka-storage format` leaves for the first start of a new cluster: its feature levels and its users, in the
/// format of a snapshot (`BootstrapDirectory`).
const FORMATTED: &str = "bootstrap.checkpoint";

/// Why a snapshot cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    #[error("{0}")]
    Read(io::Error),
    #[error("{0}")]
    Records(#[from] BrokenRecords),
    #[error("it does not begin or not end as a snapshot does")]
    Incomplete,
}

/// A batch of metadata records that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("offset {offset}: {error}")]
pub struct BrokenRecords {
    pub offset: Offset,
    pub error: ReplayError,
}

/// Why a batch of metadata records cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    #[error("{0}")]
    Batch(#[from] BatchError),
    #[error("{0}")]
    Decode(#[from] DecodeError),
    #[error("{0}")]
    Record(#[from] RecordError),
    #[error("{0}")]
    Apply(#[from] ApplyError),
}

/// What a metadata log says.
pub(super) struct Loaded {
    pub(super) image: MetadataImage,
    pub(super) voters: Voters,
    /// Bytes of the records behind the snapshot.
    pub(super) bytes: u64,
}

/// Folds the newest snapshot and what the log has behind it. A log that ends before its snapshot is
/// started anew there, as `KafkaRaftLog` does; one that begins behind it is refused.
pub(super) fn load(runtime: &Runtime, log: &mut Log) -> Result<Loaded, LoadError> {
    let mut replay = Replay::default();
    snapshot::remove_leftovers(&*runtime.disk, log).map_err(LoadError::Read)?;
    let snapshots = snapshot::list(&*runtime.disk, log.dir()).map_err(LoadError::Read)?;
    let snapshot = snapshots.into_iter().last();
    let from = snapshot.as_ref().map_or(Offset::ZERO, |newest| newest.end);
    if log.log_start() > from {
        return Err(LoadError::NoSnapshot(log.log_start()));
    }
    if let Some(snapshot) = snapshot {
        let read = read_snapshot(runtime, &snapshot.path, &mut replay);
        read.map_err(|error| LoadError::Snapshot {
            path: snapshot.path,
            error,
        })?;
        if log.log_end() < from {
            warn!(end = %log.log_end(), snapshot = %from, "the metadata log ends before its snapshot");
            log.restart_at(from, runtime.clock.wall())
                .map_err(|error| LoadError::Cut(error.to_string()))?;
            log.assign_epoch_start(snapshot.epoch);
        }
    }
    replay.bytes = 0;
    read_log(log, from, &mut replay)?;
    let Replay {
        mut image,
        voters,
        bytes,
        transaction: _,
    } = replay;
    image.end = log.log_end();
    Ok(Loaded {
        image,
        voters,
        bytes,
    })
}

/// What the log directory was formatted with, if that says more than whose it is.
pub(super) fn formatted(
    runtime: &Runtime,
    directory: &Path,
) -> Result<Option<MetadataImage>, LoadError> {
    let path = directory.join(FORMATTED);
    let mut replay = Replay::default();
    match read_snapshot(runtime, &path, &mut replay) {
        Ok(()) => {}
        Err(SnapshotError::Read(error)) if error.kind() == io::ErrorKind::NotFound => {
            return Ok(None);
        }
        Err(error) => return Err(LoadError::Snapshot { path, error }),
    }
    let level = replay.image.features.get(METADATA_VERSION_NAME);
    match SupportedFeature::find(METADATA_VERSION_NAME) {
        Some(known) if !level.is_some_and(|level| known.has(*level)) => {
            Err(LoadError::FormattedVersion { path, known })
        }
        _ => Ok(Some(replay.image)),
    }
}

fn read_snapshot(runtime: &Runtime, path: &Path, replay: &mut Replay) -> Result<(), SnapshotError> {
    let bytes = runtime::read_whole(&*runtime.disk, path).map_err(SnapshotError::Read)?;
    let batches = replay.take_in(bytes.into(), Offset::ZERO)?;
    let ends = [batches.first(), batches.last()].map(|batch| control_type(batch?));
    let of_a_snapshot = [ControlType::SnapshotHeader, ControlType::SnapshotFooter];
    if ends == of_a_snapshot.map(Some) {
        Ok(())
    } else {
        Err(SnapshotError::Incomplete)
    }
}

fn control_type(batch: &Batch) -> Option<ControlType> {
    match control::read(batch) {
        Some(ControlRecord::Raft(kind, _)) => Some(kind),
        _ => None,
    }
}

fn read_log(log: &Log, from: Offset, replay: &mut Replay) -> Result<(), LoadError> {
    let (mut next, end, view) = (from, log.log_end(), log.view());
    while next < end {
        let slice = view
            .read(next, LOAD_BYTES, end, FirstBatch::Whole)
            .map_err(|error| LoadError::Read(io::Error::other(error.to_string())))?;
        let bytes = slice.bytes.read().map_err(LoadError::Read)?;
        let batches = replay.take_in(bytes, next)?;
        next = batches
            .last()
            .map_or(next, |last| last.header().next_offset());
    }
    Ok(())
}

/// The image so far.
#[derive(Default)]
struct Replay {
    image: MetadataImage,
    voters: Voters,
    /// Bytes of records that were folded.
    bytes: u64,
    /// Records between a begin and an end count together or, if aborted, not at all.
    transaction: Option<Vec<MetadataRecord>>,
}

impl Replay {
    /// Folds the batches of `bytes`, the first of which is at offset `next`, and gives them.
    fn take_in(&mut self, bytes: Bytes, mut next: Offset) -> Result<Vec<Batch>, BrokenRecords> {
        let mut batches = Vec::new();
        for batch in Batches::of(bytes) {
            let at = |error| BrokenRecords {
                offset: next,
                error,
            };
            let batch = batch.map_err(|error| at(error.into()))?;
            self.fold(&batch).map_err(at)?;
            next = batch.header().next_offset();
            batches.push(batch);
        }
        Ok(batches)
    }

    fn fold(&mut self, batch: &Batch) -> Result<(), ReplayError> {
        batch.check_crc()?;
        if batch.header().attributes.is_control() {
            for record in control::records(batch) {
                if let ControlRecord::Raft(kind, value) = record {
                    self.voters.note(kind, value);
                }
            }
            return Ok(());
        }
        self.bytes += batch.header().size() as u64;
        for record in batch.records(DECODE_LIMITS) {
            let value = record?.value.unwrap_or_default();
            self.step(MetadataRecord::decode(value)?)?;
        }
        Ok(())
    }

    fn step(&mut self, record: MetadataRecord) -> Result<(), ApplyError> {
        match record {
            MetadataRecord::BeginTransaction(_) => self.transaction = Some(Vec::new()),
            MetadataRecord::AbortTransaction(_) => self.transaction = None,
            MetadataRecord::EndTransaction(_) => {
                for record in self.transaction.take().unwrap_or_default() {
                    self.image.apply(&record)?;
                }
            }
            record => match &mut self.transaction {
                Some(held) => held.push(record),
                None => self.image.apply(&record)?,
            },
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::snapshot::{Contents, Snapshot};
    use super::*;
    use crate::log::{LogConfig, Opening};
    use crate::metadata::METADATA_VERSION;
    use crate::protocol::messages::TopicRecord;
    use crate::record::{BatchBuilder, BatchOptions, NewRecord, ValidBatch};
    use crate::runtime::os;
    use crate::types::{LeaderEpoch, Timestamp, TopicName, TopicPartition, Uuid};

    const NOW: Timestamp = Timestamp(1_000);
    const EPOCH: LeaderEpoch = LeaderEpoch(1);

    struct World {
        runtime: Runtime,
        dir: tempfile::TempDir,
        log: Log,
    }

    impl World {
        /// A log that begins at `start`, with one topic's record.
        fn new(start: i64, topic: &str) -> World {
            let (runtime, dir) = (os::runtime(), tempfile::tempdir().unwrap());
            let name = TopicName::parse("__cluster_metadata").unwrap();
            let partition = TopicPartition::new(name, 0);
            let opening = Opening::new(partition, LogConfig::default(), NOW);
            let (mut log, _) = Log::open(&runtime, dir.path(), opening).unwrap();
            log.restart_at(Offset(start), NOW).unwrap();
            log.append_as_leader(topic_batch(topic), EPOCH, NOW)
                .unwrap();
            World { runtime, dir, log }
        }

        fn snapshot(&self, name: &str, batches: &[ValidBatch]) {
            let mut bytes = Vec::new();
            for batch in batches {
                bytes.extend_from_slice(&batch.header().encode());
                bytes.extend_from_slice(batch.body());
            }
            let path = self.dir.path().join(name);
            runtime::write_whole(&*self.runtime.disk, &path, &bytes).unwrap();
        }

        fn load(&mut self) -> Result<Vec<String>, LoadError> {
            let image = load(&self.runtime, &mut self.log)?.image;
            assert_eq!(image.end, self.log.log_end());
            Ok(image.topics().map(|topic| topic.name.to_string()).collect())
        }
    }

    fn topic_record(name: &str) -> MetadataRecord {
        MetadataRecord::from(TopicRecord {
            name: name.to_owned().into(),
            topic_id: Uuid::from_bytes([name.as_bytes()[0]; 16]),
        })
    }

    fn topic_batch(name: &str) -> ValidBatch {
        let mut batch = BatchBuilder::new(BatchOptions::default());
        let value = topic_record(name).encode(METADATA_VERSION).unwrap();
        batch.push(
            NOW,
            NewRecord {
                value: Some(&value),
                ..NewRecord::default()
            },
        );
        batch.build().unwrap()
    }

    /// A snapshot that knows one topic.
    fn snapshot_of(topic: &str) -> [ValidBatch; 3] {
        [
            control::raft(ControlType::SnapshotHeader, &[], EPOCH, NOW),
            topic_batch(topic),
            control::raft(ControlType::SnapshotFooter, &[], EPOCH, NOW),
        ]
    }

    #[test]
    fn a_snapshot_stands_for_what_was_cut_off_the_log() {
        let mut world = World::new(10, "new");
        world.snapshot(
            "00000000000000000010-0000000001.checkpoint",
            &snapshot_of("old"),
        );
        assert_eq!(world.load().unwrap(), ["new", "old"]);
    }

    #[test]
    fn a_snapshot_is_read_as_it_was_written_with_the_voters_that_the_log_named() {
        let mut world = World::new(10, "new");
        let mut image = MetadataImage::default();
        for topic in ["a", "b"] {
            image.apply(&topic_record(topic)).unwrap();
        }
        let mut voters = Voters::default();
        voters.note(ControlType::KraftVersion, Bytes::from_static(b"version"));
        voters.note(ControlType::KraftVoters, Bytes::from_static(b"voters"));
        let contents = Contents {
            image: &image,
            voters: &voters,
            newest: NOW,
        };
        let snapshot = Snapshot::new(world.dir.path(), Offset(10), EPOCH);
        snapshot.write(&world.runtime, &contents).unwrap();
        let loaded = load(&world.runtime, &mut world.log).unwrap();
        assert_eq!(loaded.voters, voters);
        assert_eq!(loaded.image.topic_count(), 3);
    }

    /// Kafka's tool wrote it, for release 4.0 with a SCRAM user.
    #[test]
    fn what_a_directory_was_formatted_with_is_read_whole() {
        let fixture = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/fixtures/apache-kafka-4.3.1-formatted"
        );
        let image = formatted(&os::runtime(), Path::new(fixture)).unwrap();
        let image = image.unwrap();
        let levels = [
            ("eligible.leader.replicas.version", 1),
            ("group.version", 1),
            ("metadata.version", 25),
            ("transaction.version", 2),
        ];
        let found = image.features.iter();
        assert!(
            found.eq(levels
                .map(|(name, level)| (name.to_owned(), level))
                .iter()
                .map(|(name, level)| (name, level)))
        );
        let last = image.records().last();
        let Some(MetadataRecord::UserScramCredential(user)) = last else {
            panic!("{last:?} is no user");
        };
        assert_eq!((&*user.name, user.iterations), ("alice", 4096));
    }

    #[test]
    fn a_directory_formatted_for_no_known_release_is_refused() {
        let world = World::new(0, "lost");
        let directory = world.dir.path();
        assert!(formatted(&world.runtime, directory).unwrap().is_none());
        world.snapshot(FORMATTED, &snapshot_of("unversioned"));
        let refused = formatted(&world.runtime, directory).unwrap_err();
        assert!(
            refused.to_string().ends_with("this release knows (7-30)"),
            "{refused}"
        );
    }

    #[test]
    fn the_newest_finished_snapshot_counts() {
        let mut world = World::new(10, "new");
        for (name, topic) in [
            ("00000000000000000008-0000000001.checkpoint", "older"),
            ("00000000000000000010-0000000001.checkpoint", "newest"),
            ("00000000000000000011-0000000001.checkpoint.part", "part"),
            ("00000000000000000012-0000000001.checkpoint.deleted", "gone"),
        ] {
            world.snapshot(name, &snapshot_of(topic));
        }
        assert_eq!(world.load().unwrap(), ["new", "newest"]);
    }

    #[test]
    fn a_cut_log_without_its_snapshot_is_refused() {
        let mut world = World::new(10, "new");
        world.snapshot(
            "00000000000000000009-0000000001.checkpoint",
            &snapshot_of("old"),
        );
        let refused = world.load().unwrap_err();
        assert!(matches!(refused, LoadError::NoSnapshot(Offset(10))));
    }

    #[test]
    fn a_snapshot_that_lacks_its_beginning_or_its_end_is_refused() {
        let mut world = World::new(10, "new");
        let whole = snapshot_of("old");
        for part in [&whole[1..], &whole[..2], &[]] {
            world.snapshot("00000000000000000010-0000000001.checkpoint", part);
            let refused = world.load().unwrap_err();
            assert!(refused.to_string().ends_with("as a snapshot does"));
        }
    }

    #[test]
    fn a_damaged_snapshot_is_refused() {
        let mut world = World::new(10, "new");
        let name = "00000000000000000010-0000000001.checkpoint";
        world.snapshot(name, &snapshot_of("old"));
        let path = world.dir.path().join(name);
        let disk = world.runtime.disk.clone();
        let mut bytes = runtime::read_whole(&*disk, &path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        runtime::write_whole(&*disk, &path, &bytes).unwrap();
        let refused = world.load().unwrap_err();
        assert!(refused.to_string().contains("CRC"), "{refused}");
    }

    #[test]
    fn a_log_that_ends_before_its_snapshot_goes_on_behind_it() {
        let mut world = World::new(0, "lost");
        world.snapshot(
            "00000000000000000010-0000000001.checkpoint",
            &snapshot_of("old"),
        );
        assert_eq!(world.load().unwrap(), ["old"]);
        assert_eq!(world.log.log_start(), Offset(10));
        assert_eq!(world.log.view().latest_epoch(), Some(EPOCH));
    }
}
