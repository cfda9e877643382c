//! What a partition remembers of the producers that write to it: enough to find duplicates, gaps and
//! fenced instances, and to know which transactions are open.
//!
//! Per partition, kept by time and not by retention: a duplicate is found even after the first copy was
//! deleted. On disk as snapshots ([`snapshot`]); in between it is rebuilt from batch headers.

pub(super) mod snapshot;

use crate::record::control::{EndMarker, TransactionResult};
use crate::record::{BatchHeader, Origin, TransactionVersion};
use crate::types::{Offset, ProducerEpoch, ProducerId, Timestamp};
use std::collections::{BTreeMap, HashMap, VecDeque};

/// Batches remembered per producer: as many as a client may have in flight.
const BATCHES_KEPT: usize = 5;

/// One of the newest batches of a producer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BatchMemory {
    pub(super) last_sequence: i32,
    pub(super) last_offset: Offset,
    /// Records less one.
    pub(super) offset_delta: i32,
    pub(super) timestamp: Timestamp,
}

impl BatchMemory {
    pub(super) fn first_offset(&self) -> Offset {
        self.last_offset.plus(-i64::from(self.offset_delta))
    }

    fn first_sequence(&self) -> i32 {
        let first = i64::from(self.last_sequence) - i64::from(self.offset_delta);
        let wrapped = if first < 0 {
            first + i64::from(i32::MAX) + 1
        } else {
            first
        };
        i32::try_from(wrapped).unwrap_or(0)
    }
}

/// One producer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Producer {
    pub(super) epoch: ProducerEpoch,
    pub(super) coordinator_epoch: i32,
    pub(super) last_timestamp: Timestamp,
    /// First offset of its open transaction.
    pub(super) transaction_start: Option<Offset>,
    /// Oldest first, all of `epoch`.
    pub(super) batches: VecDeque<BatchMemory>,
}

impl Producer {
    fn new() -> Producer {
        Producer {
            epoch: ProducerEpoch::NONE,
            coordinator_epoch: -1,
            last_timestamp: Timestamp::NONE,
            transaction_start: None,
            batches: VecDeque::new(),
        }
    }

    fn last_sequence(&self) -> i32 {
        self.batches.back().map_or(-1, |batch| batch.last_sequence)
    }

    fn set_epoch(&mut self, epoch: ProducerEpoch) {
        if self.epoch != epoch {
            self.batches.clear();
            self.epoch = epoch;
        }
    }

    fn push(&mut self, batch: BatchMemory) {
        if self.batches.len() == BATCHES_KEPT {
            self.batches.pop_front();
        }
        self.batches.push_back(batch);
    }
}

/// A producer as DescribeProducers shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ActiveProducer {
    pub id: ProducerId,
    pub epoch: ProducerEpoch,
    pub last_sequence: i32,
    pub last_timestamp: Timestamp,
    pub coordinator_epoch: i32,
    pub transaction_start: Option<Offset>,
}

/// The last thing that a producer wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LastRecord {
    /// Of its newest batch; `None` if there was only a marker since its epoch began.
    pub(super) offset: Option<Offset>,
    pub(super) epoch: ProducerEpoch,
}

/// Why a producer may not write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProducerError {
    /// OUT_OF_ORDER_SEQUENCE_NUMBER.
    #[error("sequence number {found} does not follow {last}")]
    OutOfOrderSequence { found: i32, last: i32 },
    /// INVALID_PRODUCER_EPOCH.
    #[error("producer epoch {found} is below the last one seen, {last}")]
    Fenced { found: i16, last: i16 },
    /// INVALID_TXN_STATE.
    #[error("the producer has an open transaction, but the batch is not part of one")]
    NotTransactional,
    /// TRANSACTION_COORDINATOR_FENCED.
    #[error("coordinator epoch {found} is below the last one seen, {last}")]
    CoordinatorFenced { found: i32, last: i32 },
}

/// What to do with a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Append,
    Duplicate(BatchMemory),
}

