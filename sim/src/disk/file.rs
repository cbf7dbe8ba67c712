//! One file: pages as readers see them, and the undo bytes of what is not durable yet.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use xxhash_rust::xxh3::Xxh3Default;

use super::pages::{self, Page};
use super::{FILE_LEN_MAX, PAGE, SECTOR, Site};

/// For comparing: a slice of it is faster than a look at every byte.
static ZEROS: Page = [0; PAGE];

/// A file's content; see the parent module for the model.
#[derive(Clone, Debug)]
pub(super) struct FileData {
    len: u64,
    /// The length that no power loss takes.
    durable_len: u64,
    /// Bytes that become durable as one.
    unit: u32,
    /// A length is durable at once.
    fixed_len: bool,
    /// Pages in order; a missing one is zeros. Bytes beyond `len` are always zero.
    pages: Vec<Option<Arc<Page>>>,
    /// Writes that may still be lost, in program order.
    writes: Vec<UnitWrite>,
    /// What those writes replaced; each knows its place here.
    undo: Vec<u8>,
    /// Length changes that may still be lost, in program order.
    lens: Vec<LenChange>,
    /// Space was allocated in advance since the last sync.
    pub(super) is_allocated: bool,
    /// Pages that the device cannot read.
    pub(super) unreadable: BTreeSet<u32>,
    /// A unit as it was before a sync, while stale reads are possible.
    pub(super) stale: Option<(u32, Box<[u8]>)>,
}

/// A write to one unit (page or sector).
#[derive(Clone, Copy, Debug)]
pub(super) struct UnitWrite {
    pub seq: u64,
    /// Where the replaced bytes start in `undo`.
    undo_at: u64,
    pub site: Site,
    /// Which unit of the file.
    pub unit: u32,
    /// Offset in its page.
    start: u16,
    len: u16,
    /// A sync covered it and failed: the page is clean in the cache, not durable.
    pub(super) failed: bool,
    /// The zeros that a shorter length puts in place of what it cuts off.
    pub cuts: bool,
    /// It may persist without what was in the metadata order before it.
    pub free: bool,
}

/// A new length.
#[derive(Clone, Copy, Debug)]
pub(super) struct LenChange {
    pub seq: u64,
    pub site: Site,
    pub to: u64,
    /// By writing at the end; else by setting it.
    pub grown: bool,
    /// It may persist without what was in the metadata order before it.
    pub free: bool,
    failed: bool,
}

impl LenChange {
    /// A length that a log took from memory, without what else made it so: what was cut off is
    /// still there, and what was written is not.
    pub(super) fn is_bare(&self) -> bool {
        self.free && !self.grown
    }
}

/// The length after some changes in program order.
fn len_after<'a>(durable: u64, changes: impl Iterator<Item = &'a LenChange>) -> u64 {
    changes.fold(durable, |len, change| if change.grown { len.max(change.to) } else { change.to })
}

/// What a power loss took from one file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct FileLoss {
    pub writes: u64,
    pub lens: u64,
}

impl Drop for FileData {
    fn drop(&mut self) {
        pages::recycle(self.pages.drain(..).flatten());
    }
}

impl FileData {
    pub(super) fn new(unit: u32, fixed_len: bool) -> Self {
        Self {
            len: 0,
            durable_len: 0,
            unit,
            fixed_len,
            pages: Vec::new(),
            writes: Vec::new(),
            undo: Vec::new(),
            lens: Vec::new(),
            is_allocated: false,
            unreadable: BTreeSet::new(),
            stale: None,
        }
    }

    /// A file of the same kind with nothing in it.
    pub(super) fn emptied(&self) -> Self {
        Self::new(self.unit, self.fixed_len)
    }

    pub(super) fn len(&self) -> u64 {
        self.len
    }

    pub(super) fn page_bytes(&self) -> u64 {
        (self.pages.iter().flatten().count() * PAGE) as u64
    }

    /// Whether a power loss could take anything.
    pub(super) fn is_dirty(&self) -> bool {
        !self.writes.is_empty() || !self.lens.is_empty()
    }

