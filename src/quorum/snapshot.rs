//! Snapshots of the metadata: files beside the log, each of which stands for all records below an offset.
//!
//! A snapshot is named after the offset and the epoch that it reaches. It holds record batches: control batches
//! that begin it and name the voters, records, a control batch that ends it. It is written under another name,
//! synced and renamed, so that one with its own name is whole.

use super::control_value;
use crate::log::Log;
use crate::metadata::MetadataImage;
use crate::protocol::messages::{SnapshotFooterRecord, SnapshotHeaderRecord};
use crate::record::control::{self, ControlType};
use crate::record::{
    BATCH_HEADER_LEN, BatchBuilder, BatchHeader, BatchOptions, NewRecord, ValidBatch,
};
use crate::runtime::{Disk, File, Open, Runtime, Sync, read_exact_at};
use crate::types::{LeaderEpoch, Offset, Timestamp};
use bytes::Bytes;
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A batch of records is closed at this size: a reader holds one batch in memory at a time.
const BATCH_BYTES: usize = 1024 * 1024;

/// Added to a snapshot's name until it is whole.
const UNFINISHED: &str = ".part";

/// Added to a snapshot's name by Apache Kafka until it is removed.
const DELETED: &str = ".deleted";

/// A file of the metadata log's directory: everything below `end`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Snapshot {
    pub(super) end: Offset,
    pub(super) epoch: LeaderEpoch,
    pub(super) path: PathBuf,
}

/// What a snapshot holds.
pub(super) struct Contents<'a> {
    pub(super) image: &'a MetadataImage,
    pub(super) voters: &'a Voters,
    /// When the newest record of the image was written.
    pub(super) newest: Timestamp,
}

/// The newest control records of the log that say who votes, as they came: `kraft.version` and the voters.
/// None in a cluster whose voters are configured.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Voters {
    version: Option<Bytes>,
    set: Option<Bytes>,
}

impl Voters {
    pub(super) fn note(&mut self, kind: ControlType, value: Bytes) {
        match kind {
            ControlType::KraftVersion => self.version = Some(value),
            ControlType::KraftVoters => self.set = Some(value),
            _ => {}
        }
    }

    fn records(&self) -> impl Iterator<Item = (ControlType, &Bytes)> {
        let version = self
            .version
            .iter()
            .map(|it| (ControlType::KraftVersion, it));
        version.chain(self.set.iter().map(|it| (ControlType::KraftVoters, it)))
    }
}

impl Snapshot {
    pub(super) fn new(dir: &Path, end: Offset, epoch: LeaderEpoch) -> Snapshot {
        let name = format!("{:020}-{:010}.checkpoint", end.get(), epoch.get());
        let path = dir.join(name);
        Snapshot { end, epoch, path }
    }

    /// By a name such as `00000000000000000123-0000000004.checkpoint`.
    fn from_path(path: PathBuf) -> Option<Snapshot> {
        let name = path.file_name()?.to_str()?;
        let (end, epoch) = name.strip_suffix(".checkpoint")?.split_once('-')?;
        Some(Snapshot {
            end: Offset(end.parse().ok()?),
            epoch: LeaderEpoch(epoch.parse().ok()?),
            path,
        })
    }

    /// Once this returns, a crash does not take the snapshot back.
    pub(super) fn write(&self, runtime: &Runtime, contents: &Contents<'_>) -> io::Result<()> {
        let disk = &*runtime.disk;
        let mut unfinished = self.path.clone().into_os_string();
        unfinished.push(UNFINISHED);
        let unfinished = PathBuf::from(unfinished);
        let mut writer = Writer {
            file: disk.open(&unfinished, Open::Truncate)?,
            bytes: 0,
            next: Offset::ZERO,
            epoch: self.epoch,
            now: runtime.clock.wall(),
        };
        writer.write(contents)?;
        writer.file.sync(Sync::All)?;
        disk.rename(&unfinished, &self.path)?;
        disk.sync_dir(self.path.parent().unwrap_or(&self.path))
    }

    /// When the snapshot was written.
    fn written_at(&self, disk: &dyn Disk) -> io::Result<Timestamp> {
        let mut header = [0; BATCH_HEADER_LEN];
        read_exact_at(&*disk.open(&self.path, Open::Read)?, &mut header, 0)?;
        Ok(BatchHeader::decode(&header).max_timestamp)
    }
}

