//! The names and contents of a simulated file system, each twice: as programs see it now, and as it
//! would be found after a power loss.

use super::content::Content;
use crate::types::Timestamp;
use imbl::{OrdMap, Vector};
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

pub(super) type NodeId = u64;

const ROOT: NodeId = 0;

/// Cloning costs nothing: all that is large is shared.
#[derive(Clone)]
pub(super) struct Tree {
    nodes: OrdMap<NodeId, Node>,
    node_next: NodeId,
    /// Numbers the changes of names over the whole file system, in their order.
    change_next: u64,
    /// What the process was writing when it died: any part of it may be there.
    pub(super) in_flight: Option<(NodeId, Change)>,
}

#[derive(Clone)]
pub(super) enum Node {
    File(FileNode),
    Dir(DirNode),
}

#[derive(Clone, Default)]
pub(super) struct FileNode {
    pub(super) live: Content,
    pub(super) durable: Content,
    /// What turns `durable` into `live`, unless a sync failed.
    pub(super) pending: Vector<Change>,
    /// A failed sync threw writes away: `durable` never catches up with `live` by itself.
    pub(super) broken: bool,
    pub(super) modified: Option<Timestamp>,
}

#[derive(Clone)]
pub(super) enum Change {
    Write { position: u64, bytes: Arc<[u8]> },
    SetLen { len: u64 },
}

#[derive(Clone, Default)]
pub(super) struct DirNode {
    pub(super) live: OrdMap<String, NodeId>,
    pub(super) durable: OrdMap<String, NodeId>,
    pub(super) pending: Vector<NameChange>,
}

/// A name set or taken away. The two changes of one rename have the same number.
#[derive(Clone)]
pub(super) struct NameChange {
    pub(super) number: u64,
    pub(super) name: String,
    pub(super) node: Option<NodeId>,
}

impl FileNode {
    pub(super) fn apply(&mut self, change: Change, now: Timestamp) {
        change.apply_to(&mut self.live);
        self.pending.push_back(change);
        self.modified = Some(now);
    }

    pub(super) fn sync(&mut self) {
        if self.broken {
            for change in &self.pending {
                change.apply_to(&mut self.durable);
            }
        } else {
            self.durable = self.live.clone();
        }
        self.pending.clear();
    }

    /// What Linux does when writing pages back fails: they count as clean from now on, so the next
    /// sync succeeds without them.
    pub(super) fn sync_failed(&mut self) {
        self.broken |= !self.pending.is_empty();
        self.pending.clear();
    }
}

impl Change {
    pub(super) fn apply_to(&self, content: &mut Content) {
        match self {
            Change::Write { position, bytes } => content.write(bytes, *position),
            Change::SetLen { len } => content.set_len(*len),
        }
    }
}

impl DirNode {
    fn set(&mut self, number: u64, name: &str, node: Option<NodeId>) {
        let change = NameChange {
            number,
            name: name.to_owned(),
            node,
        };
        change.apply_to(&mut self.live);
        self.pending.push_back(change);
    }

    /// Makes the first `count` changes durable; gives their numbers.
    fn sync(&mut self, count: usize) -> Vec<u64> {
        let rest = self.pending.split_off(count);
        let done = std::mem::replace(&mut self.pending, rest);
        for change in &done {
            change.apply_to(&mut self.durable);
        }
        done.iter().map(|change| change.number).collect()
    }
}

impl NameChange {
    pub(super) fn apply_to(&self, names: &mut OrdMap<String, NodeId>) {
        match self.node {
            Some(node) => names.insert(self.name.clone(), node),
            None => names.remove(&self.name),
        };
    }
}

impl Tree {
    pub(super) fn new() -> Tree {
        Tree {
            nodes: OrdMap::unit(ROOT, Node::Dir(DirNode::default())),
            node_next: ROOT + 1,
            change_next: 0,
            in_flight: None,
        }
    }

    pub(super) fn find(&self, path: &Path) -> io::Result<NodeId> {
        let mut at = ROOT;
        for name in names(path) {
            let Node::Dir(dir) = &self.nodes[&at] else {
                return Err(io::ErrorKind::NotADirectory.into());
            };
            at = *dir.live.get(&name).ok_or(io::ErrorKind::NotFound)?;
        }
        Ok(at)
    }

    pub(super) fn node(&self, id: NodeId) -> &Node {
        &self.nodes[&id]
    }

    pub(super) fn file(&self, id: NodeId) -> io::Result<&FileNode> {
        match &self.nodes[&id] {
            Node::File(file) => Ok(file),
            Node::Dir(_) => Err(io::ErrorKind::IsADirectory.into()),
        }
    }

    pub(super) fn file_mut(&mut self, id: NodeId) -> io::Result<&mut FileNode> {
        match self.nodes.get_mut(&id).expect("nodes are never removed") {
            Node::File(file) => Ok(file),
            Node::Dir(_) => Err(io::ErrorKind::IsADirectory.into()),
        }
    }

    pub(super) fn dir(&self, id: NodeId) -> io::Result<&DirNode> {
        match &self.nodes[&id] {
            Node::Dir(dir) => Ok(dir),
            Node::File(_) => Err(io::ErrorKind::NotADirectory.into()),
        }
    }

    fn dir_mut(&mut self, id: NodeId) -> io::Result<&mut DirNode> {
        match self.nodes.get_mut(&id).expect("nodes are never removed") {
            Node::Dir(dir) => Ok(dir),
            Node::File(_) => Err(io::ErrorKind::NotADirectory.into()),
        }
    }

    /// Fails if nothing could be made at `path`: its directory is missing or is none.
    pub(super) fn check_parent(&self, path: &Path) -> io::Result<()> {
        let (parent, _) = self.parent_of(path)?;
        self.dir(parent)?;
        Ok(())
    }

