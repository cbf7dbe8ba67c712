//! Crash images: what a disk is left with when a legal set of its persist nodes stays, and how to
//! go through all of them.

use super::distinct::{CrashImage, Images};
use super::file::{FileData, FileLoss};
use super::pending::{Atom, Kind};
use super::{Disk, Ino, Kept, Lost, Node, Pending, ROOT};

/// Some sectors of the first lost write of a unit stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tear {
    /// The lost write, as an index of [`Pending::nodes`].
    pub node: usize,
    /// The sectors that stay, as a bit set from the first that the write touched; neither none
    /// nor all.
    pub sectors: u64,
}

/// Writes of at most so many sectors are torn in all ways.
const SECTORS_EXHAUSTED: u32 = 3;

/// How far [`Pending::images`] goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// More images than this are not all visited. Those of prefixes always are.
    pub images: u64,
    /// Then: how many nodes may differ from a prefix of the program order.
    pub flips: u32,
}

impl Default for Bounds {
    /// 2^20 images; two flips, as most known crash bugs need no more.
    fn default() -> Self {
        Self { images: 1 << 20, flips: 2 }
    }
}

/// What [`Pending::images`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImageCount {
    /// Images visited.
    pub visited: u64,
    /// Whether these are the images of all legal sets of persist nodes, each with all tears of one
    /// write (of a write of more than three sectors: those at one sector boundary).
    pub exhaustive: bool,
}

/// What a legal set means for one disk's files and names.
#[derive(Debug, Default)]
pub(super) struct Cut {
    files: Vec<FileCut>,
    /// Directory, name, how many versions stay.
    names: Vec<(Ino, Box<str>, usize)>,
}

#[derive(Debug)]
struct FileCut {
    ino: Ino,
    writes: Vec<bool>,
    torn: Vec<(usize, u64)>,
    lens: Vec<bool>,
}

impl Pending<'_> {
    /// The disk that a power loss leaves if exactly these nodes stay.
    ///
    /// # Panics
    /// If the set is not legal.
    pub fn image(&self, kept: &[bool], tears: &[Tear]) -> Disk {
        assert!(self.is_legal(kept), "a set of persist nodes that the profile forbids");
        let mut image = self.disk.clone();
        image.apply(self.cut(kept, tears));
        image
    }

    /// The disk that a power loss leaves if these nodes stay, with nothing in its files.
    pub(super) fn names_of(&self, kept: &[bool]) -> Disk {
        let mut image = self.disk.clone();
        for (_, inode) in &mut image.inodes {
            if let Node::File(file) = &mut inode.node {
                *file = file.emptied();
            }
        }
        image.apply(Cut { files: Vec::new(), ..self.cut(kept, &[]) });
        image
    }

    /// A file of that disk.
    pub(super) fn file_of(&self, ino: Ino, kept: &[bool], tears: &[Tear]) -> FileData {
        let Node::File(file) = &self.disk.inodes[ino as usize].node else {
            unreachable!("inode {ino} is a file")
        };
        let mut file = file.clone();
        if let Some(cut) = self.cut(kept, tears).files.iter().find(|cut| cut.ino == ino) {
            cut.apply(&mut file);
        }
        file
    }

    /// How many sectors a node's write touches, if it can be torn; else 0.
    pub(super) fn tearable(&self, node: usize) -> u32 {
        if !self.disk.profile.tears || !self.disk.device.tears {
            return 0;
        }
        match self.atoms(node) {
            [Atom::Write { write, .. }] if write.sectors() > 1 => write.sectors(),
            _ => 0,
        }
    }

    /// The lost writes that can be torn: the first lost one of each unit.
    pub(super) fn first_lost(&self, kept: &[bool]) -> Vec<usize> {
        let mut seen = vec![false; self.lanes()];
        let mut first = Vec::new();
        for (node, kept) in kept.iter().enumerate() {
            let PersistLane { lane, is_unit } = self.lane_of(node);
            if is_unit && !kept && !seen[lane] {
                seen[lane] = true;
                if self.tearable(node) > 0 {
                    first.push(node);
                }
            }
        }
        first
    }

    fn lane_of(&self, node: usize) -> PersistLane {
        let node = &self.nodes()[node];
        PersistLane { lane: node.lane as usize, is_unit: node.kind == Kind::Unit }
    }

    pub(super) fn cut(&self, kept: &[bool], tears: &[Tear]) -> Cut {
        let mut cut = Cut::default();
        for (ino, inode) in &self.disk.inodes {
            match &inode.node {
                Node::File(file) if file.is_dirty() => cut.files.push(FileCut {
                    ino: ino as Ino,
                    writes: vec![false; file.writes().len()],
                    torn: Vec::new(),
                    lens: vec![false; file.lens().len()],
                }),
                Node::Dir(dir) if dir.is_dirty() => {
                    let names = dir.pending().map(|(name, _)| (ino as Ino, name.into(), 0));
                    cut.names.extend(names);
                }
                _ => {}
            }
        }
        for (node, &kept) in kept.iter().enumerate() {
            let torn = tears.iter().find(|tear| tear.node == node).map(|tear| tear.sectors);
            for atom in self.atoms(node) {
                cut.note(atom, kept, torn);
            }
        }
        cut
    }

    /// Visits distinct images until `visit` returns false: those of all legal sets if these are at
    /// most `bounds.images`; else those near prefixes of the program order, with at most
    /// `bounds.flips` nodes more or less (see the module `near`). In each image no write or one is
    /// torn.
    pub fn images(
        &self,
        bounds: Bounds,
        mut visit: impl FnMut(&CrashImage<'_>) -> bool,
    ) -> ImageCount {
        let mut visited = 0;
        let mut each = |image: &CrashImage<'_>| {
            visited += 1;
            visit(image)
        };
        let all = Images::find(self, bounds.images);
        match &all {
            Ok(images) => images.visit(&mut each),
            Err(_) => self.images_near_prefixes(bounds, &mut each),
        }
        ImageCount { visited, exhaustive: all.is_ok() }
    }

    /// The ways to tear a write. A short one in all ways; of a longer one some sectors at one end
    /// stay or go, as when the transfer broke off there.
    pub(super) fn ways_to_tear(&self, node: usize) -> Vec<u64> {
        let sectors = self.tearable(node);
        if sectors == 0 {
            return Vec::new();
        }
        let full = (1 << sectors) - 1;
        if sectors <= SECTORS_EXHAUSTED {
            return (1..full).collect();
        }
        let fronts = (1..sectors).map(|cut| (1 << cut) - 1);
        fronts.flat_map(|front: u64| [front, full & !front]).collect()
    }

    /// Visits the image without a tear, then with each tear of one of these writes.
    pub(super) fn tear_each(
        &self,
        kept: &Kept,
        torn: &[usize],
        mut visit: impl FnMut(&[Tear]) -> bool,
    ) -> bool {
        assert!(torn.iter().all(|&node| !kept[node]), "what stays is whole");
        if !visit(&[]) {
            return false;
        }
        for &node in torn {
            for sectors in self.ways_to_tear(node) {
                if !visit(&[Tear { node, sectors }]) {
                    return false;
                }
            }
        }
        true
    }
}

