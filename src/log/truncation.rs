//! Cutting a log's end off, and taking files out of the way.

use super::errors::StorageError;
use super::files;
use super::log::Log;
use super::producers::Producers;
use super::recovery;
use super::segment::Segment;
use super::space::Reserved;
use super::view::NEVER_CLEANED;
use crate::types::{Offset, Timestamp};
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

impl Log {
    /// Drops all batches from `to` on, and the batch that holds it. The high watermark follows down.
    pub fn truncate_to(&mut self, to: Offset, now: Timestamp) -> Result<(), StorageError> {
        self.check_online()?;
        self.or_offline(|log| log.truncate(to, now))
    }

    fn truncate(&mut self, to: Offset, now: Timestamp) -> io::Result<()> {
        if to >= self.log_end() {
            // Another leader may begin its epoch here, if this one never wrote in the one it began.
            self.shared.epochs.write().truncate_end(self.log_end());
            return Ok(());
        }
        self.cuts += 1;
        let segments = self.shared.segments.load_full();
        if segments.first().is_some_and(|first| to < first.base) {
            return self.restart(to, now);
        }
        let kept = segments.partition_point(|segment| segment.base <= to);
        let (kept, dropped) = segments.split_at(kept);
        let active = kept.last().expect("one segment begins at or below").clone();
        let cut = active.locate(to)?.map_or(to, |place| place.base.min(to));
        let is_synced = cut < self.recovery_point();
        // Readers must not look beyond before the bytes go.
        self.lower_ends(cut);
        self.shared.segments.store(Arc::new(kept.to_vec()));
        self.active = active;
        let newest_first: Vec<Arc<Segment>> = dropped.iter().rev().cloned().collect();
        self.discard(&newest_first, now);
        if is_synced && !newest_first.is_empty() {
            // What lies below the recovery point is trusted after a crash. A power loss must not bring back
            // the later segments behind a shorter one.
            self.disk.sync_dir(&self.shared.dir)?;
        }
        let end = self.active.truncate(to)?;
        self.reserved = Reserved::UpTo(0);
        assert!(end == cut, "the cut is where it was planned");
        self.roll.first = None;
        self.shared.epochs.write().truncate_end(end);
        self.remove_snapshots(|at| at > end)?;
        let start = self.log_start();
        let (producers, snapshot_at) =
            recovery::rebuild_producers(&*self.disk, &self.shared.dir, kept, start, end)?;
        self.producers = producers;
        self.snapshot_at = snapshot_at;
        self.producers.settle(self.high_watermark());
        self.publish_unstable();
        self.check();
        Ok(())
    }

    /// Drops everything and goes on at `at`, as a replica does that has fallen behind its leader's log.
    pub fn restart_at(&mut self, at: Offset, now: Timestamp) -> Result<(), StorageError> {
        self.check_online()?;
        self.or_offline(|log| log.restart(at, now))
    }

    fn restart(&mut self, at: Offset, now: Timestamp) -> io::Result<()> {
        self.cuts += 1;
        let old = self.shared.segments.load_full();
        self.shared.log_start.store(at.0, Ordering::Release);
        self.shared.log_end.store(at.0, Ordering::Release);
        self.shared.high_watermark.store(at.0, Ordering::Release);
        self.shared.recovery_point.store(at.0, Ordering::Release);
        self.shared
            .cleaned_end
            .store(NEVER_CLEANED, Ordering::Release);
        let newest_first: Vec<Arc<Segment>> = old.iter().rev().cloned().collect();
        self.discard(&newest_first, now);
        self.remove_snapshots(|_| true)?;
        let segment = Arc::new(self.new_segment(at)?);
        self.shared.segments.store(Arc::new(vec![segment.clone()]));
        self.active = segment;
        self.reserved = self.reserved_at_start();
        self.restart_clock(now);
        self.producers = Producers::new();
        self.snapshot_at = None;
        self.publish_unstable();
        self.shared.epochs.write().clear();
        self.check();
        Ok(())
    }

    /// A change that stops half way leaves ends and files that do not agree, so it takes the directory
    /// offline; the next start finds the log's end anew.
    pub(super) fn or_offline<T>(
        &mut self,
        change: impl FnOnce(&mut Log) -> io::Result<T>,
    ) -> Result<T, StorageError> {
        let done = change(self);
        if let Err(error) = &done {
            self.shared.health.fail(self.log_dir(), error);
        }
        Ok(done?)
    }

    /// The start comes along if it lay inside the batch that is cut.
    fn lower_ends(&self, end: Offset) {
        for bound in [
            &self.shared.log_start,
            &self.shared.high_watermark,
            &self.shared.recovery_point,
            &self.shared.cleaned_end,
            &self.shared.log_end,
        ] {
            if bound.load(Ordering::Relaxed) > end.0 {
                bound.store(end.0, Ordering::Release);
            }
        }
    }

    fn remove_snapshots(&self, doomed: impl Fn(Offset) -> bool) -> io::Result<()> {
        for entry in self.disk.list(&self.shared.dir)? {
            if let Some(at) = files::offset_of(&entry.name, files::SNAPSHOT)
                && doomed(at)
            {
                files::remove_if_there(&*self.disk, &self.shared.dir.join(&entry.name))?;
            }
        }
        Ok(())
    }

    /// Takes segments' files out of the way: renamed now, removed after the delay. The log no longer
    /// counts on them, so a failure is only told. In the order given: if the broker dies in between, no
    /// hole may be left in the log.
    pub(super) fn discard(&mut self, segments: &[Arc<Segment>], now: Timestamp) {
        for segment in segments {
            // The batches first: without them the rest is removed at the next start, but a segment that
            // had lost some of the rest would be trusted.
            for suffix in files::SEGMENT_FILES.iter().chain(&[files::SNAPSHOT]) {
                if let Err(error) = self.set_aside(segment.base, suffix, now) {
                    let base = segment.base.0;
                    tracing::warn!(partition = %self.partition(), base, suffix, %error, "could not delete");
                }
            }
        }
    }

    /// Takes one file out of the way, if it is there: renamed now, removed after the delay.
    pub(super) fn set_aside(
        &mut self,
        base: Offset,
        suffix: &str,
        now: Timestamp,
    ) -> io::Result<()> {
        let path = files::named(&self.shared.dir, base, suffix);
        let aside = files::marked(&path, files::DELETED);
        if files::rename_if_there(&*self.disk, &path, &aside)? {
            let due = now.plus_ms(self.config.file_delete_delay_ms);
            self.trash.put(due, aside);
        }
        self.dir_changes += 1;
        Ok(())
    }
}
