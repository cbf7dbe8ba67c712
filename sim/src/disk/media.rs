//! What a medium does to bytes at rest, and to pages on their way: bit rot, unreadable pages, junk,
//! and writes and reads that go astray.
//!
//! Such damage stays until the page is written again. Which of it happens, and how much, is the
//! caller's business; see [`seedbed_faults::DevicePlan`] for the kinds and their budget.
//! Sources: Bairavasundaram et al., FAST 2008 (lost and misdirected writes, bit rot), Ganesan et
//! al., FAST 2017 (what one such fault does to storage systems).

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

use super::file::FileData;
use super::{Chooser, Disk, Ino, Node, PAGE, ROOT, SECTOR, os_code};

/// Damage that was done: to which file, and what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The file's path, without one if it has lost its name.
    pub path: String,
    /// From which of its bytes on.
    pub offset: u64,
    /// How many of them, at most.
    pub len: u64,
    /// What happened, for people.
    pub what: String,
}

impl FileData {
    /// A write makes pages readable again that it covers; one that it covers in part has to be read
    /// first.
    ///
    /// # Errors
    /// EIO, in that case.
    pub(super) fn make_readable(&mut self, offset: u64, len: usize) -> std::io::Result<()> {
        let (end, page) = (offset + len as u64, PAGE as u64);
        let covered = (offset.div_ceil(page) as u32)..((end / page) as u32);
        let met = (offset / page) as u32..end.div_ceil(page) as u32;
        if self.unreadable.range(met).any(|page| !covered.contains(page)) {
            return Err(super::os_error(os_code::EIO));
        }
        self.unreadable.retain(|page| !covered.contains(page));
        Ok(())
    }
}

/// How durable bytes change, the mildest first.
const ROTS: u64 = 4;

impl Disk {
    /// Changes durable bytes: a bit, a byte, or a sector to zeros or junk. Nothing on a disk
    /// without bytes.
    pub fn rot(&mut self, chooser: &mut dyn Chooser) -> Option<Damage> {
        let (path, ino) = self.pick_file(chooser)?;
        let offset = chooser.choose("rot.byte", self.len(ino));
        // What is dirty is written again over whatever the medium does.
        if self.is_dirty_page(ino, (offset / PAGE as u64) as u32) {
            return None;
        }
        let sector = offset - offset % SECTOR as u64;
        let kind = chooser.choose("rot.kind", ROTS);
        let what = match kind {
            0 => {
                let bit = chooser.choose("rot.bit", 8) as u8;
                self.change_media(ino, |file| file.flip_bit(offset, bit));
                format!("bit {bit} of byte {offset}")
            }
            1 => {
                let by = 1 + chooser.choose("rot.to", 255) as u8;
                let bits = (0..8).filter(|bit| by >> bit & 1 == 1);
                self.change_media(ino, |file| bits.for_each(|bit| file.flip_bit(offset, bit)));
                format!("byte {offset}")
            }
            2 => {
                self.change_media(ino, |file| file.put(sector, &[0; SECTOR]));
                format!("the sector at {sector} is zeros")
            }
            _ => {
                let bytes = noise(chooser, SECTOR);
                self.change_media(ino, |file| file.put(sector, &bytes));
                format!("the sector at {sector} is junk")
            }
        };
        let (offset, len) = if kind < 2 { (offset, 1) } else { (sector, SECTOR as u64) };
        Some(Damage { path, offset, len, what })
    }

    /// Makes one page of a file unreadable until it is written again (a latent sector error).
    pub fn make_unreadable(&mut self, chooser: &mut dyn Chooser) -> Option<Damage> {
        let (path, ino) = self.pick_file(chooser)?;
        let page = chooser.choose("latent.page", self.len(ino).div_ceil(PAGE as u64)) as u32;
        if self.is_dirty_page(ino, page) {
            return None;
        }
        self.file_mut(ino).ok()?.unreadable.insert(page);
        let offset = u64::from(page) * PAGE as u64;
        let what = format!("the page at {offset} cannot be read");
        Some(Damage { path, offset, len: PAGE as u64, what })
    }

    /// One unit that a sync of the file is about to write never reaches the device, which says it
    /// did (a phantom write).
    pub fn lose_write(&mut self, ino: Ino, chooser: &mut dyn Chooser) -> Option<Damage> {
        let path = self.name_of(ino);
        let unit = self.pick_dirty(ino, chooser)?;
        let file = self.file_mut(ino).ok()?;
        let len = u64::from(file.unit());
        let offset = u64::from(unit) * len;
        file.fail_unit(unit);
        Some(Damage { path, offset, len, what: format!("the write at {offset} is lost") })
    }

    /// The same, and its bytes are now in the place of another unit, of any file.
    pub fn misdirect_write(&mut self, ino: Ino, chooser: &mut dyn Chooser) -> Option<Damage> {
        let unit = self.pick_dirty(ino, chooser)?;
        let (target_path, target) = self.pick_file(chooser)?;
        let size = u64::from(self.file_mut(ino).ok()?.unit());
        let at = size * chooser.choose("misdirect.unit", self.len(target).div_ceil(size));
        let from = u64::from(unit) * size;
        let is_clean = !self.dirty_units().contains(&(target, (at / size) as u32));
        if !is_clean || (target, at) == (ino, from) {
            return None;
        }
        let mut bytes = vec![0; size as usize];
        let file = self.file_mut(ino).ok()?;
        file.read_at(&mut bytes, from);
        file.fail_unit(unit);
        self.change_media(target, |file| file.put(at, &bytes));
        let what = format!("the write to {from} of {} went here", self.name_of(ino));
        Some(Damage { path: target_path, offset: at, len: size, what })
    }