    /// The length that no power loss takes.
    pub(super) fn durable_len(&self) -> u64 {
        self.durable_len
    }

    pub(super) fn unit(&self) -> u32 {
        self.unit
    }

    /// Writes that may still be lost, in program order.
    pub(super) fn writes(&self) -> &[UnitWrite] {
        &self.writes
    }

    /// Length changes that may still be lost, in program order.
    pub(super) fn lens(&self) -> &[LenChange] {
        &self.lens
    }

    /// Those without a start that grew and was cut again to what is durable: with delayed
    /// allocation that never reached the inode.
    pub(super) fn lens_not_taken_back(&self) -> &[LenChange] {
        match self.lens.iter().position(|len| !len.grown) {
            Some(cut) if self.lens[cut].to == self.durable_len => &self.lens[cut + 1..],
            _ => &self.lens,
        }
    }

    /// Pages in order, for comparing and hashing; a missing one is zeros.
    pub(super) fn pages(&self) -> impl Iterator<Item = Option<&Page>> {
        self.pages.iter().map(Option::as_deref)
    }

    pub(super) fn read_at(&self, buf: &mut [u8], offset: u64) -> usize {
        let available = self.len.saturating_sub(offset).min(buf.len() as u64) as usize;
        let mut done = 0;
        while done < available {
            let at = offset as usize + done;
            let (page, start) = (at / PAGE, at % PAGE);
            let part = (PAGE - start).min(available - done);
            let target = &mut buf[done..done + part];
            match self.pages.get(page) {
                Some(Some(page)) => target.copy_from_slice(&page[start..start + part]),
                _ => target.fill(0),
            }
            done += part;
        }
        available
    }

    /// Writes what fits into `free` bytes of new pages. Returns (bytes written, bytes of pages
    /// added).
    pub(super) fn write_at(
        &mut self,
        bytes: &[u8],
        offset: u64,
        free: u64,
        (seq, site): (u64, Site),
    ) -> (usize, u64) {
        let (mut done, mut grown) = (0, 0);
        while done < bytes.len() {
            let at = offset as usize + done;
            let unit = self.unit as usize;
            let part = (unit - at % unit).min(bytes.len() - done);
            if !matches!(self.pages.get(at / PAGE), Some(Some(_))) {
                if grown + PAGE as u64 > free {
                    break;
                }
                grown += PAGE as u64;
            }
            self.write_unit(at, &bytes[done..done + part], (seq, site), false);
            done += part;
            self.grow((at + part) as u64, (seq, site));
        }
        (done, grown)
    }

    #[inline]
    fn grow(&mut self, to: u64, (seq, site): (u64, Site)) {
        if to <= self.len {
            return;
        }
        self.len = to;
        if self.fixed_len {
            self.durable_len = to;
        } else {
            self.lens.push(LenChange { seq, site, to, grown: true, free: false, failed: false });
        }
    }

    #[inline]
    fn write_unit(&mut self, at: usize, bytes: &[u8], (seq, site): (u64, Site), cuts: bool) {
        let start = at % PAGE;
        let range = start..start + bytes.len();
        let undo_at = self.undo.len() as u64;
        let target = page_mut(&mut self.pages, at / PAGE);
        self.undo.extend_from_slice(&target[range.clone()]);
        target[range].copy_from_slice(bytes);
        self.writes.push(UnitWrite {
            seq,
            undo_at,
            site,
            unit: (at / self.unit as usize) as u32,
            start: start as u16,
            len: bytes.len() as u16,
            failed: false,
            cuts,
            free: false,
        });
    }

    /// Cuts (zeroing what is cut off) or extends. Pages that are cut off stay in use until a sync,
    /// since their bytes may still come back. Returns whether anything changed.
    pub(super) fn set_len(&mut self, len: u64, (seq, site): (u64, Site)) -> bool {
        if len == self.len {
            return false;
        }
        let mut at = len as usize;
        while (at as u64) < self.len {
            let unit = self.unit as usize;
            let part = (unit - at % unit).min(self.len as usize - at);
            if matches!(self.pages.get(at / PAGE), Some(Some(_))) {
                self.write_unit(at, &[0; PAGE][..part], (seq, site), true);
            }
            at += part;
        }
        self.len = len;
        if self.fixed_len {
            self.durable_len = len;
        } else {
            self.lens.push(LenChange {
                seq,
                site,
                to: len,
                grown: false,
                free: false,
                failed: false,
            });
        }
        true
    }

