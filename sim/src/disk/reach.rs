//! Whether a power loss can leave a given image: the question that a real file system's crash asks
//! of the model.
//!
//! It is answered without going through all images. What is in the metadata order is tried in every
//! legal way; then the names are fixed, and each file is by itself:
//! * Its length is the newest that is forced, or one more that it grew to, with or without one that
//!   a log took. Keeping fewer lengths never asks for more data, so nothing else need be tried.
//! * With the length fixed each unit is by itself: one of its versions between the last that is
//!   forced and the last that may stay, torn or not, shows the bytes that are wanted.
//!
//! Invariant: what is found is a legal set with tears, of which anybody can make the image.

use super::file::{FileData, LenChange};
use super::pending::{Atom, Kind};
use super::{Disk, Ino, Kept, Node, Pending, ROOT, SECTOR, Tear};

/// A legal set, and the tears with which it leaves the image that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Witness {
    /// The nodes that stay.
    pub kept: Kept,
    /// Writes of which some sectors stay.
    pub tears: Vec<Tear>,
}

/// The nodes that are not free any more.
struct Limits {
    /// These stay.
    forced: Kept,
    /// No others may.
    allowed: Kept,
}

/// A file here, and the one that it is to look like.
type Pair = (Ino, Ino);

impl Pending<'_> {
    /// How a power loss can leave exactly what readers see on `image`: names, which of them are
    /// names of one file, lengths and contents.
    pub fn witness(&self, image: &Disk) -> Option<Witness> {
        let spine: Vec<usize> = (0..self.len()).filter(|&node| self.is_spine(node)).collect();
        let mut found = None;
        self.spines(&spine, &mut vec![false; self.len()], &mut |kept| {
            found = self.with_spine(&spine, kept, image);
            found.is_none()
        });
        found
    }

    /// What is in the metadata order, and names.
    fn is_spine(&self, node: usize) -> bool {
        let is_name = |atom: &Atom<'_>| matches!(atom, Atom::Name { .. });
        self.nodes()[node].kind == Kind::Journal || self.atoms(node).iter().any(is_name)
    }

    /// Visits every way to keep nodes of the spine that respects their order among themselves.
    fn spines(
        &self,
        rest: &[usize],
        kept: &mut Kept,
        visit: &mut impl FnMut(&Kept) -> bool,
    ) -> bool {
        let Some((&node, rest)) = rest.split_first() else { return visit(kept) };
        if self.after(node).all(|below| kept[below] || !self.is_spine(below)) {
            kept[node] = true;
            if !self.spines(rest, kept, visit) {
                return false;
            }
            kept[node] = false;
        }
        self.spines(rest, kept, visit)
    }

    fn with_spine(&self, spine: &[usize], kept: &Kept, image: &Disk) -> Option<Witness> {
        let mut forced = kept.clone();
        self.close_up(&mut forced);
        // What is forced may itself need more of the spine than stays.
        if spine.iter().any(|&node| forced[node] && !kept[node]) {
            return None;
        }
        let mut allowed: Kept = (0..self.len()).map(|n| kept[n] || !self.is_spine(n)).collect();
        self.close_down(&mut allowed);
        let files = self.image(&forced, &[]).same_names(image)?;
        let mut witness = Witness { kept: forced.clone(), tears: Vec::new() };
        let limits = Limits { forced, allowed };
        for pair in files {
            self.match_file(&limits, pair, image, &mut witness)?;
        }
        Some(witness)
    }

    /// Keeps what makes one file look as wanted.
    fn match_file(
        &self,
        limits: &Limits,
        (ino, wanted): Pair,
        image: &Disk,
        witness: &mut Witness,
    ) -> Option<()> {
        let file = self.disk.file_at(ino)?;
        let len = image.len(wanted);
        let mut bytes = vec![0; len as usize];
        image.read_at(wanted, &mut bytes, 0);
        let free = |wanted: fn(&LenChange) -> bool| {
            let nodes = (0..self.len()).filter(move |&node| {
                let is_free = limits.allowed[node] && !limits.forced[node];
                is_free && self.is_len(node, ino, wanted)
            });
            std::iter::once(None).chain(nodes.map(Some))
        };
        for bare in free(LenChange::is_bare) {
            for grown in free(|len| len.grown) {
                let mut kept = witness.kept.clone();
                for node in [bare, grown].into_iter().flatten() {
                    kept[node] = true;
                }
                self.close_up(&mut kept);
                if self.len_of(ino, file, &kept) != len {
                    continue;
                }
                let mut tears = Vec::new();
                if self.match_units(ino, file, &bytes, &limits.allowed, &mut kept, &mut tears) {
                    witness.kept = kept;
                    witness.tears.extend(tears);
                    return Some(());
                }
            }
        }
        None
    }

    fn is_len(&self, node: usize, ino: Ino, wanted: fn(&LenChange) -> bool) -> bool {
        let is_it = |atom: &Atom<'_>| match atom {
            Atom::Len { ino: of, len, .. } => *of == ino && wanted(len),
            Atom::Write { .. } | Atom::Name { .. } => false,
        };
        self.atoms(node).iter().any(is_it)
    }

    /// The length of a file if these nodes stay.
    fn len_of(&self, ino: Ino, file: &FileData, kept: &[bool]) -> u64 {
        let mut now = file.durable_len();
        for node in (0..self.len()).filter(|&node| kept[node]) {
            for atom in self.atoms(node) {
                if let Atom::Len { ino: of, len, .. } = atom
                    && *of == ino
                {
                    now = if len.grown { now.max(len.to) } else { len.to };
                }
            }
        }
        now
    }

    /// Finds a version of each unit that shows the wanted bytes; keeps it.
    fn match_units(
        &self,
        ino: Ino,
        file: &FileData,
        wanted: &[u8],
        allowed: &[bool],
        kept: &mut Kept,
        tears: &mut Vec<Tear>,
    ) -> bool {
        // Of each unit the nodes of its writes, in program order.
        let mut chains: Vec<Vec<usize>> = Vec::new();
        chains.resize(wanted.len().div_ceil(file.unit() as usize), Vec::new());
        for node in 0..self.len() {
            for atom in self.atoms(node) {
                if let Atom::Write { ino: of, write, .. } = atom
                    && *of == ino
                    && let Some(chain) = chains.get_mut(write.unit as usize)
                {
                    chain.push(node);
                }
            }
        }
        for (unit, chain) in chains.iter().enumerate() {
            let start = unit * file.unit() as usize;
            let end = wanted.len().min(start + file.unit() as usize);
            let versions = file.versions(unit as u32);
            assert_eq!(versions.len(), chain.len() + 1, "a write is a part of one node");
            let least = chain.iter().rposition(|&node| kept[node]).map_or(0, |last| last + 1);
            let most = chain.iter().take_while(|&&node| allowed[node]).count();
            let torn = |keep: usize| match chain.get(keep) {
                Some(&node) if self.tearable(node) > 0 => Some((node, &versions[keep + 1])),
                _ => None,
            };
            let fit = (least..=most.max(least)).find_map(|keep| {
                let torn = torn(keep).map(|(node, next)| (node, &next[..]));
                let tear = self.shows(&versions[keep], torn, &wanted[start..end])?;
                Some((keep, tear))
            });
            let Some((keep, tear)) = fit else { return false };
            chain[..keep].iter().for_each(|&node| kept[node] = true);
            tears.extend(tear);
        }
        true
    }

    /// Whether a version of a unit, perhaps with sectors of the next one, starts with these bytes.
    fn shows(
        &self,
        version: &[u8],
        next: Option<(usize, &[u8])>,
        wanted: &[u8],
    ) -> Option<Option<Tear>> {
        if version[..wanted.len()] == *wanted {
            return Some(None);
        }
        let (node, next) = next?;
        let [Atom::Write { write, .. }] = self.atoms(node) else { return None };
        let first = write.first_sector(self.disk.profile.unit);
        let mut sectors = 0;
        for (number, bytes) in wanted.chunks(SECTOR).enumerate() {
            let range = number * SECTOR..number * SECTOR + bytes.len();
            if version[range.clone()] == *bytes {
                continue;
            }
            if next[range] != *bytes {
                return None;
            }
            sectors |= 1 << (number - first);
        }
        let all = (1 << write.sectors()) - 1;
        // All of them is the next version, which may stay only where it is tried as itself.
        (sectors != all).then_some(Some(Tear { node, sectors }))
    }
}

