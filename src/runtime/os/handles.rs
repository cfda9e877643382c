//! Files that stay open only while there is room for them.
//!
//! A broker has more segments than a process may have open files. Those that were not used for longest are
//! closed and, when they are used again, opened by the name that they have then. To whoever holds one of them
//! this does not show: a file that was removed or replaced can still be read and written, as POSIX has it.
//!
//! A file may be closed before it was synced. A later sync writes what any handle has written, and hears of a
//! write that failed in between: Linux (since 4.17) keeps that for the next who opens the file and asks.

use parking_lot::{Mutex, RwLock};
use rustix::process::{Resource, getrlimit};
use std::collections::{HashMap, VecDeque};
use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

/// More are not worth the memory that the kernel has for each, whatever the process may open.
const OPEN_MAX: usize = 65_536;
/// Handles that nobody holds any more are looked for when there are this many, and as often as that doubles.
const SWEEP_MIN: usize = 1024;

/// The files of one disk.
pub(super) struct Handles {
    open_max: usize,
    /// Held while a file is opened, renamed or removed, so that a name means the same file all the while.
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    /// By the directory that they are in.
    named: HashMap<PathBuf, Vec<Weak<Handle>>>,
    /// Those that are open and may be closed, in the order in which that is considered.
    open: VecDeque<Weak<Handle>>,
    entries: usize,
    sweep_at: usize,
}

/// A file that somebody holds.
pub(super) struct Handle {
    handles: Arc<Handles>,
    /// `None` while it is closed. Read while it is used.
    file: RwLock<Option<Arc<File>>>,
    /// Since it was last considered for closing.
    used: AtomicBool,
    writable: bool,
    /// `None` once the name is gone: the file stays open then.
    path: Mutex<Option<PathBuf>>,
}

impl Handles {
    /// Keeps half of what the process may open for connections and for files that are open for a moment.
    pub(super) fn within_limit() -> Arc<Handles> {
        let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        let half = usize::try_from(limit / 2).unwrap_or(usize::MAX);
        Handles::at_most(half.clamp(1, OPEN_MAX))
    }

    pub(super) fn at_most(open_max: usize) -> Arc<Handles> {
        Arc::new(Handles {
            open_max,
            table: Mutex::default(),
        })
    }

    pub(super) fn open(
        self: &Arc<Handles>,
        path: &Path,
        writable: bool,
        options: &OpenOptions,
    ) -> io::Result<Arc<Handle>> {
        let mut table = self.table.lock();
        table.make_room(self.open_max);
        let handle = Arc::new(Handle {
            handles: self.clone(),
            file: RwLock::new(Some(Arc::new(open(options, path)?))),
            used: AtomicBool::new(true),
            writable,
            path: Mutex::new(Some(path.to_owned())),
        });
        table.name(path, Arc::downgrade(&handle));
        table.open.push_back(Arc::downgrade(&handle));
        Ok(handle)
    }

