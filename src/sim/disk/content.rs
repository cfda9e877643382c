//! The bytes of one file, in pages that clones share.

use imbl::OrdMap;
use std::sync::Arc;

/// Bytes of a page: the unit in which space is counted and clones come apart.
pub(super) const PAGE: u64 = 4096;

/// Bytes of a sector: what a disk writes whole or not at all.
pub(super) const SECTOR: u64 = 512;

const PAGE_BYTES: usize = 4096;

/// Sparse: a page that was never written reads as zeros and takes no space. Cloning costs nothing;
/// a page is copied when one of its owners changes it.
#[derive(Clone, Default)]
pub(super) struct Content {
    len: u64,
    pages: OrdMap<u64, Arc<[u8; PAGE_BYTES]>>,
}

impl Content {
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Space taken, in bytes.
    pub(super) fn allocated(&self) -> u64 {
        self.pages.len() as u64 * PAGE
    }

    /// Space that writing `len` bytes at `position` would take beyond what is taken now.
    pub(super) fn allocation(&self, position: u64, len: u64) -> u64 {
        let missing = |page: &u64| !self.pages.contains_key(page);
        pages_of(position, len).filter(missing).count() as u64 * PAGE
    }

    pub(super) fn read(&self, buf: &mut [u8], position: u64) -> usize {
        let left = self.len.saturating_sub(position);
        let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(buf.len());
        let buf = &mut buf[..wanted];
        buf.fill(0);
        for (page, within, part) in pieces(position, wanted) {
            if let Some(bytes) = self.pages.get(&page) {
                buf[part.clone()].copy_from_slice(&bytes[within..within + part.len()]);
            }
        }
        wanted
    }

    pub(super) fn write(&mut self, bytes: &[u8], position: u64) {
        if bytes.is_empty() {
            return;
        }
        for (page, within, part) in pieces(position, bytes.len()) {
            let target = self
                .pages
                .entry(page)
                .or_insert_with(|| Arc::new([0; PAGE_BYTES]));
            let target = Arc::make_mut(target);
            target[within..within + part.len()].copy_from_slice(&bytes[part]);
        }
        self.len = self.len.max(position + bytes.len() as u64);
    }

    pub(super) fn set_len(&mut self, len: u64) {
        if len < self.len {
            let last = self.pages.get(&(len / PAGE)).cloned();
            let (mut kept, _) = self.pages.split(&(len / PAGE));
            if let Some(mut last) = last.filter(|_| !len.is_multiple_of(PAGE)) {
                let end = usize::try_from(len % PAGE).expect("less than a page");
                Arc::make_mut(&mut last)[end..].fill(0);
                kept.insert(len / PAGE, last);
            }
            self.pages = kept;
        }
        self.len = len;
    }

    /// Takes one sector as `from` has it. The length stays: bytes past it are not part of the file.
    pub(super) fn take_sector(&mut self, from: &Content, sector: u64) {
        let (page, within) = (
            sector * SECTOR / PAGE,
            usize::try_from(sector * SECTOR % PAGE).expect("less than a page"),
        );
        let sector = within..within + usize::try_from(SECTOR).expect("a small number");
        match (from.pages.get(&page), self.pages.get_mut(&page)) {
            (None, None) => {}
            (None, Some(own)) => Arc::make_mut(own)[sector].fill(0),
            (Some(their), Some(own)) => {
                Arc::make_mut(own)[sector.clone()].copy_from_slice(&their[sector]);
            }
            (Some(their), None) => {
                let mut own = [0; PAGE_BYTES];
                own[sector.clone()].copy_from_slice(&their[sector]);
                self.pages.insert(page, Arc::new(own));
            }
        }
    }

    /// Sets the length and clears what lies past it, so that growing again shows zeros.
    pub(super) fn finish(&mut self, len: u64) {
        self.len = u64::MAX;
        self.set_len(len);
    }
}

fn pages_of(position: u64, len: u64) -> impl Iterator<Item = u64> {
    let end = if len == 0 {
        position / PAGE
    } else {
        (position + len - 1) / PAGE + 1
    };
    position / PAGE..end
}

/// The sectors that `len` bytes at `position` touch.
pub(super) fn sectors_of(position: u64, len: u64) -> std::ops::Range<u64> {
    position / SECTOR..(position + len).div_ceil(SECTOR)
}

/// Splits `len` bytes at `position` by page: the page, where in it, and which of the bytes.
fn pieces(position: u64, len: usize) -> impl Iterator<Item = (u64, usize, std::ops::Range<usize>)> {
    let mut done = 0;
    std::iter::from_fn(move || {
        if done == len {
            return None;
        }
        let at = position + done as u64;
        let within = usize::try_from(at % PAGE).expect("less than a page");
        let part = done..len.min(done + PAGE_BYTES - within);
        done = part.end;
        Some((at / PAGE, within, part))
    })
}