/// The snapshots in `dir`, the oldest first.
pub(super) fn list(disk: &dyn Disk, dir: &Path) -> io::Result<Vec<Snapshot>> {
    let entries = disk.list(dir)?.into_iter();
    let found = entries.filter_map(|entry| Snapshot::from_path(dir.join(entry.name)));
    let mut snapshots: Vec<Snapshot> = found.collect();
    snapshots.sort_by_key(|snapshot| (snapshot.end, snapshot.epoch));
    Ok(snapshots)
}

/// Removes what a crash left: snapshots that are not whole or not wanted any more, and those below the log.
pub(super) fn remove_leftovers(disk: &dyn Disk, log: &Log) -> io::Result<()> {
    for entry in disk.list(log.dir())? {
        let path = log.dir().join(&entry.name);
        let unwanted = [UNFINISHED, DELETED].iter().any(|ending| {
            let name = entry.name.strip_suffix(ending);
            name.is_some_and(|name| name.ends_with(".checkpoint"))
        });
        let below = Snapshot::from_path(path.clone()).is_some_and(|it| it.end < log.log_start());
        if unwanted || below {
            disk.remove_file(&path)?;
        }
    }
    Ok(())
}

/// How much of the log and its snapshots is kept, at most. The newest snapshot always stays.
#[derive(Clone, Copy, Debug)]
pub(super) struct Retention {
    pub(super) bytes: Option<u64>,
    pub(super) ms: Option<u64>,
}

impl Retention {
    /// Removes the oldest snapshots that are too much or too old, and what the log has below the next
    /// (`KafkaRaftLog.maybeClean`).
    pub(super) fn clean(&self, runtime: &Runtime, log: &mut Log) -> io::Result<()> {
        let (disk, now) = (&*runtime.disk, runtime.clock.wall());
        let snapshots = list(disk, log.dir())?;
        let mut sizes = Vec::new();
        for snapshot in &snapshots {
            sizes.push(disk.metadata(&snapshot.path)?.len);
        }
        for (at, pair) in snapshots.windows(2).enumerate() {
            let [oldest, next] = pair else { break };
            let bytes = log.view().size() + sizes[at..].iter().sum::<u64>();
            let age = now.ms_since(oldest.written_at(disk)?);
            let is_too_much = self.bytes.is_some_and(|max| bytes > max);
            let is_too_old =
                (self.ms).is_some_and(|max| u64::try_from(age).is_ok_and(|ms| ms > max));
            if !is_too_much && !is_too_old {
                break;
            }
            log.set_log_start(next.end).map_err(io::Error::other)?;
            log.delete_old_segments(now).map_err(io::Error::other)?;
            disk.remove_file(&oldest.path)?;
        }
        Ok(())
    }
}

struct Writer {
    file: Arc<dyn File>,
    bytes: u64,
    /// Records of a snapshot count from 0.
    next: Offset,
    epoch: LeaderEpoch,
    now: Timestamp,
}

impl Writer {
    fn write(&mut self, contents: &Contents<'_>) -> io::Result<()> {
        let header = SnapshotHeaderRecord {
            version: 0,
            last_contained_log_timestamp: contents.newest.get(),
        };
        self.control(
            ControlType::SnapshotHeader,
            &control_value(&header).map_err(io::Error::other)?,
        )?;
        for (kind, value) in contents.voters.records() {
            self.control(kind, value)?;
        }
        let level = contents.image.metadata_version();
        let mut batch = BatchBuilder::new(BatchOptions::default());
        for record in contents.image.records() {
            let value = record.encode(level).map_err(io::Error::other)?;
            let value = Some(&*value);
            batch.push(
                self.now,
                NewRecord {
                    value,
                    ..NewRecord::default()
                },
            );
            if batch.size_uncompressed() >= BATCH_BYTES {
                let full =
                    std::mem::replace(&mut batch, BatchBuilder::new(BatchOptions::default()));
                self.append(full.build()?)?;
            }
        }
        if !batch.is_empty() {
            self.append(batch.build()?)?;
        }
        let footer = SnapshotFooterRecord { version: 0 };
        self.control(
            ControlType::SnapshotFooter,
            &control_value(&footer).map_err(io::Error::other)?,
        )
    }

    fn control(&mut self, kind: ControlType, value: &[u8]) -> io::Result<()> {
        self.append(control::raft(kind, value, self.epoch, self.now))
    }

    fn append(&mut self, mut batch: ValidBatch) -> io::Result<()> {
        batch.stamp(self.next, self.epoch);
        let head = batch.header().encode();
        let parts = &mut [IoSlice::new(&head), IoSlice::new(batch.body())];
        self.file.write_at(parts, self.bytes)?;
        self.bytes += batch.size() as u64;
        self.next = batch.header().next_offset();
        Ok(())
    }
}
