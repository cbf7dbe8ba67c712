//! What is pending, as a partial order: the persist nodes of a disk and which cannot persist
//! without which.
//!
//! The **legal crash set** of a profile is every subset that is closed downwards: with a node all
//! that it comes `after`. What completed barriers forced is not in here any more: it is durable.
//!
//! The rules, by profile (sources: ext4 and xfs documentation in the Linux kernel tree; Pillai et
//! al., OSDI 2014; crash images of Linux 6.18):
//! * Versions of one unit, and of one name, stay as prefixes, everywhere.
//! * A journal ([`NameOrder::Journal`], and btrfs between its commits) keeps a prefix of all
//!   operations on names and all truncations, each whole.
//! * With delayed allocation a grown length enters the journal when its page is written back: any
//!   time after the write, so it needs what was in the journal before, and nothing later needs it.
//!   That is why a hole of zeros before later data is legal.
//! * On xfs, and on ext4 without delayed allocation, such a length needs its own page's data, not
//!   other pages'.
//! * `auto_da_alloc` makes a replacing rename need the new file's length, not its data.
//! * Copy on write makes overwritten data need the journal before it.

use seedbed_env::map::FxHashMap;
use seedbed_faults::{Growth, NameOrder, Profile};

use super::file::{LenChange, UnitWrite};
use super::names::NameVersion;
use super::{Disk, Ino, Node, Site};

/// Which nodes stay, by index.
pub type Kept = Vec<bool>;

/// The persist nodes of a disk, in program order; see the module's head.
#[derive(Clone, Debug)]
pub struct Pending<'a> {
    pub(crate) disk: &'a Disk,
    nodes: Vec<PersistNode>,
    atoms: Vec<Atom<'a>>,
    after: Vec<u32>,
    lanes: u32,
    /// Nodes that stay in every legal set; empty if nothing says so.
    pinned: Vec<usize>,
}

/// One thing that persists as a whole, or not.
#[derive(Clone, Debug)]
pub struct PersistNode {
    /// The operation that made it, in program order.
    pub seq: u64,
    /// Where in the engine's source that operation was called.
    pub site: Site,
    atoms: (u32, u32),
    after: (u32, u32),
    /// Nodes of one lane stay as a prefix.
    pub(super) lane: u32,
    pub(super) kind: Kind,
}

/// Which operation made a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NodeOp {
    /// Bytes of a file.
    Write,
    /// A length that grew by writing.
    Grow,
    /// A length that was set.
    SetLen,
    /// The name of a new file.
    Create,
    /// The name of a new directory.
    CreateDir,
    /// A rename, or half of one.
    Rename,
    /// A name that is gone.
    Remove,
    /// One more name.
    Link,
}

impl NodeOp {
    /// All, in declaration order.
    pub const ALL: [Self; 8] = [
        Self::Write,
        Self::Grow,
        Self::SetLen,
        Self::Create,
        Self::CreateDir,
        Self::Rename,
        Self::Remove,
        Self::Link,
    ];

    /// The name in tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Write => "write",
            Self::Grow => "grow",
            Self::SetLen => "set_len",
            Self::Create => "create",
            Self::CreateDir => "create_dir",
            Self::Rename => "rename",
            Self::Remove => "remove",
            Self::Link => "link",
        }
    }
}

/// What a power loss asks about a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    Unit,
    Len,
    Name,
    Journal,
}

/// What a node is made of.
#[derive(Clone, Copy, Debug)]
pub(super) enum Atom<'a> {
    Write { ino: Ino, index: u32, write: &'a UnitWrite },
    Len { ino: Ino, index: u32, len: &'a LenChange },
    Name { dir: Ino, name: &'a str, nth: u32, version: &'a NameVersion },
}

impl Atom<'_> {
    fn seq(&self) -> u64 {
        match self {
            Self::Write { write, .. } => write.seq,
            Self::Len { len, .. } => len.seq,
            Self::Name { version, .. } => version.op,
        }
    }

    fn site(&self) -> Site {
        match self {
            Self::Write { write, .. } => write.site,
            Self::Len { len, .. } => len.site,
            Self::Name { version, .. } => version.site,
        }
    }

    /// Within one operation: the zeros at a cut file's new end, the cut, the rest of it; data
    /// before the length that it grows; a rename's new name before its old one.
    fn rank(&self, unit: u32) -> u8 {
        match self {
            Self::Write { write, .. } if write.is_tail(unit) => 0,
            Self::Len { len, .. } if !len.grown => 1,
            Self::Write { .. } => 2,
            Self::Len { .. } => 3,
            Self::Name { version, .. } => 4 + u8::from(version.ino.is_none()),
        }
    }
}

