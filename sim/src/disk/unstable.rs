//! Junk in place of the bytes of one write that nothing has made durable.
//!
//! Which version of such bytes a power loss leaves is open, so whoever reads them has to check them
//! first. No legal image shows whether somebody does, where all legal versions happen to be right.
//! Junk does: it is put exactly where the write was, and only where nothing that stays proves that
//! the write is there (a length that comes after its data is such a proof). The neighbours, and
//! whatever a sync has covered, keep their bytes.

use super::media::noise;
use super::pending::Kind;
use super::{Chooser, Disk, Ino, Kept, Node, Pending};

/// One write that stays, with junk in the place of its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spoil {
    /// The write, as an index of [`Pending::nodes`].
    pub node: usize,
    /// What is there instead.
    pub junk: Junk,
}

/// What is in the place of a write's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Junk {
    /// Bytes without meaning.
    Noise,
    /// Zeros.
    Zeros,
    /// The bytes of the same file before them: something well-formed in a wrong place.
    Stale,
    /// Its own bytes, but for four without meaning: word number so much of them.
    Word(u64),
}

/// Bytes of a word.
const WORD: u64 = 4;
/// So many words of a write are spoiled alone: those that hold a record's header.
const WORDS_MAX: u64 = 16;

impl Junk {
    /// How many kinds there are, words included.
    const KINDS: u64 = 3 + WORDS_MAX;

    const fn of(answer: u64) -> Self {
        match answer {
            0 => Self::Noise,
            1 => Self::Zeros,
            2 => Self::Stale,
            word => Self::Word(word - 3),
        }
    }

    const fn answer(self) -> u64 {
        match self {
            Self::Noise => 0,
            Self::Zeros => 1,
            Self::Stale => 2,
            Self::Word(word) => word + 3,
        }
    }

    /// For people.
    pub fn describe(self) -> String {
        match self {
            Self::Noise => "noise".to_owned(),
            Self::Zeros => "zeros".to_owned(),
            Self::Stale => "the bytes before them".to_owned(),
            Self::Word(word) => format!("noise in bytes {}..{}", word * WORD, (word + 1) * WORD),
        }
    }
}

impl Pending<'_> {
    /// Whether junk may be in the place of this node: a write that stays, of which nothing that
    /// stays as well proves that it is there.
    pub fn can_spoil(&self, kept: &[bool], node: usize) -> bool {
        let needs = |later: usize| kept[later] && self.after(later).any(|below| below == node);
        kept[node] && self.is_data(node) && !(node + 1..self.len()).any(needs)
    }

    /// Visits what a power loss may leave with one write spoiled, until `visit` returns false: each
    /// write with all else that may be there, with no other data, and with what was before it.
    pub fn spoiled(&self, mut visit: impl FnMut(&Kept, Spoil, Disk) -> bool) {
        for node in (0..self.len()).filter(|&node| self.is_data(node)) {
            for kept in self.around(node) {
                let image = self.image(&kept, &[]);
                for junk in (0..Junk::KINDS).map(Junk::of) {
                    let spoil = Spoil { node, junk };
                    let mut image = image.clone();
                    let is_junk = self.spoil(&mut image, spoil);
                    if is_junk && !visit(&kept, spoil, image) {
                        return;
                    }
                }
            }
        }
    }

    /// The image of these nodes with one write spoiled.
    pub fn spoiled_image(&self, kept: &[bool], spoil: Spoil) -> Disk {
        let mut image = self.image(kept, &[]);
        self.spoil(&mut image, spoil);
        image
    }

    /// The write that a power loss spoils, picked by decisions; `None` if none can be.
    pub(super) fn pick_spoil(&self, kept: &[bool], chooser: &mut dyn Chooser) -> Option<Spoil> {
        let nodes = self.spoilable(kept);
        if nodes.is_empty() {
            return None;
        }
        let node = nodes[chooser.choose("loss.caught", nodes.len() as u64) as usize];
        let junk = Junk::of(chooser.choose("loss.junk", Junk::KINDS));
        Some(Spoil { node, junk })
    }

    /// The questions of [`Pending::pick_spoil`] with the answers that lead to this.
    pub(super) fn spoil_answers(&self, kept: &[bool], spoil: Spoil) -> [(&'static str, u64); 2] {
        let nth = self.spoilable(kept).iter().position(|node| *node == spoil.node);
        let nth = nth.expect("a write that can be spoiled") as u64;
        [("loss.caught", nth), ("loss.junk", spoil.junk.answer())]
    }

    fn spoilable(&self, kept: &[bool]) -> Vec<usize> {
        (0..self.len()).filter(|&node| self.can_spoil(kept, node)).collect()
    }

    fn is_data(&self, node: usize) -> bool {
        self.nodes()[node].kind == Kind::Unit && self.written(node).is_some()
    }

    /// Legal sets in which this write may be spoiled, the fullest first.
    fn around(&self, node: usize) -> Vec<Kept> {
        let seq = self.nodes()[node].seq;
        let mut needs = vec![false; self.len()];
        for later in node..self.len() {
            needs[later] = later == node || self.after(later).any(|below| needs[below]);
        }
        let mut least = vec![false; self.len()];
        least[node] = true;
        self.close_up(&mut least);
        let set = |wanted: &dyn Fn(usize) -> bool| {
            let may = |at: usize| at == node || least[at] || !needs[at] && wanted(at);
            let mut kept: Kept = (0..self.len()).map(may).collect();
            self.close_down(&mut kept);
            kept
        };
        let all = set(&|_| true);
        let before = set(&|at| self.nodes()[at].seq <= seq);
        let alone = set(&|at| self.nodes()[at].kind != Kind::Unit);
        let mut sets = vec![all];
        for other in [before, alone] {
            if !sets.contains(&other) {
                sets.push(other);
            }
        }
        sets
    }

    /// Spoils a write in an image that has it; false if that changes nothing that readers see.
    fn spoil(&self, image: &mut Disk, spoil: Spoil) -> bool {
        let place = self.written(spoil.node);
        place.is_some_and(|place| image.spoil(place, spoil.junk, &mut |_, _| 0))
    }
}

impl Disk {
    /// Puts junk in the place of these bytes of a file (inode, offset, count), as far as they are
    /// below its length; false if nothing changes.
    pub(super) fn spoil(
        &mut self,
        (ino, at, len): (Ino, u64, u64),
        junk: Junk,
        chooser: &mut dyn Chooser,
    ) -> bool {
        let Some(Node::File(file)) = self.inodes.get_mut(ino as usize).map(|i| &mut i.node) else {
            return false;
        };
        let mut bytes = vec![0; file.len().saturating_sub(at).min(len) as usize];
        file.read_at(&mut bytes, at);
        let before = bytes.clone();
        match junk {
            Junk::Noise => bytes = noise(chooser, bytes.len()),
            Junk::Zeros => bytes.fill(0),
            Junk::Stale if at >= len => {
                file.read_at(&mut bytes, at - len);
            }
            Junk::Stale => return false,
            Junk::Word(word) => {
                let Some(rest) = bytes.get_mut((word * WORD) as usize..) else { return false };
                let len = rest.len().min(WORD as usize);
                rest[..len].copy_from_slice(&noise(chooser, len));
            }
        }
        let changed = bytes != before;
        if changed {
            file.put(at, &bytes);
        }
        changed
    }
}
