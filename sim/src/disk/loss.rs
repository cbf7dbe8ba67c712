//! What a power loss leaves: one legal image, picked by decisions.

use std::collections::BTreeMap;

use super::names::Need;
use super::{Disk, Ino, Node, ROOT};

/// Answers the questions of a power loss. Any `FnMut(label, bound) -> answer` is one; answer 0
/// always keeps the newest version.
pub trait Chooser {
    /// Picks one of `0..bound`.
    fn choose(&mut self, label: &'static str, bound: u64) -> u64;

    /// Whether a lost write that spans sectors is torn.
    fn torn(&mut self) -> bool {
        self.choose("loss.torn", 2) == 1
    }
}

impl<F: FnMut(&'static str, u64) -> u64> Chooser for F {
    fn choose(&mut self, label: &'static str, bound: u64) -> u64 {
        self(label, bound)
    }
}

/// The first lost version of each name.
type LostNames = BTreeMap<(Ino, Box<str>), u64>;

/// How much a power loss took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lost {
    /// Writes to a page that did not become durable.
    pub writes: u64,
    /// Length changes that did not become durable.
    pub lens: u64,
    /// Versions of names that did not become durable.
    pub names: u64,
    /// Writes of which only some sectors became durable.
    pub torn: u64,
}

/// Answers of the first question of a power loss.
const KEEP_ALL: u64 = 0;
const LOSE_ALL: u64 = 1;
const MODES: u64 = 4;

impl Disk {
    /// Takes the power away: open handles are gone, and of everything not durable a legal part
    /// stays, picked by `chooser`.
    pub fn power_loss(&mut self, chooser: &mut dyn Chooser) -> Lost {
        let mut lost = Lost::default();
        // Two of the answers mean "mixed", so that half of all power losses are.
        match if self.is_dirty() { chooser.choose("loss.mode", MODES) } else { KEEP_ALL } {
            KEEP_ALL => self.files(|file| file.keep_all()),
            LOSE_ALL => {
                lost.names = self.lose_names(&mut |_, versions| versions);
                self.files(|file| {
                    let loss = file.lose_all();
                    lost.writes += loss.writes;
                    lost.lens += loss.lens;
                });
            }
            _ => {
                lost.names =
                    self.lose_names(&mut |label, versions| chooser.choose(label, versions + 1));
                self.files(|file| {
                    let loss = file.lose_some(chooser);
                    lost.writes += loss.writes;
                    lost.lens += loss.lens;
                    lost.torn += loss.torn;
                });
            }
        }
        self.after_crash();
        lost
    }

    /// A legal image of this disk after a power loss, without touching it.
    pub fn crash_image(&self, chooser: &mut dyn Chooser) -> Disk {
        let mut image = self.clone();
        image.power_loss(chooser);
        image
    }

    /// The process died: its handles are gone, the cache lives.
    pub fn process_crash(&mut self) {
        self.close_all();
    }

    /// Flips one bit of one durable byte; returns the file's path, the offset and the bit. Does
    /// nothing on a disk without bytes.
    pub fn rot_a_bit(&mut self, chooser: &mut dyn Chooser) -> Option<(String, u64, u8)> {
        let mut files = Vec::new();
        self.list_files(ROOT, "", &mut files);
        files.retain(|(_, ino)| self.len(*ino) > 0);
        if files.is_empty() {
            return None;
        }
        let (path, ino) =
            files.swap_remove(chooser.choose("rot.file", files.len() as u64) as usize);
        let offset = chooser.choose("rot.byte", self.len(ino));
        let bit = chooser.choose("rot.bit", 8) as u8;
        if let Node::File(file) = &mut self.inodes[ino as usize].node {
            file.flip_bit(offset, bit);
        }
        Some((path, offset, bit))
    }

    fn is_dirty(&self) -> bool {
        self.inodes.iter().any(|(_, inode)| match &inode.node {
            Node::File(file) => file.is_dirty(),
            Node::Dir(dir) => dir.is_dirty(),
        })
    }

