//! `ottla dump FILE…`: what is in a broker's files, as text. Reads only.

mod batches;
mod decode;
mod indexes;
mod producers;

use super::Failure;
use super::args::DumpArgs;
use crate::runtime::{Disk, Open, read_whole};
use decode::Decoder;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// Files of these kinds are small by their nature; anything longer is not what its name says.
const TEXT_LEN_MAX: u64 = 16 * 1024 * 1024;

pub(super) fn dump(args: &DumpArgs, disk: &dyn Disk) -> Result<(), Failure> {
    let mut out = BufWriter::new(io::stdout().lock());
    dump_to(args, disk, &mut out)
}

fn dump_to(args: &DumpArgs, disk: &dyn Disk, out: &mut dyn Write) -> Result<(), Failure> {
    let files = files(args, disk)?;
    // Whoever reads has seen enough (`ottla dump … | head`).
    let enough = |error: &io::Error| error.kind() == io::ErrorKind::BrokenPipe;
    let mut damaged = 0;
    for path in &files {
        match dump_file(path, args, disk, out, files.len() > 1) {
            Ok(0) => {}
            Ok(_) => damaged += 1,
            Err(error) if enough(&error) => return Ok(()),
            Err(error) => return Err(Failure::work(format!("{}: {error}", path.display()))),
        }
    }
    match out.flush() {
        Err(error) if !enough(&error) => return Err(Failure::work(error)),
        _ => {}
    }
    match damaged {
        0 => Ok(()),
        1 => Err(Failure::work(
            "one file is damaged; see the lines that begin with !",
        )),
        n => Err(Failure::work(format!(
            "{n} files are damaged; see the lines that begin with !"
        ))),
    }
}

/// The files that were named, and those in the directories that were.
fn files(args: &DumpArgs, disk: &dyn Disk) -> Result<Vec<PathBuf>, Failure> {
    let mut files = Vec::new();
    for path in &args.files {
        let cannot = |error| Failure::input(format!("cannot read {}: {error}", path.display()));
        if disk.metadata(path).map_err(cannot)?.is_dir {
            let entries = disk.list(path).map_err(cannot)?;
            let inside = entries
                .iter()
                .filter(|entry| !entry.is_dir)
                .map(|e| path.join(&e.name));
            files.extend(inside.filter(|file| Kind::of(file).is_some()));
        } else {
            if Kind::of(path).is_none() {
                return Err(Failure::input(format!(
                    "{}: not a file of a broker's data directory, going by its name",
                    path.display()
                )));
            }
            files.push(path.clone());
        }
    }
    if files.is_empty() {
        return Err(Failure::input(
            "no files to show: the directory holds no partition",
        ));
    }
    Ok(files)
}

/// What a file holds, going by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Batches,
    OffsetIndex,
    TimeIndex,
    TransactionIndex,
    Producers,
    Text,
}

impl Kind {
    fn of(path: &Path) -> Option<Kind> {
        let name = path.file_name()?.to_str()?;
        // Files on their way out or in keep their old name before these.
        let name = name.strip_suffix(".deleted").unwrap_or(name);
        let name = name.strip_suffix(".cleaned").unwrap_or(name);
        let name = name.strip_suffix(".swap").unwrap_or(name);
        match name {
            "leader-epoch-checkpoint"
            | "partition.metadata"
            | "meta.properties"
            | "quorum-state"
            | ".kafka_cleanshutdown"
            | "recovery-point-offset-checkpoint"
            | "replication-offset-checkpoint"
            | "log-start-offset-checkpoint"
            | "cleaner-offset-checkpoint" => return Some(Kind::Text),
            _ => {}
        }
        Some(match name.rsplit_once('.')?.1 {
            "log" | "checkpoint" => Kind::Batches,
            "index" => Kind::OffsetIndex,
            "timeindex" => Kind::TimeIndex,
            "txnindex" => Kind::TransactionIndex,
            "snapshot" => Kind::Producers,
            _ => return None,
        })
    }
}

/// Writes one file's content, and returns how much of it is damaged.
fn dump_file(
    path: &Path,
    args: &DumpArgs,
    disk: &dyn Disk,
    out: &mut dyn Write,
    titled: bool,
) -> io::Result<usize> {
    if titled {
        writeln!(out, "== {}", path.display())?;
    }
    let file = disk.open(path, Open::Read)?;
    if file.is_empty()? {
        writeln!(out, "(empty)")?;
        return Ok(0);
    }
    match Kind::of(path) {
        Some(Kind::Batches) => {
            let decoder = (!args.batches).then(|| Decoder::for_file(path));
            batches::dump(&*file, decoder, out)
        }
        Some(Kind::OffsetIndex) => indexes::offsets(&*file, base_offset(path), out),
        Some(Kind::TimeIndex) => indexes::times(&*file, base_offset(path), out),
        Some(Kind::TransactionIndex) => indexes::transactions(&*file, out),
        Some(Kind::Producers) => producers::dump(&*file, out),
        Some(Kind::Text) if file.len()? <= TEXT_LEN_MAX => {
            let text = read_whole(disk, path)?;
            for line in String::from_utf8_lossy(&text).lines() {
                writeln!(out, "{line}")?;
            }
            Ok(0)
        }
        Some(Kind::Text) | None => Err(io::ErrorKind::InvalidData.into()),
    }
}

