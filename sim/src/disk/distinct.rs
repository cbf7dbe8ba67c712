//! All distinct images that a power loss can leave, without going through all legal sets.
//!
//! Most legal sets leave an image that another one leaves as well: data of a file without a name,
//! pages beyond the length, versions of a page that hold the same bytes. So images are put together
//! from parts:
//! * The **spine**, which is what is in the metadata order, and names, is tried in every legal way.
//!   It decides which files there are, what else is forced to stay, and what may not.
//! * Then each file is by itself. Its length is what is forced, or one more that was set and one
//!   more that it grew to: of any legal set the last set length and the greatest grown one after
//!   it, with what these need, give the same length and force no more data.
//! * With the length fixed each unit is by itself: one of its versions between the last that is
//!   forced and the last that may stay. Of one lost write in the image some sectors may stay.
//!
//! Parts that look the same to readers are taken once. Every image has a legal set that leaves it,
//! the fullest of those tried, and a hash that is put together from its parts' hashes.
//!
//! Invariant: the images are exactly those of all legal sets, each with all tears of one write.

use std::cell::{OnceCell, RefCell};
use std::rc::Rc;

use seedbed_env::map::{FxHashMap, FxHashSet};

use super::content::{Names, ROOT_SLOT, in_place, mix, slot};
use super::looks::{FilePlan, Look, Looks};
use super::pending::{Atom, Kind};
use super::{Disk, Ino, Kept, Node, Pending, ROOT, Reads, Tear};

/// One image that a power loss can leave.
#[derive(Debug)]
pub struct CrashImage<'a> {
    pub(super) pending: &'a Pending<'a>,
    /// A legal set that leaves it.
    pub kept: &'a Kept,
    /// The torn writes: at most one.
    pub tears: &'a [Tear],
    /// Its [`Disk::content_hash`].
    pub hash: u128,
    pub(super) parts: Option<Parts<'a>>,
}

/// What an image is put together from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parts<'a> {
    spine: &'a Spine,
    /// Of each of its files one.
    picked: &'a [Picked<'a>],
}

#[derive(Clone, Copy, Debug)]
struct Picked<'a> {
    look: &'a Look,
    /// Where it stands among the whole, or the torn ones.
    at: usize,
    torn: bool,
}

impl CrashImage<'_> {
    /// The image itself.
    pub fn disk(&self) -> Disk {
        let Some(Parts { spine, picked }) = self.parts else {
            return self.pending.image(self.kept, self.tears);
        };
        let mut image = spine.base.get_or_init(|| self.pending.names_of(self.kept)).clone();
        for (file, Picked { look, .. }) in spine.files.iter().zip(picked) {
            let made = || self.pending.file_of(file.ino, self.kept, self.tears);
            let data = match file.looks.are_few() {
                true => look.data.get_or_init(made).clone(),
                false => made(),
            };
            image.used += data.page_bytes();
            image.inodes[file.ino as usize].node = Node::File(data);
        }
        image
    }

    /// A hash of what `reads` can tell of it: images with the same one differ at most in units
    /// that are not among these. `None` if it was not put together from parts.
    pub fn hash_for(&self, reads: &Reads) -> Option<u128> {
        let Parts { spine, picked } = self.parts?;
        let files = spine.files.iter().zip(picked);
        let hashes = files.map(|(file, picked)| file.hash_for(picked, reads));
        Some(hashes.fold(spine.names, u128::wrapping_add))
    }
}

impl NamedFile {
    /// What one of its looks adds to the hash of what `reads` can tell. That a name is this very
    /// file's is part of it: reads are noted by file, not by name.
    fn hash_for(&self, picked: &Picked<'_>, reads: &Reads) -> u128 {
        let mut known = self.known.borrow_mut();
        if known.reads != reads.len() {
            let hash = |look: &Look| {
                in_place(&self.slots, mix(look.hash_for(self.ino, reads), u128::from(self.ino)))
            };
            known.reads = reads.len();
            known.whole = self.looks.whole.iter().map(hash).collect();
            known.torn = self.looks.torn.iter().map(hash).collect();
        }
        let hashes = if picked.torn { &known.torn } else { &known.whole };
        hashes[picked.at]
    }
}

/// There are more than the limit.
#[derive(Debug)]
pub(super) struct TooMany;

/// The images of one disk, not yet put together.
pub(super) struct Images<'a> {
    pending: &'a Pending<'a>,
    spines: Vec<Spine>,
    /// Images in all.
    count: u64,
}

/// One way to keep nodes of the spine.
#[derive(Debug)]
struct Spine {
    /// The nodes that stay in all of its images.
    forced: Kept,
    /// What its names add to the hash.
    names: u128,
    files: Vec<NamedFile>,
    /// The image without what is in its files, once it was needed.
    base: OnceCell<Disk>,
}

#[derive(Debug)]
struct NamedFile {
    ino: Ino,
    looks: Rc<Looks>,
    /// All places where it stands.
    slots: Vec<u128>,
    /// What each of them adds to the hash: whole ones, torn ones.
    whole: Vec<u128>,
    torn: Vec<u128>,
    known: RefCell<Known>,
}