/// A transaction whose marker was just written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct EndedTransaction {
    pub(super) producer: ProducerId,
    pub(super) first: Offset,
    pub(super) marker: Offset,
    pub(super) result: TransactionResult,
    /// The last stable offset that follows from it, as far as markers go.
    pub(super) last_stable: Offset,
}

/// All producers of one partition.
#[derive(Clone, Debug)]
pub(super) struct Producers {
    by_id: HashMap<ProducerId, Producer>,
    /// First offset → producer of open transactions.
    open: BTreeMap<Offset, ProducerId>,
    /// First offset → marker of ended transactions whose marker may not be on all replicas yet: they
    /// hold the last stable offset back until the high watermark has passed the marker.
    ended: BTreeMap<Offset, Offset>,
}

impl Producers {
    pub(super) fn new() -> Producers {
        Producers {
            by_id: HashMap::new(),
            open: BTreeMap::new(),
            ended: BTreeMap::new(),
        }
    }

    /// Judges a batch that is to be appended by the leader. Changes nothing.
    pub(super) fn judge(
        &self,
        header: &BatchHeader,
        origin: Origin,
        marker: Option<(EndMarker, TransactionVersion)>,
    ) -> Result<Verdict, ProducerError> {
        let Some(producer) = self.by_id.get(&header.producer_id) else {
            // Nothing is known (any more), so any first sequence number is as good as another.
            return Ok(Verdict::Append);
        };
        if let Some((marker, version)) = marker {
            return judge_marker(producer, header, marker, version).map(|()| Verdict::Append);
        }
        if origin == Origin::Client
            && let Some(known) = duplicate(producer, header)
        {
            return Ok(Verdict::Duplicate(known));
        }
        let (found, last) = (header.producer_epoch.0, producer.epoch.0);
        if found < last {
            return Err(ProducerError::Fenced { found, last });
        }
        if origin == Origin::Client {
            judge_sequence(producer, header)?;
        }
        if producer.transaction_start.is_some() && !header.attributes.is_transactional() {
            return Err(ProducerError::NotTransactional);
        }
        Ok(Verdict::Append)
    }

    /// Takes in a batch that is in the log now. `header` has its final offsets.
    pub(super) fn apply(
        &mut self,
        header: &BatchHeader,
        marker: Option<EndMarker>,
    ) -> Option<EndedTransaction> {
        if !header.has_producer() {
            return None;
        }
        if let Some(marker) = marker {
            return self.apply_marker(header, marker);
        }
        if header.attributes.is_control() {
            // A control batch whose record compaction removed: its transaction is gone altogether.
            return None;
        }
        let producer = (self.by_id)
            .entry(header.producer_id)
            .or_insert_with(Producer::new);
        producer.set_epoch(header.producer_epoch);
        producer.push(BatchMemory {
            last_sequence: header.last_sequence(),
            last_offset: header.last_offset(),
            offset_delta: header.last_offset_delta,
            timestamp: header.max_timestamp,
        });
        producer.last_timestamp = header.max_timestamp;
        if header.attributes.is_transactional() && producer.transaction_start.is_none() {
            producer.transaction_start = Some(header.base_offset);
            self.open.insert(header.base_offset, header.producer_id);
        }
        None
    }

    fn apply_marker(
        &mut self,
        header: &BatchHeader,
        marker: EndMarker,
    ) -> Option<EndedTransaction> {
        let producer = (self.by_id)
            .entry(header.producer_id)
            .or_insert_with(Producer::new);
        producer.set_epoch(header.producer_epoch);
        producer.coordinator_epoch = marker.coordinator_epoch;
        producer.last_timestamp = header.max_timestamp;
        let first = producer.transaction_start.take()?;
        self.open.remove(&first);
        let at = header.base_offset;
        self.ended.insert(first, at);
        Some(EndedTransaction {
            producer: header.producer_id,
            first,
            marker: at,
            result: marker.result,
            last_stable: self.first_undecided().unwrap_or(at.next()),
        })
    }

