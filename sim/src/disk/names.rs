//! Directories: the versions of each name, and what makes them durable.

use std::collections::BTreeMap;

use seedbed_faults::NameOrder;
use xxhash_rust::xxh3::Xxh3Default;

use super::{Disk, Ino, Node, Site};

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
    /// What the last commit has here, where a log tree has displaced it since.
    committed: Option<Ino>,
    /// A log tree made durable what it stands for.
    logged: bool,
    versions: Vec<NameVersion>,
}

/// A name stands for another inode, or for none any more.
#[derive(Clone, Debug)]
pub(super) struct NameVersion {
    /// The operation that made it, in program order; a rename makes two versions.
    pub op: u64,
    pub ino: Option<Ino>,
    /// The other half of a rename.
    pub pair: Option<Place>,
    /// This version stays only if its pair does.
    pub needs_pair: bool,
    /// The operation created the inode.
    pub creates: bool,
    /// A rename that replaced a file.
    pub replaces: bool,
    /// It may persist out of the order of names: a log tree may hold it.
    pub free: bool,
    pub site: Site,
}

impl NameVersion {
    /// What a log may hold of a name just before the operation that made version `by`, which leaves
    /// three numbers for that: see [`Disk::version`].
    fn before(ino: Option<Ino>, by: &Self) -> Self {
        Self { ino, ..Self::free(by.op - 1, by.site) }
    }

    /// That a name is gone, as a log may hold it.
    fn free(op: u64, site: Site) -> Self {
        Self {
            op,
            ino: None,
            pair: None,
            needs_pair: false,
            creates: false,
            replaces: false,
            free: true,
            site,
        }
    }
}

/// A name in a directory.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub dir: Ino,
    pub name: Box<str>,
}

impl Name {
    fn current(&self) -> Option<Ino> {
        self.versions.last().map_or(self.durable, |version| version.ino)
    }