    /// Makes changes up to `upto` durable, except those that a failed sync gave up. Returns the
    /// bytes of pages freed by a shorter length.
    #[inline]
    pub(super) fn make_durable(&mut self, upto: u64) -> u64 {
        let covered = |seq: u64, failed: bool| seq <= upto && !failed;
        let all = self.writes.iter().all(|w| covered(w.seq, w.failed))
            && self.lens.iter().all(|l| covered(l.seq, l.failed));
        if !all {
            self.make_durable_partly(upto);
            return 0;
        }
        self.keep_all();
        if self.pages.len() * PAGE < self.len as usize + PAGE { 0 } else { self.free_cut_pages() }
    }

    fn free_cut_pages(&mut self) -> u64 {
        let kept = (self.len as usize).div_ceil(PAGE).min(self.pages.len());
        (self.pages.drain(kept..).flatten().count() * PAGE) as u64
    }

    /// A unit is written back as a whole, so one that was written again after a failed sync is
    /// durable with all it holds; one that was not stays as it is. Writing back the unit at the
    /// file's end brings the length along, also one that an earlier sync failed to.
    fn make_durable_partly(&mut self, upto: u64) {
        let written = |w: &&UnitWrite| w.seq <= upto && !w.failed;
        let rewritten: Vec<(u32, u64)> =
            self.writes.iter().filter(written).map(|w| (w.unit, w.seq)).collect();
        let last_of = |unit: u32| rewritten.iter().rev().find(|(u, _)| *u == unit).map(|(_, s)| *s);
        self.writes.retain(|w| last_of(w.unit).is_none_or(|last| w.seq > last));
        let len = len_after(self.durable_len, self.lens.iter().filter(|l| l.seq <= upto));
        let end_unit = (len.saturating_sub(1) / u64::from(self.unit)) as u32;
        let last = match rewritten.iter().any(|(unit, _)| *unit == end_unit) {
            true => Some(upto),
            false => self.lens.iter().rev().find(|l| l.seq <= upto && !l.failed).map(|l| l.seq),
        };
        self.persist(|_| false, |l| last.is_some_and(|last| l.seq <= last));
    }

    /// Makes the data of a range durable, set lengths, and what the length grew to up to its end.
    pub(super) fn make_extent_durable(&mut self, upto: u64, (start, end): (u64, u64)) {
        let units = units_of(self.unit, (start, end));
        self.persist(
            |write| write.seq <= upto && !write.failed && units.contains(&write.unit),
            |len| {
                let covered = len.seq <= upto && !len.failed && !len.is_bare();
                covered && (!len.grown || len.to <= end)
            },
        );
    }

    /// Lets data, and lengths that grew, persist out of the metadata order.
    pub(super) fn loosen(&mut self, upto: u64) {
        self.writes
            .iter_mut()
            .filter(|write| write.seq <= upto)
            .for_each(|write| write.free = true);
        let grown = |len: &&mut LenChange| len.grown && len.seq <= upto;
        self.lens.iter_mut().filter(grown).for_each(|len| len.free = true);
    }

    /// Lets each length that is pending persist without anything else.
    pub(super) fn log_len(&mut self, (seq, site): (u64, Site)) {
        let bare = |to| LenChange { seq, site, to, grown: false, free: true, failed: false };
        let lens: BTreeSet<u64> = self.lens.iter().map(|len| len.to).collect();
        self.lens.extend(lens.into_iter().map(bare));
    }

    /// What is durable, by itself.
    pub(super) fn durable_part(&self) -> Self {
        let mut durable = self.clone();
        durable.lose_all();
        durable
    }

