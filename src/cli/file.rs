//! Properties as they lie in a file, and as `--set` puts them over it.

use super::Failure;
use super::args::SetArgs;
use crate::config::{ConfigError, Properties};
use crate::runtime::{Disk, read_whole};
use std::path::Path;

/// Reads a properties file.
pub(super) fn read(disk: &dyn Disk, path: &Path) -> Result<Properties, Failure> {
    let shown = path.display();
    let bytes = read_whole(disk, path)
        .map_err(|error| Failure::input(format!("cannot read {shown}: {error}")))?;
    // Java reads these files as Latin-1. UTF-8 is what editors write today; only a file that is no
    // UTF-8 is taken as the older encoding.
    let text = match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => error.into_bytes().into_iter().map(char::from).collect(),
    };
    Properties::parse(&text).map_err(|error| Failure::input(format!("{shown}: {error}")))
}

pub(super) fn set(properties: &mut Properties, args: &SetArgs) -> Result<(), ConfigError> {
    args.set
        .iter()
        .try_for_each(|pair| properties.set_pair(pair))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::os::OsDisk;
    use crate::runtime::write_whole;

    #[test]
    fn a_file_in_latin_1_is_read_too() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("server.properties");
        write_whole(&OsDisk::default(), &path, b"broker.rack=caf\xe9").unwrap();
        assert_eq!(
            read(&OsDisk::default(), &path).unwrap().get("broker.rack"),
            Some("café")
        );
    }
}
