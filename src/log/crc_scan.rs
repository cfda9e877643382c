//! Reading a segment from front to back and checking every CRC, with few reads and no decoding.

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

    /// An error is the disk's, or a message format that would be lost by cutting it off.
    pub(super) fn next(&mut self) -> io::Result<Step> {
        let position = self.position;
        let bad = |reason| Ok(Step::Bad { position, reason });
        if position == self.len {
            return Ok(Step::End);
        }
        let left = self.len - position;
        if left < BATCH_HEADER_LEN as u64 {
            return bad("the last batch's header is cut");
        }
        let header = match self.window(position, BATCH_HEADER_LEN)?.first_chunk() {
            Some(head) => BatchHeader::decode(head),
            None => return Err(io::ErrorKind::UnexpectedEof.into()),
        };
        if header.magic != MAGIC_V2 {
            if self.is_old_message(&header)? {
                return Err(io::Error::new(
                    io::ErrorKind::Unsupported,
                    "the log holds messages of the old formats 0 or 1, which are not supported",
                ));
            }
            return bad("there is no batch");
        }
        let size = header.size() as u64;
        if !header.length_is_possible() || header.last_offset_delta < 0 {
            return bad("a batch's header makes no sense");
        }
        if size > left {
            return bad("the last batch is cut");
        }
        if header.base_offset < self.end {
            return bad("a batch's offsets go back");
        }
        if self.crc(position + BATCH_CRC_START as u64, position + size)? != header.crc {
            return bad("a batch's CRC is wrong");
        }
        self.position = position + size;
        self.end = header.next_offset();
        Ok(Step::Batch { position, header })
    }

    /// Whether the bytes are a whole message of format 0 or 1, by its checksum: a torn batch whose magic
    /// did not reach the disk looks like one too.
    fn is_old_message(&mut self, header: &BatchHeader) -> io::Result<bool> {
        const CHECKED_FROM: u64 = 16;
        let size = header.size() as u64;
        let left = self.len - self.position;
        if !(0..MAGIC_V2).contains(&header.magic) || !(CHECKED_FROM..=left).contains(&size) {
            return Ok(false);
        }
        let mut crc = flate2::Crc::new();
        let (mut from, to) = (self.position + CHECKED_FROM, self.position + size);
        while from < to {
            let left = usize::try_from(to - from).unwrap_or(usize::MAX);
            let window = self.window(from, 1)?;
            let part = window.get(..left.min(window.len())).unwrap_or_default();
            crc.update(part);
            from += part.len() as u64;
        }
        // Old messages have the checksum where batches have the leader epoch.
        Ok(crc.sum().to_be_bytes() == header.leader_epoch.0.to_be_bytes())
    }

    fn crc(&mut self, mut from: u64, to: u64) -> io::Result<u32> {
        let mut crc = 0;
        while from < to {
            let left = usize::try_from(to - from).unwrap_or(usize::MAX);
            let window = self.window(from, 1)?;
            let part = window.get(..left.min(window.len())).unwrap_or_default();
            crc = crc32c::crc32c_append(crc, part);
            from += part.len() as u64;
        }
        Ok(crc)
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
