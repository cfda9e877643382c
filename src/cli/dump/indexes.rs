//! Index files: entries of one length, then perhaps space that was reserved and is all zeros.
//!
//! Offset index, 8 bytes:       0..4 offset relative to the segment's base · 4..8 position in the segment
//! Time index, 12 bytes:        0..8 largest timestamp so far · 8..12 relative offset
//! Transaction index, 34 bytes: 0..2 version · 2..10 producer id · 10..18 first offset ·
//!                              18..26 last offset · 26..34 last stable offset

use crate::runtime::{File, read_exact_at};
use bytes::Buf;
use std::io::{self, Write};

/// Entries read at a time.
const CHUNK_ENTRIES: u64 = 4096;

pub(super) fn offsets(file: &dyn File, base: i64, out: &mut dyn Write) -> io::Result<usize> {
    let mut last: Option<(i32, i32)> = None;
    entries(file, 8, out, |mut entry, out| {
        let (relative, position) = (entry.get_i32(), entry.get_i32());
        if last.is_some() && (relative, position) == (0, 0) {
            return Ok(Entry::Reserved);
        }
        writeln!(
            out,
            "offset={} position={position}",
            base + i64::from(relative)
        )?;
        let grows = last.is_none_or(|last| relative > last.0 && position > last.1);
        last = Some((relative, position));
        Ok(if grows {
            Entry::Good
        } else {
            Entry::Bad("offset or position does not grow")
        })
    })
}

pub(super) fn times(file: &dyn File, base: i64, out: &mut dyn Write) -> io::Result<usize> {
    let mut last: Option<(i64, i32)> = None;
    entries(file, 12, out, |mut entry, out| {
        let (timestamp, relative) = (entry.get_i64(), entry.get_i32());
        if (timestamp, relative) == (0, 0) {
            return Ok(Entry::Reserved);
        }
        writeln!(
            out,
            "timestamp={timestamp} offset={}",
            base + i64::from(relative)
        )?;
        let grows = last.is_none_or(|last| timestamp >= last.0 && relative >= last.1);
        last = Some((timestamp, relative));
        Ok(if grows {
            Entry::Good
        } else {
            Entry::Bad("timestamp or offset goes back")
        })
    })
}

pub(super) fn transactions(file: &dyn File, out: &mut dyn Write) -> io::Result<usize> {
    entries(file, 34, out, |mut entry, out| {
        let version = entry.get_i16();
        writeln!(
            out,
            "version={version} producer={} first_offset={} last_offset={} last_stable_offset={}",
            entry.get_i64(),
            entry.get_i64(),
            entry.get_i64(),
            entry.get_i64()
        )?;
        Ok(if version == 0 {
            Entry::Good
        } else {
            Entry::Bad("the version is not known")
        })
    })
}

enum Entry {
    Good,
    Bad(&'static str),
    /// From here on nothing was written.
    Reserved,
}

fn entries(
    file: &dyn File,
    entry_len: usize,
    out: &mut dyn Write,
    mut each: impl FnMut(&[u8], &mut dyn Write) -> io::Result<Entry>,
) -> io::Result<usize> {
    let len = file.len()?;
    let step = entry_len as u64;
    let whole = len - len % step;
    let mut wrong = 0;
    let mut position = 0;
    let mut buf = Vec::new();
    while position < whole {
        let take = (whole - position).min(CHUNK_ENTRIES * step);
        buf.resize(usize::try_from(take).unwrap_or(0), 0);
        read_exact_at(file, &mut buf, position)?;
        for entry in buf.chunks_exact(entry_len) {
            match each(entry, out)? {
                Entry::Good => {}
                Entry::Bad(reason) => {
                    writeln!(out, "! {reason}")?;
                    wrong += 1;
                }
                Entry::Reserved => {
                    writeln!(out, "reserved: {} bytes", len - position)?;
                    return Ok(wrong);
                }
            }
            position += step;
        }
    }
    if whole < len {
        writeln!(out, "! {} bytes after the last entry", len - whole)?;
        wrong += 1;
    }
    Ok(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::os::OsDisk;
    use crate::runtime::{Disk, Open, write_whole};
    use bytes::BufMut;

    fn shown(
        bytes: &[u8],
        dump: impl Fn(&dyn File, &mut dyn Write) -> io::Result<usize>,
    ) -> (usize, String) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("index");
        write_whole(&OsDisk::default(), &path, bytes).unwrap();
        let file = OsDisk::default().open(&path, Open::Read).unwrap();
        let mut out = Vec::new();
        let wrong = dump(&*file, &mut out).unwrap();
        (wrong, String::from_utf8(out).unwrap())
    }

    #[test]
    fn an_offset_index_ends_where_nothing_was_written() {
        let mut bytes = Vec::new();
        for (offset, position) in [(4, 4100), (9, 8300), (0, 0), (0, 0)] {
            bytes.put_i32(offset);
            bytes.put_i32(position);
        }
        let (wrong, text) = shown(&bytes, |file, out| offsets(file, 100, out));
        assert_eq!(wrong, 0);
        assert_eq!(
            text,
            "offset=104 position=4100\noffset=109 position=8300\nreserved: 16 bytes\n"
        );
    }

    #[test]
    fn entries_that_go_back_and_stray_bytes_are_wrong() {
        let mut bytes = Vec::new();
        for (timestamp, offset) in [(50, 4), (40, 9)] {
            bytes.put_i64(timestamp);
            bytes.put_i32(offset);
        }
        bytes.push(1);
        let (wrong, text) = shown(&bytes, |file, out| times(file, 0, out));
        assert_eq!(wrong, 2);
        assert!(
            text.contains("! timestamp or offset goes back") && text.contains("! 1 bytes after")
        );
    }

    #[test]
    fn an_aborted_transaction_is_shown() {
        let mut bytes = Vec::new();
        bytes.put_i16(0);
        for number in [7i64, 1, 2, 3] {
            bytes.put_i64(number);
        }
        let (wrong, text) = shown(&bytes, |file, out| transactions(file, out));
        assert_eq!(wrong, 0);
        assert_eq!(
            text,
            "version=0 producer=7 first_offset=1 last_offset=2 last_stable_offset=3\n"
        );
    }
}
