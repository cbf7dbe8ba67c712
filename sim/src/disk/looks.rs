//! All that one file can look like after a power loss, when the spine is fixed: lengths, units,
//! tears; see the module `distinct`.

use std::cell::OnceCell;
use std::rc::Rc;

use seedbed_env::map::{FxHashMap, FxHashSet};

use super::content::{len_hash, sector_hash};
use super::distinct::TooMany;
use super::file::{FileData, LenChange};
use super::pending::{Atom, Kind};
use super::{Ino, Kept, Node, PAGE, Pending, SECTOR, Tear};

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
    /// The file, once it was needed.
    pub(super) data: OnceCell<FileData>,
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

impl<'a> FilePlan<'a> {
    pub(super) fn new(pending: &'a Pending<'a>, ino: Ino) -> Self {
        let Node::File(data) = &pending.disk.inodes[ino as usize].node else {
            unreachable!("inode {ino} is a file")
        };
        let known = FxHashMap::default();
        if !data.is_dirty() {
            let (lens, chains, nodes) = Default::default();
            return Self { data, lens, chains, nodes, known };
        }
        let units = data.pages().count() * (PAGE / data.unit() as usize);
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
