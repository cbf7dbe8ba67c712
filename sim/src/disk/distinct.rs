//! All distinct images that a power loss can leave, without going through all legal sets.
//!
//! Most legal sets leave an image that another one leaves as well: data of a file without a name,
//! pages beyond the length, versions of a page that hold the same bytes. So images are put together
//! from parts:
//! * The **spine**, which is what is in the metadata order, and names, is tried in every legal way.
//!   It decides which files there are, what else is forced to stay, and what may not.
//! * Then each file is by itself. Its length is what is forced, or one more that was set and one
//!   more that it grew to: of any legal set the last set length and the greatest grown one after it,
//!   with what these need, give the same length and force no more data.
//! * With the length fixed each unit is by itself: one of its versions between the last that is
//!   forced and the last that may stay. Of one lost write in the image some sectors may stay.
//!
//! Parts that look the same to readers are taken once. Every image has a legal set that leaves it,
//! the fullest of those tried, and a hash that is put together from its parts' hashes.
//!
//! Invariant: the images are exactly those of all legal sets, each with all tears of one write.

use std::cell::OnceCell;
use std::rc::Rc;

use seedbed_env::map::{FxHashMap, FxHashSet};

use super::content::{Names, ROOT_SLOT, in_place, len_hash, sector_hash, slot};
use super::file::{FileData, LenChange};
use super::pending::{Atom, Kind};
use super::{Disk, Ino, Kept, Node, Pending, ROOT, SECTOR, Tear};

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
    looks: &'a [&'a Look],
}

impl CrashImage<'_> {
    /// The image itself.
    pub fn disk(&self) -> Disk {
        let Some(Parts { spine, looks }) = self.parts else {
            return self.pending.image(self.kept, self.tears);
        };
        let mut image = spine.base.get_or_init(|| self.pending.names_of(self.kept)).clone();
        for (file, look) in spine.files.iter().zip(looks) {
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
}

/// There are more than the limit.
#[derive(Debug)]
pub(super) struct TooMany;

/// The images of one disk, not yet put together.
pub(super) struct Images<'a> {
    pending: &'a Pending<'a>,
    spines: Vec<Spine>,
    /// Images in all.
    pub(super) count: u64,
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
    /// What each of them adds to the hash: whole ones, torn ones.
    whole: Vec<u128>,
    torn: Vec<u128>,
}

/// All that one file can look like under one spine.
#[derive(Debug, Default)]
struct Looks {
    whole: Vec<Look>,
    torn: Vec<Look>,
}

#[derive(Debug)]
struct Look {
    /// Its nodes that stay.
    kept: Vec<usize>,
    tear: Option<Tear>,
    hash: u128,
    /// The file, once it was needed.
    data: OnceCell<FileData>,
}

impl Looks {
    /// Few enough to keep the files themselves.
    fn are_few(&self) -> bool {
        self.whole.len() + self.torn.len() <= 4096
    }
}

/// What all ways to keep the spine have in common.
struct Plan<'a> {
    pending: &'a Pending<'a>,
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

struct FilePlan<'a> {
    data: &'a FileData,
    /// Nodes of lengths, in program order.
    lens: Vec<(usize, &'a LenChange)>,
    /// One for each unit.
    chains: Vec<Chain>,
    /// Its nodes that are not in the spine.
    nodes: Vec<usize>,
    /// What it looks like, by the forced and allowed ones of these nodes.
    known: FxHashMap<Vec<(bool, bool)>, Rc<Looks>>,
}

/// A unit: the nodes of its writes in program order, and its versions, one more.
struct Chain {
    nodes: Vec<usize>,
    versions: Vec<Version>,
}

struct Version {
    bytes: Vec<u8>,
    /// Of each sector.
    hashes: Vec<u128>,
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
    picked: Vec<&'s Look>,
    visit: &'s mut V,
}

