//! What a disk holds after the process or the machine has died.
//!
//! The model, as adversarial as ext4 (any data mode but journal), XFS and btrfs allow:
//!
//! - **Contents.** A sync makes all earlier writes and lengths of that file durable, and nothing
//!   else. Unsynced writes reach the disk in any order, sector by sector (512 bytes); a sector is
//!   found as it was at any moment since the last sync. The length is found as it was at any moment
//!   too, on its own: bytes within it that did not arrive read as they did before, or as zeros.
//!   Cutting a file shorter is journalled: once anything later is found, so is the cut.
//! - **Names.** Creations, removals and renames become durable by a sync of their directory, and
//!   only by that: syncing a new file does not make its name durable (POSIX; ext4 and XFS are
//!   kinder). Until then any first part of a directory's changes may be found; directories are
//!   independent of each other, or go in the order of one journal. A rename is one change, found
//!   whole or not at all.
//! - **A process that dies** leaves all that it wrote, except that of the write under way any first
//!   part may be there. What was not synced can still be lost to a power loss later.
//! - **A failed sync** throws the pending writes away while readers still see them, and later syncs
//!   succeed: what Linux does.

use super::content::{Content, sectors_of};
use super::tree::{Change, DirNode, FileNode, NameChange, Node, NodeId, Tree};
use crate::sim::SimRng;
use imbl::Vector;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What is kept when a simulated process or machine dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// All that was written (kill -9): the page cache survives.
    Written,
    /// Only what was synced: the plainest power loss.
    Synced,
    /// What was synced, and every change of names and lengths, but none of the unsynced bytes, which
    /// read as zeros: a power loss just after the journal was written.
    Names,
    /// What was synced, and some of the rest: torn, out of order, as the seed says.
    Torn,
}

impl Keep {
    pub const ALL: [Keep; 4] = [Keep::Written, Keep::Synced, Keep::Names, Keep::Torn];
}

pub(super) fn after(tree: &Tree, keep: Keep, rng: &SimRng) -> Tree {
    let mut tree = tree.clone();
    if let Some((id, change)) = tree.in_flight.take() {
        let part = match keep {
            Keep::Written => part_of(&change, rng),
            // Whether it counts as begun is open; how much of it is found is drawn later.
            Keep::Names | Keep::Torn => Some(change).filter(|_| rng.chance(1, 2)),
            Keep::Synced => None,
        };
        if let (Some(part), Ok(file)) = (part, tree.file_mut(id)) {
            let now = file.modified.unwrap_or(crate::types::Timestamp(0));
            file.apply(part, now);
        }
    }
    match keep {
        Keep::Written => tree,
        Keep::Synced => tree.rebuilt(&mut |_, node| match node {
            Node::File(file) => found(file, file.durable.clone()),
            Node::Dir(dir) => named(dir, 0),
        }),
        Keep::Names => tree.rebuilt(&mut |_, node| match node {
            Node::File(file) => found(file, lengths_only(file)),
            Node::Dir(dir) => named(dir, dir.pending.len()),
        }),
        Keep::Torn => {
            let cuts = cuts(&tree, rng);
            tree.rebuilt(&mut |id, node| match node {
                Node::File(file) => found(file, torn(file, rng)),
                Node::Dir(dir) => named(dir, cuts[&id]),
            })
        }
    }
}

/// Any first part of a write; a change of length happens or does not.
fn part_of(change: &Change, rng: &SimRng) -> Option<Change> {
    match change {
        Change::Write { position, bytes } => {
            let kept = rng.index(bytes.len() + 1);
            (kept > 0).then(|| Change::Write {
                position: *position,
                bytes: Arc::from(&bytes[..kept]),
            })
        }
        Change::SetLen { .. } => rng.chance(1, 2).then(|| change.clone()),
    }
}

fn found(file: &FileNode, content: Content) -> Node {
    Node::File(FileNode {
        live: content.clone(),
        durable: content,
        pending: Vector::new(),
        broken: false,
        modified: file.modified,
    })
}

