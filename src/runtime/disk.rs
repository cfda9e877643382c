//! Files and directories. Calls block: what is short (an append to the page cache, a read of a
//! cached index page) is done where it is called, what is long goes through [`super::Tasks::blocking`].

use crate::types::Timestamp;
use bytes::Bytes;
use std::io::{self, IoSlice};
use std::path::Path;
use std::sync::Arc;

/// Bytes copied at a time where a file has no descriptor to send from.
pub(super) const COPY_BYTES: usize = 64 * 1024;

/// How to open a file. Every way but [`Open::Read`] gives a file that can be read and written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Open {
    /// It must exist; only reads.
    Read,
    /// It must exist.
    Write,
    /// Made empty if it is not there; kept as it is otherwise.
    Create,
    /// It must not exist.
    CreateNew,
    /// Made, or emptied if it is there.
    Truncate,
}

/// What a sync makes durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sync {
    /// The bytes and what is needed to find them again (fdatasync).
    Data,
    /// The bytes and all that the file system keeps about the file (fsync).
    All,
}

/// What a directory holds under one name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    pub name: String,
    pub is_dir: bool,
}

/// What the file system says of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metadata {
    pub len: u64,
    pub is_dir: bool,
    pub modified: Timestamp,
}

/// Room on the file system that a directory lies on, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    pub total: u64,
    /// What an ordinary user may still fill.
    pub usable: u64,
}

/// The kernel's handle of an open file, open for as long as it is held.
pub type Descriptor = Arc<std::fs::File>;

/// A lock on a data directory, held until dropped.
pub trait Lock: Send + std::marker::Sync {}

/// A file system.
pub trait Disk: Send + std::marker::Sync + 'static {
    fn open(&self, path: &Path, how: Open) -> io::Result<Arc<dyn File>>;
    fn metadata(&self, path: &Path) -> io::Result<Metadata>;
    /// What `dir` holds, sorted by name.
    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>>;
    fn create_dir_all(&self, dir: &Path) -> io::Result<()>;
    /// Replaces `to` if it is a file. Durable only once the directory is synced.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    fn remove_file(&self, path: &Path) -> io::Result<()>;
    fn remove_dir_all(&self, dir: &Path) -> io::Result<()>;
    /// Makes creations, renames and removals in `dir` durable.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
    /// Takes the lock file at `path`, made if need be. `WouldBlock` if another process holds it.
    fn lock(&self, path: &Path) -> io::Result<Box<dyn Lock>>;
    fn space(&self, dir: &Path) -> io::Result<Space>;

    fn exists(&self, path: &Path) -> bool {
        self.metadata(path).is_ok()
    }
}

/// An open file. Positions are absolute, so one handle serves readers and the writer at once.
pub trait File: Send + std::marker::Sync + 'static {
    /// Length in bytes, as written so far.
    fn len(&self) -> io::Result<u64>;
    /// Reads up to `buf.len()` bytes; 0 only at the end of the file.
    fn read_at(&self, buf: &mut [u8], position: u64) -> io::Result<usize>;
    /// Writes all of `parts`, one after the other, from `position` on, or fails. After a failure
    /// any part of it may have been written.
    fn write_at(&self, parts: &mut [IoSlice<'_>], position: u64) -> io::Result<()>;
    /// An error is final: the kernel may have dropped the pages, so a second try proves nothing.
    fn sync(&self, what: Sync) -> io::Result<()>;
    fn set_len(&self, len: u64) -> io::Result<()>;
    /// Reserves space for `len` bytes from `position` on without changing the file's length.
    fn reserve(&self, position: u64, len: u64) -> io::Result<()>;
    /// The kernel's handle, where there is one: it makes sendfile possible.
    fn descriptor(&self) -> io::Result<Option<Descriptor>>;

    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
}

/// A range of a file's bytes: what a fetch answers with, without having read it.
#[derive(Clone)]
pub struct FileSlice {
    pub file: Arc<dyn File>,
    pub position: u64,
    pub len: usize,
}

impl FileSlice {
    /// Reads all of it.
    pub fn read(&self) -> io::Result<Bytes> {
        let mut bytes = vec![0; self.len];
        read_exact_at(&*self.file, &mut bytes, self.position)?;
        Ok(bytes.into())
    }
}

impl std::fmt::Debug for FileSlice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "FileSlice({}+{})", self.position, self.len)
    }
}

/// Fills `buf` from `position` on; `UnexpectedEof` if the file ends first.
pub fn read_exact_at(file: &dyn File, mut buf: &mut [u8], mut position: u64) -> io::Result<()> {
    while !buf.is_empty() {
        let read = file.read_at(buf, position)?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        buf = &mut buf[read..];
        position += read as u64;
    }
    Ok(())
}

/// The whole of a small file.
pub fn read_whole(disk: &dyn Disk, path: &Path) -> io::Result<Vec<u8>> {
    let file = disk.open(path, Open::Read)?;
    let len = usize::try_from(file.len()?).map_err(|_| io::ErrorKind::FileTooLarge)?;
    let mut bytes = vec![0; len];
    read_exact_at(&*file, &mut bytes, 0)?;
    Ok(bytes)
}

/// Replaces the file at `path` whole: written beside it as `.tmp`, synced, renamed, directory synced.
/// A crash leaves the old bytes or the new ones.
pub fn write_whole(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut name = path
        .file_name()
        .ok_or(io::ErrorKind::InvalidInput)?
        .to_owned();
    name.push(".tmp");
    let temporary = path.with_file_name(name);
    let file = disk.open(&temporary, Open::Truncate)?;
    file.write_at(&mut [IoSlice::new(bytes)], 0)?;
    file.sync(Sync::All)?;
    drop(file);
    disk.rename(&temporary, path)?;
    match path.parent() {
        Some(dir) => disk.sync_dir(dir),
        None => Ok(()),
    }
}
