//! Files of the operating system.

use super::handles::{Handle, Handles};
use crate::runtime::disk::{Descriptor, Disk, Entry, File, Lock, Metadata, Open, Space, Sync};
use crate::types::Timestamp;
use rustix::fs::{FallocateFlags, FlockOperation};
use std::fs::OpenOptions;
use std::io::{self, IoSlice};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::time::UNIX_EPOCH;

/// The file systems of the machine. At most half of the files that the process may open stay open
/// (`ulimit -n`, as it is when this is made); the others are opened again when they are used.
pub struct OsDisk(Arc<Handles>);

struct OsFile(Arc<Handle>);

struct OsLock(#[expect(dead_code, reason = "held for its lock")] std::fs::File);

impl Lock for OsLock {}

impl Default for OsDisk {
    fn default() -> OsDisk {
        OsDisk(Handles::within_limit())
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the real disk")]
impl Disk for OsDisk {
    fn open(&self, path: &Path, how: Open) -> io::Result<Arc<dyn File>> {
        let mut options = OpenOptions::new();
        options.read(true).write(how != Open::Read);
        match how {
            Open::Read | Open::Write => {}
            Open::Create => {
                options.create(true);
            }
            Open::CreateNew => {
                options.create_new(true);
            }
            Open::Truncate => {
                options.create(true).truncate(true);
            }
        }
        let handle = self.0.open(path, how != Open::Read, &options)?;
        Ok(Arc::new(OsFile(handle)))
    }

    fn metadata(&self, path: &Path) -> io::Result<Metadata> {
        let found = std::fs::metadata(path)?;
        let since = found
            .modified()?
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Ok(Metadata {
            len: found.len(),
            is_dir: found.is_dir(),
            modified: Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX)),
        })
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>> {
        let mut entries = Vec::new();
        for entry in std::fs::read_dir(dir)? {
            let entry = entry?;
            // A name that is not UTF-8 is none of Kafka's, so nobody misses it.
            if let Ok(name) = entry.file_name().into_string() {
                entries.push(Entry {
                    name,
                    is_dir: entry.file_type()?.is_dir(),
                });
            }
        }
        entries.sort();
        Ok(entries)
    }

    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        std::fs::create_dir_all(dir)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.0.rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.0.remove(path, |path| std::fs::remove_file(path))
    }

    fn remove_dir_all(&self, dir: &Path) -> io::Result<()> {
        self.0.remove(dir, |dir| std::fs::remove_dir_all(dir))
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        std::fs::File::open(dir)?.sync_all()
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Lock>> {
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)?;
        // Apache Kafka takes a POSIX record lock here (Java's FileLock). A flock would not see it,
        // so we take that one; but record locks do not tell two brokers of one process apart, and
        // tests run several in one process, so we take both.
        rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        rustix::fs::fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive)?;
        Ok(Box::new(OsLock(file)))
    }

    fn space(&self, dir: &Path) -> io::Result<Space> {
        let found = rustix::fs::statvfs(dir)?;
        Ok(Space {
            total: found.f_blocks.saturating_mul(found.f_frsize),
            usable: found.f_bavail.saturating_mul(found.f_frsize),
        })
    }
}

impl File for OsFile {
    fn len(&self) -> io::Result<u64> {
        self.0.with(|file| Ok(file.metadata()?.len()))
    }

    fn read_at(&self, buf: &mut [u8], position: u64) -> io::Result<usize> {
        self.0.with(|file| {
            loop {
                match file.read_at(buf, position) {
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    done => return done,
                }
            }
        })
    }

    fn write_at(&self, mut parts: &mut [IoSlice<'_>], mut position: u64) -> io::Result<()> {
        // pwritev takes at most IOV_MAX (1024) pieces a call.
        const PIECES_MAX: usize = 1024;
        IoSlice::advance_slices(&mut parts, 0);
        self.0.with(|file| {
            while !parts.is_empty() {
                let some = &parts[..parts.len().min(PIECES_MAX)];
                match rustix::io::pwritev(file, some, position) {
                    Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                    Ok(written) => {
                        IoSlice::advance_slices(&mut parts, written);
                        position += written as u64;
                    }
                    Err(rustix::io::Errno::INTR) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            Ok(())
        })
    }

    fn sync(&self, what: Sync) -> io::Result<()> {
        self.0.with(|file| match what {
            Sync::Data => file.sync_data(),
            Sync::All => file.sync_all(),
        })
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.with(|file| file.set_len(len))
    }

    fn reserve(&self, position: u64, len: u64) -> io::Result<()> {
        let reserve = |file: &std::fs::File| {
            match rustix::fs::fallocate(file, FallocateFlags::KEEP_SIZE, position, len) {
                // Some file systems cannot reserve; the space then comes with the writes.
                Err(rustix::io::Errno::OPNOTSUPP) => Ok(()),
                done => Ok(done?),
            }
        };
        self.0.with(reserve)
    }

    fn descriptor(&self) -> io::Result<Option<Descriptor>> {
        Ok(Some(self.0.file()?))
    }
}
