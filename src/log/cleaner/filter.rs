//! What compaction leaves of a batch. No I/O.

use super::offset_map::OffsetMap;
use super::transactions::{Marker, Transactions};
use crate::log::index::AbortedEntry;
use crate::log::producers::LastRecord;
use crate::record::{Batch, BatchHeader, DecodeError, DecodeLimits, RecordRef, Unpacked, emptied};
use crate::types::{Offset, ProducerId, Timestamp};
use bytes::Bytes;
use std::collections::HashMap;
use std::io;

/// The rules of one cleaning.
pub(super) struct RecordFilter {
    pub(super) map: OffsetMap,
    /// The last record of each producer that the partition remembers. Its batch stays, without records
    /// if need be: it has the sequence number and the epoch that the next batch is judged by.
    pub(super) producers: HashMap<ProducerId, LastRecord>,
    /// Where the cleaning ends. The batch before it stays too, so that no end of a log is lost.
    pub(super) upper: Offset,
    pub(super) now: Timestamp,
    pub(super) delete_retention_ms: i64,
}

/// What is left of a batch.
#[derive(Debug)]
pub(super) enum Filtered {
    /// All of it: its bytes are copied.
    Whole,
    /// Some records, or none, or the same with a delete horizon: these bytes.
    Rebuilt(Bytes),
    Nothing,
}

/// Why a batch could not be filtered.
#[derive(Debug, thiserror::Error)]
pub enum FilterError {
    #[error("a batch cannot be read: {0}")]
    Decode(#[from] DecodeError),
    #[error("a batch cannot be compressed: {0}")]
    Compress(#[from] io::Error),
}

/// What the batch itself, without its keys, is worth.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// Records are judged by their keys.
    Data,
    /// Of an aborted transaction.
    Aborted,
    /// A marker whose transaction has batches.
    MarkerNeeded,
    /// A marker whose transaction has none: gone at its delete horizon.
    MarkerEmpty,
}

impl RecordFilter {
    /// `Some` entry is an aborted transaction that stays in the index.
    pub(super) fn filter(
        &self,
        batch: &Batch,
        transactions: &mut Transactions,
    ) -> Result<(Filtered, Option<AbortedEntry>), FilterError> {
        let (standing, aborted) = if batch.header().attributes.is_control() {
            match transactions.on_control(batch) {
                Marker::Needed(aborted) => (Standing::MarkerNeeded, aborted),
                Marker::Empty => (Standing::MarkerEmpty, None),
            }
        } else if transactions.on_batch(batch) {
            (Standing::Aborted, None)
        } else {
            (Standing::Data, None)
        };
        Ok((self.judge(batch, standing)?, aborted))
    }

    fn judge(&self, batch: &Batch, standing: Standing) -> Result<Filtered, FilterError> {
        let header = batch.header();
        let goes = match standing {
            Standing::Aborted => true,
            Standing::MarkerEmpty => header.delete_horizon().is_some_and(|at| at <= self.now),
            Standing::Data | Standing::MarkerNeeded => false,
        };
        if goes || header.records_count == 0 {
            return Ok(self.without_records(header));
        }
        let unpacked = Unpacked::of(batch, DecodeLimits::default())?;
        let mut kept = Vec::new();
        for record in unpacked.records() {
            let record = record.map_err(DecodeError::from)?;
            if standing == Standing::MarkerNeeded
                || standing == Standing::MarkerEmpty
                || self.stays(&record, header)
            {
                kept.push(record);
            }
        }
        if kept.is_empty() {
            return Ok(self.without_records(header));
        }
        let sets_horizon = header.delete_horizon().is_none()
            && (standing == Standing::MarkerEmpty || kept.iter().any(RecordRef::is_tombstone));
        let is_whole = i32::try_from(kept.len()).is_ok_and(|count| count == header.records_count);
        if is_whole && !sets_horizon {
            return Ok(Filtered::Whole);
        }
        let horizon = match header.delete_horizon() {
            None if sets_horizon => Some(self.now.plus_ms(self.delete_retention_ms)),
            known => known,
        };
        Ok(Filtered::Rebuilt(unpacked.with_only(&kept, horizon)?))
    }

    fn stays(&self, record: &RecordRef<'_>, header: &BatchHeader) -> bool {
        if record.offset >= self.map.end() {
            return true; // not looked at yet
        }
        let Some(key) = record.key() else {
            return false; // written before the topic was compacted; nobody can name it
        };
        let is_newest = (self.map.get(key)).is_none_or(|newest| record.offset >= newest);
        let is_due = header.delete_horizon().is_some_and(|at| at <= self.now);
        is_newest && !(record.is_tombstone() && is_due)
    }

    fn without_records(&self, header: &BatchHeader) -> Filtered {
        let is_last_of_producer = header.has_producer()
            && (self.producers.get(&header.producer_id)).is_some_and(|last| match last.offset {
                Some(offset) => offset == header.last_offset(),
                None => header.attributes.is_control() && header.producer_epoch == last.epoch,
            });
        if is_last_of_producer || header.next_offset() == self.upper {
            Filtered::Rebuilt(emptied(header))
        } else {
            Filtered::Nothing
        }
    }
}