    /// Reads what was there before the last sync that changed it, as far as that is known; else
    /// what is there.
    pub fn read_stale(&self, ino: Ino, buf: &mut [u8], offset: u64) -> usize {
        let count = self.read_at(ino, buf, offset);
        if let Some((unit, old)) = self.file(ino).and_then(|file| file.stale.as_ref()) {
            let start = u64::from(*unit) * old.len() as u64;
            for (at, byte) in (offset..).zip(&mut buf[..count]) {
                if let Some(old) = at.checked_sub(start).and_then(|at| old.get(at as usize)) {
                    *byte = *old;
                }
            }
        }
        count
    }

    /// Reads another place's bytes: the unit `pick` (modulo those of the file) in place of the
    /// first one asked for.
    pub fn read_misdirected(&self, ino: Ino, buf: &mut [u8], offset: u64, pick: u64) -> usize {
        let count = self.read_at(ino, buf, offset);
        let unit = u64::from(self.profile.unit);
        let units = self.len(ino).div_ceil(unit).max(1);
        let part = (unit - offset % unit).min(count as u64) as usize;
        let from = pick % units * unit + offset % unit;
        let read = self.read_at(ino, &mut buf[..part], from);
        buf[read..part].fill(0);
        count
    }

    /// Whether a read of these bytes meets an unreadable page.
    pub(crate) fn is_unreadable(&self, ino: Ino, offset: u64, len: usize) -> bool {
        self.file(ino).is_some_and(|file| {
            !file.unreadable.is_empty() && {
                let end = offset.saturating_add(len as u64).min(file.len());
                let page = |at: u64| (at / PAGE as u64) as u32;
                let mut met = file.unreadable.range(page(offset)..end.div_ceil(PAGE as u64) as u32);
                offset < end && met.any(|page| !self.is_dirty_page(ino, *page))
            }
        })
    }

    /// Keeps what the next sync of a file replaces, for stale reads.
    pub(crate) fn keep_stale(&mut self, ino: Ino) {
        let Ok(file) = self.file_mut(ino) else { return };
        let replaced = file.dirty_units().into_iter().find(|unit| file.has_durable_bytes(*unit));
        if let Some(unit) = replaced {
            file.stale = Some((unit, file.versions(unit).swap_remove(0).into()));
        }
    }

    /// Puts junk where a power loss caught a write: into a sector, or the whole page.
    pub(super) fn put_junk(&mut self, ino: Ino, at: u64, len: usize, chooser: &mut dyn Chooser) {
        let bytes = noise(chooser, len);
        self.change_media(ino, |file| file.put(at, &bytes));
    }

    /// Changes durable bytes of a file, and counts pages that were holes before.
    fn change_media(&mut self, ino: Ino, change: impl FnOnce(&mut FileData)) {
        if let Some(Node::File(file)) = self.inodes.get_mut(ino as usize).map(|i| &mut i.node) {
            let before = file.page_bytes();
            change(file);
            self.used += file.page_bytes() - before;
        }
    }

    /// Whether the cache holds something newer of a page than the device.
    fn is_dirty_page(&self, ino: Ino, page: u32) -> bool {
        let unit = u64::from(self.profile.unit);
        let is_in = |at: u32| (u64::from(at) * unit / PAGE as u64) as u32 == page;
        self.file(ino).is_some_and(|file| file.writes().iter().any(|write| is_in(write.unit)))
    }

    /// Bytes kept to take back what is not durable of a file.
    #[cfg(test)]
    pub(super) fn undo_bytes(&self, ino: Ino) -> usize {
        self.file(ino).map_or(0, FileData::undo_bytes)
    }

    fn file(&self, ino: Ino) -> Option<&FileData> {
        match &self.inodes.get(ino as usize)?.node {
            Node::File(file) => Some(file),
            Node::Dir(_) => None,
        }
    }

    /// Any file with bytes.
    fn pick_file(&self, chooser: &mut dyn Chooser) -> Option<(String, Ino)> {
        let mut files = Vec::new();
        self.list_files(ROOT, "", &mut files);
        files.retain(|(_, ino)| self.len(*ino) > 0);
        if files.is_empty() {
            return None;
        }
        Some(files.swap_remove(chooser.choose("media.file", files.len() as u64) as usize))
    }

    /// Any unit of a file that a sync would write.
    fn pick_dirty(&self, ino: Ino, chooser: &mut dyn Chooser) -> Option<u32> {
        let units = self.file(ino)?.dirty_units();
        if units.is_empty() {
            return None;
        }
        Some(units[chooser.choose("media.unit", units.len() as u64) as usize])
    }
}

/// Bytes without meaning, by one decision.
pub(super) fn noise(chooser: &mut dyn Chooser, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    ChaCha8Rng::seed_from_u64(chooser.choose("media.junk", 1 << 32)).fill_bytes(&mut bytes);
    bytes
}