    /// First offset of the earliest open transaction.
    pub(super) fn first_undecided(&self) -> Option<Offset> {
        self.open.first_key_value().map(|(first, _)| *first)
    }

    /// First offset of the earliest transaction that is open, or whose marker the high watermark has
    /// not passed.
    pub(super) fn first_unstable(&self) -> Option<Offset> {
        let ended = self.ended.first_key_value().map(|(first, _)| *first);
        match (self.first_undecided(), ended) {
            (Some(open), Some(ended)) => Some(open.min(ended)),
            (open, ended) => open.or(ended),
        }
    }

    /// The high watermark (or the log's start) is at `offset`: ended transactions below it are settled.
    pub(super) fn settle(&mut self, offset: Offset) {
        if !self.ended.is_empty() {
            self.ended.retain(|_, marker| *marker >= offset);
        }
    }

    /// Forgets producers that have written nothing for so long, unless their transaction is open.
    pub(super) fn expire(&mut self, now: Timestamp, expiration_ms: i64) {
        self.by_id.retain(|_, producer| {
            producer.transaction_start.is_some()
                || now.ms_since(producer.last_timestamp) < expiration_ms
        });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    pub(super) fn active(&self) -> impl Iterator<Item = ActiveProducer> {
        self.by_id.iter().map(|(id, producer)| ActiveProducer {
            id: *id,
            epoch: producer.epoch,
            last_sequence: producer.last_sequence(),
            last_timestamp: producer.last_timestamp,
            coordinator_epoch: producer.coordinator_epoch,
            transaction_start: producer.transaction_start,
        })
    }

    pub(super) fn last_records(&self) -> HashMap<ProducerId, LastRecord> {
        let last = |producer: &Producer| LastRecord {
            offset: producer.batches.back().map(|batch| batch.last_offset),
            epoch: producer.epoch,
        };
        (self.by_id.iter())
            .map(|(id, producer)| (*id, last(producer)))
            .collect()
    }

    fn restore(&mut self, id: ProducerId, producer: Producer) {
        if let Some(first) = producer.transaction_start {
            self.open.insert(first, id);
        }
        self.by_id.insert(id, producer);
    }
}

fn duplicate(producer: &Producer, header: &BatchHeader) -> Option<BatchMemory> {
    if producer.epoch != header.producer_epoch {
        return None;
    }
    let last = header.last_sequence();
    (producer.batches.iter())
        .find(|batch| batch.last_sequence == last && batch.first_sequence() == header.base_sequence)
        .copied()
}

fn judge_sequence(producer: &Producer, header: &BatchHeader) -> Result<(), ProducerError> {
    let found = header.base_sequence;
    let last = producer.last_sequence();
    let in_order = if header.producer_epoch == producer.epoch {
        i64::from(found) == i64::from(last) + 1 || (found == 0 && last == i32::MAX)
    } else {
        found == 0 || producer.epoch == ProducerEpoch::NONE
    };
    if in_order {
        Ok(())
    } else {
        Err(ProducerError::OutOfOrderSequence { found, last })
    }
}

fn judge_marker(
    producer: &Producer,
    header: &BatchHeader,
    marker: EndMarker,
    version: TransactionVersion,
) -> Result<(), ProducerError> {
    let (found, last) = (header.producer_epoch.0, producer.epoch.0);
    let fenced = match version {
        TransactionVersion::V0 | TransactionVersion::V1 => found < last,
        // Every transaction of version 2 ends in a greater epoch. The same epoch is a retry of a marker
        // that was written; at the largest epoch there is no greater one.
        TransactionVersion::V2 => {
            let is_retry =
                found == last && (producer.transaction_start.is_none() || found == i16::MAX);
            found <= last && !is_retry
        }
    };
    if fenced {
        return Err(ProducerError::Fenced { found, last });
    }
    let (found, last) = (marker.coordinator_epoch, producer.coordinator_epoch);
    if found < last {
        return Err(ProducerError::CoordinatorFenced { found, last });
    }
    Ok(())
}