/// The offset that a segment's name gives: index entries are relative to it.
fn base_offset(path: &Path) -> i64 {
    let name = path
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default();
    name.split('.')
        .next()
        .and_then(|digits| digits.parse().ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::os::OsDisk;
    use crate::runtime::write_whole;

    #[test]
    fn a_file_is_known_by_its_name() {
        for (name, kind) in [
            ("00000000000000000000.log", Some(Kind::Batches)),
            ("00000000000000000000.log.deleted", Some(Kind::Batches)),
            (
                "00000000000000000007-0000000002.checkpoint",
                Some(Kind::Batches),
            ),
            ("bootstrap.checkpoint", Some(Kind::Batches)),
            ("00000000000000000000.timeindex", Some(Kind::TimeIndex)),
            ("00000000000000000003.snapshot", Some(Kind::Producers)),
            ("leader-epoch-checkpoint", Some(Kind::Text)),
            ("server.properties", None),
            ("notes", None),
        ] {
            assert_eq!(Kind::of(Path::new(name)), kind, "{name}");
        }
    }

    fn shown(path: &Path, batches: bool) -> (Result<(), Failure>, String) {
        let mut out = Vec::new();
        let args = DumpArgs {
            files: vec![path.to_owned()],
            batches,
        };
        let result = dump_to(&args, &OsDisk::default(), &mut out);
        (result, String::from_utf8(out).unwrap())
    }

    fn kafkas(dir: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("protocol-tests/vectors/disk/logdir")
            .join(dir)
    }

    #[test]
    fn a_directory_that_apache_kafka_wrote_is_shown_without_a_complaint() {
        for (dir, parts) in [
            (
                "ledger-0",
                [
                    "producer=2000 epoch=2",
                    "value=\"plain-0 of 4\"",
                    "abort v0 EndTxn",
                ],
            ),
            (
                "__cluster_metadata-0",
                ["name: \"ledger\"", "leader change v0", "snapshot footer"],
            ),
            ("", ["cluster.id=", "metadata.version", "ledger 0 119"]),
        ] {
            let (result, text) = shown(&kafkas(dir), false);
            assert!(result.is_ok(), "{dir}: {text}");
            assert!(
                !text.contains("not decoded") && !text.contains("\n!"),
                "{dir}: {text}"
            );
            for part in parts {
                assert!(text.contains(part), "{dir} does not show {part}: {text}");
            }
        }
    }

    #[test]
    fn batches_can_be_shown_without_their_records() {
        let (_, text) = shown(&kafkas("ledger-0/00000000000000000000.log"), true);
        assert!(
            text.lines().all(|line| line.starts_with("batch ")),
            "{text}"
        );
    }

    /// A message that Kafka's own classes wrote, by its name in the byte vectors.
    fn old_message(name: &str) -> Vec<u8> {
        let vectors = Path::new(env!("CARGO_MANIFEST_DIR")).join("protocol-tests/vectors/records");
        let vectors = read_whole(&OsDisk::default(), &vectors.join("batches.txt")).unwrap();
        let vectors = String::from_utf8(vectors).unwrap();
        let mut lines = vectors.lines();
        lines.find(|line| line.starts_with(&format!("{name} ")));
        let hex = lines.next().unwrap();
        let bytes = (0..hex.len() / 2).map(|at| u8::from_str_radix(&hex[2 * at..][..2], 16));
        bytes.collect::<Result<_, _>>().unwrap()
    }

    #[test]
    fn messages_of_the_old_formats_are_shown_with_those_that_they_wrap() {
        let mut broken = old_message("legacy-magic-1");
        *broken.last_mut().unwrap() ^= 1;
        let names = [
            "legacy-magic-0",
            "legacy-magic-0-gzip",
            "legacy-magic-1-gzip",
        ];
        let mut segment = names.map(old_message).concat();
        segment.extend(broken);
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("00000000000000000000.log");
        write_whole(&OsDisk::default(), &path, &segment).unwrap();
        let (_, text) = shown(&path, false);
        let expected = "\
message 3 magic=0 at=0 size=28 codec=none max_timestamp=-1
  3 time=-1 key=\"k\" value=\"v\"
message 2 magic=0 at=28 size=75 codec=gzip max_timestamp=-1
  1 time=-1 key=\"k\" value=\"v\"
  2 time=-1 key=\"k\" value=\"w\"
message 4 magic=1 at=103 size=92 codec=gzip max_timestamp=1760000000001
  3 time=1760000000000 key=\"k\" value=\"v\"
  4 time=1760000000001 key=\"k\" value=\"w\"
message 3 magic=1 at=195 size=36 codec=none max_timestamp=1760000000000
  ! the stored CRC";
        assert!(text.starts_with(expected), "{text}");
    }

    #[test]
    fn a_changed_byte_and_half_a_batch_are_found_and_the_rest_is_shown() {
        let log = kafkas("ledger-0/00000000000000000000.log");
        let mut bytes = read_whole(&OsDisk::default(), &log).unwrap();
        bytes[100] ^= 1;
        bytes.truncate(bytes.len() - 5);
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("00000000000000000000.log");
        write_whole(&OsDisk::default(), &path, &bytes).unwrap();
        let (result, text) = shown(&path, false);
        assert!(matches!(result, Err(Failure::Work(_))));
        assert!(
            text.contains("  ! the stored CRC") && text.contains("half a batch"),
            "{text}"
        );
        assert!(text.contains("commit v0 EndTxnMarker"));
    }

    #[test]
    fn a_file_of_another_kind_is_refused() {
        let (result, text) = shown(
            Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")),
            false,
        );
        assert!(matches!(result, Err(Failure::Input(_))));
        assert_eq!(text, "");
    }

    #[test]
    fn a_segments_name_is_its_base_offset() {
        assert_eq!(base_offset(Path::new("/x/00000000000000000042.index")), 42);
    }
}