impl<V: FnMut(&CrashImage<'_>) -> bool> Product<'_, V> {
    /// Those in which the file number `torn` is torn and no other; `hash` is that of the files
    /// before number `file`. False if it is to end.
    fn all(&mut self, torn: Option<usize>, file: usize, hash: u128) -> bool {
        let Some(named) = self.spine.files.get(file) else {
            let Self { pending, spine, kept, tears, picked, visit } = self;
            let parts = Some(Parts { spine, looks: picked });
            return visit(&CrashImage { pending, kept, tears, hash, parts });
        };
        let (looks, hashes) = match torn == Some(file) {
            true => (&named.looks.torn, &named.torn),
            false => (&named.looks.whole, &named.whole),
        };
        for (look, more) in looks.iter().zip(hashes) {
            look.kept.iter().for_each(|&node| self.kept[node] = true);
            self.tears.extend(look.tear);
            self.picked.push(look);
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
        self.spines(rest, kept, visit)
    }

    /// What there is if exactly these nodes of the spine stay; `None` if they need others of it.
    fn spine(&mut self, spine: &[usize], kept: &Kept) -> Result<Option<Spine>, TooMany> {
        let mut forced = kept.clone();
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
            files.push(NamedFile { ino: *ino, looks, whole, torn });
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
        let limits: Vec<_> = plan.nodes.iter().map(|&node| (forced[node], allowed[node])).collect();
        if let Some(looks) = plan.known.get(&limits) {
            return Ok(Rc::clone(looks));
        }
        let looks = Rc::new(plan.looks(pending, (forced, allowed), self.limit)?);
        plan.known.insert(limits, Rc::clone(&looks));
        Ok(looks)
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

impl<'a> FilePlan<'a> {
    fn new(pending: &'a Pending<'a>, ino: Ino) -> Self {
        let Node::File(data) = &pending.disk.inodes[ino as usize].node else {
            unreachable!("inode {ino} is a file")
        };
        let known = FxHashMap::default();
        if !data.is_dirty() {
            let (lens, chains, nodes) = Default::default();
            return Self { data, lens, chains, nodes, known };
        }
        let units = data.pages().count() * (super::PAGE / data.unit() as usize);
        let mut chains: Vec<Vec<usize>> = vec![Vec::new(); units];
        let (mut lens, mut nodes) = (Vec::new(), Vec::new());
        for node in 0..pending.len() {
            for atom in pending.atoms(node) {
                match *atom {
                    Atom::Write { ino: of, write, .. } if of == ino => {
                        chains[write.unit as usize].push(node);
                        nodes.push(node);
                    }
                    Atom::Len { ino: of, len, .. } if of == ino => {
                        lens.push((node, len));
                        nodes.push(node);
                    }
                    _ => {}
                }
            }
        }
        let chain = |(unit, nodes): (usize, Vec<usize>)| {
            let version = |bytes: Vec<u8>| Version {
                hashes: sector_hashes(unit * data.unit() as usize, &bytes),
                bytes,
            };
            let versions: Vec<_> = data.versions(unit as u32).into_iter().map(version).collect();
            assert_eq!(versions.len(), nodes.len() + 1, "a write is a part of one node");
            Chain { nodes, versions }
        };
        let chains = chains.into_iter().enumerate().map(chain).collect();
        Self { data, lens, chains, nodes, known }
    }

    /// Everything that the file can look like if these nodes stay for sure, and these may.
    fn looks(
        &self,
        pending: &Pending<'a>,
        (forced, allowed): (&Kept, &Kept),
        limit: u64,
    ) -> Result<Looks, TooMany> {
        if self.nodes.is_empty() {
            let hash = self.data.content_hash();
            let look = Look { kept: Vec::new(), tear: None, hash, data: OnceCell::new() };
            return Ok(Looks { whole: vec![look], torn: Vec::new() });
        }
        let free = |wanted: bool| {
            let lens =
                self.lens.iter().rev().filter(move |(node, len)| {
                    len.grown == wanted && allowed[*node] && !forced[*node]
                });
            lens.map(|(node, _)| Some(*node)).chain([None])
        };
        let mut found = Found { looks: Looks::default(), seen: FxHashSet::default(), limit };
        let (mut torn, mut lengths) = (Vec::new(), FxHashSet::default());
        for grown in free(true) {
            for set in free(false) {
                let mut kept = forced.clone();
                [grown, set].into_iter().flatten().for_each(|node| kept[node] = true);
                pending.close_up(&mut kept);
                let len = self.len_of(&kept);
                let ranges: Vec<_> =
                    self.chains.iter().map(|chain| chain.range(&kept, allowed)).collect();
                if !lengths.insert((len, ranges.clone())) {
                    continue;
                }
                let with_len = WithLen { pending, plan: self, len, ranges, kept, allowed };
                let units = with_len.units();
                with_len.add(&units, None, &mut found)?;
                torn.push((with_len, units));
            }
        }
        // What a tear leaves may be a whole version of another length.
        for (with_len, units) in &torn {
            for unit in (0..units.len()).filter(|&unit| !units[unit].torn.is_empty()) {
                with_len.add(units, Some(unit), &mut found)?;
            }
        }
        Ok(found.looks)
    }

    /// The length if these nodes stay.
    fn len_of(&self, kept: &Kept) -> u64 {
        let stay = self.lens.iter().filter(|(node, _)| kept[*node]);
        stay.fold(
            self.data.durable_len(),
            |now, (_, len)| {
                if len.grown { now.max(len.to) } else { len.to }
            },
        )
    }
}

fn sector_hashes(start: usize, bytes: &[u8]) -> Vec<u128> {
    let first = (start / SECTOR) as u64;
    (first..).zip(bytes.chunks(SECTOR)).map(|(at, sector)| sector_hash(at, sector)).collect()
}

impl Chain {
    /// How many of its writes stay at least, and at most.
    fn range(&self, kept: &Kept, allowed: &Kept) -> (usize, usize) {
        let least = self.nodes.iter().rposition(|&node| kept[node]).map_or(0, |last| last + 1);
        let more = self.nodes[least..].iter().take_while(|&&node| allowed[node]).count();
        (least, least + more)
    }
}

/// What was found of a file so far.
struct Found {
    looks: Looks,
    seen: FxHashSet<u128>,
    limit: u64,
}

/// A file with a certain length.
struct WithLen<'p, 'a> {
    pending: &'p Pending<'a>,
    plan: &'p FilePlan<'a>,
    len: u64,
    /// Of each chain how many writes stay, at least and at most.
    ranges: Vec<(usize, usize)>,
    /// The nodes that stay at least.
    kept: Kept,
    /// No others may.
    allowed: &'p Kept,
}

/// What a unit can look like: whole, and torn.
#[derive(Default)]
struct Unit {
    whole: Vec<UnitLook>,
    torn: Vec<UnitLook>,
}

struct UnitLook {
    /// So many of its writes stay.
    keep: usize,
    tear: Option<Tear>,
    hash: u128,
}

impl WithLen<'_, '_> {
    /// What each unit can look like below the length.
    fn units(&self) -> Vec<Unit> {
        let size = u64::from(self.plan.data.unit());
        let chains = self.plan.chains.iter().zip(&self.ranges).zip(0..);
        let unit = |((chain, range), number): ((&Chain, &(usize, usize)), u64)| {
            let below = self.len.saturating_sub(number * size).min(size) as usize;
            let mut unit = Unit::default();
            let mut seen = FxHashSet::default();
            let place = (number * size, below);
            for keep in (range.0..=range.1).rev() {
                let hash = chain.versions[keep].hash(place, |_| None);
                if seen.insert(hash) {
                    unit.whole.push(UnitLook { keep, tear: None, hash });
                }
            }
            for keep in (range.0..=range.1).rev() {
                for tear in self.tears(chain, keep) {
                    let hash = chain.torn_hash(self.pending, place, keep, tear);
                    if seen.insert(hash) {
                        unit.torn.push(UnitLook { keep, tear: Some(tear), hash });
                    }
                }
            }
            unit
        };
        chains.map(unit).collect()
    }

    /// The ways to tear the first write of a unit that does not stay.
    fn tears(&self, chain: &Chain, keep: usize) -> Vec<Tear> {
        let is_data = |node: &usize| self.pending.nodes()[*node].kind == Kind::Unit;
        // One that a later cut has made unimportant may be lost, and then it is the first.
        let stays = |node: &usize| !is_data(node) || self.allowed[*node];
        match chain.nodes.get(keep) {
            Some(&node) if is_data(&node) && chain.nodes[..keep].iter().all(stays) => {
                let ways = self.pending.ways_to_tear(node).into_iter();
                ways.map(|sectors| Tear { node, sectors }).collect()
            }
            _ => Vec::new(),
        }
    }

    /// Adds all combinations of what units look like, with unit number `torn` torn.
    fn add(&self, units: &[Unit], torn: Option<usize>, found: &mut Found) -> Result<(), TooMany> {
        let mut picked = Vec::with_capacity(units.len());
        self.pick(units, torn, (&mut picked, len_hash(self.len)), found)
    }

    fn pick<'u>(
        &self,
        units: &'u [Unit],
        torn: Option<usize>,
        (picked, hash): (&mut Vec<&'u UnitLook>, u128),
        found: &mut Found,
    ) -> Result<(), TooMany> {
        let Some(unit) = units.get(picked.len()) else {
            return self.take(picked, hash, found);
        };
        let looks = if torn == Some(picked.len()) { &unit.torn } else { &unit.whole };
        for look in looks {
            picked.push(look);
            let hash = hash.wrapping_add(look.hash);
            self.pick(units, torn, (picked, hash), found)?;
            picked.pop();
        }
        Ok(())
    }

    fn take(&self, picked: &[&UnitLook], hash: u128, found: &mut Found) -> Result<(), TooMany> {
        if !found.seen.insert(hash) {
            return Ok(());
        }
        if found.seen.len() as u64 > found.limit {
            return Err(TooMany);
        }
        let chains = || self.plan.chains.iter().zip(picked);
        let writes = chains().flat_map(|(chain, look)| chain.nodes[..look.keep].iter().copied());
        let writes = writes.filter(|&node| self.allowed[node]);
        let forced = self.plan.nodes.iter().copied().filter(|&node| self.kept[node]);
        let kept = writes.chain(forced).collect();
        let tear = picked.iter().find_map(|look| look.tear);
        let look = Look { kept, tear, hash, data: OnceCell::new() };
        match tear {
            None => found.looks.whole.push(look),
            Some(_) => found.looks.torn.push(look),
        }
        Ok(())
    }
}

impl Chain {
    fn torn_hash(
        &self,
        pending: &Pending<'_>,
        place: (u64, usize),
        keep: usize,
        tear: Tear,
    ) -> u128 {
        let first = match pending.atoms(tear.node) {
            [Atom::Write { write, .. }] => write.first_sector(pending.disk.profile.unit),
            _ => unreachable!("only a write by itself is torn"),
        };
        let next = &self.versions[keep + 1];
        self.versions[keep].hash(place, |sector| {
            let stays = sector >= first && tear.sectors >> (sector - first) & 1 == 1;
            stays.then_some(next)
        })
    }
}

impl Version {
    /// What the first `below` bytes add to a file's hash if the unit starts at `start`; `instead`
    /// gives the version from which a sector is taken if not from this one.
    fn hash<'v>(
        &'v self,
        (start, below): (u64, usize),
        instead: impl Fn(usize) -> Option<&'v Self>,
    ) -> u128 {
        let mut sum = 0_u128;
        for sector in 0..below.div_ceil(SECTOR) {
            let version = instead(sector).unwrap_or(self);
            let (from, to) = (sector * SECTOR, ((sector + 1) * SECTOR).min(below));
            let hash = match to - from == SECTOR {
                true => version.hashes[sector],
                false => {
                    let number = start / SECTOR as u64 + sector as u64;
                    sector_hash(number, &version.bytes[from..to])
                }
            };
            sum = sum.wrapping_add(hash);
        }
        sum
    }
}