struct PersistLane {
    lane: usize,
    is_unit: bool,
}

impl FileCut {
    /// Takes away from a file what is cut.
    fn apply(&self, file: &mut FileData) -> FileLoss {
        let Self { ino: _, writes, torn, lens } = self;
        let sectors =
            |at: usize| torn.iter().find(|(index, _)| *index == at).map(|(_, sectors)| *sectors);
        file.keep_only(|at| writes[at], sectors, |at| lens[at])
    }
}

impl Cut {
    fn note(&mut self, atom: &Atom<'_>, kept: bool, torn: Option<u64>) {
        match *atom {
            Atom::Write { ino, index, .. } => {
                if let Some(file) = self.files.iter_mut().find(|file| file.ino == ino) {
                    file.writes[index as usize] = kept;
                    file.torn.extend(torn.map(|sectors| (index as usize, sectors)));
                }
            }
            Atom::Len { ino, index, .. } => {
                if let Some(file) = self.files.iter_mut().find(|file| file.ino == ino) {
                    file.lens[index as usize] = kept;
                }
            }
            Atom::Name { dir, name, nth, .. } if kept => {
                let same =
                    |(at, known, _): &&mut (Ino, Box<str>, usize)| *at == dir && **known == *name;
                if let Some((_, _, keep)) = self.names.iter_mut().find(same) {
                    *keep = (*keep).max(nth as usize + 1);
                }
            }
            Atom::Name { .. } => {}
        }
    }
}

impl Disk {
    /// Takes away what is cut.
    pub(super) fn apply(&mut self, cut: Cut) -> Lost {
        let mut lost = Lost::default();
        for (dir, name, keep) in cut.names {
            let Some(Node::Dir(data)) = self.inodes.get_mut(dir as usize).map(|i| &mut i.node)
            else {
                // The directory itself did not persist.
                continue;
            };
            let dropped = data.keep_versions(&name, keep);
            lost.names += dropped.len() as u64;
            dropped.into_iter().for_each(|ino| self.unlink(ino));
        }
        for cut in cut.files {
            let Some(Node::File(file)) = self.inodes.get_mut(cut.ino as usize).map(|i| &mut i.node)
            else {
                continue;
            };
            let loss = cut.apply(file);
            lost.writes += loss.writes;
            lost.lens += loss.lens;
            lost.torn += cut.torn.len() as u64;
        }
        self.after_crash();
        lost
    }

    /// The path of an inode, by any name that it has or may get back.
    pub(crate) fn name_of(&self, ino: Ino) -> String {
        if ino == ROOT {
            return String::new();
        }
        for (dir, inode) in &self.inodes {
            let Node::Dir(data) = &inode.node else { continue };
            let current = data.iter().find(|(_, named)| *named == ino).map(|(name, _)| name);
            let versions = || {
                data.pending()
                    .find(|(_, versions)| versions.iter().any(|version| version.ino == Some(ino)))
                    .map(|(name, _)| name)
            };
            if let Some(name) = current.or_else(versions) {
                let dir = self.name_of(dir as Ino);
                return if dir.is_empty() { name.to_owned() } else { format!("{dir}/{name}") };
            }
        }
        format!("inode {ino}")
    }
}
