//! All that one file can look like after a power loss, when the spine is fixed: lengths, units,
//! tears; see the module `distinct`.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use seedbed_env::map::{FxHashMap, FxHashSet};

use super::content::{len_hash, sector_hash};
use super::distinct::TooMany;
use super::file::{FileData, LenChange};
use super::pending::{Atom, Kind};
use super::{Ino, Kept, Node, PAGE, Pending, Reads, SECTOR, Tear};

/// All that one file can look like under one spine.
#[derive(Debug, Default)]
pub(super) struct Looks {
    pub(super) whole: Vec<Look>,
    pub(super) torn: Vec<Look>,
}

#[derive(Debug)]
pub(super) struct Look {
    /// Its nodes that stay.
    pub(super) kept: Vec<usize>,
    pub(super) tear: Option<Tear>,
    pub(super) hash: u128,
    /// What that is put together from; none if nothing of the file is pending.
    sum: Option<Sum>,
    /// The file, once it was needed.
    pub(super) data: OnceCell<FileData>,
}

/// A look's hash as a sum over its units.
#[derive(Debug)]
struct Sum {
    ways: Rc<Ways>,
    /// Of each unit which way.
    picked: Box<[u32]>,
    /// The unit of which it is one of the torn ways.
    torn: Option<usize>,
}

impl Look {
    /// The hash of what `reads` can tell of it.
    pub(super) fn hash_for(&self, ino: Ino, reads: &Reads) -> u128 {
        let Some(Sum { ways, picked, torn }) = &self.sum else { return self.hash };
        let units = ways.units.iter().zip(picked).enumerate();
        let read = units.filter(|(_, (unit, _))| reads.contains(ino, unit.number));
        let hashes = read.map(|(at, (unit, way))| unit.ways(*torn == Some(at))[*way as usize].hash);
        hashes.fold(ways.base, u128::wrapping_add)
    }
}

impl Looks {
    /// Few enough to keep the files themselves.
    pub(super) fn are_few(&self) -> bool {
        self.whole.len() + self.torn.len() <= 4096
    }
}

/// A file and what may be lost of it.
pub(super) struct FilePlan<'a> {
    data: &'a FileData,
    /// Nodes of lengths, in program order.
    lens: Vec<(usize, &'a LenChange)>,
    /// One for each unit with pending writes, in the order of the file.
    chains: Vec<Chain>,
    /// The other units, of which there is one version.
    clean: Clean,
    /// Its nodes that are not in the spine.
    nodes: Vec<usize>,
    /// What it looks like, by the forced and allowed ones of these nodes.
    known: FxHashMap<Vec<(bool, bool)>, Rc<Looks>>,
}

/// The sectors of units without pending writes, but for those of zeros: their numbers, each with
/// the sum of their hashes up to it.
#[derive(Default)]
struct Clean(Vec<(u64, u128)>);

/// A unit: the nodes of its writes in program order, and its versions, one more.
struct Chain {
    /// Its number in the file.
    unit: u32,
    nodes: Vec<usize>,
    versions: Vec<Version>,
}

struct Version {
    bytes: Vec<u8>,
    /// Of each sector.
    hashes: Vec<u128>,
}

