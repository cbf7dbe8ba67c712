//! What a power loss leaves: one legal image, picked by decisions.

use super::pending::Kind;
use super::{Disk, ErrSeq, Ino, Node, PAGE, Pending, SECTOR, Spoil, Tear};

/// Answers the questions of a power loss. Any `FnMut(label, bound) -> answer` is one; answer 0
/// always keeps the newest version.
pub trait Chooser {
    /// Picks one of `0..bound`.
    fn choose(&mut self, label: &'static str, bound: u64) -> u64;

    /// Whether a lost write that spans sectors is torn.
    fn torn(&mut self) -> bool {
        self.choose("loss.torn", 2) == 1
    }

    /// Whether there is junk where a write was caught.
    fn garbage(&mut self) -> bool {
        false
    }

    /// Told what stays of what is pending, unless that is all or nothing.
    fn told(&mut self, _pending: &Pending<'_>, _kept: &[bool]) {}
}

impl<F: FnMut(&'static str, u64) -> u64> Chooser for F {
    fn choose(&mut self, label: &'static str, bound: u64) -> u64 {
        self(label, bound)
    }
}

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
    /// Pages with junk in them.
    pub junk: u64,
}

/// Answers of the first question of a power loss.
const KEEP_ALL: u64 = 0;
const LOSE_ALL: u64 = 1;
const MODES: u64 = 4;

impl Disk {
    /// Takes the power away: open handles are gone, and of everything not durable a legal part
    /// stays, picked by `chooser`.
    pub fn power_loss(&mut self, chooser: &mut dyn Chooser) -> Lost {
        self.close_all();
        // Two of the answers mean "mixed", so that half of all power losses are.
        match if self.is_dirty() { chooser.choose("loss.mode", MODES) } else { KEEP_ALL } {
            KEEP_ALL => {
                self.files(|file| file.keep_all());
                self.after_crash();
                Lost::default()
            }
            LOSE_ALL => self.lose_all(),
            _ => {
                let pending = self.pending();
                let (kept, tears) = pending.sample(chooser);
                chooser.told(&pending, &kept);
                let cut = pending.cut(&kept, &tears);
                let garbage = chooser.garbage();
                let (mut spoil, mut caught) = (None, None);
                match garbage {
                    false => {}
                    true if self.device.garbage_in_write => {
                        let pick = pending.pick_spoil(&kept, chooser);
                        let place = |spoil: Spoil| {
                            let (ino, at, _) = pending.written(spoil.node)?;
                            Some(((ino, at), pending.open_bytes(spoil.node), spoil.junk))
                        };
                        spoil = pick.and_then(place);
                    }
                    true => caught = pending.caught(&kept, chooser),
                }
                let mut lost = self.apply(cut);
                if let Some((place, open, junk)) = spoil {
                    lost.junk = u64::from(self.spoil(place, &open, junk, chooser));
                }
                if let Some((ino, at)) = caught {
                    let whole = !self.device.powersafe_overwrite;
                    let (at, len) =
                        if whole { (at - at % PAGE as u64, PAGE) } else { (at, SECTOR) };
                    self.put_junk(ino, at, len, chooser);
                    lost.junk = 1;
                }
                lost
            }
        }
    }

