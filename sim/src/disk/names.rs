//! Directories: the versions of each name, and what makes them durable.

use std::collections::BTreeMap;

use super::{Disk, Ino, Node};

/// A directory's names.
#[derive(Clone, Debug, Default)]
pub(super) struct DirData {
    names: BTreeMap<Box<str>, Name>,
    /// Names with versions that may still be lost.
    pending: usize,
}

/// One name: what it durably stands for, and the versions since.
#[derive(Clone, Debug, Default)]
struct Name {
    durable: Option<Ino>,
    versions: Vec<NameVersion>,
}

#[derive(Clone, Debug)]
pub(super) struct NameVersion {
    pub seq: u64,
    pub ino: Option<Ino>,
    /// This version stays only if that one does.
    pub need: Option<Need>,
}

/// A version of a name somewhere, which another version depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Need {
    pub dir: Ino,
    pub name: Box<str>,
    pub seq: u64,
}

impl Name {
    fn current(&self) -> Option<Ino> {
        self.versions.last().map_or(self.durable, |version| version.ino)
    }

    fn is_gone(&self) -> bool {
        self.durable.is_none() && self.versions.is_empty()
    }
}

impl DirData {
    /// What readers see under a name.
    pub(super) fn get(&self, name: &str) -> Option<Ino> {
        self.names.get(name)?.current()
    }

    /// Names readers see, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, Ino)> {
        self.names.iter().filter_map(|(name, entry)| Some((&**name, entry.current()?)))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }

    pub(super) fn is_dirty(&self) -> bool {
        self.pending > 0
    }

    pub(super) fn push(&mut self, name: &str, seq: u64, ino: Option<Ino>, need: Option<Need>) {
        let version = NameVersion { seq, ino, need };
        let entry = match self.names.get_mut(name) {
            Some(entry) => entry,
            None => self.names.entry(name.into()).or_default(),
        };
        self.pending += usize::from(entry.versions.is_empty());
        entry.versions.push(version);
    }

    pub(super) fn set_last_need(&mut self, name: &str, need: Need) {
        if let Some(version) = self.names.get_mut(name).and_then(|n| n.versions.last_mut()) {
            version.need = Some(need);
        }
    }

    /// Names with pending versions, with how many, in name order.
    pub(super) fn pending(&self) -> impl Iterator<Item = (&str, &[NameVersion])> {
        self.names
            .iter()
            .filter(|(_, entry)| !entry.versions.is_empty())
            .map(|(name, entry)| (&**name, &*entry.versions))
    }

    /// Makes a name's versions up to `upto` durable. Returns the inodes that lost a name by it,
    /// and what those versions needed.
    fn make_durable(&mut self, name: &str, upto: u64) -> (Vec<Ino>, Vec<Need>) {
        let (mut released, mut needs) = (Vec::new(), Vec::new());
        let Some(entry) = self.names.get_mut(name) else { return (released, needs) };
        let covered = entry.versions.iter().take_while(|version| version.seq <= upto).count();
        for version in entry.versions.drain(..covered) {
            released.extend(std::mem::replace(&mut entry.durable, version.ino));
            needs.extend(version.need);
        }
        self.tidy(name, covered > 0);
        (released, needs)
    }

    /// Drops a name's versions from the one numbered `seq` on. Returns what they stood for.
    pub(super) fn drop_from(&mut self, name: &str, seq: u64) -> Vec<Option<Ino>> {
        let Some(entry) = self.names.get_mut(name) else { return Vec::new() };
        let first = entry.versions.iter().take_while(|version| version.seq < seq).count();
        let dropped = entry.versions.drain(first..).map(|version| version.ino).collect::<Vec<_>>();
        self.tidy(name, !dropped.is_empty());
        dropped
    }

    /// Keeps the count of pending names right and forgets names that stand for nothing.
    fn tidy(&mut self, name: &str, changed: bool) {
        let Some(entry) = self.names.get(name) else { return };
        if changed && entry.versions.is_empty() {
            self.pending -= 1;
        }
        if entry.is_gone() {
            self.names.remove(name);
        }
    }

    /// Every inode named by any version.
    pub(super) fn into_inos(self) -> impl Iterator<Item = Ino> {
        self.names.into_values().flat_map(|name| {
            name.durable.into_iter().chain(name.versions.into_iter().filter_map(|v| v.ino))
        })
    }
}

impl Disk {
    /// Makes a directory's names durable, and with them whatever those versions need elsewhere (a
    /// rename that took a name away here is durable only together with the new name).
    pub(super) fn make_names_durable(&mut self, dir: Ino, upto: u64) {
        let Node::Dir(data) = &self.inodes[dir as usize].node else { return };
        if !data.is_dirty() {
            return;
        }
        let mut work: Vec<Need> =
            data.pending().map(|(name, _)| Need { dir, name: name.into(), seq: upto }).collect();
        while let Some(Need { dir, name, seq }) = work.pop() {
            // The other directory may have been removed since.
            let Some(Node::Dir(data)) = self.inodes.get_mut(dir as usize).map(|i| &mut i.node)
            else {
                continue;
            };
            let (released, needs) = data.make_durable(&name, seq);
            work.extend(needs);
            released.into_iter().for_each(|ino| self.unlink(Some(ino)));
        }
    }
}
