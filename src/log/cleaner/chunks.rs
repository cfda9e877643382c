//! Reading a segment's batches a piece at a time.

use super::cleaning::CleaningError;
use crate::log::segment::Segment;
use crate::record::{BATCH_HEADER_LEN, Batch, BatchHeader, Batches};
use crate::runtime::read_exact_at;
use bytes::Bytes;
use std::sync::Arc;

/// What is left to read of one segment.
pub(super) struct Chunks {
    segment: Arc<Segment>,
    position: u64,
    end: u64,
}

impl Chunks {
    /// `position` is where a batch begins.
    pub(super) fn of(segment: Arc<Segment>, position: u64) -> Chunks {
        let end = segment.size();
        Chunks {
            segment,
            position,
            end,
        }
    }

    pub(super) fn segment(&self) -> &Segment {
        &self.segment
    }

    /// The next whole batches, about `bytes` of them and at least one, their checksums right. `None` at
    /// the segment's end.
    pub(super) fn next(&mut self, bytes: usize) -> Result<Option<Vec<Batch>>, CleaningError> {
        let left = usize::try_from(self.end - self.position).unwrap_or(usize::MAX);
        if left == 0 {
            return Ok(None);
        }
        let wanted = bytes.max(BATCH_HEADER_LEN).min(left);
        let mut read = self.read(wanted)?;
        if let Some(head) = read.first_chunk::<BATCH_HEADER_LEN>() {
            let size = BatchHeader::decode(head).size();
            if size > wanted && size <= left {
                read = self.read(size)?;
            }
        }
        let mut batches = Vec::new();
        for batch in Batches::of(read) {
            let batch = batch.map_err(|error| self.broken(error.to_string()))?;
            batch
                .check_crc()
                .map_err(|error| self.broken(error.to_string()))?;
            self.position += batch.bytes().len() as u64;
            batches.push(batch);
        }
        if batches.is_empty() {
            return Err(self.broken("there is no whole batch".to_owned()));
        }
        Ok(Some(batches))
    }

    fn read(&self, len: usize) -> Result<Bytes, CleaningError> {
        let mut bytes = vec![0; len];
        read_exact_at(&*self.segment.file, &mut bytes, self.position)?;
        Ok(bytes.into())
    }

    fn broken(&self, reason: String) -> CleaningError {
        CleaningError::Broken {
            base: self.segment.base,
            position: self.position,
            reason,
        }
    }
}