    fn lose_all(&mut self) -> Lost {
        let mut lost = Lost::default();
        self.files(|file| {
            let loss = file.lose_all();
            lost.writes += loss.writes;
            lost.lens += loss.lens;
        });
        let names: Vec<(Ino, Box<str>)> =
            self.pending_names().map(|(dir, name, _)| (dir, name.into())).collect();
        lost.names = names.len() as u64;
        for (dir, name) in names {
            let Some(Node::Dir(data)) = self.inodes.get_mut(dir as usize).map(|i| &mut i.node)
            else {
                continue;
            };
            let dropped = data.keep_versions(&name, 0);
            dropped.into_iter().for_each(|ino| self.unlink(ino));
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

    pub(super) fn list_files(&self, dir: Ino, prefix: &str, files: &mut Vec<(String, Ino)>) {
        let Node::Dir(data) = &self.inodes[dir as usize].node else { return };
        for (name, ino) in data.iter() {
            let path = format!("{prefix}{name}");
            match self.is_dir(ino) {
                true => self.list_files(ino, &format!("{path}/"), files),
                false => files.push((path, ino)),
            }
        }
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

    pub(super) fn after_crash(&mut self) {
        self.settle_names();
        self.end_log();
        self.journal_end = 0;
        self.aborting = false;
        self.is_shut_down = false;
        self.cached.clear();
        self.inodes.iter_mut().for_each(|(_, inode)| inode.errors = ErrSeq::default());
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

impl Pending<'_> {
    /// A write that was on its way: a file, and where one of its sectors starts.
    fn caught(&self, kept: &[bool], chooser: &mut dyn Chooser) -> Option<(Ino, u64)> {
        let lost: Vec<(Ino, u64, u64)> = (0..self.len())
            .filter(|node| !kept[*node])
            .filter_map(|node| self.written(node))
            .collect();
        if lost.is_empty() {
            return None;
        }
        let (ino, at, len) = lost[chooser.choose("loss.caught", lost.len() as u64) as usize];
        let first = at / SECTOR as u64;
        let sectors = (at + len).div_ceil(SECTOR as u64) - first;
        Some((ino, (first + chooser.choose("loss.caught_sector", sectors)) * SECTOR as u64))
    }

    /// A legal set picked by decisions: of each lane (the versions of one unit, length or name, or
    /// the journal) how many of the last are lost, and with them what needs them. Answers of 0
    /// keep everything.
    fn sample(&self, chooser: &mut dyn Chooser) -> (Vec<bool>, Vec<Tear>) {
        let mut sizes = vec![0_u64; self.lanes()];
        self.nodes().iter().for_each(|node| sizes[node.lane as usize] += 1);
        let mut lanes: Vec<Option<u64>> = vec![None; self.lanes()];
        let mut kept = Vec::with_capacity(self.len());
        for node in self.nodes() {
            let (lane, size) = (node.lane as usize, sizes[node.lane as usize]);
            let left = lanes[lane]
                .get_or_insert_with(|| size - chooser.choose(node.kind.label(), size + 1));
            kept.push(*left > 0);
            *left = left.saturating_sub(1);
        }
        self.close_down(&mut kept);
        let mut tears = Vec::new();
        for node in self.first_lost(&kept) {
            if chooser.torn() {
                // Neither none nor all of the sectors: those are whole versions.
                let sectors = 1 + chooser.choose("loss.sectors", (1 << self.tearable(node)) - 2);
                tears.push(Tear { node, sectors });
            }
        }
        (kept, tears)
    }

    /// The questions of a power loss that leaves exactly this, with their answers. `spoil` is for
    /// a world in which junk is one of the questions; the inner `None` is the answer no.
    pub fn answers(
        &self,
        kept: &[bool],
        tears: &[Tear],
        spoil: Option<Option<Spoil>>,
    ) -> Vec<(&'static str, u64)> {
        let mut answers = Vec::new();
        if self.is_empty() {
            return answers;
        }
        answers.push(("loss.mode", MODES - 1));
        let mut asked = vec![false; self.lanes()];
        for node in self.nodes() {
            let lane = node.lane;
            if !std::mem::replace(&mut asked[lane as usize], true) {
                let lost =
                    self.nodes().iter().zip(kept).filter(|(n, kept)| n.lane == lane && !**kept);
                answers.push((node.kind.label(), lost.count() as u64));
            }
        }
        for node in self.first_lost(kept) {
            let torn = tears.iter().find(|tear| tear.node == node);
            answers.push(("loss.torn", u64::from(torn.is_some())));
            answers.extend(torn.map(|tear| ("loss.sectors", tear.sectors - 1)));
        }
        if let Some(spoil) = spoil {
            answers.push(("loss.garbage", u64::from(spoil.is_some())));
            answers.extend(spoil.into_iter().flat_map(|spoil| self.spoil_answers(kept, spoil)));
        }
        answers
    }
}

impl Kind {
    /// The label of the decision how much of a lane is lost.
    fn label(self) -> &'static str {
        match self {
            Self::Unit => "loss.page",
            Self::Len => "loss.len",
            Self::Name => "loss.name",
            Self::Journal => "loss.journal",
        }
    }
}