    /// Makes an empty file or directory. Nothing is at `path` yet.
    pub(super) fn create(&mut self, path: &Path, node: Node) -> io::Result<NodeId> {
        let (parent, name) = self.parent_of(path)?;
        let (number, id) = (self.change_next, self.node_next);
        self.dir_mut(parent)?.set(number, &name, Some(id));
        self.nodes.insert(id, node);
        self.node_next += 1;
        self.change_next += 1;
        Ok(id)
    }

    pub(super) fn remove(&mut self, path: &Path) -> io::Result<()> {
        let (parent, name) = self.parent_of(path)?;
        let number = self.change_next;
        self.dir_mut(parent)?.set(number, &name, None);
        self.change_next += 1;
        Ok(())
    }

    /// Fails as rename(2) would, without doing it.
    pub(super) fn check_rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let moved = self.find(from)?;
        self.check_parent(to)?;
        match self.find(to) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
            Ok(found) => match (&self.nodes[&moved], &self.nodes[&found]) {
                (Node::File(_), Node::File(_)) => Ok(()),
                (Node::File(_), Node::Dir(_)) => Err(io::ErrorKind::IsADirectory.into()),
                (Node::Dir(_), Node::File(_)) => Err(io::ErrorKind::NotADirectory.into()),
                (Node::Dir(_), Node::Dir(there)) if there.live.is_empty() => Ok(()),
                (Node::Dir(_), Node::Dir(_)) => Err(io::ErrorKind::DirectoryNotEmpty.into()),
            },
        }
    }

    pub(super) fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        self.check_rename(from, to)?;
        let moved = self.find(from)?;
        let (from_dir, from_name) = self.parent_of(from)?;
        let (to_dir, to_name) = self.parent_of(to)?;
        if (from_dir, &from_name) == (to_dir, &to_name) {
            return Ok(());
        }
        let number = self.change_next;
        self.dir_mut(from_dir)?.set(number, &from_name, None);
        self.dir_mut(to_dir)?.set(number, &to_name, Some(moved));
        self.change_next += 1;
        Ok(())
    }

    pub(super) fn sync_dir(&mut self, id: NodeId) -> io::Result<()> {
        let count = self.dir(id)?.pending.len();
        let numbers = self.dir_mut(id)?.sync(count);
        // A rename between two directories is one change: durable in both or in none.
        let others: Vec<NodeId> = self.dirs().filter(|other| *other != id).collect();
        for other in others {
            let pending = &self.dir(other)?.pending;
            let shared = |change: &NameChange| numbers.contains(&change.number);
            if let Some(last) = pending.iter().rposition(shared) {
                self.dir_mut(other)?.sync(last + 1);
            }
        }
        Ok(())
    }

    /// Makes all names and contents durable.
    pub(super) fn settle(&mut self) {
        let ids: Vec<NodeId> = self.nodes.keys().copied().collect();
        for id in ids {
            match self.nodes.get_mut(&id).expect("just listed") {
                Node::File(file) => file.sync(),
                Node::Dir(dir) => {
                    let count = dir.pending.len();
                    dir.sync(count);
                }
            }
        }
    }

    /// Space taken by the files that have a name.
    pub(super) fn allocated(&self) -> u64 {
        let mut sum = 0;
        self.walk(&mut |_, node| {
            if let Node::File(file) = node {
                sum += file.live.allocated();
            }
        });
        sum
    }

    /// Every path as programs see it, parents first.
    pub(super) fn walk(&self, visit: &mut dyn FnMut(&Path, &Node)) {
        self.walk_from(ROOT, &mut PathBuf::from("/"), visit);
    }

    fn walk_from(&self, id: NodeId, path: &mut PathBuf, visit: &mut dyn FnMut(&Path, &Node)) {
        let node = &self.nodes[&id];
        visit(path, node);
        if let Node::Dir(dir) = node {
            for (name, child) in &dir.live {
                path.push(name);
                self.walk_from(*child, path, visit);
                path.pop();
            }
        }
    }

    pub(super) fn dirs(&self) -> impl Iterator<Item = NodeId> + '_ {
        let is_dir = |node: &Node| matches!(node, Node::Dir(_));
        self.nodes
            .iter()
            .filter(move |(_, node)| is_dir(node))
            .map(|(id, _)| *id)
    }

    /// How many changes of names there were.
    pub(super) fn changes(&self) -> u64 {
        self.change_next
    }

    /// A tree of the same nodes in which every node is what `settled` makes of it, and durable.
    pub(super) fn rebuilt(&self, settled: &mut dyn FnMut(NodeId, &Node) -> Node) -> Tree {
        let mut tree = Tree {
            nodes: OrdMap::new(),
            node_next: self.node_next,
            change_next: 0,
            in_flight: None,
        };
        let mut open = vec![ROOT];
        while let Some(id) = open.pop() {
            let node = settled(id, &self.nodes[&id]);
            if let Node::Dir(dir) = &node {
                open.extend(dir.live.values().copied());
            }
            tree.nodes.insert(id, node);
        }
        tree
    }

    fn parent_of(&self, path: &Path) -> io::Result<(NodeId, String)> {
        let mut names = names(path);
        let name = names.pop().ok_or(io::ErrorKind::InvalidInput)?;
        let parent: PathBuf = names.iter().collect();
        Ok((self.find(&parent)?, name))
    }
}

/// The parts of a path. Relative paths start at the root: a simulated process has no other place.
pub(super) fn names(path: &Path) -> Vec<String> {
    let mut names = Vec::new();
    for part in path.components() {
        match part {
            Component::Normal(name) => names.push(name.to_string_lossy().into_owned()),
            Component::ParentDir => {
                names.pop();
            }
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    names
}