    fn is_gone(&self) -> bool {
        self.durable.is_none() && self.committed.is_none() && self.versions.is_empty()
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

    pub(super) fn push(&mut self, name: &str, version: NameVersion) {
        let entry = match self.names.get_mut(name) {
            Some(entry) => entry,
            None => self.names.entry(name.into()).or_default(),
        };
        self.pending += usize::from(entry.versions.is_empty());
        entry.versions.push(version);
    }

    /// Names with pending versions, with these, in name order.
    pub(super) fn pending(&self) -> impl Iterator<Item = (&str, &[NameVersion])> {
        self.names
            .iter()
            .filter(|(_, entry)| !entry.versions.is_empty())
            .map(|(name, entry)| (&**name, &*entry.versions))
    }

    /// Makes a name's versions up to operation `upto` durable, by a commit or by a log. Returns
    /// them, and the inodes that lost a name by it.
    fn make_durable(
        &mut self,
        name: &str,
        upto: u64,
        by_log: bool,
    ) -> (Vec<NameVersion>, Vec<Ino>) {
        let Some(entry) = self.names.get_mut(name) else { return Default::default() };
        let covered = entry.versions.iter().take_while(|version| version.op <= upto).count();
        let versions: Vec<NameVersion> = entry.versions.drain(..covered).collect();
        let mut released = Vec::new();
        for version in &versions {
            let displaced = std::mem::replace(&mut entry.durable, version.ino);
            match displaced {
                Some(ino) if by_log && entry.committed.is_none() => entry.committed = Some(ino),
                displaced => released.extend(displaced),
            }
        }
        entry.logged |= by_log && covered > 0;
        self.tidy(name, covered > 0);
        (versions, released)
    }

    /// A name that a log holds gets a new version: until that is in the log as well, it may hold
    /// that the name is gone, or nothing of it, which leaves what the last commit has. Returns what
    /// that is, if a version names it now.
    pub(super) fn unsettle(&mut self, name: &str, by: &NameVersion) -> Option<Ino> {
        let entry = self.names.get_mut(name).filter(|entry| entry.logged)?;
        self.pending += usize::from(entry.versions.is_empty());
        let committed = entry.committed;
        let commit = NameVersion { op: by.op - 2, ..NameVersion::before(committed, by) };
        entry.versions.extend(committed.map(|_| commit));
        entry.versions.push(NameVersion::before(None, by));
        committed
    }

    /// The same where a rename has just taken what the name stood for elsewhere: nothing of it is
    /// gone before the new name is there. Two more operations, from `op` on.
    pub(super) fn unsettle_moved(&mut self, name: &str, op: u64) -> Option<Ino> {
        let entry = self.names.get_mut(name).filter(|entry| entry.logged)?;
        let committed = entry.committed?;
        let by = entry.versions.last().expect("the rename").clone();
        let commit = NameVersion { op, ..NameVersion::before(Some(committed), &by) };
        entry.versions.push(commit);
        entry.versions.push(NameVersion { op: op + 1, ..NameVersion::before(None, &by) });
        Some(committed)
    }

    /// Where the last commit has a directory that a log had moved away, it may be again from one
    /// operation to another, as one with what else the first of them is. Returns in how many
    /// places.
    pub(super) fn bring_back(&mut self, ino: Ino, (from, to): (u64, u64), site: Site) -> usize {
        let mut places = 0;
        let settled = |entry: &&mut Name| entry.committed == Some(ino) && entry.versions.is_empty();
        for entry in self.names.values_mut().filter(settled) {
            let there =
                NameVersion { ino: Some(ino), needs_pair: true, ..NameVersion::free(from, site) };
            entry.versions.extend([there, NameVersion::free(to, site)]);
            self.pending += 1;
            places += 1;
        }
        places
    }

    /// The inode that a name stood for is elsewhere, and a log holds where: it does not hold any
    /// more that the name had been taken from what the last commit has there, which comes back,
    /// while that the name is gone is pending. Returns whether there is such a thing.
    pub(super) fn uncover(&mut self, name: &str, ino: Ino) -> bool {
        let Some(entry) = self.names.get_mut(name) else { return false };
        if entry.committed.is_none_or(|committed| committed == ino) {
            return false;
        }
        entry.durable = entry.committed.take();
        true
    }

    /// A commit: what it has is what is durable. Returns what was displaced.
    pub(super) fn forget_committed(&mut self) -> Vec<Ino> {
        self.names.values_mut().for_each(|entry| entry.logged = false);
        let taken: Vec<Ino> =
            self.names.values_mut().filter_map(|entry| entry.committed.take()).collect();
        if !taken.is_empty() {
            self.names.retain(|_, entry| !entry.is_gone());
        }
        taken
    }

    /// What a name durably stands for.
    pub(super) fn durable(&self, name: &str) -> Option<Ino> {
        self.names.get(name)?.durable
    }

    /// Lets a name be gone between standing for an inode and for the one that replaced it.
    pub(super) fn interrupt(&mut self, ino: Ino) {
        for entry in self.names.values_mut() {
            let mut before = entry.durable;
            let replaced = entry.versions.iter().position(|version| {
                let known = std::mem::replace(&mut before, version.ino);
                known == Some(ino) && version.ino.is_some() && version.ino != Some(ino)
            });
            if let Some(at) = replaced {
                let gone = NameVersion::before(None, &entry.versions[at]);
                entry.versions.insert(at, gone);
            }
        }
    }

    /// Lets pending versions that are asked for persist out of order. Returns the other halves of
    /// renames among them, with the operation.
    pub(super) fn loosen(
        &mut self,
        wanted: impl Fn(&str, Option<Ino>, &NameVersion) -> bool,
    ) -> Vec<(Place, u64)> {
        let mut pairs = Vec::new();
        for (name, entry) in &mut self.names {
            let mut before = entry.durable;
            for version in &mut entry.versions {
                if wanted(name, before, version) {
                    version.free = true;
                    pairs.extend(version.pair.clone().map(|pair| (pair, version.op)));
                }
                before = version.ino;
            }
        }
        pairs
    }

    /// Whether what a name durably stands for has been renamed to another.
    pub(super) fn is_moved(&self, name: &str) -> bool {
        let first = self.names.get(name).and_then(|entry| entry.versions.first());
        first.is_some_and(|first| first.ino.is_none() && first.pair.is_some())
    }

    /// Whether a name durably stands for an inode.
    pub(super) fn names_durably(&self, ino: Ino) -> bool {
        self.names.values().any(|name| name.durable == Some(ino))
    }

    /// Whether any version of any name stands for an inode.
    pub(super) fn mentions(&self, ino: Ino) -> bool {
        self.names.values().any(|name| {
            name.durable == Some(ino) || name.versions.iter().any(|v| v.ino == Some(ino))
        })
    }

    /// Drops a name's versions but the first `keep`. Returns what they stood for.
    pub(super) fn keep_versions(&mut self, name: &str, keep: usize) -> Vec<Option<Ino>> {
        let Some(entry) = self.names.get_mut(name) else { return Vec::new() };
        let dropped = entry.versions.drain(keep..).map(|version| version.ino).collect::<Vec<_>>();
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

    /// All names, also those that readers do not see, with what they durably stand for and the
    /// versions since.
    pub(super) fn all(&self) -> impl Iterator<Item = (&str, Option<Ino>, &[NameVersion])> {
        self.names.iter().map(|(name, entry)| (&**name, entry.durable, &*entry.versions))
    }

    /// Adds the names and what may still be lost of them to a hash; operations are numbered from
    /// `first` on.
    pub(super) fn hash_state(&self, first: u64, hash: &mut Xxh3Default) {
        let number = |ino: Option<Ino>| ino.map_or(u64::MAX, u64::from).to_le_bytes();
        for (name, Name { durable, committed, logged, versions }) in &self.names {
            hash.update(name.as_bytes());
            hash.update(&[0, 4, u8::from(*logged)]);
            hash.update(&number(*durable));
            hash.update(&number(*committed));
            for version in versions {
                let NameVersion { op, ino, pair, needs_pair, creates, replaces, free, site: _ } =
                    version;
                hash.update(&(op - first).to_le_bytes());
                hash.update(&number(*ino));
                let flags = [*needs_pair, *creates, *replaces, *free].map(u8::from);
                hash.update(&flags);
                if let Some(Place { dir, name }) = pair {
                    hash.update(&dir.to_le_bytes());
                    hash.update(name.as_bytes());
                }
                hash.update(&[0, 5]);
            }
        }
    }

    /// Every inode named by any version.
    pub(super) fn into_inos(self) -> impl Iterator<Item = Ino> {
        self.names.into_values().flat_map(|name| {
            let sure = name.durable.into_iter().chain(name.committed);
            sure.chain(name.versions.into_iter().filter_map(|v| v.ino))
        })
    }
}

impl Disk {
    /// Pending versions of all names, with where they are.
    pub(super) fn pending_names(&self) -> impl Iterator<Item = (Ino, &str, &NameVersion)> {
        self.inodes.iter().flat_map(|(dir, inode)| {
            let names = match &inode.node {
                Node::Dir(data) if data.is_dirty() => Some(data.pending()),
                _ => None,
            };
            let versions = move |(name, versions)| {
                <[NameVersion]>::iter(versions).map(move |version| (dir as Ino, name, version))
            };
            names.into_iter().flatten().flat_map(versions)
        })
    }

    /// Makes a directory's names durable, and with them whatever those versions need elsewhere (a
    /// rename that took a name away here is durable only together with the new name).
    pub(super) fn make_names_durable(&mut self, dir: Ino, upto: u64) {
        // It may have gone with a name in another one.
        let Some(Node::Dir(data)) = self.inodes.get(dir as usize).map(|inode| &inode.node) else {
            return;
        };
        if !data.is_dirty() {
            return;
        }
        let place = |name: &str| (Place { dir, name: name.into() }, upto);
        let places = data.pending().map(|(name, _)| place(name)).collect();
        self.make_places_durable(places, |version| version.needs_pair);
    }

    /// Makes names durable up to an operation each, and the pairs of those versions that `follow`
    /// says so of.
    pub(super) fn make_places_durable(
        &mut self,
        mut work: Vec<(Place, u64)>,
        follow: impl Fn(&NameVersion) -> bool,
    ) {
        let by_log = self.profile.names == NameOrder::LogTree;
        while let Some((Place { dir, name }, upto)) = work.pop() {
            // The directory may have been removed since.
            let Some(Node::Dir(data)) = self.inodes.get_mut(dir as usize).map(|i| &mut i.node)
            else {
                continue;
            };
            let (versions, released) = data.make_durable(&name, upto, by_log);
            for version in versions.into_iter().filter(|version| follow(version)) {
                let op = version.op;
                work.extend(version.pair.map(|place| (place, op)));
            }
            released.into_iter().for_each(|ino| self.unlink(Some(ino)));
        }
    }
}
