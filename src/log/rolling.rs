//! When the active segment is closed, and how the next one begins.

use super::errors::StorageError;
use super::files;
use super::log::{Log, RELATIVE_OFFSET_MAX};
use super::segment::Segment;
use crate::record::BatchHeader;
use crate::runtime::Open;
use crate::types::{Offset, Timestamp};
use std::io;
use std::sync::Arc;

/// When the active segment has to be closed by age.
pub(super) struct RollClock {
    created: Timestamp,
    /// Max timestamp of the segment's first batch, once it is known.
    pub(super) first: Option<Timestamp>,
    jitter_ms: i64,
}

impl RollClock {
    /// Of a segment that begins at `now`; its jitter is to be drawn.
    pub(super) fn starting(now: Timestamp) -> RollClock {
        RollClock {
            created: now,
            first: None,
            jitter_ms: 0,
        }
    }
}

impl Log {
    /// Closes the active segment if a batch of `size` bytes does not belong into it. Gives whether.
    pub(super) fn make_room(
        &mut self,
        header: &BatchHeader,
        size: u64,
        now: Timestamp,
    ) -> io::Result<bool> {
        if !self.should_roll(header, size, now)? {
            return Ok(false);
        }
        let rolled = self.roll_at(header.base_offset, now);
        rolled.inspect_err(|error| self.judge(error))?;
        Ok(true)
    }

    /// `LogSegment.shouldRoll`.
    fn should_roll(&mut self, header: &BatchHeader, size: u64, now: Timestamp) -> io::Result<bool> {
        let used = self.active.size();
        if header.last_offset().0 - self.active.base.0 > RELATIVE_OFFSET_MAX {
            return Ok(true);
        }
        if used == 0 {
            return Ok(false);
        }
        Ok(used + size > self.segment_bytes()
            || self.age_ms(header.max_timestamp, now)?
                > self.config.segment_ms - self.roll.jitter_ms
            || self.active.index_is_full(self.index_limits()))
    }

    /// Age of the active segment in the time of its messages, or of the clock if they have none.
    fn age_ms(&mut self, newest: Timestamp, now: Timestamp) -> io::Result<i64> {
        let first = match self.roll.first {
            Some(first) => first,
            None => {
                let first = self.active.first_timestamp()?;
                *self.roll.first.insert(first)
            }
        };
        Ok(if first.0 >= 0 {
            newest.ms_since(first)
        } else {
            now.ms_since(self.roll.created)
        })
    }

    /// Closes the active segment and begins a new one at the log's end. Nothing happens if it is empty.
    pub fn roll(&mut self, now: Timestamp) -> Result<(), StorageError> {
        self.check_online()?;
        Ok(self.roll_at(self.log_end(), now)?)
    }

    pub(super) fn roll_at(&mut self, base: Offset, now: Timestamp) -> io::Result<()> {
        let empty = self.active.size() == 0;
        if empty && base == self.active.base {
            return Ok(());
        }
        let mut segments: Vec<Arc<Segment>> = self.shared.segments.load().to_vec();
        if !empty {
            self.active.seal()?;
            self.trim()?;
            self.take_snapshot(base)?;
        }
        // Last of all that can fail: if the disk is full, the old segment goes on, and no empty file may
        // stand where its next batches belong.
        let segment = Arc::new(self.new_segment(base)?);
        if empty {
            // Nothing was ever written to it; its name would stand for offsets that do not follow.
            segments.pop();
            let active = self.active.clone();
            self.discard(std::slice::from_ref(&active), now);
        }
        segments.push(segment.clone());
        self.shared.segments.store(Arc::new(segments));
        self.active = segment;
        self.reserved = self.reserved_at_start();
        self.restart_clock(now);
        self.dir_changes += 1;
        tracing::debug!(partition = %self.partition(), base = base.0, "rolled a new segment");
        Ok(())
    }

    pub(super) fn new_segment(&self, base: Offset) -> io::Result<Segment> {
        let path = files::named(&self.shared.dir, base, files::LOG);
        let made = self.disk.open(&path, Open::Truncate).and_then(|file| {
            if self.config.preallocate {
                file.reserve(0, self.segment_bytes())?;
            }
            let segment = Segment::new(&self.disk, &self.shared.dir, base, file, false)?;
            segment.reset()?;
            Ok(segment)
        });
        if made.is_err()
            && let Err(error) = files::remove_if_there(&*self.disk, &path)
        {
            // The next start would take the file for the log's end.
            self.shared.health.fail(self.log_dir(), &error);
        }
        made
    }

    pub(super) fn restart_clock(&mut self, now: Timestamp) {
        self.roll = RollClock {
            jitter_ms: self.draw_jitter(),
            ..RollClock::starting(now)
        };
    }

    fn draw_jitter(&self) -> i64 {
        let most = self.config.segment_jitter_ms.min(self.config.segment_ms);
        match u64::try_from(most) {
            Ok(most) if most > 0 => i64::try_from(self.rng.next_u64() % most).unwrap_or(0),
            _ => 0,
        }
    }
}
