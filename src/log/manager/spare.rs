//! Space that each log directory keeps for the time when its disk is full: the next start needs some, and so
//! does what must not be refused then, such as deleting a topic to make room.

use crate::log::files::remove_if_there;
use crate::log::health::is_full;
use crate::runtime::{Disk, Open};
use parking_lot::Mutex;
use std::io;
use std::path::{Path, PathBuf};

const FILE: &str = ".ottla-spare";
/// Two pages for the indexes of each of some dozens of logs that a start checks, and the metadata.
const BYTES: u64 = 512 << 10;
/// Given back at a time: whoever writes records takes what is left of it at once.
const STEP: u64 = 32 << 10;

pub(super) struct Spare {
    path: PathBuf,
    /// Bytes of the file. Held for one change of it.
    kept: Mutex<u64>,
}

impl Spare {
    /// Gives everything back, for a start.
    pub(super) fn open(disk: &dyn Disk, dir: &Path) -> io::Result<Spare> {
        let path = dir.join(FILE);
        remove_if_there(disk, &path)?;
        Ok(Spare {
            path,
            kept: Mutex::new(0),
        })
    }

    /// Takes as much as there is, up to what is wanted. Where the file system cannot reserve, that is nothing.
    pub(super) fn keep(&self, disk: &dyn Disk) -> io::Result<()> {
        let mut kept = self.kept.lock();
        if *kept == BYTES {
            return Ok(());
        }
        let file = disk.open(&self.path, Open::Create)?;
        let mut wanted = BYTES;
        while wanted > *kept {
            match file.reserve(*kept, wanted - *kept) {
                Ok(()) => {
                    file.set_len(wanted)?;
                    *kept = wanted;
                }
                Err(error) if is_full(&error) => {
                    file.set_len(*kept)?; // and nothing behind it
                    wanted -= STEP;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Gives some back if the disk is full, for work that is to succeed all the same.
    pub(super) fn make_room(&self, disk: &dyn Disk) {
        let dir = self.path.parent().unwrap_or(&self.path);
        if disk.space(dir).is_ok_and(|space| space.usable >= STEP) {
            return;
        }
        let mut kept = self.kept.lock();
        let less = kept.saturating_sub(STEP);
        let file = disk.open(&self.path, Open::Write);
        if file.is_ok_and(|file| file.set_len(less).is_ok()) {
            *kept = less;
        }
    }
}