impl Disk {
    fn file_at(&self, ino: Ino) -> Option<&FileData> {
        match &self.inodes[ino as usize].node {
            Node::File(file) => Some(file),
            Node::Dir(_) => None,
        }
    }

    /// The files of both disks, in pairs, if their names are the same and name the same things.
    fn same_names(&self, other: &Self) -> Option<Vec<Pair>> {
        let mut files = Vec::new();
        self.pair_dirs(ROOT, other, ROOT, &mut files)?;
        Some(files)
    }

    fn pair_dirs(&self, ino: Ino, other: &Self, their: Ino, files: &mut Vec<Pair>) -> Option<()> {
        let (mine, theirs) = (self.dir(ino).ok()?, other.dir(their).ok()?);
        let mut theirs = theirs.iter();
        for (name, ino) in mine.iter() {
            let (_, their) = theirs.next().filter(|(known, _)| *known == name)?;
            match (self.is_dir(ino), other.is_dir(their)) {
                (true, true) => self.pair_dirs(ino, other, their, files)?,
                (false, false) => {
                    let known = files.iter().find(|(mine, known)| *mine == ino || *known == their);
                    match known {
                        Some(pair) if *pair != (ino, their) => return None,
                        Some(_) => {}
                        None => files.push((ino, their)),
                    }
                }
                _ => return None,
            }
        }
        theirs.next().is_none().then_some(())
    }
}
