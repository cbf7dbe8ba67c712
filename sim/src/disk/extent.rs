//! Calls about a range of a file: space in advance, writing back, and writing past the cache.

use std::io;

use super::{Cached, Disk, FILE_LEN_MAX, Ino, Node, os_code, os_error};

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
        match !keep_size && end > self.len(ino) {
            true => self.set_len(ino, end),
            false => Ok(()),
        }
    }

    /// Writes back the pages of a range and waits for them (sync_file_range(2)): neither the
    /// length nor names become durable, nor pages where the file had no durable bytes. No flush.
    pub fn sync_range(&mut self, ino: Ino, at: u64, len: u64) {
        let unit = u64::from(self.profile.unit);
        let end = at.saturating_add(len).min(self.len(ino));
        for unit in at / unit..end.div_ceil(unit) {
            self.write_back(ino, unit as u32);
        }
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
        if let Some(Node::File(file)) = self.inodes.get_mut(ino as usize).map(|i| &mut i.node) {
            file.renew_len(unit);
        }
        if self.profile.copy_on_write {
            return;
        }
        match self.device.volatile_cache {
            true => self.cached.push(Cached::Unit { ino, unit, upto: self.seq }),
            false => self.settle_unit(ino, unit, self.seq),
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