impl<'a> FilePlan<'a> {
    pub(super) fn new(pending: &'a Pending<'a>, ino: Ino) -> Self {
        let Node::File(data) = &pending.disk.inodes[ino as usize].node else {
            unreachable!("inode {ino} is a file")
        };
        let known = FxHashMap::default();
        if !data.is_dirty() {
            let (lens, chains, clean, nodes) = Default::default();
            return Self { data, lens, chains, clean, nodes, known };
        }
        let mut chains: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
        let (mut lens, mut nodes) = (Vec::new(), Vec::new());
        for node in 0..pending.len() {
            for atom in pending.atoms(node) {
                match *atom {
                    Atom::Write { ino: of, write, .. } if of == ino => {
                        chains.entry(write.unit).or_default().push(node);
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
        let clean = Clean::new(data, |unit| !chains.contains_key(&unit));
        let chain = |(unit, nodes): (u32, Vec<usize>)| {
            let start = u64::from(unit) * u64::from(data.unit());
            let version = |bytes: Vec<u8>| Version { hashes: sector_hashes(start, &bytes), bytes };
            let versions: Vec<_> = data.versions(unit).into_iter().map(version).collect();
            assert_eq!(versions.len(), nodes.len() + 1, "a write is a part of one node");
            Chain { unit, nodes, versions }
        };
        let chains = chains.into_iter().map(chain).collect();
        Self { data, lens, chains, clean, nodes, known }
    }

    /// The same as [`FilePlan::find`], found once for each way to limit the file's nodes.
    pub(super) fn looks(
        &mut self,
        pending: &Pending<'a>,
        (forced, allowed): (&Kept, &Kept),
        limit: u64,
    ) -> Result<Rc<Looks>, TooMany> {
        let limits: Vec<_> = self.nodes.iter().map(|&node| (forced[node], allowed[node])).collect();
        if let Some(looks) = self.known.get(&limits) {
            return Ok(Rc::clone(looks));
        }
        let looks = Rc::new(self.find(pending, (forced, allowed), limit)?);
        self.known.insert(limits, Rc::clone(&looks));
        Ok(looks)
    }

    /// Everything that the file can look like if these nodes stay for sure, and these may.
    fn find(
        &self,
        pending: &Pending<'a>,
        (forced, allowed): (&Kept, &Kept),
        limit: u64,
    ) -> Result<Looks, TooMany> {
        if self.nodes.is_empty() {
            let hash = self.data.content_hash();
            let data = OnceCell::new();
            let look = Look { kept: Vec::new(), tear: None, hash, sum: None, data };
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
                let ways = Rc::new(with_len.ways());
                with_len.add(&ways, None, &mut found)?;
                torn.push((with_len, ways));
            }
        }
        // What a tear leaves may be a whole version of another length.
        for (with_len, ways) in &torn {
            let units = &ways.units;
            for unit in (0..units.len()).filter(|&unit| !units[unit].torn.is_empty()) {
                with_len.add(ways, Some(unit), &mut found)?;
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

fn sector_hashes(start: u64, bytes: &[u8]) -> Vec<u128> {
    let first = start / SECTOR as u64;
    (first..).zip(bytes.chunks(SECTOR)).map(|(at, sector)| sector_hash(at, sector)).collect()
}

impl Clean {
    fn new(data: &FileData, is_clean: impl Fn(u32) -> bool) -> Self {
        let (mut sums, mut sum) = (Vec::new(), 0_u128);
        let pages = data.pages().zip(0_u64..).filter_map(|(page, number)| Some((page?, number)));
        for (page, number) in pages {
            let start = number * PAGE as u64;
            for (at, hash) in (start / SECTOR as u64..).zip(sector_hashes(start, page)) {
                let unit = at * SECTOR as u64 / u64::from(data.unit());
                if hash != 0 && is_clean(unit as u32) {
                    sum = sum.wrapping_add(hash);
                    sums.push((at, sum));
                }
            }
        }
        Self(sums)
    }

    /// What these sectors add to the hash of the file if it has this length.
    fn hash(&self, data: &FileData, len: u64) -> u128 {
        let (last, cut) = (len / SECTOR as u64, len as usize % SECTOR);
        let whole = self.0.partition_point(|(at, _)| *at < last);
        let sum = if whole == 0 { 0 } else { self.0[whole - 1].1 };
        match self.0.get(whole) {
            // Some of that sector's bytes are beyond the length.
            Some((at, _)) if *at == last && cut > 0 => {
                let mut bytes = [0; SECTOR];
                data.read_at(&mut bytes[..cut], last * SECTOR as u64);
                sum.wrapping_add(sector_hash(last, &bytes[..cut]))
            }
            _ => sum,
        }
    }
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

/// What a file of one length can look like.
#[derive(Debug)]
struct Ways {
    /// What its length and all that is not pending add to its hash.
    base: u128,
    units: Vec<Unit>,
}

/// What a unit can look like: whole, and torn.
#[derive(Debug)]
struct Unit {
    /// Its number in the file.
    number: u32,
    whole: Vec<UnitLook>,
    torn: Vec<UnitLook>,
}

impl Unit {
    fn ways(&self, torn: bool) -> &[UnitLook] {
        if torn { &self.torn } else { &self.whole }
    }
}

#[derive(Debug)]
struct UnitLook {
    /// So many of its writes stay.
    keep: usize,
    tear: Option<Tear>,
    hash: u128,
}

impl WithLen<'_, '_> {
    fn ways(&self) -> Ways {
        let clean = self.plan.clean.hash(self.plan.data, self.len);
        Ways { base: len_hash(self.len).wrapping_add(clean), units: self.units() }
    }

    /// What each unit can look like below the length.
    fn units(&self) -> Vec<Unit> {
        let size = u64::from(self.plan.data.unit());
        let chains = self.plan.chains.iter().zip(&self.ranges);
        let unit = |(chain, range): (&Chain, &(usize, usize))| {
            let start = u64::from(chain.unit) * size;
            let below = self.len.saturating_sub(start).min(size) as usize;
            let mut unit = Unit { number: chain.unit, whole: Vec::new(), torn: Vec::new() };
            let mut seen = FxHashSet::default();
            let place = (start, below);
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
    fn add(&self, ways: &Rc<Ways>, torn: Option<usize>, found: &mut Found) -> Result<(), TooMany> {
        let units = ways.units.iter().zip(0..).map(|(unit, at)| unit.ways(torn == Some(at)));
        let units: Vec<&[UnitLook]> = units.collect();
        // No two combinations look the same.
        let count = units.iter().map(|looks| looks.len() as u64).fold(1, u64::saturating_mul);
        if count > found.limit {
            return Err(TooMany);
        }
        let mut picked = vec![0_u32; units.len()];
        loop {
            let looks = units.iter().zip(&picked).map(|(looks, at)| &looks[*at as usize]);
            let sum = || Sum { ways: Rc::clone(ways), picked: picked.clone().into(), torn };
            self.take(looks, (ways.base, &sum), found)?;
            let more = |unit: &usize| picked[*unit] as usize + 1 < units[*unit].len();
            let Some(unit) = (0..units.len()).rfind(more) else { return Ok(()) };
            picked[unit] += 1;
            picked[unit + 1..].fill(0);
        }
    }

    /// Adds one combination; `base` is what all else adds to its hash.
    fn take<'u>(
        &self,
        picked: impl Iterator<Item = &'u UnitLook> + Clone,
        (base, sum): (u128, &dyn Fn() -> Sum),
        found: &mut Found,
    ) -> Result<(), TooMany> {
        let hash = picked.clone().fold(base, |hash, look| hash.wrapping_add(look.hash));
        if !found.seen.insert(hash) {
            return Ok(());
        }
        if found.seen.len() as u64 > found.limit {
            return Err(TooMany);
        }
        let tear = picked.clone().find_map(|look| look.tear);
        let writes = self.plan.chains.iter().zip(picked);
        let writes = writes.flat_map(|(chain, look)| chain.nodes[..look.keep].iter().copied());
        let writes = writes.filter(|&node| self.allowed[node]);
        let forced = self.plan.nodes.iter().copied().filter(|&node| self.kept[node]);
        let kept = writes.chain(forced).collect();
        let look = Look { kept, tear, hash, sum: Some(sum()), data: OnceCell::new() };
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
