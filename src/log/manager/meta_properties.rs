//! `meta.properties`: which cluster, node and directory a log directory belongs to.
//!
//! Java properties. Version 1 has `cluster.id`, `node.id` and `directory.id`; version 0, from ZooKeeper's
//! time, has `broker.id` in place of `node.id` and is read only.

use crate::runtime::{Disk, read_whole, write_whole};
use crate::types::{NodeId, Uuid};
use std::collections::HashMap;
use std::io;
use std::path::Path;

pub const META_PROPERTIES: &str = "meta.properties";

/// What `meta.properties` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetaProperties {
    pub cluster_id: String,
    pub node_id: NodeId,
    /// Missing in directories that older releases formatted; drawn at the first start.
    pub directory_id: Option<Uuid>,
}

impl MetaProperties {
    /// `None` if there is no such file. `InvalidData` if it cannot be understood.
    pub fn read(disk: &dyn Disk, dir: &Path) -> io::Result<Option<MetaProperties>> {
        match read_whole(disk, &dir.join(META_PROPERTIES)) {
            Ok(bytes) => MetaProperties::parse(&bytes)
                .map(Some)
                .map_err(|reason| io::Error::new(io::ErrorKind::InvalidData, reason)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Replaces the file, and waits for the disk.
    pub fn write(&self, disk: &dyn Disk, dir: &Path) -> io::Result<()> {
        write_whole(disk, &dir.join(META_PROPERTIES), self.text().as_bytes())
    }

    fn text(&self) -> String {
        let MetaProperties {
            cluster_id,
            node_id,
            directory_id,
        } = self;
        let directory = directory_id.map_or(String::new(), |id| format!("directory.id={id}\n"));
        format!("#\n{directory}cluster.id={cluster_id}\nnode.id={node_id}\nversion=1\n")
    }

    fn parse(bytes: &[u8]) -> Result<MetaProperties, String> {
        let properties: HashMap<String, String> =
            java_properties::read(bytes).map_err(|error| error.to_string())?;
        let get = |key: &str| properties.get(key).map(|value| value.trim());
        let node_key = match get("version") {
            None | Some("0") => "broker.id",
            Some("1") => "node.id",
            Some(other) => return Err(format!("version {other} is not known")),
        };
        let required = |key: &str| get(key).ok_or_else(|| format!("{key} is missing"));
        let node_id = required(node_key)?;
        Ok(MetaProperties {
            cluster_id: required("cluster.id")?.to_owned(),
            node_id: node_id
                .parse()
                .map(NodeId)
                .map_err(|_| format!("{node_key} is '{node_id}', which is no number"))?,
            directory_id: match get("directory.id") {
                None => None,
                Some(id) => Some(
                    id.parse()
                        .map_err(|error| format!("directory.id: {error}"))?,
                ),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_comes_back_as_it_was_written() {
        let written = MetaProperties {
            cluster_id: "4L6g3nShT-eMCtK--X86sw".into(),
            node_id: NodeId(3),
            directory_id: Some(Uuid::METADATA_TOPIC),
        };
        let read = MetaProperties::parse(written.text().as_bytes());
        assert_eq!(read, Ok(written));
    }

    #[test]
    fn kafkas_own_files_are_read_and_broken_ones_are_named() {
        let kafkas = b"#\n#Thu Oct 01 10:00:00 UTC 2026\ncluster.id=abc\ndirectory.id=4L6g3nShT-eMCtK--X86sw\nnode.id=1\nversion=1\n";
        assert_eq!(MetaProperties::parse(kafkas).unwrap().cluster_id, "abc");
        let old = b"version=0\nbroker.id=7\ncluster.id=abc\n";
        assert_eq!(MetaProperties::parse(old).unwrap().node_id, NodeId(7));
        let missing = MetaProperties::parse(b"version=1\nnode.id=1\n");
        assert_eq!(missing, Err("cluster.id is missing".to_owned()));
        assert!(MetaProperties::parse(b"version=9\n").is_err());
        assert!(MetaProperties::parse(b"version=1\nnode.id=x\ncluster.id=abc").is_err());
    }
}
