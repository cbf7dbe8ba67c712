//! Junk in the place of the bytes of one write that nothing has made durable.
//!
//! Which version of such bytes a power loss leaves is open, so whoever reads them has to check them
//! first. No legal image shows whether somebody does, where all legal versions happen to be right.
//! Junk does: it is put exactly where the write was, and only where nothing that stays proves that
//! the write is there (a length that comes after its data is such a proof). The neighbours keep
//! their bytes, and so does whatever a sync has covered and whatever is the same in all versions.
//!
//! Junk has no form that passes a checksum: a whole record in a wrong place is no trace of a power
//! loss but a misdirected write, which is damage to the media.

use super::media::noise;
use super::pending::{Atom, Kind};
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
    /// Its own bytes, but for a word of four without meaning, counted from its start.
    Word(u64),
    /// The same, counted from its end.
    WordFromEnd(u64),
}

/// Bytes of a word.
const WORD: u64 = 4;
/// So many words at each end of a write are spoiled alone: they hold headers, checksums and what is
/// short.
const WORDS_MAX: u64 = 16;

impl Junk {
    /// How many kinds there are, words included.
    const KINDS: u64 = 2 + 2 * WORDS_MAX;

    const fn of(answer: u64) -> Self {
        match answer {
            0 => Self::Noise,
            1 => Self::Zeros,
            word if word < 2 + WORDS_MAX => Self::Word(word - 2),
            word => Self::WordFromEnd(word - 2 - WORDS_MAX),
        }
    }

    const fn answer(self) -> u64 {
        match self {
            Self::Noise => 0,
            Self::Zeros => 1,
            Self::Word(word) => 2 + word,
            Self::WordFromEnd(word) => 2 + WORDS_MAX + word,
        }
    }

    /// For people.
    pub fn describe(self) -> String {
        match self {
            Self::Noise => "noise".to_owned(),
            Self::Zeros => "zeros".to_owned(),
            Self::Word(word) => format!("noise in {WORD} bytes from byte {} on", word * WORD),
            Self::WordFromEnd(word) => {
                format!("noise in {WORD} bytes, {} from the end", (word + 1) * WORD)
            }
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
    /// write with what was before it, with all else that may be there, and with no other data. Only
    /// the first is spoiled in all ways.
    pub fn spoiled(&self, mut visit: impl FnMut(&Kept, Spoil, Disk) -> bool) {
        for node in (0..self.len()).filter(|&node| self.is_data(node)) {
            let open = self.open_bytes(node);
            if !open.contains(&true) {
                continue;
            }
            for (nth, kept) in self.around(node).into_iter().enumerate() {
                let image = self.image(&kept, &[]);
                let kinds = if nth == 0 { Junk::KINDS } else { 2 };
                for junk in (0..kinds).map(Junk::of) {
                    let mut image = image.clone();
                    let is_junk = self.spoil(&mut image, (node, &open), junk);
                    if is_junk && !visit(&kept, Spoil { node, junk }, image) {
                        return;
                    }
                }
            }
        }
    }

    /// The image of these nodes with one write spoiled.
    pub fn spoiled_image(&self, kept: &[bool], spoil: Spoil) -> Disk {
        let mut image = self.image(kept, &[]);
        self.spoil(&mut image, (spoil.node, &self.open_bytes(spoil.node)), spoil.junk);
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

    /// Of the bytes of a write, those that are not the same in all versions up to it: what rewrites
    /// what is there already leaves nothing open.
    pub(super) fn open_bytes(&self, node: usize) -> Vec<bool> {
        let (Atom::Write { ino, index, write }, Some((_, at, len))) =
            (&self.atoms(node)[0], self.written(node))
        else {
            return Vec::new();
        };
        let Node::File(file) = &self.disk.inodes[*ino as usize].node else { return Vec::new() };
        let older = file.writes()[..*index as usize].iter();
        let nth = older.filter(|older| older.unit == write.unit).count();
        let versions = file.versions(write.unit);
        let start = (at - u64::from(write.unit) * u64::from(file.unit())) as usize;
        let is_open =
            |at: usize| versions[..=nth].iter().any(|old| old[at] != versions[nth + 1][at]);
        (start..start + len as usize).map(is_open).collect()
    }

    /// Legal sets in which this write may be spoiled: with what was before it, the fullest, the
    /// barest.
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
        let mut sets = vec![before];
        for other in [all, alone] {
            if !sets.contains(&other) {
                sets.push(other);
            }
        }
        sets
    }

    /// Spoils a write in an image that has it; false if that changes nothing that readers see.
    fn spoil(&self, image: &mut Disk, (node, open): (usize, &[bool]), junk: Junk) -> bool {
        let Some((ino, at, _)) = self.written(node) else { return false };
        image.spoil((ino, at), open, junk, &mut |_, _| 0)
    }
}

impl Disk {
    /// Puts junk into a file (inode, offset), there where bytes are open, as far as that is below
    /// its length; false if nothing changes.
    pub(super) fn spoil(
        &mut self,
        (ino, at): (Ino, u64),
        open: &[bool],
        junk: Junk,
        chooser: &mut dyn Chooser,
    ) -> bool {
        let Some(Node::File(file)) = self.inodes.get_mut(ino as usize).map(|i| &mut i.node) else {
            return false;
        };
        let len = file.len().saturating_sub(at).min(open.len() as u64) as usize;
        let (mut bytes, mut new) = (vec![0; len], vec![0; len]);
        file.read_at(&mut bytes, at);
        let part = match junk {
            Junk::Noise | Junk::Zeros => 0..len,
            Junk::Word(word) => {
                let start = ((word * WORD) as usize).min(len);
                start..(start + WORD as usize).min(len)
            }
            Junk::WordFromEnd(word) => {
                let end = len.saturating_sub((word * WORD) as usize);
                end.saturating_sub(WORD as usize)..end
            }
        };
        if junk != Junk::Zeros {
            new = noise(chooser, len);
        }
        let before = bytes.clone();
        for at in part.filter(|&at| open[at]) {
            bytes[at] = new[at];
        }
        let changed = bytes != before;
        if changed {
            file.put(at, &bytes);
        }
        changed
    }
}
