//! Stepping over the batch headers of a segment file, a page at a time.

use crate::record::{BATCH_HEADER_LEN, BatchHeader};
use crate::runtime::File;
use crate::types::Offset;
use std::io;

/// Bytes read at once. Between two index entries lie about 4 KiB, so one read usually suffices.
const PAGE: usize = 4096;

/// Walks headers from one batch to the next. Bodies are neither read nor checked.
pub(super) struct HeaderScan<'a> {
    file: &'a dyn File,
    position: u64,
    end: u64,
    /// What the next base offset must not be below.
    offset: Offset,
    page: [u8; PAGE],
    page_start: u64,
    page_len: usize,
}

impl HeaderScan<'_> {
    /// `position` is where a batch begins, `end` where the last one ends.
    pub(super) fn new(file: &dyn File, position: u64, end: u64) -> HeaderScan<'_> {
        HeaderScan {
            file,
            position,
            end,
            offset: Offset::ZERO,
            page: [0; PAGE],
            page_start: 0,
            page_len: 0,
        }
    }

    /// The next batch's position and header. `InvalidData` if there is no batch where one should be.
    pub(super) fn next(&mut self) -> io::Result<Option<(u64, BatchHeader)>> {
        if self.position >= self.end {
            return Ok(None);
        }
        // The last message of an old format may be shorter than a batch's header.
        let left = usize::try_from(self.end - self.position).unwrap_or(usize::MAX);
        let needed = left.min(BATCH_HEADER_LEN);
        if self.in_page(needed).is_none() {
            self.fill(needed)?;
        }
        let head = self.in_page(needed).ok_or(io::ErrorKind::UnexpectedEof)?;
        let position = self.position;
        let header = BatchHeader::decode_any(head).filter(|header| {
            header.base_offset >= self.offset && position + header.size() as u64 <= self.end
        });
        let header = header.ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::InvalidData,
                format!("there is no batch at position {position}"),
            )
        })?;
        self.position = position + header.size() as u64;
        self.offset = header.next_offset();
        Ok(Some((position, header)))
    }

    fn in_page(&self, needed: usize) -> Option<&[u8]> {
        let at = usize::try_from(self.position.checked_sub(self.page_start)?).ok()?;
        let page = self.page.get(..self.page_len)?;
        page.get(at..)?.get(..needed)
    }

    fn fill(&mut self, needed: usize) -> io::Result<()> {
        self.page_start = self.position;
        self.page_len = 0;
        while self.page_len < needed {
            let rest = self.page.get_mut(self.page_len..).unwrap_or_default();
            let read = (self.file).read_at(rest, self.page_start + self.page_len as u64)?;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.page_len += read;
        }
        Ok(())
    }
}

/// Whether the bytes are at fault and not the disk.
pub(super) fn is_data_error(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof
    )
}
