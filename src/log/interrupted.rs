//! What a deletion or a compaction that did not finish has left in a partition's directory.

use super::files;
use super::scan::HeaderScan;
use crate::runtime::{Disk, Open};
use crate::types::Offset;
use std::collections::BTreeSet;
use std::io;
use std::path::Path;

/// Removes what was only there in passing, and finishes a compaction that had got as far as its swap
/// (`LogLoader.load`). Gives the names that remain.
pub(super) fn finish(disk: &dyn Disk, dir: &Path) -> io::Result<BTreeSet<String>> {
    let mut names: BTreeSet<String> = (disk.list(dir)?.into_iter())
        .filter(|entry| !entry.is_dir)
        .map(|entry| entry.name)
        .collect();
    let offset_in = |name: &str| -> Option<Offset> {
        let digits = name.get(..20)?;
        digits.parse().ok().map(Offset)
    };
    let remove = |names: &mut BTreeSet<String>, doomed: Vec<String>| -> io::Result<()> {
        for name in doomed {
            files::remove_if_there(disk, &dir.join(&name))?;
            names.remove(&name);
        }
        Ok(())
    };
    let cleaned: Vec<String> = with_suffix(&names, files::CLEANED);
    let first_cleaned = cleaned.iter().filter_map(|name| offset_in(name)).min();
    let mut doomed = cleaned;
    doomed.extend(
        // A snapshot of the metadata log that is being deleted is its owner's business.
        with_suffix(&names, files::DELETED)
            .into_iter()
            .filter(|name| !name.contains(".checkpoint")),
    );
    // A swap that was made together with an unfinished file is unfinished too.
    doomed.extend(with_suffix(&names, files::SWAP).into_iter().filter(
        |name| matches!((offset_in(name), first_cleaned), (Some(at), Some(first)) if at >= first),
    ));
    remove(&mut names, doomed)?;
    let swaps = with_suffix(&names, files::SWAP);
    if !swaps.is_empty() {
        let (mut low, mut high) = (Offset(i64::MAX), Offset(i64::MIN));
        for name in &swaps {
            let plain = name.strip_suffix(files::SWAP).unwrap_or(name);
            if let Some(base) = files::offset_of(plain, files::LOG) {
                low = low.min(base);
                high = high.max(end_of_file(disk, &dir.join(name), base)?);
            }
        }
        let replaced: Vec<String> = (names.iter())
            .filter(|name| !name.ends_with(files::SWAP))
            .filter(|name| offset_in(name).is_some_and(|at| at >= low && at < high))
            .cloned()
            .collect();
        remove(&mut names, replaced)?;
        for name in swaps {
            let plain = name.strip_suffix(files::SWAP).unwrap_or(&name).to_owned();
            disk.rename(&dir.join(&name), &dir.join(&plain))?;
            names.remove(&name);
            names.insert(plain);
        }
    }
    let orphans: Vec<String> = (names.iter())
        .filter(|name| {
            [files::OFFSET_INDEX, files::TIME_INDEX, files::TXN_INDEX]
                .iter()
                .filter_map(|suffix| files::offset_of(name, suffix))
                .any(|base| !files::is_among(&names, base, files::LOG))
        })
        .cloned()
        .collect();
    remove(&mut names, orphans)?;
    Ok(names)
}

fn with_suffix(names: &BTreeSet<String>, suffix: &str) -> Vec<String> {
    (names.iter())
        .filter(|name| name.ends_with(suffix))
        .cloned()
        .collect()
}

/// The offset after the last batch of a log file that has no segment yet.
fn end_of_file(disk: &dyn Disk, path: &Path, base: Offset) -> io::Result<Offset> {
    let file = disk.open(path, Open::Read)?;
    let mut scan = HeaderScan::new(&*file, 0, file.len()?);
    let mut end = base;
    while let Some((_, header)) = scan.next()? {
        end = header.next_offset();
    }
    Ok(end)
}
