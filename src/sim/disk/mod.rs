//! A file system in memory that can crash, lie, fail and run full.
//!
//! [`crash`](self::crash) draws the model of what survives.

mod content;
mod crash;
mod faults;
#[cfg(test)]
mod tests;
mod tree;

pub use crash::Keep;
pub use faults::{Fault, Operation, Record};

use self::faults::{Faults, Lie, Trace};
use self::tree::{Change, DirNode, FileNode, Node, NodeId, Tree, names};
use crate::runtime::{Clock, Descriptor, Disk, Entry, File, Lock, Metadata, Open, Space, Sync};
use crate::sim::SimRng;
use crate::types::Timestamp;
use parking_lot::Mutex;
use std::collections::BTreeSet;
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::Notify;

/// A disk, and the process that uses it. Clones share both; [`SimDisk::snapshot`] and
/// [`SimDisk::crash`] give a disk of their own.
#[derive(Clone)]
pub struct SimDisk {
    state: Arc<Mutex<State>>,
    died: Arc<Notify>,
}

/// Called before each operation that changes something, with what the disk holds just then. It must
/// not use the disk it watches.
type Observer = Box<dyn FnMut(&Record, SimDisk) + Send>;

struct State {
    tree: Tree,
    clock: Arc<dyn Clock>,
    faults: Faults,
    capacity: Option<u64>,
    locks: BTreeSet<NodeId>,
    open: usize,
    dead: bool,
    crash_at: Option<u64>,
    operations: u64,
    trace: Trace,
    /// What was done, if somebody asked for it.
    records: Option<Vec<Record>>,
    observer: Option<Observer>,
}

impl SimDisk {
    /// An empty disk with a root directory. `clock` dates its files.
    pub fn new(clock: Arc<dyn Clock>) -> SimDisk {
        SimDisk::with_tree(Tree::new(), clock, None)
    }

    fn with_tree(tree: Tree, clock: Arc<dyn Clock>, capacity: Option<u64>) -> SimDisk {
        SimDisk {
            state: Arc::new(Mutex::new(State {
                tree,
                clock,
                faults: Faults::default(),
                capacity,
                locks: BTreeSet::new(),
                open: 0,
                dead: false,
                crash_at: None,
                operations: 0,
                trace: Trace::new(),
                records: None,
                observer: None,
            })),
            died: Arc::new(Notify::new()),
        }
    }

    /// A disk of its own with the same files, synced and not, and none of the faults, locks and
    /// counts.
    pub fn snapshot(&self) -> SimDisk {
        let state = self.state.lock();
        SimDisk::with_tree(state.tree.clone(), state.clock.clone(), state.capacity)
    }

    /// What the next process finds after this one died. Every operation of this one fails from now
    /// on. The same seed finds the same.
    pub fn crash(&self, keep: Keep, seed: u64) -> SimDisk {
        self.kill();
        let state = self.state.lock();
        let tree = crash::after(&state.tree, keep, &SimRng::new(seed));
        SimDisk::with_tree(tree, state.clock.clone(), state.capacity)
    }

    /// The process dies: every operation from now on fails.
    pub fn kill(&self) {
        self.state.lock().dead = true;
        self.died.notify_waiters();
    }

    /// The process dies when it begins operation `number` (see [`SimDisk::operations`]), which does
    /// not take place; of a write, [`Keep`] says how much is found.
    pub fn crash_at(&self, number: u64) {
        self.state.lock().crash_at = Some(number);
    }

    pub fn is_dead(&self) -> bool {
        self.state.lock().dead
    }

    /// Returns once the process has died.
    pub async fn died(&self) {
        let notified = self.died.notified();
        tokio::pin!(notified);
        notified.as_mut().enable();
        if !self.is_dead() {
            notified.await;
        }
    }

    /// How many operations were begun that change something: the number of the next one.
    pub fn operations(&self) -> u64 {
        self.state.lock().operations
    }

    /// A digest of all operations and their bytes.
    pub fn trace(&self) -> u64 {
        self.state.lock().trace.value()
    }

    /// Keeps a record of every operation from now on.
    pub fn keep_records(&self) {
        self.state.lock().records = Some(Vec::new());
    }

    pub fn records(&self) -> Vec<Record> {
        self.state.lock().records.clone().unwrap_or_default()
    }

    /// Calls `observer` before each operation that changes something, with a disk of its own that
    /// holds what this one does; a crash of that one counts the operation as under way.
    pub fn observe(&self, observer: impl FnMut(&Record, SimDisk) + Send + 'static) {
        self.state.lock().observer = Some(Box::new(observer));
    }

    pub fn fail(&self, fault: Fault) {
        self.state.lock().faults.add(fault);
    }