impl Disk {
    /// What a power loss could take now.
    pub fn pending(&self) -> Pending<'_> {
        let mut atoms = Vec::new();
        for (ino, inode) in &self.inodes {
            let ino = ino as Ino;
            match &inode.node {
                Node::File(file) => {
                    let write = |(index, write)| Atom::Write { ino, index: index as u32, write };
                    atoms.extend(file.writes().iter().enumerate().map(write));
                    let len = |(index, len)| Atom::Len { ino, index: index as u32, len };
                    atoms.extend(file.lens().iter().enumerate().map(len));
                }
                Node::Dir(data) if data.is_dirty() => {
                    for (name, versions) in data.pending() {
                        let atom = |(nth, version)| Atom::Name { dir: ino, name, nth, version };
                        atoms.extend((0..).zip(versions).map(atom));
                    }
                }
                Node::Dir(_) => {}
            }
        }
        atoms.sort_by_key(|atom| (atom.seq(), atom.rank(self.profile.unit)));
        Builder::new(self, atoms.len()).build(atoms)
    }
}

impl<'a> Pending<'a> {
    /// The nodes, in program order.
    pub fn nodes(&self) -> &[PersistNode] {
        &self.nodes
    }

    /// How many nodes there are.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether a power loss cannot take anything.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// The nodes without which this one cannot persist (not those that these need in turn).
    pub fn after(&self, node: usize) -> impl Iterator<Item = usize> {
        let (start, end) = self.nodes[node].after;
        self.after[start as usize..end as usize].iter().map(|&node| node as usize)
    }

    pub(super) fn atoms(&self, node: usize) -> &[Atom<'a>] {
        let (start, end) = self.nodes[node].atoms;
        &self.atoms[start as usize..end as usize]
    }

    pub(super) fn lanes(&self) -> usize {
        self.lanes as usize
    }

    /// The same with one barrier more: `first` persist before node `before`, or, without one,
    /// before the power goes at all.
    ///
    /// # Panics
    /// If one of `first` is not older than `before`.
    #[must_use]
    pub fn with_barrier(&self, first: &[usize], before: Option<usize>) -> Self {
        let mut ordered = self.clone();
        let Some(before) = before else {
            ordered.pinned.extend(first);
            return ordered;
        };
        assert!(first.iter().all(|&node| node < before), "a barrier puts older before newer");
        ordered.after.clear();
        for (node, persist) in ordered.nodes.iter_mut().enumerate() {
            let start = ordered.after.len() as u32;
            ordered.after.extend(self.after(node).map(|below| below as u32));
            if node == before {
                ordered.after.extend(first.iter().map(|&node| node as u32));
            }
            persist.after = (start, ordered.after.len() as u32);
        }
        ordered
    }

    /// The nodes that stay in every legal set, those that they need included.
    pub(super) fn pinned(&self) -> Kept {
        let mut pinned = vec![false; self.len()];
        self.pinned.iter().for_each(|&node| pinned[node] = true);
        self.close_up(&mut pinned);
        pinned
    }

    /// Whether the set is closed downwards, with all that must stay.
    pub fn is_legal(&self, kept: &[bool]) -> bool {
        self.pinned.iter().all(|&node| kept[node])
            && (0..self.len()).all(|node| !kept[node] || self.after(node).all(|below| kept[below]))
    }

    /// Drops from the set what cannot persist without what is not in it.
    pub fn close_down(&self, kept: &mut [bool]) {
        for node in 0..self.len() {
            kept[node] = kept[node] && self.after(node).all(|below| kept[below]);
        }
    }

    /// Adds to the set what those in it cannot persist without.
    pub fn close_up(&self, kept: &mut [bool]) {
        for node in (0..self.len()).rev() {
            if kept[node] {
                self.after(node).for_each(|below| kept[below] = true);
            }
        }
    }

