//! Which leader epoch began at which offset (KIP-101): what makes truncation safe.

use super::files;
use crate::runtime::{Disk, read_whole, write_whole};
use crate::types::{LeaderEpoch, Offset};
use std::io;
use std::path::Path;

/// An epoch and the offset of its first record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochStart {
    pub epoch: LeaderEpoch,
    pub start: Offset,
}

/// Where an epoch ends, as far as this log knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochEnd {
    pub epoch: LeaderEpoch,
    pub end: Offset,
}

/// The epochs of one log; both epochs and starts increase. On disk it is `leader-epoch-checkpoint`:
///
/// ```text
/// 0                        version
/// <number of entries>
/// <epoch> <start offset>   one line per entry
/// ```
///
/// The file is written when the log is flushed or closed. An entry that a crash loses is found again in
/// the batches after the recovery point, which all carry their epoch. The file has no checksum: if it does
/// not end with the epoch of the last batch, the epochs are read from all batches.
#[derive(Debug, Default)]
pub(super) struct Epochs {
    entries: Vec<EpochStart>,
    unsaved: bool,
}

impl Epochs {
    /// What the file in `dir` holds. A file that cannot be understood counts as empty: see [`Epochs`].
    pub(super) fn load(disk: &dyn Disk, dir: &Path) -> io::Result<Epochs> {
        let bytes = match read_whole(disk, &dir.join(files::LEADER_EPOCHS)) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Epochs::default()),
            Err(error) => return Err(error),
        };
        Ok(Epochs {
            entries: parse(&bytes).unwrap_or_default(),
            unsaved: false,
        })
    }

    pub(super) fn latest(&self) -> Option<EpochStart> {
        self.entries.last().copied()
    }

    pub(super) fn entries(&self) -> &[EpochStart] {
        &self.entries
    }

    /// Notes that `epoch` begins at `start`, unless it is the latest already. Entries that contradict
    /// it go.
    pub(super) fn assign(&mut self, epoch: LeaderEpoch, start: Offset) {
        if epoch.0 < 0 || start.0 < 0 {
            return;
        }
        if (self.latest()).is_some_and(|last| last.epoch == epoch && last.start <= start) {
            return;
        }
        while (self.entries)
            .pop_if(|last| last.epoch >= epoch || last.start >= start)
            .is_some()
        {}
        self.entries.push(EpochStart { epoch, start });
        self.unsaved = true;
    }

    /// Forgets the epochs that begin at `end` or later.
    pub(super) fn truncate_end(&mut self, end: Offset) {
        while self.entries.pop_if(|last| last.start >= end).is_some() {
            self.unsaved = true;
        }
    }

    /// Forgets the epochs that end at or before `start`; the one that spans it now begins there.
    pub(super) fn truncate_start(&mut self, start: Offset) {
        let below = self.entries.partition_point(|entry| entry.start <= start);
        if let Some(keep) = below.checked_sub(1) {
            self.unsaved |= keep > 0 || self.entries.first().is_some_and(|e| e.start < start);
            self.entries.drain(..keep);
            if let Some(first) = self.entries.first_mut() {
                first.start = start;
            }
        }
    }

    pub(super) fn clear(&mut self) {
        self.unsaved |= !self.entries.is_empty();
        self.entries.clear();
    }

    /// The same for another log's directory.
    pub(super) fn for_another(&self) -> Epochs {
        Epochs {
            entries: self.entries.clone(),
            unsaved: true,
        }
    }

    /// The epoch that `offset` was written in.
    pub(super) fn epoch_of(&self, offset: Offset) -> Option<LeaderEpoch> {
        let below = self.entries.partition_point(|entry| entry.start <= offset);
        Some(self.entries.get(below.checked_sub(1)?)?.epoch)
    }

    /// The largest epoch up to `asked` and where it ends. `None` if `asked` is above all known epochs
    /// or the log has none (`LeaderEpochFileCache.endOffsetFor`).
    pub(super) fn end_of(&self, asked: LeaderEpoch, log_end: Offset) -> Option<EpochEnd> {
        if asked == LeaderEpoch::NONE {
            return None;
        }
        if self.latest().is_some_and(|last| last.epoch == asked) {
            return Some(EpochEnd {
                epoch: asked,
                end: log_end,
            });
        }
        let above = self.entries.partition_point(|entry| entry.epoch <= asked);
        let next = self.entries.get(above)?;
        let floor = above.checked_sub(1).and_then(|at| self.entries.get(at));
        Some(EpochEnd {
            // Below the earliest epoch the data is gone; the follower starts at the first that is known.
            epoch: floor.map_or(asked, |floor| floor.epoch),
            end: next.start,
        })
    }

    /// The file's bytes, if it no longer says what this does.
    pub(super) fn unsaved(&self) -> Option<String> {
        self.unsaved.then(|| self.text())
    }

    fn text(&self) -> String {
        let mut text = format!("0\n{}\n", self.entries.len());
        for entry in &self.entries {
            text.push_str(&format!("{} {}\n", entry.epoch, entry.start));
        }
        text
    }

    /// To be called once the file says `text`, which [`Epochs::unsaved`] gave.
    pub(super) fn saved(&mut self, text: &str) {
        if self.text() == text {
            self.unsaved = false;
        }
    }
}

