//! `partition.metadata`: which topic a directory belongs to, whatever its name.
//!
//! ```text
//! version: 0
//! topic_id: <22 characters of base64url>
//! ```

use super::files;
use crate::runtime::{Disk, read_whole};
use crate::types::Uuid;
use std::io;
use std::path::Path;

/// Writes the file. It is synced with the log's first flush.
pub(super) fn write(disk: &dyn Disk, dir: &Path, topic_id: Uuid) -> io::Result<()> {
    let text = format!("version: 0\ntopic_id: {topic_id}");
    files::replace_unsynced(disk, &dir.join(files::PARTITION_METADATA), text.as_bytes())
}

/// `None` if the file is missing or cannot be understood.
pub(super) fn read(disk: &dyn Disk, dir: &Path) -> io::Result<Option<Uuid>> {
    let bytes = match read_whole(disk, &dir.join(files::PARTITION_METADATA)) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    Ok(parse(&bytes))
}

fn parse(bytes: &[u8]) -> Option<Uuid> {
    let mut lines = std::str::from_utf8(bytes).ok()?.lines();
    let version = lines.next()?.strip_prefix("version:")?.trim();
    let id = lines.next()?.strip_prefix("topic_id:")?.trim();
    if version != "0" {
        return None;
    }
    id.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_topic_id_is_read_as_kafka_writes_it() {
        let id = parse(b"version: 0\ntopic_id: 4L6g3nShT-eMCtK--X86sw\n").unwrap();
        assert_eq!(id.to_string(), "4L6g3nShT-eMCtK--X86sw");
        assert_eq!(parse(b""), None);
        assert_eq!(parse(b"version: 1\ntopic_id: 4L6g3nShT-eMCtK--X86sw"), None);
    }
}
