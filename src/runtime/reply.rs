//! What is to be sent: bytes, with ranges of files between them.

use super::FileSlice;
use bytes::BytesMut;

/// Answers that wait to be sent on one connection, in order.
///
/// The bytes of all pieces lie in one buffer; a file range says after how many of them it goes out.
#[derive(Default)]
pub struct Reply {
    pub bytes: BytesMut,
    files: Vec<(usize, FileSlice)>,
    file_bytes: u64,
}

/// Where a frame began.
#[derive(Clone, Copy, Debug)]
pub struct FrameStart {
    at: usize,
    files: usize,
    file_bytes: u64,
}

impl Reply {
    pub fn new() -> Reply {
        Reply::default()
    }

    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Bytes to be sent in all, those of files included.
    pub fn len(&self) -> u64 {
        self.bytes.len() as u64 + self.file_bytes
    }

    /// Sends `slice` after all that is in the buffer now.
    pub fn push_file(&mut self, slice: FileSlice) {
        self.file_bytes += slice.len as u64;
        self.files.push((self.bytes.len(), slice));
    }

    /// Leaves room for a frame's length.
    pub fn begin_frame(&mut self) -> FrameStart {
        let start = self.mark();
        self.bytes.extend_from_slice(&[0; 4]);
        start
    }

    /// Writes the length of the frame that began at `start` and ends here. `Err` with the length if
    /// it does not fit the 31 bits that a frame has.
    pub fn end_frame(&mut self, start: FrameStart) -> Result<(), u64> {
        let len = (self.bytes.len() - start.at - 4) as u64 + (self.file_bytes - start.file_bytes);
        let field = i32::try_from(len).map_err(|_| len)?;
        self.bytes[start.at..start.at + 4].copy_from_slice(&field.to_be_bytes());
        Ok(())
    }

    /// The place where the reply ends now, to come back to with [`Reply::rollback`].
    pub fn mark(&self) -> FrameStart {
        FrameStart {
            at: self.bytes.len(),
            files: self.files.len(),
            file_bytes: self.file_bytes,
        }
    }

    /// Forgets all that came after `start`.
    pub fn rollback(&mut self, start: FrameStart) {
        self.bytes.truncate(start.at);
        self.files.truncate(start.files);
        self.file_bytes = start.file_bytes;
    }

    /// Puts `other` behind what is here.
    pub fn append(&mut self, other: Reply) {
        if self.is_empty() {
            *self = other;
            return;
        }
        let base = self.bytes.len();
        self.bytes.unsplit(other.bytes);
        self.files.extend(
            other
                .files
                .into_iter()
                .map(|(at, slice)| (base + at, slice)),
        );
        self.file_bytes += other.file_bytes;
    }

    /// The pieces in the order in which they go out: bytes (maybe none), then a file range or the end.
    pub fn pieces(&self) -> impl Iterator<Item = (&[u8], Option<&FileSlice>)> {
        let ends = self.files.iter().map(|(at, slice)| (*at, Some(slice)));
        let mut begin = 0;
        ends.chain(std::iter::once((self.bytes.len(), None)))
            .map(move |(end, file)| {
                let bytes = &self.bytes[begin..end];
                begin = end;
                (bytes, file)
            })
    }

    /// Empties the reply; keeps the buffer unless it has grown past `capacity_max` bytes.
    pub fn clear(&mut self, capacity_max: usize) {
        self.files.clear();
        self.file_bytes = 0;
        if self.bytes.capacity() > capacity_max {
            self.bytes = BytesMut::new();
        } else {
            self.bytes.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::{Disk, Open, os::OsDisk};

    #[test]
    fn a_frame_counts_the_bytes_of_its_files() {
        let dir = tempfile::tempdir().unwrap();
        let file = OsDisk::default()
            .open(&dir.path().join("f"), Open::Create)
            .unwrap();
        let mut reply = Reply::new();
        let start = reply.begin_frame();
        reply.bytes.extend_from_slice(b"ab");
        reply.push_file(FileSlice {
            file,
            position: 7,
            len: 100,
        });
        reply.bytes.extend_from_slice(b"c");
        reply.end_frame(start).unwrap();

        assert_eq!(&reply.bytes[..4], &103i32.to_be_bytes());
        let pieces: Vec<_> = reply
            .pieces()
            .map(|(b, f)| (b.len(), f.map(|f| f.len)))
            .collect();
        assert_eq!(pieces, [(6, Some(100)), (1, None)]);
    }

    #[test]
    fn a_rollback_forgets_bytes_and_files() {
        let dir = tempfile::tempdir().unwrap();
        let file = OsDisk::default()
            .open(&dir.path().join("f"), Open::Create)
            .unwrap();
        let mut reply = Reply::new();
        reply.bytes.extend_from_slice(b"kept");
        let mark = reply.mark();
        reply.bytes.extend_from_slice(b"gone");
        reply.push_file(FileSlice {
            file,
            position: 0,
            len: 9,
        });
        reply.rollback(mark);
        assert_eq!(reply.len(), 4);
        assert_eq!(reply.pieces().count(), 1);
    }
}