/// What each of a file's looks adds to the hash of what some reads can tell.
#[derive(Debug)]
struct Known {
    /// How many units these reads have.
    reads: usize,
    whole: Vec<u128>,
    torn: Vec<u128>,
}

impl Known {
    const NOTHING: Self = Self { reads: usize::MAX, whole: Vec::new(), torn: Vec::new() };
}

/// What all ways to keep the spine have in common.
struct Plan<'a> {
    pending: &'a Pending<'a>,
    pinned: Kept,
    is_spine: Vec<bool>,
    dirs: FxHashMap<Ino, Vec<Entry<'a>>>,
    files: FxHashMap<Ino, FilePlan<'a>>,
    limit: u64,
}

struct Entry<'a> {
    name: &'a str,
    durable: Option<Ino>,
    /// The nodes of its versions, with what they stand for.
    versions: Vec<(usize, Option<Ino>)>,
}

impl<'a> Images<'a> {
    /// Finds all images, unless there are more than `limit`, or ways to keep the spine.
    pub(super) fn find(pending: &'a Pending<'a>, limit: u64) -> Result<Self, TooMany> {
        let mut plan = Plan::new(pending, limit);
        let spine: Vec<usize> = (0..pending.len()).filter(|&node| plan.is_spine[node]).collect();
        let mut images = Self { pending, spines: Vec::new(), count: 0 };
        let (mut seen, mut tried) = (FxHashSet::default(), 0);
        plan.spines(&spine, &mut vec![false; pending.len()], &mut |plan, kept| {
            tried += 1;
            if tried > limit {
                return Err(TooMany);
            }
            let Some(spine) = plan.spine(&spine, kept)? else { return Ok(()) };
            let looks = spine.files.iter().map(|file| Rc::as_ptr(&file.looks) as usize);
            if seen.insert((spine.names, looks.collect::<Vec<_>>())) {
                images.count = images.count.saturating_add(spine.count());
                images.spines.push(spine);
            }
            if images.count > limit { Err(TooMany) } else { Ok(()) }
        })?;
        Ok(images)
    }

    /// Visits the images until `visit` returns false.
    pub(super) fn visit(&self, visit: &mut impl FnMut(&CrashImage<'_>) -> bool) {
        for spine in &self.spines {
            let mut product = Product {
                pending: self.pending,
                spine,
                kept: spine.forced.clone(),
                tears: Vec::new(),
                picked: Vec::with_capacity(spine.files.len()),
                visit: &mut *visit,
            };
            if !product.all(None, 0, spine.names) {
                return;
            }
            for torn in 0..spine.files.len() {
                if !spine.files[torn].torn.is_empty() && !product.all(Some(torn), 0, spine.names) {
                    return;
                }
            }
        }
    }
}

impl Spine {
    fn count(&self) -> u64 {
        let whole = |file: &NamedFile| file.whole.len() as u64;
        let all = self.files.iter().map(whole).fold(1, u64::saturating_mul);
        let torn = self.files.iter().map(|file| all / whole(file) * file.torn.len() as u64);
        torn.fold(all, u64::saturating_add)
    }
}

/// Every combination of what the files of a spine look like.
struct Product<'s, V> {
    pending: &'s Pending<'s>,
    spine: &'s Spine,
    kept: Kept,
    tears: Vec<Tear>,
    picked: Vec<Picked<'s>>,
    visit: &'s mut V,
}