/// Writes the file and waits for the disk.
pub(super) fn save(disk: &dyn Disk, dir: &Path, text: &str) -> io::Result<()> {
    write_whole(disk, &dir.join(files::LEADER_EPOCHS), text.as_bytes())
}

fn parse(bytes: &[u8]) -> Option<Vec<EpochStart>> {
    let mut lines = std::str::from_utf8(bytes).ok()?.lines();
    if lines.next()?.trim() != "0" {
        return None;
    }
    let count: usize = lines.next()?.trim().parse().ok()?;
    let entries: Vec<EpochStart> = lines
        .map_while(|line| {
            let (epoch, start) = line.split_once(' ')?;
            Some(EpochStart {
                epoch: LeaderEpoch(epoch.parse().ok()?),
                start: Offset(start.trim().parse().ok()?),
            })
        })
        .collect();
    let grow = (entries.windows(2))
        .all(|pair| matches!(pair, [a, b] if a.epoch < b.epoch && a.start < b.start));
    let is_sane = |entry: &EpochStart| entry.epoch.0 >= 0 && entry.start >= Offset::ZERO;
    (entries.len() == count && grow && entries.iter().all(is_sane)).then_some(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn epochs(entries: &[(i32, i64)]) -> Epochs {
        let mut epochs = Epochs::default();
        for &(epoch, start) in entries {
            epochs.assign(LeaderEpoch(epoch), Offset(start));
        }
        epochs
    }

    fn pairs(epochs: &Epochs) -> Vec<(i32, i64)> {
        (epochs.entries().iter())
            .map(|entry| (entry.epoch.0, entry.start.0))
            .collect()
    }

    #[test]
    fn the_end_of_an_epoch_is_the_start_of_the_next() {
        let epochs = epochs(&[(2, 10), (4, 20), (5, 30)]);
        let end_of = |epoch| {
            let end = epochs.end_of(LeaderEpoch(epoch), Offset(99))?;
            Some((end.epoch.0, end.end.0))
        };
        assert_eq!(
            end_of(5),
            Some((5, 99)),
            "the current epoch ends at the log's end"
        );
        assert_eq!(end_of(4), Some((4, 30)));
        assert_eq!(
            end_of(3),
            Some((2, 20)),
            "an unknown one falls back to the one below"
        );
        assert_eq!(
            end_of(1),
            Some((1, 10)),
            "below the earliest: the first known start"
        );
        assert_eq!(end_of(6), None);
        assert_eq!(end_of(-1), None);
    }

    #[test]
    fn a_new_epoch_drops_what_contradicts_it() {
        let mut epochs = epochs(&[(1, 0), (2, 10), (3, 20)]);
        epochs.assign(LeaderEpoch(4), Offset(10));
        assert_eq!(pairs(&epochs), [(1, 0), (4, 10)]);
        epochs.assign(LeaderEpoch(4), Offset(15));
        assert_eq!(
            pairs(&epochs),
            [(1, 0), (4, 10)],
            "the start of an epoch stays"
        );
    }

    #[test]
    fn truncation_keeps_the_epoch_that_spans_the_new_start() {
        let mut epochs = epochs(&[(1, 0), (2, 10), (3, 20)]);
        epochs.truncate_start(Offset(15));
        assert_eq!(pairs(&epochs), [(2, 15), (3, 20)]);
        epochs.truncate_end(Offset(20));
        assert_eq!(pairs(&epochs), [(2, 15)]);
        assert_eq!(epochs.epoch_of(Offset(17)), Some(LeaderEpoch(2)));
        assert_eq!(epochs.epoch_of(Offset(3)), None);
    }

    #[test]
    fn the_file_comes_back_as_it_was_written() {
        let epochs = epochs(&[(0, 0), (7, 12)]);
        let text = epochs.unsaved().unwrap();
        assert_eq!(text, "0\n2\n0 0\n7 12\n");
        assert_eq!(parse(text.as_bytes()).unwrap(), epochs.entries());
        assert_eq!(parse(b"0\n3\n0 0\n7 12\n"), None);
        assert_eq!(parse(b""), None);
    }
}