    /// Takes back what was durable: that is `committed` now. What was durable so far and what
    /// readers see is pending, in no order, as if two operations from `seq` on had written it.
    pub(super) fn revert(&mut self, committed: &Self, (seq, site): (u64, Site)) {
        let logged = self.durable_part();
        let shown = std::mem::replace(self, committed.clone());
        self.become_like(&logged, (seq, site));
        self.become_like(&shown, (seq + 1, site));
        self.loosen(seq + 1);
    }

    /// Writes what another file shows.
    fn become_like(&mut self, other: &Self, (seq, site): (u64, Site)) {
        for unit in 0..self.len.max(other.len).div_ceil(u64::from(self.unit)) as u32 {
            let wanted = other.versions(unit).pop().expect("there is a version");
            if self.versions(unit).last() != Some(&wanted) {
                self.write_unit((unit * self.unit) as usize, &wanted, (seq, site), false);
            }
        }
        if self.len != other.len {
            let to = other.len;
            self.len = to;
            self.lens.push(LenChange { seq, site, to, grown: false, free: true, failed: false });
        }
    }

    /// Makes exactly some changes durable. A write takes the earlier ones of its unit with it, a
    /// set length whatever length was before.
    pub(super) fn persist(
        &mut self,
        write: impl Fn(&UnitWrite) -> bool,
        len: impl Fn(&LenChange) -> bool,
    ) {
        let chosen = self.lens.iter().filter(|change| len(change));
        self.durable_len = len_after(self.durable_len, chosen);
        let set = self.lens.iter().rposition(|change| !change.grown && len(change));
        let mut index = 0;
        self.lens.retain(|change| {
            index += 1;
            !len(change) && set.is_none_or(|set| index > set + 1)
        });
        let chosen: Vec<(u32, u64)> =
            self.writes.iter().filter(|w| write(w)).map(|w| (w.unit, w.seq)).collect();
        if !chosen.is_empty() {
            let last_of = |unit: u32| chosen.iter().rev().find(|(u, _)| *u == unit).map(|c| c.1);
            self.writes.retain(|w| last_of(w.unit).is_none_or(|last| w.seq > last));
        }
        self.compact_undo();
    }

    #[cfg(test)]
    pub(super) fn undo_bytes(&self) -> usize {
        self.undo.len()
    }

    /// Forgets the bytes that no write needs any more, once they are most.
    fn compact_undo(&mut self) {
        const SLACK: usize = 1 << 16;
        if self.writes.is_empty() {
            return self.undo.clear();
        }
        let live: usize = self.writes.iter().map(|write| usize::from(write.len)).sum();
        if self.undo.len() <= 2 * live + SLACK {
            return;
        }
        let mut undo = Vec::with_capacity(live);
        for write in &mut self.writes {
            let (at, len) = (write.undo_at as usize, usize::from(write.len));
            write.undo_at = undo.len() as u64;
            undo.extend_from_slice(&self.undo[at..at + len]);
        }
        self.undo = undo;
    }

    pub(super) fn fail_sync(&mut self, upto: u64, extent: Option<(u64, u64)>) {
        let units = units_of(self.unit, extent.unwrap_or((0, FILE_LEN_MAX)));
        let covered = |w: &&mut UnitWrite| w.seq <= upto && units.contains(&w.unit);
        self.writes.iter_mut().filter(covered).for_each(|w| w.failed = true);
        self.lens.iter_mut().filter(|l| l.seq <= upto).for_each(|l| l.failed = true);
    }

    /// The device refused a unit: it is clean in the cache, and not durable. A length that ends in
    /// it goes the same way.
    pub(super) fn fail_unit(&mut self, unit: u32) {
        self.writes.iter_mut().filter(|w| w.unit == unit).for_each(|w| w.failed = true);
        let bytes = u64::from(self.unit);
        let ends = |len: &&mut LenChange| len.grown && ((len.to - 1) / bytes) as u32 == unit;
        self.lens.iter_mut().filter(ends).for_each(|len| len.failed = true);
    }

