//! Transactions as the cleaner walks past them: whose records were aborted, and which markers still
//! stand for records that are there (`CleanedTransactionMetadata`).

use crate::log::index::AbortedEntry;
use crate::record::Batch;
use crate::record::control::{self, ControlRecord, TransactionResult};
use crate::types::{Offset, ProducerId};
use std::collections::{BTreeMap, HashMap, HashSet};

/// What the walk has seen. Batches are shown to it in the order of the log.
#[derive(Default)]
pub(super) struct Transactions {
    /// Aborted transactions that begin further on, by first offset.
    ahead: BTreeMap<(Offset, ProducerId), AbortedEntry>,
    /// Aborted transactions that the walk is in.
    aborted: HashMap<ProducerId, Aborted>,
    /// Producers in a transaction that was not aborted.
    committed: HashSet<ProducerId>,
}

struct Aborted {
    entry: AbortedEntry,
    /// A batch of it is still in the log.
    seen: bool,
}

/// What a marker stands for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Marker {
    /// Batches of its transaction were met. An abort is to be found in the transaction index.
    Needed(Option<AbortedEntry>),
    /// No batch of its transaction is left.
    Empty,
}

impl Transactions {
    /// Takes note of aborted transactions that reach into what comes next; those that are known already
    /// change nothing.
    pub(super) fn expect(&mut self, aborted: impl IntoIterator<Item = AbortedEntry>) {
        for entry in aborted {
            self.ahead.insert((entry.first, entry.producer), entry);
        }
    }

    /// Whether the data batch is of an aborted transaction.
    pub(super) fn on_batch(&mut self, batch: &Batch) -> bool {
        self.enter_up_to(batch.header().last_offset());
        if !batch.header().attributes.is_transactional() {
            return false;
        }
        let producer = batch.header().producer_id;
        match self.aborted.get_mut(&producer) {
            Some(aborted) => {
                aborted.seen = true;
                true
            }
            None => {
                self.committed.insert(producer);
                false
            }
        }
    }

    pub(super) fn on_control(&mut self, batch: &Batch) -> Marker {
        self.enter_up_to(batch.header().last_offset());
        let producer = batch.header().producer_id;
        if batch.header().records_count == 0 {
            return Marker::Empty; // its record went before
        }
        let Some(ControlRecord::EndTransaction(end)) = control::read(batch) else {
            return Marker::Needed(None); // not of a transaction, or of a release to come
        };
        match end.result {
            TransactionResult::Abort => match self.aborted.remove(&producer) {
                Some(aborted) if aborted.seen => Marker::Needed(Some(aborted.entry)),
                _ => Marker::Empty,
            },
            TransactionResult::Commit if self.committed.remove(&producer) => Marker::Needed(None),
            TransactionResult::Commit => Marker::Empty,
        }
    }

    fn enter_up_to(&mut self, offset: Offset) {
        while let Some(next) = self.ahead.first_entry()
            && next.key().0 <= offset
        {
            let entry = next.remove();
            let aborted = Aborted { entry, seen: false };
            self.aborted.entry(entry.producer).or_insert(aborted);
        }
    }
}
