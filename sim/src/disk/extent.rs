//! Calls about a range of a file: space in advance, writing back, and writing past the cache.

use std::io;
use std::ops::Range;

use super::{Cached, Disk, FILE_LEN_MAX, Ino, Node, os_code, os_error};

/// Pages of a file that are on their way to the device, as they were when that began.
#[derive(Clone, Copy, Debug)]
#[must_use = "nothing is written back until it is ended or failed"]
pub struct WriteBack {
    ino: Ino,
    /// The range in bytes: where it starts, and where it ends.
    range: (u64, u64),
    upto: u64,
}

impl WriteBack {
    /// Where the range starts and where it ends, in bytes.
    pub fn range(&self) -> (u64, u64) {
        self.range
    }
}

impl Disk {
    /// Allocates space for a range (fallocate(2)); the file gets longer to hold it, unless
    /// `keep_size`. What is new reads as zeros. The space is not set aside: writing there later may
    /// still find none.
    ///
    /// # Errors
    /// EINVAL for an empty range, EFBIG beyond [`FILE_LEN_MAX`].
    pub fn allocate(&mut self, ino: Ino, at: u64, len: u64, keep_size: bool) -> io::Result<()> {
        let end = at.saturating_add(len);
        if len == 0 {
            return Err(os_error(os_code::EINVAL));
        }
        if end > FILE_LEN_MAX {
            return Err(os_error(os_code::EFBIG));
        }
        self.file_mut(ino)?.is_allocated = true;
        // A change, although no power loss shows it by itself.
        self.next_seq();
        match !keep_size && end > self.len(ino) {
            true => self.set_len(ino, end),
            false => Ok(()),
        }
    }

    /// Writes back the pages of a range and waits for them (sync_file_range(2)): neither the
    /// length nor names become durable, nor pages where the file had no durable bytes. No flush.
    pub fn sync_range(&mut self, ino: Ino, at: u64, len: u64) {
        let begun = self.begin_sync_range(ino, at, len);
        self.end_sync_range(begun);
    }

    /// Begins a [`Disk::sync_range`]: what is written later is not its business.
    pub fn begin_sync_range(&self, ino: Ino, at: u64, len: u64) -> WriteBack {
        let end = at.saturating_add(len).min(self.len(ino));
        WriteBack { ino, range: (at, end), upto: self.seq }
    }

    /// The device has the pages.
    pub fn end_sync_range(&mut self, begun: WriteBack) {
        self.barriers += 1;
        if self.is_shut_down {
            return;
        }
        for unit in self.units_in(begun) {
            self.write_back_upto(begun.ino, unit, begun.upto);
        }
    }

    /// The device refuses those of the pages that are dirty: clean in the cache, and not durable
    /// until they are written again.
    pub fn fail_sync_range(&mut self, begun: WriteBack, code: i32) {
        self.barriers += 1;
        let units = self.units_in(begun);
        let dirty = self.dirty_units().into_iter();
        for (ino, unit) in dirty.filter(|(ino, unit)| *ino == begun.ino && units.contains(unit)) {
            self.fail_write_back(ino, unit, code);
        }
    }

    fn units_in(&self, WriteBack { range: (start, end), .. }: WriteBack) -> Range<u32> {
        let unit = u64::from(self.profile.unit);
        (start / unit) as u32..end.div_ceil(unit) as u32
    }

    /// Writes past the cache (`O_DIRECT`): like [`Disk::write_at`], and the pages are written back
    /// when it returns.
    ///
    /// # Errors
    /// Those of [`Disk::write_at`].
    pub fn write_direct(&mut self, ino: Ino, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let written = self.write_at(ino, bytes, offset)?;
        self.sync_range(ino, offset, written as u64);
        Ok(written)
    }

    /// Writes back one unit of a file, as the kernel may at any time. A device without a volatile
    /// cache has it then; with one, after the next flush.
    pub fn write_back(&mut self, ino: Ino, unit: u32) {
        self.write_back_upto(ino, unit, self.seq);
    }

    fn write_back_upto(&mut self, ino: Ino, unit: u32, upto: u64) {
        if let Some(Node::File(file)) = self.inodes.get_mut(ino as usize).map(|i| &mut i.node) {
            file.renew_len(unit);
        }
        if self.profile.copy_on_write {
            return;
        }
        if !self.device.volatile_cache {
            return self.settle_unit(ino, unit, upto);
        }
        let known = self.cached.iter_mut().find_map(|cached| match cached {
            Cached::Unit { ino: of, unit: at, upto } if (*of, *at) == (ino, unit) => Some(upto),
            _ => None,
        });
        match known {
            Some(known) => *known = upto,
            None => self.cached.push(Cached::Unit { ino, unit, upto }),
        }
    }

    /// The device has a unit: a version of a page is durable; and with a length that has to grow,
    /// or where there was a hole, nothing: the data is there, but what points to it is not.
    pub(super) fn settle_unit(&mut self, ino: Ino, unit: u32, upto: u64) {
        if let Some(Node::File(file)) = self.inodes.get_mut(ino as usize).map(|i| &mut i.node)
            && file.is_in_place(unit)
        {
            file.persist(
                |write| write.unit == unit && write.seq <= upto && !write.failed,
                |_| false,
            );
        }
    }

    /// Whether a unit of a file still has its bytes on the device.
    pub(super) fn has_block(&self, ino: Ino, unit: u32) -> bool {
        match &self.inodes[ino as usize].node {
            Node::File(file) => file.has_block(unit),
            Node::Dir(_) => false,
        }
    }
}
