//! Segments and snapshots: record batches, back to back.

use super::decode::Decoder;
use crate::record::{
    BATCH_HEADER_LEN, Batch, BatchHeader, DecodeError, DecodeLimits, Record, TimestampType, old,
};
use crate::runtime::{File, read_exact_at};
use bytes::Bytes;
use std::fmt::Display;
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
        let Some(read) = read_batch(file, position, len)? else {
            return Ok(wrong + tell_rest(file, position, len, out)?);
        };
        let (header, bytes) = match read {
            Ok(read) => read,
            Err(reason) => {
                writeln!(out, "! at byte {position}: {reason}")?;
                return Ok(wrong + 1);
            }
        };
        wrong += if header.is_old() {
            dump_old(&header, &bytes, position, decoder, out)?
        } else {
            dump_batch(bytes, position, decoder, out)?
        };
        position += header.size() as u64;
    }
    Ok(wrong)
}

/// A batch, or a message of an old format, and its bytes. `None` where the file ends before it does.
fn read_batch(
    file: &dyn File,
    position: u64,
    len: u64,
) -> io::Result<Option<Result<(BatchHeader, Bytes), String>>> {
    let left = len - position;
    let mut head = [0; BATCH_HEADER_LEN];
    let head = match usize::try_from(left) {
        Ok(left) if left < BATCH_HEADER_LEN => &mut head[..left],
        _ => &mut head[..],
    };
    read_exact_at(file, head, position)?;
    let Some(header) = BatchHeader::decode_any(head) else {
        // Space that was reserved and never written is all zeros.
        let reserved = head.iter().all(|byte| *byte == 0);
        let is_cut = head.len() < BATCH_HEADER_LEN;
        return Ok((!reserved && !is_cut).then(|| Err("this is no batch".to_owned())));
    };
    if header.size() as u64 > left {
        return Ok(None);
    }
    let mut bytes = vec![0; header.size()];
    read_exact_at(file, &mut bytes, position)?;
    Ok(Some(Ok((header, bytes.into()))))
}

fn dump_batch(
    mut bytes: Bytes,
    position: u64,
    decoder: Option<Decoder>,
    out: &mut dyn Write,
) -> io::Result<usize> {
    let batch = match Batch::split_off(&mut bytes) {
        Ok(Some(batch)) => batch,
        Ok(None) => return Err(io::ErrorKind::UnexpectedEof.into()),
        Err(error) => return complain(error, out),
    };
    write_header(batch.header(), position, out)?;
    if let Err(error) = batch.check_crc() {
        return complain(error, out);
    }
    let is_control = batch.header().attributes.is_control();
    let decoder = decoder.map(|decoder| match is_control {
        true => Decoder::Control,
        false => decoder,
    });
    write_records(|| batch.records(DecodeLimits::default()), decoder, out)
}

/// A message of a format before 0.11, and those that it wraps.
fn dump_old(
    header: &BatchHeader,
    message: &Bytes,
    position: u64,
    decoder: Option<Decoder>,
    out: &mut dyn Write,
) -> io::Result<usize> {
    write!(
        out,
        "message {} magic={} at={position} size={} codec={}",
        header.base_offset,
        header.magic,
        header.size(),
        codec_name(header),
    )?;
    write_max_timestamp(header, out)?;
    writeln!(out)?;
    if let Err(error) = old::check_crc(message) {
        return complain(error, out);
    }
    let records = || match old::records(message, DecodeLimits::default()) {
        Ok(records) => records.into_iter().map(Ok).collect(),
        Err(error) => vec![Err(error)],
    };
    write_records(records, decoder, out)
}

fn complain(error: impl Display, out: &mut dyn Write) -> io::Result<usize> {
    writeln!(out, "  ! {error}")?;
    Ok(1)
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
        "batch {}..={} records={} epoch={} at={position} size={} codec={}",
        header.base_offset,
        header.last_offset(),
        header.records_count,
        header.leader_epoch,
        header.size(),
        codec_name(header),
    )?;
    write_max_timestamp(header, out)?;
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

fn codec_name(header: &BatchHeader) -> &'static str {
    let codec = header.attributes.codec();
    codec.map_or("unknown", |codec| codec.name())
}

fn write_max_timestamp(header: &BatchHeader, out: &mut dyn Write) -> io::Result<()> {
    write!(out, " max_timestamp={}", header.max_timestamp)?;
    if header.attributes.timestamp_type() == TimestampType::LogAppendTime {
        write!(out, " (append time)")?;
    }
    Ok(())
}

/// The records, where a decoder is given; ends at the first that is broken.
fn write_records<I: IntoIterator<Item = Result<Record, DecodeError>>>(
    records: impl FnOnce() -> I,
    decoder: Option<Decoder>,
    out: &mut dyn Write,
) -> io::Result<usize> {
    let Some(decoder) = decoder else {
        return Ok(0);
    };
    for record in records() {
        let record = match record {
            Ok(record) => record,
            Err(error) => return complain(error, out),
        };
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
