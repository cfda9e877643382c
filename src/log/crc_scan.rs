//! Reading a segment from front to back and checking every CRC, with few reads and no decoding.

use crate::record::old::OLD_CRC_START;
use crate::record::{BATCH_CRC_START, BATCH_HEADER_LEN, BatchHeader, MAGIC_V2};
use crate::runtime::File;
use crate::types::Offset;
use std::io;

/// Bytes read at once: large enough that the calls do not count, small enough to stay in the cache
/// while the CRC goes over them.
const BUFFER_BYTES: usize = 256 * 1024;

/// What comes next in the file.
#[derive(Debug)]
pub(super) enum Step {
    Batch {
        position: u64,
        header: BatchHeader,
    },
    End,
    /// No whole batch begins here: the log ends before it.
    Bad {
        position: u64,
        reason: &'static str,
    },
}

/// Walks a segment's batches, checking each.
pub(super) struct CrcScan<'a> {
    file: &'a dyn File,
    len: u64,
    /// Where the next batch begins.
    position: u64,
    /// What the next base offset must not be below.
    end: Offset,
    buffer: Vec<u8>,
    /// Position in the file of the buffer's first byte.
    start: u64,
    filled: usize,
}

impl CrcScan<'_> {
    pub(super) fn new(file: &dyn File, len: u64, base: Offset) -> CrcScan<'_> {
        let wanted = usize::try_from(len).unwrap_or(BUFFER_BYTES);
        CrcScan {
            file,
            len,
            position: 0,
            end: base,
            buffer: vec![0; wanted.min(BUFFER_BYTES)],
            start: 0,
            filled: 0,
        }
    }

    /// An error is the disk's.
    pub(super) fn next(&mut self) -> io::Result<Step> {
        let position = self.position;
        let bad = |reason| Ok(Step::Bad { position, reason });
        if position == self.len {
            return Ok(Step::End);
        }
        let left = self.len - position;
        let head = usize::try_from(left).unwrap_or(usize::MAX);
        let head = head.min(BATCH_HEADER_LEN);
        let Some(header) = BatchHeader::decode_any(self.window(position, head)?) else {
            return bad(if head < BATCH_HEADER_LEN {
                "the last batch's header is cut"
            } else {
                "there is no batch"
            });
        };
        let size = header.size() as u64;
        if size > left {
            return bad("the last batch is cut");
        }
        if header.base_offset < self.end {
            return bad("a batch's offsets go back");
        }
        let end = position + size;
        let crc = if header.is_old() {
            self.old_crc(position + OLD_CRC_START as u64, end)?
        } else {
            self.crc(position + BATCH_CRC_START as u64, end)?
        };
        if crc != header.crc {
            return bad("a batch's CRC is wrong");
        }
        self.position = position + size;
        self.end = header.next_offset();
        Ok(Step::Batch { position, header })
    }

    /// The checksum of messages of the old formats.
    fn old_crc(&mut self, from: u64, to: u64) -> io::Result<u32> {
        let mut crc = flate2::Crc::new();
        self.each_window(from, to, |part| crc.update(part))?;
        Ok(crc.sum())
    }

    fn crc(&mut self, from: u64, to: u64) -> io::Result<u32> {
        let mut crc = 0;
        self.each_window(from, to, |part| crc = crc32c::crc32c_append(crc, part))?;
        Ok(crc)
    }

    fn each_window(
        &mut self,
        mut from: u64,
        to: u64,
        mut take: impl FnMut(&[u8]),
    ) -> io::Result<()> {
        while from < to {
            let left = usize::try_from(to - from).unwrap_or(usize::MAX);
            let window = self.window(from, 1)?;
            let part = window.get(..left.min(window.len())).unwrap_or_default();
            take(part);
            from += part.len() as u64;
        }
        Ok(())
    }

    /// What is buffered from `position` on: at least `needed` bytes, read if need be.
    fn window(&mut self, position: u64, needed: usize) -> io::Result<&[u8]> {
        let skip = usize::try_from(position - self.start).unwrap_or(usize::MAX);
        if self.filled < skip.saturating_add(needed) {
            let kept = self.filled.saturating_sub(skip);
            if kept > 0 {
                self.buffer.copy_within(skip..self.filled, 0);
            }
            self.start = position;
            self.filled = kept;
            while self.filled < needed {
                let at = position + self.filled as u64;
                let rest = self.buffer.get_mut(self.filled..).unwrap_or_default();
                let read = self.file.read_at(rest, at)?;
                if read == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                self.filled += read;
            }
        }
        let skip = usize::try_from(position - self.start).unwrap_or(usize::MAX);
        Ok(self.buffer.get(skip..self.filled).unwrap_or_default())
    }
}

/// Whether a whole batch of `end` or later begins anywhere behind `broken`, a position in a file of `len` bytes.
pub(super) fn has_batch_behind(
    file: &dyn File,
    len: u64,
    broken: u64,
    end: Offset,
) -> io::Result<bool> {
    let mut scan = CrcScan::new(file, len, end);
    for position in broken + 1..=len.saturating_sub(BATCH_HEADER_LEN as u64) {
        let Some(head) = scan.window(position, BATCH_HEADER_LEN)?.first_chunk() else {
            break;
        };
        let header = BatchHeader::decode(head);
        let next = position + header.size() as u64;
        let is_possible = header.magic == MAGIC_V2
            && header.length_is_possible()
            && header.base_offset >= end
            && next <= len;
        if is_possible {
            // Another scan, because they only read forward.
            let crc = CrcScan::new(file, len, end).crc(position + BATCH_CRC_START as u64, next)?;
            if crc == header.crc {
                return Ok(true);
            }
        }
    }
    Ok(false)
}
