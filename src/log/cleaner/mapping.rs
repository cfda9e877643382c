//! The first half of a cleaning: the keys of the dirty part and their newest offsets.

use super::chunks::Chunks;
use super::cleaning::{CleaningError, Scope, len_of};
use super::offset_map::OffsetMap;
use super::transactions::Transactions;
use crate::log::segment::Segment;
use crate::log::view::floor;
use crate::record::{Batch, DecodeError, DecodeLimits, Unpacked};
use crate::types::Offset;
use std::collections::VecDeque;
use std::sync::Arc;

pub(super) struct Mapping {
    rest: VecDeque<Arc<Segment>>,
    reading: Option<Chunks>,
    transactions: Transactions,
    /// The aborted transactions were looked up.
    knows_aborted: bool,
}

/// What a step came to.
pub(super) enum Mapped {
    Some {
        bytes: u64,
    },
    /// Everything was read, or the table is full.
    All,
}

impl Mapping {
    pub(super) fn of(scope: &Scope) -> Mapping {
        let segments = scope.view.0.segments.load();
        let dirty = segments
            .iter()
            .skip(floor(&segments, scope.first_dirty))
            .take_while(|segment| segment.base < scope.upper);
        Mapping {
            rest: dirty.cloned().collect(),
            reading: None,
            transactions: Transactions::default(),
            knows_aborted: false,
        }
    }

    /// Reads a little.
    pub(super) fn step(
        &mut self,
        scope: &Scope,
        map: &mut OffsetMap,
    ) -> Result<Mapped, CleaningError> {
        if !self.knows_aborted {
            let aborted = scope.view.aborted_entries(scope.first_dirty, scope.upper)?;
            self.transactions.expect(aborted);
            self.knows_aborted = true;
        }
        let Some(reading) = &mut self.reading else {
            return self.open_next(scope, map);
        };
        let Some(batches) = reading.next(scope.chunk_bytes)? else {
            // What is missing up to the next segment was taken by an earlier cleaning.
            map.seen_below(self.rest.front().map_or(scope.upper, |next| next.base));
            self.reading = None;
            return Ok(Mapped::Some { bytes: 0 });
        };
        for batch in &batches {
            if !self.put(batch, scope.first_dirty, map)? {
                return Ok(Mapped::All);
            }
        }
        let bytes = len_of(&batches);
        Ok(Mapped::Some { bytes })
    }

    fn open_next(&mut self, scope: &Scope, map: &mut OffsetMap) -> Result<Mapped, CleaningError> {
        let Some(segment) = self.rest.pop_front() else {
            map.seen_below(scope.upper);
            return Ok(Mapped::All);
        };
        let place = segment.locate(scope.first_dirty.max(segment.base))?;
        let position = place.map_or(segment.size(), |place| place.position);
        self.reading = Some(Chunks::of(segment, position));
        Ok(Mapped::Some { bytes: 0 })
    }

    /// `false` if the table is full.
    fn put(
        &mut self,
        batch: &Batch,
        first_dirty: Offset,
        map: &mut OffsetMap,
    ) -> Result<bool, CleaningError> {
        if batch.header().attributes.is_control() {
            self.transactions.on_control(batch);
        } else if !self.transactions.on_batch(batch) {
            let unpacked = Unpacked::of(batch, DecodeLimits::default())?;
            for record in unpacked.records() {
                let record = record.map_err(DecodeError::from)?;
                if let Some(key) = record.key()
                    && record.offset >= first_dirty
                    && map.put(key, record.offset).is_err()
                {
                    return Ok(false);
                }
            }
        }
        map.seen_below(batch.header().next_offset());
        Ok(true)
    }
}
