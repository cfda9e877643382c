//! The transaction index: which transactions were aborted, in the order of their markers.
//!
//! Aborts are rare, so the file is made with the first one and read whole where it is asked.

use super::sparse::LazyFile;
use crate::runtime::{File, read_exact_at};
use crate::types::{Offset, ProducerId};
use bytes::{Buf, BufMut};
use std::io::{self, IoSlice};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// Transaction index entry, 34 bytes, big-endian:
///
/// ```text
///  0..2   version, 0
///  2..10  producer id
/// 10..18  first offset of the transaction
/// 18..26  offset of its abort marker
/// 26..34  last stable offset once the marker was written
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::log) struct AbortedEntry {
    pub(in crate::log) producer: ProducerId,
    pub(in crate::log) first: Offset,
    pub(in crate::log) last: Offset,
    pub(in crate::log) last_stable: Offset,
}

const ENTRY_LEN: usize = 34;

/// A transaction whose records a reader of committed data must pass over, from `first` on until its
/// marker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AbortedTransaction {
    pub producer: ProducerId,
    pub first: Offset,
}

impl AbortedEntry {
    fn encode(&self) -> [u8; ENTRY_LEN] {
        let mut bytes = [0; ENTRY_LEN];
        let mut out = &mut bytes[..];
        out.put_i16(0);
        out.put_i64(self.producer.0);
        out.put_i64(self.first.0);
        out.put_i64(self.last.0);
        out.put_i64(self.last_stable.0);
        bytes
    }

    /// `None` for a version that is not known.
    fn decode(mut bytes: &[u8]) -> Option<AbortedEntry> {
        if bytes.len() < ENTRY_LEN || bytes.get_i16() != 0 {
            return None;
        }
        Some(AbortedEntry {
            producer: ProducerId(bytes.get_i64()),
            first: Offset(bytes.get_i64()),
            last: Offset(bytes.get_i64()),
            last_stable: Offset(bytes.get_i64()),
        })
    }
}

/// One segment's transaction index.
pub(in crate::log) struct TxnIndex {
    file: LazyFile,
    entries: AtomicU32,
}

impl TxnIndex {
    /// `exists`: the directory listing had the file.
    pub(in crate::log) fn open(file: LazyFile, exists: bool) -> io::Result<TxnIndex> {
        let entries = match exists {
            false => 0,
            true => match file.existing()? {
                Some(file) => u32::try_from(file.len()? / ENTRY_LEN as u64)
                    .map_err(|_| io::ErrorKind::FileTooLarge)?,
                None => 0,
            },
        };
        Ok(TxnIndex {
            file,
            entries: AtomicU32::new(entries),
        })
    }

    /// The same index, whose file is to be named `path` now.
    pub(in crate::log) fn renamed(self, path: PathBuf) -> TxnIndex {
        TxnIndex {
            file: self.file.renamed(path),
            ..self
        }
    }

    pub(in crate::log) fn is_empty(&self) -> bool {
        self.entries.load(Ordering::Acquire) == 0
    }

    /// The file, if there is anything in it to sync.
    pub(in crate::log) fn file(&self) -> io::Result<Option<Arc<dyn File>>> {
        if self.is_empty() {
            return Ok(None);
        }
        self.file.existing()
    }

    pub(in crate::log) fn append(&self, entry: &AbortedEntry) -> io::Result<()> {
        let count = self.entries.load(Ordering::Acquire);
        let position = u64::from(count) * ENTRY_LEN as u64;
        self.file
            .created()?
            .write_at(&mut [IoSlice::new(&entry.encode())], position)?;
        self.entries.store(count + 1, Ordering::Release);
        Ok(())
    }

    /// Whether the file can be the index of the segment at `base`: whole entries that all can be read, of
    /// markers in order.
    pub(in crate::log) fn is_sane(&self, base: Offset) -> io::Result<bool> {
        if self.is_empty() {
            return Ok(true);
        }
        let entries = self.read()?;
        let whole = (entries.len() * ENTRY_LEN) as u64;
        let len = match self.file.existing()? {
            Some(file) => file.len()?,
            None => 0,
        };
        let in_order = (entries.windows(2)).all(|pair| matches!(pair, [a, b] if a.last < b.last));
        let is_sane = |entry: &AbortedEntry| {
            entry.last >= base && (Offset::ZERO..=entry.last).contains(&entry.first)
        };
        Ok(len == whole && in_order && entries.iter().all(is_sane))
    }

    /// All entries; an unreadable one ends them.
    pub(in crate::log) fn read(&self) -> io::Result<Vec<AbortedEntry>> {
        let count = self.entries.load(Ordering::Acquire) as usize;
        if count == 0 {
            return Ok(Vec::new());
        }
        let Some(file) = self.file.existing()? else {
            return Ok(Vec::new());
        };
        let mut bytes = vec![0; count * ENTRY_LEN];
        read_exact_at(&*file, &mut bytes, 0)?;
        Ok(bytes
            .chunks_exact(ENTRY_LEN)
            .map_while(AbortedEntry::decode)
            .collect())
    }

    /// Drops the transactions whose markers lie at `end` or above.
    pub(in crate::log) fn truncate(&self, end: Offset) -> io::Result<()> {
        let kept = self
            .read()?
            .iter()
            .take_while(|entry| entry.last < end)
            .count();
        if let Some(file) = self.file()? {
            file.set_len((kept * ENTRY_LEN) as u64)?;
        }
        self.entries.store(
            u32::try_from(kept).map_err(|_| io::ErrorKind::FileTooLarge)?,
            Ordering::Release,
        );
        Ok(())
    }
}