    /// From now on `on` (a sync or a directory sync), for paths that contain `path`, succeeds
    /// without making anything durable: the bug of a program that forgot it.
    pub fn lie(&self, on: Operation, path: &'static str) {
        assert!(
            matches!(on, Operation::Sync | Operation::SyncDir),
            "only a sync can be left out unnoticed"
        );
        self.state.lock().faults.lie(Lie { on, path });
    }

    /// Nothing fails or lies any more.
    pub fn heal(&self) {
        self.state.lock().faults.clear();
    }

    /// Bytes that files may take, in pages of 4 KiB; `None` for no end. What is written already
    /// stays.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.state.lock().capacity = bytes;
    }

    /// Bytes that files take.
    pub fn used(&self) -> u64 {
        self.state.lock().tree.allocated()
    }

    /// File handles not yet dropped.
    pub fn open_files(&self) -> usize {
        self.state.lock().open
    }

    /// Flips bit `bit` (0–7) of the byte at `position`, as a decaying disk would: nobody is told.
    pub fn flip(&self, path: impl AsRef<Path>, position: u64, bit: u32) -> io::Result<()> {
        let mut state = self.state.lock();
        let id = state.tree.find(path.as_ref())?;
        let file = state.tree.file_mut(id)?;
        for content in [&mut file.live, &mut file.durable] {
            let mut byte = [0];
            if content.read(&mut byte, position) == 1 {
                content.write(&[byte[0] ^ (1 << bit)], position);
            }
        }
        Ok(())
    }

    /// Makes the file at `path` hold `bytes`, durably and uncounted: for setting a scene.
    pub fn put(&self, path: impl AsRef<Path>, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.state.lock();
        let path = path.as_ref();
        let id = match state.tree.find(path) {
            Ok(id) => id,
            Err(_) => {
                make_dirs(&mut state.tree, path.parent().unwrap_or(Path::new("/")))?;
                state.tree.create(path, Node::File(FileNode::default()))?
            }
        };
        let now = state.clock.wall();
        let file = state.tree.file_mut(id)?;
        file.apply(Change::SetLen { len: 0 }, now);
        file.apply(
            Change::Write {
                position: 0,
                bytes: bytes.into(),
            },
            now,
        );
        state.tree.settle();
        Ok(())
    }

    /// What programs read in the file at `path`; uncounted, and not failed.
    pub fn get(&self, path: impl AsRef<Path>) -> io::Result<Vec<u8>> {
        let state = self.state.lock();
        let id = state.tree.find(path.as_ref())?;
        let content = &state.tree.file(id)?.live;
        let mut bytes = vec![0; usize::try_from(content.len()).map_err(io::Error::other)?];
        content.read(&mut bytes, 0);
        Ok(bytes)
    }

    /// Every file that programs see and its length, sorted by path.
    pub fn files(&self) -> Vec<(PathBuf, u64)> {
        let state = self.state.lock();
        let mut files = Vec::new();
        state.tree.walk(&mut |path, node| {
            if let Node::File(file) = node {
                files.push((path.to_owned(), file.live.len()));
            }
        });
        files
    }

    fn begin(
        &self,
        operation: Operation,
        path: &Path,
    ) -> io::Result<parking_lot::MutexGuard<'_, State>> {
        self.begin_at(operation, path, 0, 0, |_| None)
    }

    /// Checks that the operation may take place and counts it. `in_flight` is what it does to a
    /// file, for a crash in the middle of it.
    fn begin_at(
        &self,
        operation: Operation,
        path: &Path,
        position: u64,
        len: u64,
        in_flight: impl FnOnce(&State) -> Option<(NodeId, Change)>,
    ) -> io::Result<parking_lot::MutexGuard<'_, State>> {
        let mut state = self.state.lock();
        if state.dead {
            return Err(dead());
        }
        if operation.changes() {
            let record = Record {
                number: state.operations,
                operation,
                path: path.to_string_lossy().into_owned(),
                position,
                len,
            };
            let crashes = state.crash_at == Some(record.number);
            if crashes || state.observer.is_some() {
                state.tree.in_flight = in_flight(&state);
            }
            if let Some(mut observer) = state.observer.take() {
                let seen =
                    SimDisk::with_tree(state.tree.clone(), state.clock.clone(), state.capacity);
                observer(&record, seen);
                state.observer = Some(observer);
            }
            if crashes {
                state.dead = true;
                self.died.notify_waiters();
                return Err(dead());
            }
            state.tree.in_flight = None;
            state.operations += 1;
            state.trace.add(format!("{record:?}").as_bytes());
            if let Some(records) = &mut state.records {
                records.push(record);
            }
        }
        Ok(state)
    }
}

fn dead() -> io::Error {
    io::Error::other("the simulated process is dead")
}

