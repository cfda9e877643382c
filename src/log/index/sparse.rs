//! A sparse index: sorted entries of one length in a file, the newest of them still in memory.
//!
//! Kafka maps its index files; we read them. An idle partition then costs no mapping and no open file,
//! and the simulated disk works. The file is made when the tail is first written out, so a small
//! partition has no index files until its segment is closed.

use super::entries::Entry;
use crate::runtime::{Disk, File, Open, read_exact_at};
use crate::types::Offset;
use std::io::{self, IoSlice};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

/// Entries kept in memory before they are written: one page of an offset index.
const TAIL_MAX: usize = 512;
/// A search reads single entries until at most this many are left, then those at once.
const SEARCH_CHUNK: usize = 64;

/// A file that is opened when it is first needed.
pub(in crate::log) struct LazyFile {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    file: OnceLock<Arc<dyn File>>,
}

impl LazyFile {
    pub(in crate::log) fn new(disk: &Arc<dyn Disk>, path: PathBuf) -> LazyFile {
        LazyFile {
            disk: disk.clone(),
            path,
            file: OnceLock::new(),
        }
    }

    /// The same file, which is to be named `path` now.
    pub(in crate::log) fn renamed(self, path: PathBuf) -> LazyFile {
        LazyFile { path, ..self }
    }

    /// The file, if it is there.
    pub(in crate::log) fn existing(&self) -> io::Result<Option<Arc<dyn File>>> {
        match self.open(Open::Write) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            done => done.map(Some),
        }
    }

    /// The file, made if need be.
    pub(in crate::log) fn created(&self) -> io::Result<Arc<dyn File>> {
        self.open(Open::Create)
    }

    fn open(&self, how: Open) -> io::Result<Arc<dyn File>> {
        if let Some(file) = self.file.get() {
            return Ok(file.clone());
        }
        let file = self.disk.open(&self.path, how)?;
        Ok(self.file.get_or_init(|| file).clone())
    }
}

/// The entries of one index: how many lie in the file, and those that do not yet.
pub(in crate::log) struct SparseIndex<E> {
    base: Offset,
    flushed: usize,
    tail: Vec<E>,
    last: Option<E>,
}

/// Where a search goes on: in the file, without a lock.
#[derive(Clone, Copy)]
pub(in crate::log) enum Found<E> {
    Here(Option<E>),
    InFile { entries: usize },
}

impl<E: Entry> SparseIndex<E> {
    pub(in crate::log) fn empty(base: Offset) -> SparseIndex<E> {
        SparseIndex {
            base,
            flushed: 0,
            tail: Vec::new(),
            last: None,
        }
    }

    /// Trusts what is in the file, but for a last part of an entry.
    pub(in crate::log) fn load(base: Offset, file: &LazyFile) -> io::Result<SparseIndex<E>> {
        let mut index = SparseIndex::empty(base);
        if let Some(file) = file.existing()? {
            let len = usize::try_from(file.len()?).map_err(|_| io::ErrorKind::FileTooLarge)?;
            index.flushed = len / E::LEN;
            if index.flushed > 0 {
                index.last = Some(read_entry(&*file, base, index.flushed - 1)?);
            }
        }
        Ok(index)
    }

    pub(in crate::log) fn len(&self) -> usize {
        self.flushed + self.tail.len()
    }

    /// Bytes of all entries.
    pub(in crate::log) fn size(&self) -> u64 {
        (self.len() * E::LEN) as u64
    }

    pub(in crate::log) fn last(&self) -> Option<E> {
        self.last
    }

    pub(in crate::log) fn push(&mut self, entry: E) {
        self.tail.push(entry);
        self.last = Some(entry);
    }

    /// Whether the tail should be written out before it grows further.
    pub(in crate::log) fn tail_is_full(&self) -> bool {
        self.tail.len() >= TAIL_MAX
    }