    /// Renames a file, or a directory with files in it, and has their handles follow.
    pub(super) fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut table = self.table.lock();
        table.keep(to)?;
        rename(from, to)?;
        table.renamed(from, to);
        Ok(())
    }

    /// Has `remove` remove the file, or the directory with its files, at `path`.
    pub(super) fn remove(
        &self,
        path: &Path,
        remove: impl FnOnce(&Path) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut table = self.table.lock();
        table.keep(path)?;
        remove(path)
    }

    #[cfg(test)]
    fn open_count(&self) -> usize {
        let table = self.table.lock();
        let open = table.open.iter().filter_map(Weak::upgrade);
        open.filter(|handle| handle.file.read().is_some()).count()
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the real disk")]
fn open(options: &OpenOptions, path: &Path) -> io::Result<File> {
    options.open(path)
}

#[expect(clippy::disallowed_methods, reason = "this is the real disk")]
fn rename(from: &Path, to: &Path) -> io::Result<()> {
    std::fs::rename(from, to)
}

impl Table {
    fn name(&mut self, path: &Path, handle: Weak<Handle>) {
        if self.entries >= self.sweep_at.max(SWEEP_MIN) {
            self.sweep();
        }
        self.entries += 1;
        let dir = path.parent().unwrap_or(path).to_owned();
        self.named.entry(dir).or_default().push(handle);
    }

    /// Forgets those that nobody holds.
    fn sweep(&mut self) {
        self.named.retain(|_, handles| {
            handles.retain(|handle| handle.strong_count() > 0);
            !handles.is_empty()
        });
        self.open.retain(|handle| handle.strong_count() > 0);
        self.entries = self.named.values().map(Vec::len).sum();
        self.sweep_at = 2 * self.entries;
    }

    /// Closes files until one more may be open: those that were not used since they were last considered.
    fn make_room(&mut self, open_max: usize) {
        // Once round to take note of what was used, and once more to close.
        for _ in 0..2 * self.open.len() {
            if self.open.len() < open_max {
                return;
            }
            let Some(first) = self.open.pop_front() else {
                return;
            };
            let Some(handle) = first.upgrade() else {
                continue;
            };
            if handle.path.lock().is_none() {
                continue;
            }
            match handle.file.try_write() {
                Some(mut file) if !handle.used.swap(false, Ordering::Relaxed) => *file = None,
                _ => self.open.push_back(first),
            }
        }
    }

    /// Takes those at `path`, or in the directory `path`, out of the table: their name is about to go.
    fn keep(&mut self, path: &Path) -> io::Result<()> {
        for handle in self.taken(path) {
            match handle.opened() {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => *handle.path.lock() = None,
            }
        }
        Ok(())
    }

    fn renamed(&mut self, from: &Path, to: &Path) {
        for handle in self.taken(from) {
            let mut path = handle.path.lock();
            let Some(old) = path.as_deref() else {
                continue;
            };
            let new = match old.strip_prefix(from) {
                Ok(rest) if rest.as_os_str().is_empty() => to.to_owned(),
                Ok(rest) => to.join(rest),
                Err(_) => continue,
            };
            self.name(&new, Arc::downgrade(&handle));
            *path = Some(new);
        }
    }

    /// Those at `path`, or in the directory `path`, which lose their place in the table.
    fn taken(&mut self, path: &Path) -> Vec<Arc<Handle>> {
        let mut taken = Vec::new();
        if let Some(inside) = self.named.remove(path) {
            self.entries -= inside.len();
            taken.extend(inside.iter().filter_map(Weak::upgrade));
        }
        let dir = path.parent().unwrap_or(path);
        if let Some(beside) = self.named.get_mut(dir) {
            let before = beside.len();
            beside.retain(|handle| match handle.upgrade() {
                Some(handle) if handle.path.lock().as_deref() == Some(path) => {
                    taken.push(handle);
                    false
                }
                Some(_) => true,
                None => false,
            });
            self.entries -= before - beside.len();
        }
        taken
    }
}

impl Handle {
    /// Has `work` use the open file.
    pub(super) fn with<T>(
        self: &Arc<Handle>,
        work: impl FnOnce(&File) -> io::Result<T>,
    ) -> io::Result<T> {
        if let Some(file) = &*self.file.read() {
            self.note_use();
            return work(file);
        }
        work(&*self.reopened()?)
    }

    /// The open file itself, which is not closed while somebody holds it.
    pub(super) fn file(self: &Arc<Handle>) -> io::Result<Arc<File>> {
        if let Some(file) = &*self.file.read() {
            self.note_use();
            return Ok(file.clone());
        }
        self.reopened()
    }

    fn note_use(&self) {
        // Mostly it is set already; reading alone leaves the cache line with all cores.
        if !self.used.load(Ordering::Relaxed) {
            self.used.store(true, Ordering::Relaxed);
        }
    }

    #[cold]
    fn reopened(self: &Arc<Handle>) -> io::Result<Arc<File>> {
        let mut table = self.handles.table.lock();
        if let Some(file) = &*self.file.read() {
            return Ok(file.clone());
        }
        table.make_room(self.handles.open_max);
        let file = self.opened()?;
        self.note_use();
        table.open.push_back(Arc::downgrade(self));
        Ok(file)
    }

    /// The open file, opened if need be; for whoever has the table.
    fn opened(&self) -> io::Result<Arc<File>> {
        if let Some(file) = &*self.file.read() {
            return Ok(file.clone());
        }
        let path = self.path.lock().clone().ok_or(io::ErrorKind::NotFound)?;
        let mut options = OpenOptions::new();
        options.read(true).write(self.writable);
        let file = Arc::new(open(&options, &path)?);
        *self.file.write() = Some(file.clone());
        Ok(file)
    }
}

#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "tests look at the files behind the seam"
)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::os::unix::fs::FileExt;

    struct Bed {
        handles: Arc<Handles>,
        dir: tempfile::TempDir,
    }

    impl Bed {
        fn at_most(open_max: usize) -> Bed {
            Bed {
                handles: Handles::at_most(open_max),
                dir: tempfile::tempdir().unwrap(),
            }
        }

        fn path(&self, name: &str) -> PathBuf {
            self.dir.path().join(name)
        }

        /// A new file that holds its name.
        fn create(&self, name: &str) -> Arc<Handle> {
            let path = self.path(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            let mut options = OpenOptions::new();
            options.read(true).write(true).create_new(true);
            let handle = self.handles.open(&path, true, &options).unwrap();
            handle
                .with(|file| file.write_all_at(name.as_bytes(), 0))
                .unwrap();
            handle
        }

        /// Closes everything that may be closed.
        fn close_all(&self) {
            let mut table = self.handles.table.lock();
            let open: Vec<_> = table.open.drain(..).collect();
            for handle in open.iter().filter_map(Weak::upgrade) {
                if handle.path.lock().is_some() {
                    *handle.file.write() = None;
                }
            }
        }
    }

    fn content(handle: &Arc<Handle>) -> String {
        handle
            .with(|file| {
                let mut bytes = [0; 64];
                let len = file.read_at(&mut bytes, 0)?;
                Ok(String::from_utf8_lossy(&bytes[..len]).into_owned())
            })
            .unwrap()
    }

    #[test]
    fn many_files_are_read_and_written_with_few_open() {
        let bed = Bed::at_most(4);
        let handles: Vec<_> = (0..50).map(|n| bed.create(&format!("f{n}"))).collect();
        for _ in 0..2 {
            for (n, handle) in handles.iter().enumerate() {
                assert_eq!(content(handle), format!("f{n}"));
                assert!(bed.handles.open_count() <= 4);
            }
        }
    }

    #[test]
    fn a_file_that_is_used_again_and_again_stays_open() {
        let bed = Bed::at_most(4);
        let hot = bed.create("hot");
        let open = Arc::downgrade(&hot.file().unwrap());
        for n in 0..50 {
            bed.create(&format!("f{n}"));
            content(&hot);
        }
        assert!(open.upgrade().is_some());
    }

    #[test]
    fn a_closed_file_is_found_under_its_new_name() {
        let bed = Bed::at_most(4);
        let (file, other) = (bed.create("a"), bed.create("c"));
        bed.close_all();
        bed.handles.rename(&bed.path("a"), &bed.path("b")).unwrap();
        assert_eq!((content(&file), content(&other)), ("a".into(), "c".into()));
    }

    #[test]
    fn closed_files_follow_when_their_directory_is_renamed() {
        let bed = Bed::at_most(4);
        let (one, two) = (bed.create("old/1"), bed.create("old/2"));
        bed.close_all();
        bed.handles
            .rename(&bed.path("old"), &bed.path("new"))
            .unwrap();
        bed.handles
            .rename(&bed.path("new/1"), &bed.path("new/3"))
            .unwrap();
        assert_eq!(
            (content(&one), content(&two)),
            ("old/1".into(), "old/2".into())
        );
    }

    #[test]
    fn a_file_that_another_replaces_or_that_is_removed_can_still_be_read() {
        let bed = Bed::at_most(4);
        let replaced = bed.create("a");
        let removed = bed.create("b");
        let in_dir = bed.create("dir/c");
        bed.create("a.tmp");
        bed.close_all();
        bed.handles
            .rename(&bed.path("a.tmp"), &bed.path("a"))
            .unwrap();
        let by_name = |path: &Path| std::fs::remove_file(path);
        bed.handles.remove(&bed.path("b"), by_name).unwrap();
        let with_files = |path: &Path| std::fs::remove_dir_all(path);
        bed.handles.remove(&bed.path("dir"), with_files).unwrap();
        bed.close_all();
        let found = [&replaced, &removed, &in_dir].map(content);
        assert_eq!(found, ["a", "b", "dir/c"]);
    }

    #[test]
    fn whoever_holds_the_open_file_itself_keeps_it_open() {
        let bed = Bed::at_most(4);
        let file = bed.create("a").file().unwrap();
        bed.close_all();
        let mut text = String::new();
        (&*file).read_to_string(&mut text).unwrap();
        assert_eq!(text, "a");
    }

    #[test]
    fn files_that_nobody_holds_leave_nothing_behind() {
        let bed = Bed::at_most(4 * SWEEP_MIN);
        for n in 0..3 * SWEEP_MIN {
            bed.create(&format!("f{n}"));
        }
        let table = bed.handles.table.lock();
        assert!(table.entries <= SWEEP_MIN);
        assert!(table.open.len() <= SWEEP_MIN);
    }
}
