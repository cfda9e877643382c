//! Read buffers, lent to connections only while bytes are there for them: ten thousand idle
//! connections hold none.

use bytes::BytesMut;
use parking_lot::Mutex;

/// Bytes asked of the socket at a time when no frame's length is known.
pub(super) const READ_BYTES: usize = 64 * 1024;

/// A buffer that has grown past this for one large frame goes back to the allocator.
const KEPT_BYTES_MAX: usize = 2 * 1024 * 1024;

/// Buffers kept. As many connections can be busy without an allocation; more are fine, just slower.
const KEPT_MAX: usize = 8;

/// The shelf of read buffers of one broker.
#[derive(Default)]
pub(super) struct Buffers {
    /// Held for a push or a pop.
    shelf: Mutex<Vec<BytesMut>>,
}

impl Buffers {
    pub(super) fn take(&self) -> BytesMut {
        // The last one given back is the one most likely still in the processor's cache.
        let kept = self.shelf.lock().pop();
        kept.unwrap_or_else(|| BytesMut::with_capacity(READ_BYTES))
    }

    /// Takes back a buffer whose content is not needed any more. One whose bytes are still referred to
    /// is let go.
    pub(super) fn give(&self, mut buffer: BytesMut) {
        buffer.clear();
        if !buffer.try_reclaim(READ_BYTES) || buffer.capacity() > KEPT_BYTES_MAX {
            return;
        }
        let mut shelf = self.shelf.lock();
        if shelf.len() < KEPT_MAX {
            shelf.push(buffer);
        }
    }

    #[cfg(test)]
    pub(super) fn kept(&self) -> usize {
        self.shelf.lock().len()
    }
}
