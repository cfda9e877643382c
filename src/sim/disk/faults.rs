//! What a simulated disk counts, and what can be made to go wrong on it.

use rustix::io::Errno;
use std::path::Path;

/// What is asked of the disk. All but the reads are numbered from 0 and can be crashed at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Operation {
    Open,
    Read,
    Create,
    Write,
    SetLen,
    Sync,
    Rename,
    Remove,
    CreateDir,
    RemoveDir,
    SyncDir,
}

impl Operation {
    /// Whether it can change what the disk holds after a crash.
    pub fn changes(self) -> bool {
        !matches!(self, Operation::Open | Operation::Read)
    }
}

/// One operation that changed something, as it was begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub number: u64,
    pub operation: Operation,
    pub path: String,
    pub position: u64,
    pub len: u64,
}

/// An error to come.
#[derive(Clone, Debug)]
pub struct Fault {
    pub on: Operation,
    /// Only on paths that contain this.
    pub path: &'static str,
    /// How many of them succeed first.
    pub after: u64,
    /// How many then fail.
    pub times: u64,
    pub error: Errno,
}

impl Fault {
    /// The next one fails, and those after it succeed.
    pub fn once(on: Operation, path: &'static str, error: Errno) -> Fault {
        Fault {
            on,
            path,
            after: 0,
            times: 1,
            error,
        }
    }
}

/// An operation that says it succeeded and did not do what makes it durable.
#[derive(Clone, Debug)]
pub(super) struct Lie {
    pub(super) on: Operation,
    pub(super) path: &'static str,
}

#[derive(Clone, Default)]
pub(super) struct Faults {
    faults: Vec<Fault>,
    lies: Vec<Lie>,
}

impl Faults {
    pub(super) fn add(&mut self, fault: Fault) {
        self.faults.push(fault);
    }

    pub(super) fn lie(&mut self, lie: Lie) {
        self.lies.push(lie);
    }

    pub(super) fn clear(&mut self) {
        self.faults.clear();
        self.lies.clear();
    }

    /// Counts the operation against every fault it matches; the error of the first that is due.
    pub(super) fn due(&mut self, on: Operation, path: &Path) -> Option<Errno> {
        let path = path.to_string_lossy();
        let mut due = None;
        for fault in &mut self.faults {
            if fault.on != on || !path.contains(fault.path) {
                continue;
            }
            if fault.after > 0 {
                fault.after -= 1;
            } else if fault.times > 0 {
                fault.times -= 1;
                due = due.or(Some(fault.error));
            }
        }
        due
    }

    pub(super) fn lies(&self, on: Operation, path: &Path) -> bool {
        let path = path.to_string_lossy();
        self.lies
            .iter()
            .any(|lie| lie.on == on && path.contains(lie.path))
    }
}

/// FNV-1a over all that was done: two runs that did the same have the same value.
#[derive(Clone)]
pub(super) struct Trace(u64);

impl Trace {
    pub(super) fn new() -> Trace {
        Trace(0xcbf2_9ce4_8422_2325)
    }

    pub(super) fn add(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }

    pub(super) fn value(&self) -> u64 {
        self.0
    }
}
