//! A frame on the wire: a signed 32-bit length, then that many bytes.

use bytes::{Buf, Bytes, BytesMut};

/// Bytes of the length in front of a frame.
pub(super) const LENGTH_BYTES: usize = 4;

/// What a buffer holds of the next frame.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    Whole(Bytes),
    /// At least `missing` bytes have to come; the frame is `frame` bytes in all with its length,
    /// as far as that is known.
    Incomplete {
        missing: usize,
        frame: usize,
    },
}

/// A length that ends the connection, before anything is allocated for it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum FrameError {
    #[error("frame of negative length {0}")]
    Negative(i32),
    #[error("frame of {len} bytes where {max} are allowed (socket.request.max.bytes)")]
    TooLong { len: usize, max: usize },
}

/// Takes the next whole frame out of `buffer`, without a copy.
pub(super) fn next(buffer: &mut BytesMut, bytes_max: usize) -> Result<Next, FrameError> {
    let Some(length) = buffer.first_chunk::<LENGTH_BYTES>() else {
        let missing = LENGTH_BYTES - buffer.len();
        return Ok(Next::Incomplete {
            missing,
            frame: LENGTH_BYTES,
        });
    };
    let length = i32::from_be_bytes(*length);
    let len = usize::try_from(length).map_err(|_| FrameError::Negative(length))?;
    if len > bytes_max {
        return Err(FrameError::TooLong {
            len,
            max: bytes_max,
        });
    }
    let frame = LENGTH_BYTES + len;
    if buffer.len() < frame {
        return Ok(Next::Incomplete {
            missing: frame - buffer.len(),
            frame,
        });
    }
    buffer.advance(LENGTH_BYTES);
    Ok(Next::Whole(buffer.split_to(len).freeze()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_taken_only_when_it_is_whole() {
        let mut buffer = BytesMut::from(&b"\0\0\0\x03ab"[..]);
        assert_eq!(
            next(&mut buffer, 10),
            Ok(Next::Incomplete {
                missing: 1,
                frame: 7
            })
        );
        buffer.extend_from_slice(b"c\0");
        assert_eq!(
            next(&mut buffer, 10),
            Ok(Next::Whole(Bytes::from_static(b"abc")))
        );
        assert_eq!(
            next(&mut buffer, 10),
            Ok(Next::Incomplete {
                missing: 3,
                frame: 4
            })
        );
    }

    #[test]
    fn a_negative_or_too_long_length_is_refused_before_anything_is_read() {
        let mut buffer = BytesMut::from(&b"\xff\xff\xff\xff"[..]);
        assert_eq!(next(&mut buffer, 10), Err(FrameError::Negative(-1)));
        let mut buffer = BytesMut::from(&b"\0\0\0\x0b"[..]);
        assert_eq!(
            next(&mut buffer, 10),
            Err(FrameError::TooLong { len: 11, max: 10 })
        );
    }

    #[test]
    fn an_empty_frame_is_a_frame() {
        let mut buffer = BytesMut::from(&b"\0\0\0\0"[..]);
        assert_eq!(next(&mut buffer, 10), Ok(Next::Whole(Bytes::new())));
    }
}
