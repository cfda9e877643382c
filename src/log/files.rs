//! Names of files and directories, and the two ways to replace a small file.

use crate::runtime::{Disk, Open};
use crate::types::{Offset, TopicName, TopicPartition, Uuid};
use std::collections::BTreeSet;
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};

pub(super) const LOG: &str = ".log";
pub(super) const OFFSET_INDEX: &str = ".index";
pub(super) const TIME_INDEX: &str = ".timeindex";
pub(super) const TXN_INDEX: &str = ".txnindex";
pub(super) const SNAPSHOT: &str = ".snapshot";
/// Removed, but perhaps still read; gone after `file.delete.delay.ms`, at the latest at the next start.
pub(super) const DELETED: &str = ".deleted";
/// Output of a compaction that did not finish.
pub(super) const CLEANED: &str = ".cleaned";
/// Output of a compaction that did: takes the place of what it was made from.
pub(super) const SWAP: &str = ".swap";

/// What a segment consists of; all but the first may be missing.
pub(super) const SEGMENT_FILES: [&str; 4] = [LOG, OFFSET_INDEX, TIME_INDEX, TXN_INDEX];

pub(super) const LEADER_EPOCHS: &str = "leader-epoch-checkpoint";
pub(super) const PARTITION_METADATA: &str = "partition.metadata";

/// Ends the name of a copy's directory.
const FUTURE: &str = "-future";

/// Longest name of a directory, in bytes; longer ones lose the end of the topic's name.
const DIR_NAME_LEN_MAX: usize = 255;

/// `<20-digit offset><suffix>`.
pub(super) fn named(dir: &Path, offset: Offset, suffix: &str) -> PathBuf {
    dir.join(format!("{:020}{suffix}", offset.0))
}

/// Whether `names` has the file that [`named`] names.
pub(super) fn is_among(names: &BTreeSet<String>, offset: Offset, suffix: &str) -> bool {
    names.contains(&format!("{:020}{suffix}", offset.0))
}

/// `path` with one of the endings that files have in passing.
pub(super) fn marked(path: &Path, ending: &str) -> PathBuf {
    let mut marked = path.to_owned().into_os_string();
    marked.push(ending);
    marked.into()
}

/// The offset in `name`, if it is one followed by exactly `suffix`.
pub(super) fn offset_of(name: &str, suffix: &str) -> Option<Offset> {
    let digits = name.strip_suffix(suffix)?;
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok().map(Offset)
}

/// What the name of a directory inside a log directory says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum DirName {
    /// `<topic>-<partition>`: in use.
    Partition(TopicPartition),
    /// `<topic>-<partition>.<uuid>-delete`: to be removed.
    Delete,
    /// `<topic>-<partition>.<uuid>-future`: a copy on its way from another log directory.
    Future(TopicPartition),
    /// `…-stray`: not assigned to this broker any more; kept until a person removes it.
    Stray,
    /// None of Kafka's.
    Foreign,
}

pub(super) fn parse_dir_name(name: &str) -> DirName {
    let is_id = |id: &str| id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit());
    let marked = name.rsplit_once('.').and_then(|(partition, end)| {
        let (id, suffix) = end.split_once('-')?;
        match suffix {
            "delete" if is_id(id) => Some(DirName::Delete),
            "stray" if is_id(id) => Some(DirName::Stray),
            "future" if is_id(id) => parse_partition(partition).map(DirName::Future),
            _ => None,
        }
    });
    marked
        .or_else(|| parse_partition(name).map(DirName::Partition))
        .unwrap_or(DirName::Foreign)
}

fn parse_partition(name: &str) -> Option<TopicPartition> {
    let (topic, partition) = name.rsplit_once('-')?;
    if !partition.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let topic = TopicName::parse(topic).ok()?;
    Some(TopicPartition::new(topic, partition.parse().ok()?))
}

/// The directory of a copy of the partition. `None` if the name is too long: what a copy belongs to is
/// known from its name alone.
pub(super) fn copy_name(partition: &TopicPartition, id: Uuid) -> Option<String> {
    let topic = partition.topic.as_str();
    has_room_for_copy(topic, partition.partition).then(|| set_aside_name(partition, id, FUTURE))
}

