//! The three indexes of a segment.

mod entries;
mod sparse;
mod txn;

pub(super) use entries::{Entry, OffsetEntry, TimeEntry};
pub(super) use sparse::{Found, LazyFile, SparseIndex, search_file, write_tail};
pub use txn::AbortedTransaction;
pub(super) use txn::{AbortedEntry, TxnIndex};