fn named(dir: &DirNode, changes: usize) -> Node {
    let mut names = dir.durable.clone();
    for change in dir.pending.iter().take(changes) {
        change.apply_to(&mut names);
    }
    Node::Dir(DirNode {
        live: names.clone(),
        durable: names,
        pending: Vector::new(),
    })
}

fn lengths_only(file: &FileNode) -> Content {
    let mut content = file.durable.clone();
    for change in &file.pending {
        match change {
            Change::Write { position, bytes } => {
                let end = position + bytes.len() as u64;
                content.set_len(content.len().max(end));
            }
            Change::SetLen { len } => content.set_len(*len),
        }
    }
    content
}

/// How many of each directory's changes are found.
fn cuts(tree: &Tree, rng: &SimRng) -> BTreeMap<NodeId, usize> {
    let one_journal = rng.chance(1, 2).then(|| rng.below(tree.changes() + 1));
    let mut cuts = BTreeMap::new();
    for id in tree.dirs() {
        let pending = pending(tree, id);
        let cut = match one_journal {
            Some(end) => pending.iter().filter(|change| change.number < end).count(),
            None => {
                // Not between the two halves of one rename.
                let mut cut = rng.index(pending.len() + 1);
                while cut > 0
                    && cut < pending.len()
                    && pending[cut - 1].number == pending[cut].number
                {
                    cut += 1;
                }
                cut
            }
        };
        cuts.insert(id, cut);
    }
    // A rename between two directories is found in both or in neither.
    while let Some((id, cut)) = half_found(tree, &cuts) {
        cuts.insert(id, cut);
    }
    cuts
}

/// A directory in which a rename is not found whose other half is, and the cut that includes it.
fn half_found(tree: &Tree, cuts: &BTreeMap<NodeId, usize>) -> Option<(NodeId, usize)> {
    let numbers: Vec<u64> = cuts
        .iter()
        .flat_map(|(id, cut)| pending(tree, *id).iter().take(*cut))
        .map(|change| change.number)
        .collect();
    cuts.iter().find_map(|(id, cut)| {
        let missing = pending(tree, *id)
            .iter()
            .skip(*cut)
            .rposition(|change| numbers.contains(&change.number))?;
        Some((*id, cut + missing + 1))
    })
}

fn pending(tree: &Tree, id: NodeId) -> &Vector<NameChange> {
    &tree
        .dir(id)
        .expect("only directories are asked for")
        .pending
}

fn torn(file: &FileNode, rng: &SimRng) -> Content {
    // The file at every moment since the last sync.
    let mut moments = vec![file.durable.clone()];
    let mut cuts = vec![0];
    for change in &file.pending {
        let before = moments.last().expect("it holds the first");
        let mut next = before.clone();
        change.apply_to(&mut next);
        if next.len() < before.len() {
            cuts.push(moments.len());
        }
        moments.push(next);
    }
    cuts.push(moments.len());
    let interval = rng.index(cuts.len() - 1);
    let (first, last) = (cuts[interval], cuts[interval + 1] - 1);
    let moment = || first + rng.index(last - first + 1);

    // In order up to a moment, or every piece at a moment of its own.
    let ordered = rng.chance(1, 3).then(&moment);
    let piece_sectors = if rng.chance(1, 2) { 1 } else { 8 };
    let mut pieces: BTreeMap<u64, usize> = BTreeMap::new();
    let mut content = moments[first].clone();
    for change in file.pending.iter().take(last).skip(first) {
        let Change::Write { position, bytes } = change else {
            continue;
        };
        for sector in sectors_of(*position, bytes.len() as u64) {
            let at = *pieces
                .entry(sector / piece_sectors)
                .or_insert_with(|| ordered.unwrap_or_else(&moment));
            content.take_sector(&moments[at], sector);
        }
    }
    let len_at = ordered.unwrap_or_else(&moment);
    content.finish(moments[len_at].len());
    content
}