fn make_dirs(tree: &mut Tree, dir: &Path) -> io::Result<()> {
    let mut path = PathBuf::from("/");
    for name in names(dir) {
        path.push(name);
        match tree.find(&path) {
            Ok(id) => {
                tree.dir(id)?;
            }
            Err(_) => {
                tree.create(&path, Node::Dir(DirNode::default()))?;
            }
        }
    }
    Ok(())
}

impl State {
    fn due(&mut self, operation: Operation, path: &Path) -> io::Result<()> {
        match self.faults.due(operation, path) {
            Some(error) => Err(error.into()),
            None => Ok(()),
        }
    }

    fn free(&self) -> u64 {
        match self.capacity {
            Some(capacity) => capacity.saturating_sub(self.tree.allocated()),
            None => u64::MAX,
        }
    }
}

impl Disk for SimDisk {
    fn open(&self, path: &Path, how: Open) -> io::Result<Arc<dyn File>> {
        let found = {
            let mut state = self.begin(Operation::Open, path)?;
            state.due(Operation::Open, path)?;
            match state.tree.find(path) {
                Ok(id) => Some(id),
                Err(error) if error.kind() == io::ErrorKind::NotFound => None,
                Err(error) => return Err(error),
            }
        };
        let id = match (found, how) {
            (Some(_), Open::CreateNew) => return Err(io::ErrorKind::AlreadyExists.into()),
            (None, Open::Read | Open::Write) => return Err(io::ErrorKind::NotFound.into()),
            (Some(id), _) => {
                self.state.lock().tree.file(id)?;
                id
            }
            (None, _) => {
                self.state.lock().tree.check_parent(path)?;
                let mut state = self.begin(Operation::Create, path)?;
                state.due(Operation::Create, path)?;
                let now = state.clock.wall();
                let empty = FileNode {
                    modified: Some(now),
                    ..FileNode::default()
                };
                state.tree.create(path, Node::File(empty))?
            }
        };
        self.state.lock().open += 1;
        let file = SimFile {
            disk: self.clone(),
            id,
            path: path.to_owned(),
            writable: how != Open::Read,
        };
        if how == Open::Truncate && file.len()? > 0 {
            file.set_len(0)?;
        }
        Ok(Arc::new(file))
    }

    fn metadata(&self, path: &Path) -> io::Result<Metadata> {
        let state = self.begin(Operation::Open, path)?;
        let id = state.tree.find(path)?;
        Ok(match state.tree.node(id) {
            Node::File(file) => Metadata {
                len: file.live.len(),
                is_dir: false,
                modified: file.modified.unwrap_or(Timestamp(0)),
            },
            Node::Dir(_) => Metadata {
                len: 0,
                is_dir: true,
                modified: Timestamp(0),
            },
        })
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>> {
        let mut state = self.begin(Operation::Read, dir)?;
        state.due(Operation::Read, dir)?;
        let id = state.tree.find(dir)?;
        let names = &state.tree.dir(id)?.live;
        Ok(names
            .iter()
            .map(|(name, id)| Entry {
                name: name.clone(),
                is_dir: matches!(state.tree.node(*id), Node::Dir(_)),
            })
            .collect())
    }

    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        let mut path = PathBuf::from("/");
        for name in names(dir) {
            path.push(name);
            let found = self.state.lock().tree.find(&path);
            match found {
                Ok(id) => {
                    self.state.lock().tree.dir(id)?;
                }
                Err(_) => {
                    let mut state = self.begin(Operation::CreateDir, &path)?;
                    state.due(Operation::CreateDir, &path)?;
                    state.tree.create(&path, Node::Dir(DirNode::default()))?;
                }
            }
        }
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.state.lock().tree.check_rename(from, to)?;
        let mut state = self.begin(Operation::Rename, from)?;
        state.due(Operation::Rename, from)?;
        state.trace.add(to.to_string_lossy().as_bytes());
        state.tree.rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        {
            let state = self.state.lock();
            let id = state.tree.find(path)?;
            state.tree.file(id)?;
        }
        let mut state = self.begin(Operation::Remove, path)?;
        state.due(Operation::Remove, path)?;
        state.tree.remove(path)
    }

