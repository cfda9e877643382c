//! Producer snapshots: what a partition knows of its idempotent and transactional producers.
//!
//! 0..2 version, 1 · 2..6 CRC-32C of all behind it · 6..10 count, then 46 bytes each:
//! 0..8 producer id · 8..10 epoch · 10..14 last sequence · 14..22 last offset · 22..26 offset delta ·
//! 26..34 timestamp · 34..38 coordinator epoch · 38..46 first offset of the open transaction, −1: none

use crate::runtime::{File, read_exact_at};
use bytes::Buf;
use std::io::{self, Write};

const HEAD_LEN: usize = 10;
const CRC_END: usize = 6;
const ENTRY_LEN: usize = 46;

/// More producers than any broker keeps for one partition; a longer file is something else.
const FILE_LEN_MAX: u64 = 512 * 1024 * 1024;

pub(super) fn dump(file: &dyn File, out: &mut dyn Write) -> io::Result<usize> {
    let len = file.len()?;
    if len < HEAD_LEN as u64 || len > FILE_LEN_MAX {
        writeln!(out, "! {len} bytes are no producer snapshot")?;
        return Ok(1);
    }
    let mut bytes = vec![0; usize::try_from(len).unwrap_or(0)];
    read_exact_at(file, &mut bytes, 0)?;
    let mut head = &bytes[..HEAD_LEN];
    let (version, crc, count) = (head.get_i16(), head.get_u32(), head.get_i32());
    writeln!(out, "version={version} producers={count}")?;
    let mut wrong = 0;
    if version != 1 {
        writeln!(out, "! the version is not known")?;
        return Ok(1);
    }
    let computed = crc32c::crc32c(&bytes[CRC_END..]);
    if computed != crc {
        writeln!(
            out,
            "! the stored CRC {crc:#010x} is not that of the bytes, {computed:#010x}"
        )?;
        wrong += 1;
    }
    let entries = bytes[HEAD_LEN..].chunks_exact(ENTRY_LEN);
    if i32::try_from(entries.len()) != Ok(count) || !entries.remainder().is_empty() {
        writeln!(out, "! the count does not fit the file's length")?;
        wrong += 1;
    }
    for mut entry in entries {
        writeln!(
            out,
            "producer={} epoch={} last_sequence={} last_offset={} offset_delta={} timestamp={} \
             coordinator_epoch={} open_transaction_from={}",
            entry.get_i64(),
            entry.get_i16(),
            entry.get_i32(),
            entry.get_i64(),
            entry.get_i32(),
            entry.get_i64(),
            entry.get_i32(),
            entry.get_i64()
        )?;
    }
    Ok(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::os::OsDisk;
    use crate::runtime::{Disk, Open, write_whole};
    use bytes::BufMut;

    fn snapshot() -> Vec<u8> {
        let mut body = Vec::new();
        body.put_i32(1);
        body.put_i64(4000);
        body.put_i16(2);
        body.put_i32(9);
        body.put_i64(120);
        body.put_i32(4);
        body.put_i64(1_700_000_000_000);
        body.put_i32(-1);
        body.put_i64(-1);
        let mut bytes = Vec::new();
        bytes.put_i16(1);
        bytes.put_u32(crc32c::crc32c(&body));
        bytes.extend(body);
        bytes
    }

    fn shown(bytes: &[u8]) -> (usize, String) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("0.snapshot");
        write_whole(&OsDisk::default(), &path, bytes).unwrap();
        let mut out = Vec::new();
        let wrong = dump(
            &*OsDisk::default().open(&path, Open::Read).unwrap(),
            &mut out,
        )
        .unwrap();
        (wrong, String::from_utf8(out).unwrap())
    }

    #[test]
    fn a_producer_is_shown_with_all_that_is_known_of_it() {
        let (wrong, text) = shown(&snapshot());
        assert_eq!(wrong, 0);
        assert!(
            text.contains("producer=4000 epoch=2 last_sequence=9 last_offset=120"),
            "{text}"
        );
    }

    #[test]
    fn a_changed_byte_and_a_cut_file_are_noticed() {
        let mut bytes = snapshot();
        bytes[12] ^= 1;
        assert_eq!(shown(&bytes).0, 1);
        let cut = &snapshot()[..40];
        assert_eq!(shown(cut).0, 2);
        assert_eq!(shown(b"short").0, 1);
    }
}