    fn files(&mut self, mut each: impl FnMut(&mut super::FileData)) {
        for (_, inode) in &mut self.inodes {
            if let Node::File(file) = &mut inode.node
                && file.is_dirty()
            {
                each(file);
            }
        }
    }

    fn list_files(&self, dir: Ino, prefix: &str, files: &mut Vec<(String, Ino)>) {
        let Node::Dir(data) = &self.inodes[dir as usize].node else { return };
        for (name, ino) in data.iter() {
            let path = format!("{prefix}{name}");
            match self.is_dir(ino) {
                true => self.list_files(ino, &format!("{path}/"), files),
                false => files.push((path, ino)),
            }
        }
    }

    /// Asks for every pending name how many of its last versions are lost, then drops those and
    /// whatever depended on them. Returns how many versions went.
    fn lose_names(&mut self, lose: &mut dyn FnMut(&'static str, u64) -> u64) -> u64 {
        let mut work = Vec::new();
        for (dir, inode) in &self.inodes {
            let Node::Dir(data) = &inode.node else { continue };
            for (name, versions) in data.pending() {
                let count = lose("loss.name", versions.len() as u64) as usize;
                if let Some(first) = versions.get(versions.len() - count) {
                    work.push(Need { dir: dir as Ino, name: name.into(), seq: first.seq });
                }
            }
        }
        let mut lost = LostNames::new();
        let mut count = 0;
        // Losing a version loses what needs it, until nothing changes.
        while !work.is_empty() {
            for Need { dir, name, seq } in std::mem::take(&mut work) {
                count += self.drop_name_versions(dir, &name, seq);
                lost.entry((dir, name)).and_modify(|first| *first = seq.min(*first)).or_insert(seq);
            }
            work = self.versions_in_need(&lost);
        }
        self.settle_names();
        count
    }

    fn drop_name_versions(&mut self, dir: Ino, name: &str, seq: u64) -> u64 {
        let Some(Node::Dir(data)) = self.inodes.get_mut(dir as usize).map(|i| &mut i.node) else {
            return 0;
        };
        let dropped = data.drop_from(name, seq);
        let count = dropped.len() as u64;
        dropped.into_iter().for_each(|ino| self.unlink(ino));
        count
    }

    /// Versions that are still there although one that they need was lost.
    fn versions_in_need(&self, lost: &LostNames) -> Vec<Need> {
        let is_lost = |need: &Need| {
            lost.get(&(need.dir, need.name.clone())).is_some_and(|&first| need.seq >= first)
        };
        let mut found = Vec::new();
        for (dir, inode) in &self.inodes {
            let Node::Dir(data) = &inode.node else { continue };
            for (name, versions) in data.pending() {
                if let Some(version) =
                    versions.iter().find(|version| version.need.as_ref().is_some_and(is_lost))
                {
                    found.push(Need { dir: dir as Ino, name: name.into(), seq: version.seq });
                }
            }
        }
        found
    }

    /// What stayed is durable now.
    fn settle_names(&mut self) {
        let dirs: Vec<Ino> = self.dirty_dirs();
        dirs.into_iter().for_each(|dir| self.make_names_durable(dir, u64::MAX));
    }

    fn dirty_dirs(&self) -> Vec<Ino> {
        let dirty = |inode: &super::Inode| matches!(&inode.node, Node::Dir(dir) if dir.is_dirty());
        self.inodes.iter().filter(|(_, inode)| dirty(inode)).map(|(ino, _)| ino as Ino).collect()
    }

    fn after_crash(&mut self) {
        self.settle_names();
        self.close_all();
        self.used = self
            .inodes
            .iter()
            .map(|(_, inode)| match &inode.node {
                Node::File(file) => file.page_bytes(),
                Node::Dir(_) => 0,
            })
            .sum();
    }

    fn close_all(&mut self) {
        let unused = |(ino, inode): (usize, &mut super::Inode)| {
            inode.handles = 0;
            (inode.links == 0).then_some(ino as Ino)
        };
        let gone: Vec<Ino> = self.inodes.iter_mut().filter_map(unused).collect();
        gone.into_iter().for_each(|ino| self.free_if_unused(ino));
    }
}