    /// Calls `visit` with every legal set, until it returns false; the one that keeps everything
    /// comes first and the one that loses everything last. Returns whether all were visited.
    pub fn legal_sets(&self, mut visit: impl FnMut(&Kept) -> bool) -> bool {
        let mut kept = vec![true; self.len()];
        let mut is_over = |kept: &Kept| {
            let all_pinned = self.pinned.iter().all(|&node| kept[node]);
            all_pinned && !visit(kept)
        };
        loop {
            if is_over(&kept) {
                return false;
            }
            // The next one, counting down: the last kept node goes, all behind it come back as
            // far as they may.
            let Some(last) = kept.iter().rposition(|kept| *kept) else { return true };
            kept[last] = false;
            for node in last + 1..self.len() {
                kept[node] = self.after(node).all(|below| kept[below]);
            }
        }
    }

    /// Which operation made a node.
    pub fn op(&self, node: usize) -> NodeOp {
        match self.atoms(node)[0] {
            Atom::Write { write, .. } if write.cuts => NodeOp::SetLen,
            Atom::Write { .. } => NodeOp::Write,
            Atom::Len { len, .. } if len.grown => NodeOp::Grow,
            Atom::Len { .. } => NodeOp::SetLen,
            Atom::Name { version, .. } => match version.ino {
                _ if version.pair.is_some() => NodeOp::Rename,
                None => NodeOp::Remove,
                Some(_) if !version.creates => NodeOp::Link,
                Some(ino) if self.disk.is_dir(ino) => NodeOp::CreateDir,
                Some(_) => NodeOp::Create,
            },
        }
    }

    /// The file whose bytes a node writes, where and how many; none of what a cut leaves behind.
    pub(crate) fn written(&self, node: usize) -> Option<(Ino, u64, u64)> {
        match self.atoms(node)[0] {
            Atom::Write { ino, write, .. } if !write.cuts => {
                let (at, len) = write.range(self.disk.profile.unit);
                Some((ino, at, len))
            }
            _ => None,
        }
    }

    /// What a sync has to be of to cover a node: a file, or the directory of a name.
    pub(crate) fn place(&self, node: usize) -> Ino {
        match self.atoms(node)[0] {
            Atom::Write { ino, .. } | Atom::Len { ino, .. } => ino,
            Atom::Name { dir, .. } => dir,
        }
    }

    /// The path of that; empty for the root.
    pub(crate) fn place_name(&self, node: usize) -> String {
        self.disk.name_of(self.place(node))
    }

    /// A node for people: what it is and where it came from.
    pub fn describe(&self, node: usize) -> String {
        let what: Vec<String> =
            self.atoms(node).iter().map(|atom| self.describe_atom(atom)).collect();
        let site = self.nodes[node].site;
        let site = site.map(|site| format!(" ({}:{})", site.file(), site.line()));
        format!("{}{}", what.join(" and "), site.unwrap_or_default())
    }

    fn describe_atom(&self, atom: &Atom<'_>) -> String {
        match *atom {
            Atom::Write { ino, write, .. } if write.cuts => {
                format!("what {} cuts off", self.disk.name_of(ino))
            }
            Atom::Write { ino, write, .. } => {
                let (at, len) = write.range(self.disk.profile.unit);
                format!("{len} bytes at {at} of {}", self.disk.name_of(ino))
            }
            Atom::Len { ino, len, .. } => {
                format!("length {} of {}", len.to, self.disk.name_of(ino))
            }
            Atom::Name { dir, name, version, .. } => {
                let dir = self.disk.name_of(dir);
                let path = if dir.is_empty() { name.to_owned() } else { format!("{dir}/{name}") };
                match (version.ino, &version.pair) {
                    (Some(_), Some(_)) => format!("new name {path}"),
                    (Some(_), None) => format!("name {path}"),
                    (None, Some(_)) => format!("old name {path} gone"),
                    (None, None) => format!("name {path} gone"),
                }
            }
        }
    }
}

/// Works out the order of atoms and puts those that persist as one into one node.
struct Builder<'a> {
    profile: Profile,
    pending: Pending<'a>,
    lane_ids: FxHashMap<(Kind, Ino, u64), u32>,
    /// The last node of each unit, length and name.
    last: FxHashMap<(Kind, Ino, u64), u32>,
    names: FxHashMap<(Ino, &'a str), u64>,
    journal: Option<u32>,
    /// The last rename of a directory.
    dir_rename: Option<u32>,
}

impl<'a> Builder<'a> {
    fn new(disk: &'a Disk, atoms: usize) -> Self {
        Self {
            profile: disk.profile,
            pending: Pending {
                disk,
                nodes: Vec::with_capacity(atoms),
                atoms: Vec::with_capacity(atoms),
                after: Vec::with_capacity(atoms),
                lanes: 0,
                pinned: Vec::new(),
            },
            lane_ids: FxHashMap::default(),
            last: FxHashMap::default(),
            names: FxHashMap::default(),
            journal: None,
            dir_rename: None,
        }
    }