    /// Whether a sync would have something to do.
    pub(super) fn has_unsynced(&self) -> bool {
        self.writes.iter().any(|write| !write.failed) || self.lens.iter().any(|len| !len.failed)
    }

    /// A dirty unit at the file's end is written back: the next sync covers the length again that
    /// an earlier one failed to.
    pub(super) fn renew_len(&mut self, unit: u32) {
        let is_dirty = self.writes.iter().any(|write| write.unit == unit && !write.failed);
        let end = (self.len.saturating_sub(1) / u64::from(self.unit)) as u32;
        if is_dirty && unit == end {
            self.lens.iter_mut().for_each(|len| len.failed = false);
        }
    }

    /// Units that a sync would write.
    pub(super) fn dirty_units(&self) -> Vec<u32> {
        let dirty = self.writes.iter().filter(|write| !write.failed);
        dirty.map(|write| write.unit).collect::<BTreeSet<u32>>().into_iter().collect()
    }

    /// Units that the device refused and that nobody has written or cut since.
    pub(super) fn refused_units(&self) -> Vec<u32> {
        let mut units: BTreeSet<u32> = self.writes.iter().map(|write| write.unit).collect();
        for write in self.writes.iter().filter(|write| !write.failed || write.cuts) {
            units.remove(&write.unit);
        }
        units.into_iter().collect()
    }

    /// How many versions of a unit are not durable.
    pub(super) fn versions_of(&self, unit: u32) -> u64 {
        self.writes.iter().filter(|write| write.unit == unit).count() as u64
    }

    /// Takes a unit from the device again, which never had the last `lost` of its versions.
    pub(super) fn evict(&mut self, unit: u32, lost: u64) {
        let versions = self.versions_of(unit);
        let kept = versions - lost.min(versions);
        if kept == versions {
            return;
        }
        let of_unit: Vec<usize> =
            (0..self.writes.len()).filter(|&index| self.writes[index].unit == unit).collect();
        for &index in of_unit[kept as usize..].iter().rev() {
            let write = self.writes.remove(index);
            self.undo_write(&write, 0);
        }
        self.persist(|write| write.unit == unit, |_| false);
    }

    /// Forgets what could be undone: the file as readers see it is durable.
    pub(super) fn keep_all(&mut self) {
        self.writes.clear();
        self.undo.clear();
        self.lens.clear();
        self.is_allocated = false;
        self.durable_len = self.len;
    }

    pub(super) fn lose_all(&mut self) -> FileLoss {
        self.keep_only(|_| false, |_| None, |_| false)
    }

    /// A power loss: every unit goes back to the last of its writes (by index) that is `kept`, of
    /// the first lost one some sectors may stay (`torn`: a set of them, counted from the first
    /// that it touched), and the length is what the kept changes make it.
    pub(super) fn keep_only(
        &mut self,
        kept: impl Fn(usize) -> bool,
        torn: impl Fn(usize) -> Option<u64>,
        kept_len: impl Fn(usize) -> bool,
    ) -> FileLoss {
        let mut loss = FileLoss::default();
        let mut order: Vec<usize> = (0..self.writes.len()).collect();
        order.sort_by_key(|&index| (self.writes[index].unit, index));
        let writes = std::mem::take(&mut self.writes);
        for of_unit in order.chunk_by(|&a, &b| writes[a].unit == writes[b].unit) {
            let stay = of_unit.iter().rposition(|&index| kept(index)).map_or(0, |last| last + 1);
            for &index in of_unit[stay..].iter().rev() {
                let first = of_unit[stay] == index;
                self.undo_write(&writes[index], if first { torn(index).unwrap_or(0) } else { 0 });
                loss.writes += 1;
            }
        }
        let changes = self.lens.iter().enumerate().filter(|(index, _)| kept_len(*index));
        loss.lens = self.lens.len() as u64 - changes.clone().count() as u64;
        self.len = len_after(self.durable_len, changes.map(|(_, change)| change));
        self.zero_beyond_len();
        self.writes = writes;
        self.keep_all();
        loss
    }

