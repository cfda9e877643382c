//! Offset checkpoints: one number per partition, in a text file of the log directory.
//!
//! ```text
//! 0                                version
//! <number of entries>
//! <topic> <partition> <offset>     one line per entry
//! ```

use crate::runtime::{Disk, read_whole, write_whole};
use crate::types::{Offset, TopicName, TopicPartition};
use std::collections::BTreeMap;
use std::io;
use std::path::Path;

/// Everything below is on disk: recovery starts there.
pub(super) const RECOVERY_POINTS: &str = "recovery-point-offset-checkpoint";
/// High watermarks.
pub(super) const HIGH_WATERMARKS: &str = "replication-offset-checkpoint";
/// Only of partitions whose start is above their first segment's base.
pub(super) const LOG_STARTS: &str = "log-start-offset-checkpoint";
/// Everything below was compacted.
pub(super) const CLEANED_ENDS: &str = "cleaner-offset-checkpoint";

pub(super) type Offsets = BTreeMap<TopicPartition, Offset>;

/// Empty if there is no file; `InvalidData` if it cannot be understood.
pub(super) fn read(disk: &dyn Disk, path: &Path) -> io::Result<Offsets> {
    match read_whole(disk, path) {
        Ok(bytes) => parse(&bytes).ok_or_else(|| io::ErrorKind::InvalidData.into()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Offsets::new()),
        Err(error) => Err(error),
    }
}

pub(super) fn text(offsets: &Offsets) -> String {
    let mut text = format!("0\n{}\n", offsets.len());
    for (partition, offset) in offsets {
        text.push_str(&format!(
            "{} {} {offset}\n",
            partition.topic, partition.partition
        ));
    }
    text
}

pub(super) fn write(disk: &dyn Disk, path: &Path, text: &str) -> io::Result<()> {
    write_whole(disk, path, text.as_bytes())
}

fn parse(bytes: &[u8]) -> Option<Offsets> {
    let mut lines = std::str::from_utf8(bytes).ok()?.lines();
    let Some(version) = lines.next() else {
        return Some(Offsets::new());
    };
    if version.trim() != "0" {
        return None;
    }
    let count: usize = lines.next()?.trim().parse().ok()?;
    let mut offsets = Offsets::new();
    for line in lines {
        let mut words = line.split_ascii_whitespace();
        let topic = TopicName::parse(words.next()?).ok()?;
        let partition = words.next()?.parse().ok()?;
        let offset = words.next()?.parse().ok()?;
        offsets.insert(TopicPartition::new(topic, partition), Offset(offset));
    }
    (offsets.len() == count).then_some(offsets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_comes_back_as_it_was_written() {
        let mut offsets = Offsets::new();
        for (topic, partition, offset) in [("b", 1, 5), ("a", 0, 0), ("a", 12, 7)] {
            let topic = TopicName::parse(topic).unwrap();
            offsets.insert(TopicPartition::new(topic, partition), Offset(offset));
        }
        let text = text(&offsets);
        assert_eq!(text, "0\n3\na 0 0\na 12 7\nb 1 5\n");
        assert_eq!(parse(text.as_bytes()), Some(offsets));
        assert_eq!(parse(b""), Some(Offsets::new()));
        assert_eq!(parse(b"0\n2\na 0 0\n"), None);
        assert_eq!(parse(b"1\n0\n"), None);
    }
}
