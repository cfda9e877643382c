//! Zig-zag variable-length integers, as in protocol buffers: seven bits a byte, lowest first, the
//! top bit set on all bytes but the last. An int32 takes at most 5 bytes, an int64 at most 10.

/// Reads unsigned; `None` if the bytes end first or the number does not end within `BYTES` bytes.
#[inline]
fn unsigned<const BYTES: usize>(bytes: &mut &[u8]) -> Option<u64> {
    let (&first, rest) = bytes.split_first()?;
    if first < 0x80 {
        *bytes = rest;
        return Some(u64::from(first));
    }
    unsigned_long::<BYTES>(bytes)
}

fn unsigned_long<const BYTES: usize>(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for (index, &byte) in bytes.iter().take(BYTES).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte < 0x80 {
            *bytes = bytes.get(index + 1..)?;
            return Some(value);
        }
    }
    None
}

/// A varint; bits above the 32nd are dropped, as Kafka drops them.
#[inline]
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    reason = "zig-zag: the low 32 bits are the number"
)]
pub(super) fn read_i32(bytes: &mut &[u8]) -> Option<i32> {
    let raw = unsigned::<5>(bytes)? as u32;
    Some((raw >> 1) as i32 ^ -((raw & 1) as i32))
}

/// A varlong.
#[inline]
#[expect(clippy::cast_possible_wrap, reason = "zig-zag")]
pub(super) fn read_i64(bytes: &mut &[u8]) -> Option<i64> {
    let raw = unsigned::<10>(bytes)?;
    Some((raw >> 1) as i64 ^ -((raw & 1) as i64))
}

#[expect(
    clippy::cast_sign_loss,
    clippy::cast_possible_truncation,
    reason = "zig-zag; the last byte is below 128"
)]
pub(super) fn write_i64(out: &mut Vec<u8>, value: i64) {
    let mut raw = ((value << 1) ^ (value >> 63)) as u64;
    while raw >= 0x80 {
        out.push((raw & 0x7f) as u8 | 0x80);
        raw >>= 7;
    }
    out.push(raw as u8);
}

/// Zig-zag leaves small numbers small, so an int32 is written as the int64 it equals.
pub(super) fn write_i32(out: &mut Vec<u8>, value: i32) {
    write_i64(out, i64::from(value));
}

/// How many bytes [`write_i64`] takes.
#[expect(clippy::cast_sign_loss, reason = "zig-zag")]
pub(super) fn len_i64(value: i64) -> usize {
    let raw = ((value << 1) ^ (value >> 63)) as u64;
    (64 - (raw | 1).leading_zeros() as usize).div_ceil(7)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back_as_they_were_written() {
        for value in [0, 1, -1, 63, 64, -64, -65, 300, i64::MAX, i64::MIN] {
            let mut out = Vec::new();
            write_i64(&mut out, value);
            assert_eq!(out.len(), len_i64(value));
            let mut bytes = &out[..];
            assert_eq!(read_i64(&mut bytes), Some(value));
            assert!(bytes.is_empty());
        }
        for value in [0, -1, 150, i32::MAX, i32::MIN] {
            let mut out = Vec::new();
            write_i32(&mut out, value);
            assert_eq!(read_i32(&mut &out[..]), Some(value));
        }
    }

    #[test]
    fn a_number_that_does_not_end_is_refused() {
        assert_eq!(read_i32(&mut &[0xff; 5][..]), None);
        assert_eq!(read_i64(&mut &[0xff; 10][..]), None);
        assert_eq!(read_i32(&mut &[0x80][..]), None);
        assert_eq!(read_i32(&mut &[][..]), None);
    }
}