    fn remove_dir_all(&self, dir: &Path) -> io::Result<()> {
        for entry in self.list(dir)? {
            let path = dir.join(&entry.name);
            if entry.is_dir {
                self.remove_dir_all(&path)?;
            } else {
                self.remove_file(&path)?;
            }
        }
        let mut state = self.begin(Operation::RemoveDir, dir)?;
        state.due(Operation::RemoveDir, dir)?;
        state.tree.remove(dir)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.begin(Operation::SyncDir, dir)?;
        state.due(Operation::SyncDir, dir)?;
        let id = state.tree.find(dir)?;
        if state.faults.lies(Operation::SyncDir, dir) {
            return Ok(());
        }
        state.tree.sync_dir(id)
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Lock>> {
        drop(self.open(path, Open::Create)?);
        let mut state = self.state.lock();
        let id = state.tree.find(path)?;
        if !state.locks.insert(id) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(Box::new(SimLock {
            disk: self.clone(),
            id,
        }))
    }

    fn space(&self, dir: &Path) -> io::Result<Space> {
        let state = self.begin(Operation::Open, dir)?;
        state.tree.dir(state.tree.find(dir)?)?;
        Ok(Space {
            total: state.capacity.unwrap_or(u64::MAX),
            usable: state.free(),
        })
    }
}

struct SimLock {
    disk: SimDisk,
    id: NodeId,
}

impl Lock for SimLock {}

impl Drop for SimLock {
    fn drop(&mut self) {
        self.disk.state.lock().locks.remove(&self.id);
    }
}

struct SimFile {
    disk: SimDisk,
    id: NodeId,
    path: PathBuf,
    writable: bool,
}

impl SimFile {
    fn check_writable(&self) -> io::Result<()> {
        if self.writable {
            Ok(())
        } else {
            Err(rustix::io::Errno::BADF.into())
        }
    }
}

impl Drop for SimFile {
    fn drop(&mut self) {
        self.disk.state.lock().open -= 1;
    }
}

impl File for SimFile {
    fn len(&self) -> io::Result<u64> {
        let state = self.disk.begin(Operation::Open, &self.path)?;
        Ok(state.tree.file(self.id)?.live.len())
    }

    fn read_at(&self, buf: &mut [u8], position: u64) -> io::Result<usize> {
        let mut state = self.disk.begin(Operation::Read, &self.path)?;
        state.due(Operation::Read, &self.path)?;
        Ok(state.tree.file(self.id)?.live.read(buf, position))
    }

    fn write_at(&self, parts: &mut [IoSlice<'_>], position: u64) -> io::Result<()> {
        self.check_writable()?;
        let bytes: Arc<[u8]> = parts.iter().flat_map(|part| part.iter().copied()).collect();
        if bytes.is_empty() {
            return Ok(());
        }
        let len = bytes.len() as u64;
        let change = Change::Write {
            position,
            bytes: bytes.clone(),
        };
        let in_flight = (self.id, change.clone());
        let mut state = self
            .disk
            .begin_at(Operation::Write, &self.path, position, len, |_| {
                Some(in_flight)
            })?;
        state.trace.add(&bytes);
        let now = state.clock.wall();
        let failed = match state.due(Operation::Write, &self.path) {
            Ok(()) => {
                let wanted = state.tree.file(self.id)?.live.allocation(position, len);
                (wanted > state.free()).then(|| rustix::io::Errno::NOSPC.into())
            }
            Err(error) => Some(error),
        };
        let Some(error) = failed else {
            state.tree.file_mut(self.id)?.apply(change, now);
            return Ok(());
        };
        // A write that fails leaves a part behind, if there is room for it: the caller must cope.
        let half: Arc<[u8]> = Arc::from(&bytes[..bytes.len() / 2]);
        let live = &state.tree.file(self.id)?.live;
        if !half.is_empty() && live.allocation(position, half.len() as u64) <= state.free() {
            let part = Change::Write {
                position,
                bytes: half,
            };
            state.tree.file_mut(self.id)?.apply(part, now);
        }
        Err(error)
    }

    fn sync(&self, _what: Sync) -> io::Result<()> {
        let mut state = self.disk.begin(Operation::Sync, &self.path)?;
        if let Err(error) = state.due(Operation::Sync, &self.path) {
            state.tree.file_mut(self.id)?.sync_failed();
            return Err(error);
        }
        if !state.faults.lies(Operation::Sync, &self.path) {
            state.tree.file_mut(self.id)?.sync();
        }
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.check_writable()?;
        let change = Change::SetLen { len };
        let in_flight = (self.id, change.clone());
        let mut state = self
            .disk
            .begin_at(Operation::SetLen, &self.path, len, 0, |_| Some(in_flight))?;
        state.due(Operation::SetLen, &self.path)?;
        let now = state.clock.wall();
        state.tree.file_mut(self.id)?.apply(change, now);
        Ok(())
    }

    fn reserve(&self, position: u64, len: u64) -> io::Result<()> {
        self.check_writable()?;
        let state = self.disk.begin(Operation::Open, &self.path)?;
        let wanted = state.tree.file(self.id)?.live.allocation(position, len);
        if wanted > state.free() {
            return Err(rustix::io::Errno::NOSPC.into());
        }
        Ok(())
    }

    fn descriptor(&self) -> io::Result<Option<Descriptor>> {
        Ok(None)
    }
}