impl<V: FnMut(&CrashImage<'_>) -> bool> Product<'_, V> {
    /// Those in which the file number `torn` is torn and no other; `hash` is that of the files
    /// before number `file`. False if it is to end.
    fn all(&mut self, torn: Option<usize>, file: usize, hash: u128) -> bool {
        let Some(named) = self.spine.files.get(file) else {
            let Self { pending, spine, kept, tears, picked, visit } = self;
            let parts = Some(Parts { spine, picked });
            return visit(&CrashImage { pending, kept, tears, hash, parts });
        };
        let torn_here = torn == Some(file);
        let (looks, hashes) = match torn_here {
            true => (&named.looks.torn, &named.torn),
            false => (&named.looks.whole, &named.whole),
        };
        for (at, (look, more)) in looks.iter().zip(hashes).enumerate() {
            look.kept.iter().for_each(|&node| self.kept[node] = true);
            self.tears.extend(look.tear);
            self.picked.push(Picked { look, at, torn: torn_here });
            let goes_on = self.all(torn, file + 1, hash.wrapping_add(*more));
            self.picked.pop();
            look.kept.iter().for_each(|&node| self.kept[node] = self.spine.forced[node]);
            if look.tear.is_some() {
                self.tears.clear();
            }
            if !goes_on {
                return false;
            }
        }
        true
    }
}

impl<'a> Plan<'a> {
    fn new(pending: &'a Pending<'a>, limit: u64) -> Self {
        let mut plan = Self {
            pending,
            pinned: pending.pinned(),
            is_spine: spine_of(pending),
            dirs: FxHashMap::default(),
            files: FxHashMap::default(),
            limit,
        };
        for (ino, inode) in &pending.disk.inodes {
            if let Node::Dir(data) = &inode.node {
                let entry = |(name, durable, _)| Entry { name, durable, versions: Vec::new() };
                plan.dirs.insert(ino as Ino, data.all().map(entry).collect());
            }
        }
        for node in 0..pending.len() {
            for atom in pending.atoms(node) {
                if let Atom::Name { dir, name, version, .. } = *atom {
                    let entries = plan.dirs.get_mut(&dir).expect("names are in directories");
                    let entry = entries.iter_mut().find(|entry| entry.name == name);
                    entry.expect("a version is one of a name").versions.push((node, version.ino));
                }
            }
        }
        plan
    }

    /// Visits every way to keep nodes of the spine that respects their order among themselves, the
    /// fullest first.
    fn spines(
        &mut self,
        rest: &[usize],
        kept: &mut Kept,
        visit: &mut impl FnMut(&mut Self, &Kept) -> Result<(), TooMany>,
    ) -> Result<(), TooMany> {
        let Some((&node, rest)) = rest.split_first() else { return visit(self, kept) };
        if self.pending.after(node).all(|below| kept[below] || !self.is_spine[below]) {
            kept[node] = true;
            self.spines(rest, kept, visit)?;
            kept[node] = false;
        }
        if self.pinned[node] { Ok(()) } else { self.spines(rest, kept, visit) }
    }

    /// What there is if exactly these nodes of the spine stay; `None` if they need others of it.
    fn spine(&mut self, spine: &[usize], kept: &Kept) -> Result<Option<Spine>, TooMany> {
        let mut forced: Kept =
            kept.iter().zip(&self.pinned).map(|(kept, pinned)| *kept || *pinned).collect();
        self.pending.close_up(&mut forced);
        if spine.iter().any(|&node| forced[node] && !kept[node]) {
            return Ok(None);
        }
        let mut allowed: Kept =
            kept.iter().zip(&self.is_spine).map(|(kept, is_spine)| *kept || !is_spine).collect();
        self.pending.close_down(&mut allowed);
        let mut names = Names::default();
        self.add_names(ROOT, ROOT_SLOT, kept, &mut names);
        let mut files = Vec::with_capacity(names.files.len());
        for (ino, slots) in &names.files {
            let looks = self.looks(*ino, &forced, &allowed)?;
            let hashes = |looks: &[Look]| looks.iter().map(|l| in_place(slots, l.hash)).collect();
            let (whole, torn) = (hashes(&looks.whole), hashes(&looks.torn));
            let (slots, known) = (slots.clone(), RefCell::new(Known::NOTHING));
            files.push(NamedFile { ino: *ino, looks, slots, whole, torn, known });
        }
        Ok(Some(Spine { forced, names: names.sum, files, base: OnceCell::new() }))
    }

    fn add_names(&self, dir: Ino, at: u128, kept: &Kept, names: &mut Names) {
        for entry in &self.dirs[&dir] {
            let last = entry.versions.iter().rfind(|(node, _)| kept[*node]);
            let Some(ino) = last.map_or(entry.durable, |(_, ino)| *ino) else { continue };
            let slot = slot(at, entry.name);
            match self.pending.disk.is_dir(ino) {
                true => {
                    names.dir(slot);
                    self.add_names(ino, slot, kept, names);
                }
                false => names.file(slot, ino),
            }
        }
    }

    fn looks(&mut self, ino: Ino, forced: &Kept, allowed: &Kept) -> Result<Rc<Looks>, TooMany> {
        let pending = self.pending;
        let plan = self.files.entry(ino).or_insert_with(|| FilePlan::new(pending, ino));
        plan.looks(pending, (forced, allowed), self.limit)
    }
}

/// What is in the metadata order, names, and whatever else is needed from outside of the part it
/// belongs to: by a unit from outside of that unit, by a length from outside of that file.
fn spine_of(pending: &Pending<'_>) -> Vec<bool> {
    let is_name = |atom: &Atom<'_>| matches!(atom, Atom::Name { .. });
    let is_order = |node: usize| {
        pending.nodes()[node].kind == Kind::Journal || pending.atoms(node).iter().any(is_name)
    };
    let mut is_spine: Vec<bool> = (0..pending.len()).map(is_order).collect();
    let file_of = |node: usize| match pending.atoms(node)[0] {
        Atom::Write { ino, .. } | Atom::Len { ino, .. } => Some(ino),
        Atom::Name { .. } => None,
    };
    for node in 0..pending.len() {
        let lane = |node: usize| pending.nodes()[node].lane;
        for below in pending.after(node) {
            is_spine[below] |= match pending.nodes()[node].kind {
                Kind::Unit => lane(below) != lane(node),
                Kind::Len => file_of(below) != file_of(node),
                Kind::Name | Kind::Journal => false,
            };
        }
    }
    is_spine
}