    fn build(mut self, atoms: Vec<Atom<'a>>) -> Pending<'a> {
        let mut rest = &atoms[..];
        while let Some(first) = rest.first() {
            let together = 1 + rest[1..].iter().take_while(|atom| self.is_one(first, atom)).count();
            let (node, others) = rest.split_at(together);
            self.push(node);
            rest = others;
        }
        self.pending
    }

    fn has_journal(&self) -> bool {
        matches!(self.profile.names, NameOrder::Journal | NameOrder::LogTree)
    }

    /// Whether two atoms, the first being a node's first, persist as one.
    fn is_one(&self, first: &Atom<'_>, other: &Atom<'_>) -> bool {
        if first.seq() != other.seq() {
            return false;
        }
        match (first, other) {
            (Atom::Name { version: a, .. }, Atom::Name { version: b, .. }) => {
                self.has_journal() && !a.free && !b.free || a.needs_pair && a.ino.is_some()
            }
            (Atom::Len { len, .. }, Atom::Write { write, .. }) => {
                self.has_journal() && !len.grown && write.cuts && !write.is_tail(self.profile.unit)
            }
            _ => false,
        }
    }

    fn push(&mut self, atoms: &[Atom<'a>]) {
        let id = self.pending.nodes.len() as u32;
        let start = self.pending.after.len();
        let (key, in_journal) = self.edges(atoms);
        if in_journal {
            self.pending.after.extend(self.journal.replace(id));
        }
        self.pending.after[start..].sort_unstable();
        let lane_key = if in_journal { (Kind::Journal, 0, 0) } else { key };
        let pending = &mut self.pending;
        let lane = *self.lane_ids.entry(lane_key).or_insert_with(|| {
            pending.lanes += 1;
            pending.lanes - 1
        });
        for atom in atoms {
            let key = key_of(&mut self.names, atom, self.profile);
            self.last.insert(key, id);
        }
        let first_atom = self.pending.atoms.len() as u32;
        self.pending.atoms.extend_from_slice(atoms);
        self.pending.nodes.push(PersistNode {
            seq: atoms[0].seq(),
            site: atoms[0].site(),
            atoms: (first_atom, first_atom + atoms.len() as u32),
            after: (start as u32, self.pending.after.len() as u32),
            lane,
            kind: lane_key.0,
        });
    }

    /// Notes what a node comes after, but for the journal; says under what it goes and whether it
    /// is part of the journal.
    fn edges(&mut self, atoms: &[Atom<'a>]) -> ((Kind, Ino, u64), bool) {
        let key = key_of(&mut self.names, &atoms[0], self.profile);
        match &atoms[0] {
            Atom::Write { write, .. } => {
                self.pending.after.extend(self.last.get(&key));
                if self.profile.copy_on_write && !write.free {
                    self.pending.after.extend(self.journal);
                }
                (key, false)
            }
            Atom::Len { ino, len, .. } if len.grown => self.edges_of_growth(*ino, len, key),
            Atom::Len { len, .. } if len.is_bare() => (key, false),
            Atom::Len { ino, len, .. } => self.edges_of_set_len(*ino, len, key),
            Atom::Name { dir, version, .. } => {
                if self.has_journal() && !version.free {
                    // One before it may be out of the order.
                    for atom in atoms {
                        let key = key_of(&mut self.names, atom, self.profile);
                        self.pending.after.extend(self.last.get(&key));
                    }
                    self.edges_of_old_name(version);
                    if version.replaces && self.profile.replace_flushes {
                        self.edges_of_replacement(version.ino);
                    }
                    return (key, true);
                }
                for atom in atoms {
                    let key = key_of(&mut self.names, atom, self.profile);
                    self.pending.after.extend(self.last.get(&key));
                }
                self.edges_of_old_name(version);
                self.edges_of_dir_rename(*dir, version);
                (key, false)
            }
        }
    }

    /// Moves of directories into others persist in order everywhere: out of it they could put two
    /// into each other, and lose both.
    fn edges_of_dir_rename(&mut self, dir: Ino, version: &NameVersion) {
        let moves = version.pair.as_ref().is_some_and(|from| from.dir != dir);
        if moves && version.ino.is_some_and(|ino| self.pending.disk.is_dir(ino)) {
            self.pending.after.extend(self.dir_rename.replace(self.pending.nodes.len() as u32));
        }
    }

    /// A journal first writes the zeros at a cut file's new end, if there are bytes on the device
    /// that they hide. A block that is not there yet has none.
    fn edges_of_set_len(
        &mut self,
        ino: Ino,
        len: &LenChange,
        key: (Kind, Ino, u64),
    ) -> ((Kind, Ino, u64), bool) {
        if !self.has_journal() {
            self.pending.after.extend(self.last.get(&key));
            return (key, false);
        }
        let unit = len.to / u64::from(self.profile.unit);
        let tail = self.last.get(&(Kind::Unit, ino, unit));
        let is_there = || self.pending.disk.has_block(ino, unit as u32);
        let hides = self.profile.zeros_before_cut && (self.profile.data_before_len || is_there());
        let tail = tail.filter(|_| hides);
        if let Some(&tail) = tail.filter(|&&tail| self.pending.nodes[tail as usize].seq == len.seq)
        {
            self.pending.after.push(tail);
        }
        (key, true)
    }

    fn edges_of_growth(
        &mut self,
        ino: Ino,
        len: &LenChange,
        key: (Kind, Ino, u64),
    ) -> ((Kind, Ino, u64), bool) {
        if self.profile.growth == Growth::Independent {
            self.pending.after.extend(self.last.get(&key));
            return (key, false);
        }
        let unit = (len.to - 1) / u64::from(self.profile.unit);
        if self.profile.data_before_len
            && (self.profile.growth != Growth::AtWrite || self.allocates(ino, len.seq, unit as u32))
        {
            self.pending.after.extend(self.last.get(&(Kind::Unit, ino, unit)));
        }
        if self.profile.growth == Growth::AtWrite {
            return (key, true);
        }
        if !len.free {
            self.pending.after.extend(self.journal);
        }
        (key, false)
    }

    /// The old name of a rename goes only with the new one, which is the node before if it is
    /// pending.
    fn edges_of_old_name(&mut self, version: &NameVersion) {
        let Some(before) = self.pending.nodes.last() else { return };
        // A log that held the new name may not hold it any more.
        let is_over = |(dir, name, other): (Ino, &str, &NameVersion)| {
            let pair = version.pair.as_ref();
            let is_pair = pair.is_some_and(|pair| pair.dir == dir && *pair.name == *name);
            is_pair && other.free && other.op > version.op
        };
        if version.free && self.pending.disk.pending_names().any(is_over) {
            return;
        }
        if version.ino.is_none() && version.needs_pair && before.seq == version.op {
            self.pending.after.push(self.pending.nodes.len() as u32 - 1);
        }
    }

    /// Whether an operation was the first to write to a unit that is not on the device.
    fn allocates(&self, ino: Ino, seq: u64, unit: u32) -> bool {
        let Node::File(file) = &self.pending.disk.inodes[ino as usize].node else { return false };
        let mut writes = file.writes().iter().filter(|write| write.unit == unit);
        writes.find(|write| write.seq == seq).is_some_and(|write| file.allocates(write))
    }

    /// The length of the file that a rename puts in another's place: the blocks for it were
    /// allocated, but nobody waited for the data.
    fn edges_of_replacement(&mut self, ino: Option<Ino>) {
        let of_file = |((kind, of, _), node): (&(Kind, Ino, u64), &u32)| {
            (Some(*of) == ino && *kind == Kind::Len).then_some(*node)
        };
        self.pending.after.extend(self.last.iter().filter_map(of_file));
    }
}

/// Under what an atom's versions are kept as a prefix. With delayed allocation each grown length
/// stays or goes by itself.
fn key_of<'a>(
    names: &mut FxHashMap<(Ino, &'a str), u64>,
    atom: &Atom<'a>,
    profile: Profile,
) -> (Kind, Ino, u64) {
    match atom {
        Atom::Write { ino, write, .. } => (Kind::Unit, *ino, u64::from(write.unit)),
        Atom::Len { ino, index, len }
            if (len.grown || len.is_bare()) && profile.growth == Growth::Delayed =>
        {
            (Kind::Len, *ino, 1 + u64::from(*index))
        }
        Atom::Len { ino, .. } => (Kind::Len, *ino, 0),
        Atom::Name { dir, name, .. } => {
            let next = names.len() as u64;
            (Kind::Name, *dir, *names.entry((*dir, name)).or_insert(next))
        }
    }
}