    /// Puts back what a write replaced, but for the sectors in the bit set `keep`, counted from
    /// the first sector the write touched.
    fn undo_write(&mut self, write: &UnitWrite, keep: u64) {
        let UnitWrite { undo_at, unit, start, len, .. } = *write;
        let page = unit as usize * self.unit as usize / PAGE;
        let old = &self.undo[undo_at as usize..undo_at as usize + len as usize];
        let target = page_mut(&mut self.pages, page);
        if keep == 0 {
            target[start as usize..start as usize + len as usize].copy_from_slice(old);
            return;
        }
        let (start, end) = (start as usize, (start + len) as usize);
        let first = start / SECTOR;
        for sector in
            (first..end.div_ceil(SECTOR)).filter(|sector| keep >> (sector - first) & 1 == 0)
        {
            let range = (sector * SECTOR).max(start)..((sector + 1) * SECTOR).min(end);
            target[range.clone()].copy_from_slice(&old[range.start - start..range.end - start]);
        }
    }

    /// Bytes beyond the length become zeros.
    fn zero_beyond_len(&mut self) {
        let len = self.len as usize;
        self.pages.truncate(len.div_ceil(PAGE));
        if !len.is_multiple_of(PAGE)
            && let Some(Some(page)) = self.pages.get_mut(len / PAGE)
            && page[len % PAGE..] != ZEROS[len % PAGE..]
        {
            Arc::make_mut(page)[len % PAGE..].fill(0);
        }
    }

    /// All versions of a unit, the durable one first and the one that readers see last.
    pub(super) fn versions(&self, unit: u32) -> Vec<Vec<u8>> {
        let at = unit as usize * self.unit as usize;
        let (page, start) = (at / PAGE, at % PAGE);
        let mut bytes = match self.pages.get(page) {
            Some(Some(page)) => page[start..start + self.unit as usize].to_vec(),
            _ => vec![0; self.unit as usize],
        };
        let mut versions = vec![bytes.clone()];
        for write in self.writes.iter().rev().filter(|write| write.unit == unit) {
            let old = &self.undo[write.undo_at as usize..][..write.len as usize];
            let start = write.start as usize - start;
            bytes[start..start + old.len()].copy_from_slice(old);
            versions.push(bytes.clone());
        }
        versions.reverse();
        versions
    }

    /// Whether a unit is overwritten in place: bytes of it are durable, and nothing pending cuts
    /// them off. One that is durably zeros may be a hole.
    pub(super) fn is_in_place(&self, unit: u32) -> bool {
        let is_cut = self.writes.iter().any(|write| write.unit == unit && write.cuts);
        !is_cut && self.has_durable_bytes(unit)
    }

    /// Whether a pending write made the file longer by a block of its own, which was not there
    /// before.
    pub(super) fn allocates(&self, write: &UnitWrite) -> bool {
        let is_first = |other: &UnitWrite| other.unit == write.unit && other.seq < write.seq;
        let end = u64::from(write.unit + 1) * u64::from(self.unit);
        let grows = |len: &LenChange| {
            len.grown
                && len.seq == write.seq
                && len.to.div_ceil(u64::from(self.unit)) * u64::from(self.unit) == end
        };
        self.lens.iter().any(grows)
            && !self.writes.iter().any(is_first)
            && !self.has_durable_bytes(write.unit)
    }

    /// Whether a unit still has its bytes on the device: they are durable, and no cut that is
    /// pending took all of it away.
    pub(super) fn has_block(&self, unit: u32) -> bool {
        let is_gone =
            |write: &UnitWrite| write.unit == unit && write.cuts && !write.is_tail(self.unit);
        self.has_durable_bytes(unit) && !self.writes.iter().any(is_gone)
    }

    /// Whether there are bytes of a unit on the device for sure.
    pub(super) fn has_durable_bytes(&self, unit: u32) -> bool {
        self.versions(unit)[0].iter().any(|byte| *byte != 0)
    }

    /// The oldest change that may still be lost.
    pub(super) fn first_pending(&self) -> Option<u64> {
        let writes = self.writes.iter().map(|write| write.seq);
        writes.chain(self.lens.iter().map(|len| len.seq)).min()
    }