    /// The tail as bytes, and where they belong. Empty if there is none.
    pub(in crate::log) fn tail_bytes(&self) -> (u64, Vec<u8>) {
        let mut bytes = Vec::with_capacity(self.tail.len() * E::LEN);
        for entry in &self.tail {
            entry.encode(self.base, &mut bytes);
        }
        ((self.flushed * E::LEN) as u64, bytes)
    }

    /// To be called once [`SparseIndex::tail_bytes`] are in the file.
    pub(in crate::log) fn tail_written(&mut self) {
        self.flushed += self.tail.len();
        // An idle partition should not keep the tail's memory.
        self.tail = Vec::new();
    }

    /// The last entry that `is_before` holds for; it must hold for a first part of the entries only.
    pub(in crate::log) fn search(&self, is_before: impl Fn(&E) -> bool) -> Found<E> {
        let count = self.tail.partition_point(is_before);
        match count.checked_sub(1) {
            Some(found) => Found::Here(self.tail.get(found).copied()),
            None if self.flushed == 0 => Found::Here(None),
            None => Found::InFile {
                entries: self.flushed,
            },
        }
    }

    /// Keeps the entries that `keep` holds for, a first part of them, in memory and in the file.
    pub(in crate::log) fn truncate(
        &mut self,
        file: &LazyFile,
        keep: impl Fn(&E) -> bool,
    ) -> io::Result<()> {
        let kept = self.tail.partition_point(&keep);
        self.tail.truncate(kept);
        if kept == 0 && self.flushed > 0 {
            let Some(file) = file.existing()? else {
                *self = SparseIndex::empty(self.base);
                return Ok(());
            };
            self.flushed = count_in_file(&*file, self.base, self.flushed, &keep)?;
            file.set_len((self.flushed * E::LEN) as u64)?;
        }
        self.last = match self.tail.last() {
            Some(entry) => Some(*entry),
            None if self.flushed == 0 => None,
            None => match file.existing()? {
                Some(file) => Some(read_entry(&*file, self.base, self.flushed - 1)?),
                None => None,
            },
        };
        Ok(())
    }
}

/// Writes bytes from [`SparseIndex::tail_bytes`]; makes the file even if there are none, because Kafka
/// rebuilds a segment whose index is missing.
pub(in crate::log) fn write_tail(file: &LazyFile, position: u64, bytes: &[u8]) -> io::Result<()> {
    let file = file.created()?;
    if !bytes.is_empty() {
        file.write_at(&mut [IoSlice::new(bytes)], position)?;
    }
    Ok(())
}

/// The last of the first `entries` entries that `is_before` holds for.
pub(in crate::log) fn search_file<E: Entry>(
    file: &LazyFile,
    base: Offset,
    entries: usize,
    is_before: impl Fn(&E) -> bool,
) -> io::Result<Option<E>> {
    // The files of a removed segment may be gone; without an index the search starts at the front.
    let Some(file) = file.existing()? else {
        return Ok(None);
    };
    match count_in_file(&*file, base, entries, is_before)? {
        0 => Ok(None),
        count => read_entry(&*file, base, count - 1).map(Some),
    }
}

fn count_in_file<E: Entry>(
    file: &dyn File,
    base: Offset,
    entries: usize,
    holds: impl Fn(&E) -> bool,
) -> io::Result<usize> {
    let (mut low, mut high) = (0, entries);
    while high - low > SEARCH_CHUNK {
        let middle = low + (high - low) / 2;
        if holds(&read_entry(file, base, middle)?) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    let mut chunk = vec![0; (high - low) * E::LEN];
    read_exact_at(file, &mut chunk, (low * E::LEN) as u64)?;
    let more = chunk
        .chunks_exact(E::LEN)
        .take_while(|bytes| holds(&E::decode(base, bytes)))
        .count();
    Ok(low + more)
}

fn read_entry<E: Entry>(file: &dyn File, base: Offset, index: usize) -> io::Result<E> {
    let mut bytes = [0; 16];
    let bytes = bytes.get_mut(..E::LEN).unwrap_or_default();
    read_exact_at(file, bytes, (index * E::LEN) as u64)?;
    Ok(E::decode(base, bytes))
}