pub(super) fn has_room_for_copy(topic: &str, partition: i32) -> bool {
    topic.len() + set_aside_end(partition, Uuid::ZERO, FUTURE).len() <= DIR_NAME_LEN_MAX
}

/// `<topic>-<partition>.<uuid as 32 hex digits><suffix>`, within the length of a name.
pub(super) fn set_aside_name(partition: &TopicPartition, id: Uuid, suffix: &str) -> String {
    let end = set_aside_end(partition.partition, id, suffix);
    let topic = partition.topic.as_str();
    // Topic names are ASCII, so any place is a character boundary.
    let kept = topic.len().min(DIR_NAME_LEN_MAX - end.len());
    format!("{}{end}", topic.get(..kept).unwrap_or(topic))
}

fn set_aside_end(partition: i32, id: Uuid, suffix: &str) -> String {
    let hex: String = id.as_bytes().iter().map(|b| format!("{b:02x}")).collect();
    format!("-{partition}.{hex}{suffix}")
}

/// Replaces a small file whole, without waiting for the disk: after a crash of the machine the old
/// bytes, the new ones or nothing may be there, so the reader must do without it or it must be synced
/// before anything relies on it.
pub(super) fn replace_unsynced(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".tmp");
    let temporary = path.with_file_name(name);
    let file = disk.open(&temporary, Open::Truncate)?;
    file.write_at(&mut [IoSlice::new(bytes)], 0)?;
    disk.rename(&temporary, path)
}

/// Renames a file that need not be there. Gives whether it was.
pub(super) fn rename_if_there(disk: &dyn Disk, from: &Path, to: &Path) -> io::Result<bool> {
    match disk.rename(from, to) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Removes a file that need not be there.
pub(super) fn remove_if_there(disk: &dyn Disk, path: &Path) -> io::Result<()> {
    match disk.remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_are_told_apart_by_their_names() {
        let named = |name: &str| parse_dir_name(name);
        let partition = |topic: &str, number| {
            DirName::Partition(TopicPartition::new(
                TopicName::parse(topic).unwrap(),
                number,
            ))
        };
        assert_eq!(named("orders-0"), partition("orders", 0));
        assert_eq!(named("a-b.c-12"), partition("a-b.c", 12));
        let hex = "0123456789abcdef0123456789abcdef";
        assert_eq!(named(&format!("orders-0.{hex}-delete")), DirName::Delete);
        let copied = TopicPartition::new(TopicName::parse("orders").unwrap(), 0);
        assert_eq!(
            named(&format!("orders-0.{hex}-future")),
            DirName::Future(copied)
        );
        assert_eq!(named(&format!("orders-0.{hex}-stray")), DirName::Stray);
        for foreign in ["lost+found", "orders", "orders-", "-1", "orders-x"] {
            assert_eq!(named(foreign), DirName::Foreign, "{foreign}");
        }
    }

    #[test]
    fn a_long_name_set_aside_still_fits_a_directory_entry() {
        let topic = TopicName::parse(&"t".repeat(249)).unwrap();
        let name = set_aside_name(
            &TopicPartition::new(topic.clone(), 3),
            Uuid::METADATA_TOPIC,
            "-delete",
        );
        assert_eq!(name.len(), 255);
        assert_eq!(
            copy_name(&TopicPartition::new(topic, 3), Uuid::METADATA_TOPIC),
            None
        );
        assert_eq!(parse_dir_name(&name), DirName::Delete);
    }

    #[test]
    fn offsets_are_read_from_names_of_the_right_kind_only() {
        assert_eq!(offset_of("00000000000000000042.log", LOG), Some(Offset(42)));
        assert_eq!(offset_of("00000000000000000042.log.deleted", LOG), None);
        assert_eq!(offset_of("x.log", LOG), None);
        assert_eq!(offset_of(".log", LOG), None);
    }
}