    /// Adds what may still be lost to a hash, and what would then be there; changes are numbered
    /// from `first` on.
    pub(super) fn hash_pending(&self, first: u64, hash: &mut Xxh3Default) {
        // By name, so that no field can be forgotten. The content has a hash of its own.
        let Self {
            len: _,
            pages: _,
            unit: _,
            fixed_len: _,
            durable_len,
            writes,
            undo,
            lens,
            is_allocated,
            unreadable,
            stale,
        } = self;
        hash.update(&durable_len.to_le_bytes());
        hash.update(&[u8::from(*is_allocated), u8::from(stale.is_some())]);
        unreadable.iter().for_each(|page| hash.update(&page.to_le_bytes()));
        if let Some((unit, bytes)) = stale {
            hash.update(&unit.to_le_bytes());
            hash.update(bytes);
        }
        for write in writes {
            let UnitWrite { seq, undo_at, site: _, unit, start, len, failed, cuts, free } = *write;
            hash.update(&(seq - first).to_le_bytes());
            hash.update(&[u8::from(failed), u8::from(cuts), u8::from(free), 2]);
            hash.update(&unit.to_le_bytes());
            hash.update(&start.to_le_bytes());
            hash.update(&len.to_le_bytes());
            hash.update(&undo[undo_at as usize..][..len as usize]);
        }
        for change in lens {
            let LenChange { seq, site: _, to, grown, free, failed } = *change;
            hash.update(&(seq - first).to_le_bytes());
            hash.update(&[u8::from(grown), u8::from(free), u8::from(failed), 3]);
            hash.update(&to.to_le_bytes());
        }
    }

    /// Changes durable bytes, as far as they lie in the file.
    pub(super) fn put(&mut self, offset: u64, bytes: &[u8]) {
        let len = self.len.saturating_sub(offset).min(bytes.len() as u64) as usize;
        for (at, &byte) in (offset as usize..).zip(&bytes[..len]) {
            page_mut(&mut self.pages, at / PAGE)[at % PAGE] = byte;
        }
    }

    /// Changes one durable bit. The caller picks a byte below the length.
    pub(super) fn flip_bit(&mut self, offset: u64, bit: u8) {
        assert!(offset < self.len && bit < 8, "bit rot outside the file");
        let at = offset as usize;
        page_mut(&mut self.pages, at / PAGE)[at % PAGE] ^= 1 << bit;
    }
}

impl UnitWrite {
    /// The first sector of its unit that it touches.
    pub(super) fn first_sector(&self, unit: u32) -> usize {
        self.start as usize % unit as usize / SECTOR
    }

    /// How many sectors it touches.
    pub(super) fn sectors(&self) -> u32 {
        let (start, end) = (self.start as usize, self.start as usize + self.len as usize);
        ((end - 1) / SECTOR - start / SECTOR + 1) as u32
    }

    /// The zeros between a cut file's new end and the end of that unit, which stays in use.
    pub(super) fn is_tail(&self, unit: u32) -> bool {
        self.cuts && !u32::from(self.start).is_multiple_of(unit)
    }

    /// Offset in the file, and how many bytes.
    pub(super) fn range(&self, unit: u32) -> (u64, u64) {
        let page = u64::from(self.unit) * u64::from(unit) / PAGE as u64;
        (page * PAGE as u64 + u64::from(self.start), u64::from(self.len))
    }
}

/// The units that a range touches.
fn units_of(unit: u32, (start, end): (u64, u64)) -> Range<u32> {
    let unit = u64::from(unit);
    (start / unit) as u32..end.div_ceil(unit) as u32
}

/// The page, made if it is missing and copied if a clone of the disk shares it.
#[inline]
fn page_mut(pages: &mut Vec<Option<Arc<Page>>>, index: usize) -> &mut Page {
    if index >= pages.len() {
        pages.resize(index + 1, None);
    }
    Arc::make_mut(pages[index].get_or_insert_with(pages::blank))
}
