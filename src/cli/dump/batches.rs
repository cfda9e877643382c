//! Segments and snapshots: record batches, back to back.

use super::decode::Decoder;
use crate::record::{BATCH_HEADER_LEN, Batch, BatchHeader, DecodeLimits, TimestampType};
use crate::runtime::{File, read_exact_at};
use bytes::Bytes;
use std::io::{self, Write};

/// Writes every batch, and its records where a decoder is given. Returns how many things are wrong;
/// after a length that cannot be, nothing behind it can be found.
pub(super) fn dump(
    file: &dyn File,
    decoder: Option<Decoder>,
    out: &mut dyn Write,
) -> io::Result<usize> {
    let len = file.len()?;
    let mut position = 0;
    let mut wrong = 0;
    while position < len {
        let Some(batch) = read_batch(file, position, len)? else {
            return Ok(wrong + tell_rest(file, position, len, out)?);
        };
        let batch = match batch {
            Ok(batch) => batch,
            Err(reason) => {
                writeln!(out, "! at byte {position}: {reason}")?;
                return Ok(wrong + 1);
            }
        };
        write_header(batch.header(), position, out)?;
        if let Err(error) = batch.check_crc() {
            writeln!(out, "  ! {error}")?;
            wrong += 1;
        } else if let Some(decoder) = decoder {
            wrong += write_records(&batch, decoder, out)?;
        }
        position += batch.bytes().len() as u64;
    }
    Ok(wrong)
}

/// `None` where the file ends before a batch does.
fn read_batch(
    file: &dyn File,
    position: u64,
    len: u64,
) -> io::Result<Option<Result<Batch, String>>> {
    let left = len - position;
    if left < BATCH_HEADER_LEN as u64 {
        return Ok(None);
    }
    let mut head = [0; BATCH_HEADER_LEN];
    read_exact_at(file, &mut head, position)?;
    let header = BatchHeader::decode(&head);
    if !header.length_is_possible() {
        // Space that was reserved and never written is all zeros.
        let reserved = head.iter().all(|byte| *byte == 0);
        return Ok(
            (!reserved).then(|| Err(format!("a batch cannot have length {}", header.length)))
        );
    }
    if header.size() as u64 > left {
        return Ok(None);
    }
    let mut bytes = vec![0; header.size()];
    read_exact_at(file, &mut bytes, position)?;
    Ok(match Batch::split_off(&mut Bytes::from(bytes)) {
        Ok(batch) => batch.map(Ok),
        Err(error) => Some(Err(error.to_string())),
    })
}

/// Says what lies behind the last whole batch: reserved space, which is fine, or half a batch.
fn tell_rest(file: &dyn File, from: u64, len: u64, out: &mut dyn Write) -> io::Result<usize> {
    let mut buf = vec![0; 64 * 1024];
    let mut position = from;
    while position < len {
        let read = file.read_at(&mut buf, position)?;
        if read == 0 {
            break;
        }
        if buf[..read].iter().any(|byte| *byte != 0) {
            writeln!(out, "! at byte {from}: {} bytes, half a batch", len - from)?;
            return Ok(1);
        }
        position += read as u64;
    }
    writeln!(out, "reserved: {} bytes", len - from)?;
    Ok(0)
}

fn write_header(header: &BatchHeader, position: u64, out: &mut dyn Write) -> io::Result<()> {
    write!(
        out,
        "batch {}..={} records={} epoch={} at={position} size={} codec={} max_timestamp={}",
        header.base_offset,
        header.last_offset(),
        header.records_count,
        header.leader_epoch,
        header.size(),
        header
            .attributes
            .codec()
            .map_or("unknown", |codec| codec.name()),
        header.max_timestamp,
    )?;
    if header.attributes.timestamp_type() == TimestampType::LogAppendTime {
        write!(out, " (append time)")?;
    }
    if header.has_producer() {
        write!(
            out,
            " producer={} producer_epoch={} sequence={}..={}",
            header.producer_id,
            header.producer_epoch,
            header.base_sequence,
            header.last_sequence()
        )?;
    }
    for (is, word) in [
        (header.attributes.is_transactional(), "transactional"),
        (header.attributes.is_control(), "control"),
        (header.attributes.has_delete_horizon(), "delete_horizon"),
    ] {
        if is {
            write!(out, " {word}")?;
        }
    }
    writeln!(out)
}

fn write_records(batch: &Batch, decoder: Decoder, out: &mut dyn Write) -> io::Result<usize> {
    let control = batch.header().attributes.is_control();
    for record in batch.records(DecodeLimits::default()) {
        let record = match record {
            Ok(record) => record,
            Err(error) => {
                writeln!(out, "  ! {error}")?;
                return Ok(1);
            }
        };
        let decoder = if control { Decoder::Control } else { decoder };
        write!(out, "  {} time={} ", record.offset, record.timestamp)?;
        decoder.write(record.key.as_ref(), record.value.as_ref(), out)?;
        for header in &record.headers {
            write!(out, " header {}=", super::decode::text(&header.key))?;
            match &header.value {
                Some(value) => write!(out, "{}", super::decode::text(value))?,
                None => write!(out, "null")?,
            }
        }
        writeln!(out)?;
    }
    Ok(0)
}
