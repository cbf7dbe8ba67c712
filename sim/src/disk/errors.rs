//! What happens when the device refuses to write: who hears of it, what readers see then, and a
//! file system that gives up.
//!
//! The rules are Linux' (lib/errseq.c, mm/filemap.c, and refused writes on ext4, xfs and btrfs of
//! 6.18, see the litmus record): the error of a page written back is kept with its file; each
//! handle that was open hears of it once, at its next sync; one that was opened later hears of it
//! only if nobody has before. The page stays in the cache as it is, clean: no later sync covers it.
//! Dropped from the cache, it is read from the device, which may never have had it.

use std::io;

use seedbed_faults::GivesUp;

use super::{Disk, Ino, Node, os_code, os_error};

/// A file's errors of writing back, as Linux' `errseq_t`: the last code, a counter, and whether
/// anybody has seen it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ErrSeq(u32);

impl ErrSeq {
    const SEEN: u32 = 1 << 12;
    const CODE: u32 = Self::SEEN - 1;
    const ONE: u32 = Self::SEEN << 1;

    /// One more error. The counter moves only if the one before was seen.
    fn set(&mut self, code: i32) {
        let count = self.0 & !(Self::CODE | Self::SEEN);
        let one_more = if self.0 & Self::SEEN != 0 { Self::ONE } else { 0 };
        self.0 = count.wrapping_add(one_more) | (code as u32 & Self::CODE);
    }

    /// What a handle that is opened now has seen: not an error that nobody has.
    fn sample(self) -> Self {
        if self.0 & Self::SEEN != 0 { self } else { Self(0) }
    }

    /// Reports an error that `since` has not seen, which it has from then on.
    fn check(&mut self, since: &mut Self) -> io::Result<()> {
        if *self == *since {
            return Ok(());
        }
        self.0 |= Self::SEEN;
        *since = *self;
        Err(os_error((self.0 & Self::CODE) as i32))
    }

    fn is_unseen(self) -> bool {
        self.0 != 0 && self.0 & Self::SEEN == 0
    }

    /// As a number, for a handle that keeps it.
    pub(crate) fn bits(self) -> u32 {
        self.0
    }

    pub(crate) fn from_bits(bits: u32) -> Self {
        Self(bits)
    }
}

impl Disk {
    /// What a handle that is opened now has seen of a file's errors.
    pub fn errors_seen(&self, ino: Ino) -> ErrSeq {
        self.inodes[ino as usize].errors.sample()
    }

    /// The end of every sync through a handle: reports the last error of writing back that this
    /// handle has not `seen`, once.
    ///
    /// # Errors
    /// That error.
    #[inline]
    pub fn check_errors(&mut self, ino: Ino, seen: &mut ErrSeq) -> io::Result<()> {
        match self.inodes.get_mut(ino as usize) {
            Some(inode) => inode.errors.check(seen),
            None => Ok(()),
        }
    }

    /// The device refuses a unit of a file that the kernel writes back by itself. Nobody is told
    /// until the next sync.
    pub fn fail_write_back(&mut self, ino: Ino, unit: u32, code: i32) {
        let Some(inode) = self.inodes.get_mut(ino as usize) else { return };
        if let Node::File(file) = &mut inode.node {
            file.fail_unit(unit);
            self.note_error(ino, code);
        }
    }

    /// Keeps an error of writing back with its file.
    pub(super) fn note_error(&mut self, ino: Ino, code: i32) {
        let Some(inode) = self.inodes.get_mut(ino as usize) else { return };
        // A directory has no pages of its own.
        let Node::File(_) = inode.node else { return };
        inode.errors.set(code);
        if self.profile.data_error_aborts {
            self.aborting = true;
        }
    }

    /// Units of files that are dirty in the cache: the kernel may write them back.
    pub fn dirty_units(&self) -> Vec<(Ino, u32)> {
        self.units(|file| file.dirty_units())
    }

    /// Units of files that the device refused and nobody has written since: clean in the cache,
    /// which may drop them.
    pub fn refused_units(&self) -> Vec<(Ino, u32)> {
        self.units(|file| file.refused_units())
    }

    fn units(&self, of: impl Fn(&super::FileData) -> Vec<u32>) -> Vec<(Ino, u32)> {
        let mut units = Vec::new();
        for (ino, inode) in &self.inodes {
            if let Node::File(file) = &inode.node {
                units.extend(of(file).into_iter().map(|unit| (ino as Ino, unit)));
            }
        }
        units
    }

    /// How many versions of a refused unit the device may lack.
    pub fn refused_versions(&self, ino: Ino, unit: u32) -> u64 {
        match &self.inodes[ino as usize].node {
            Node::File(file) if self.profile.copy_on_write => file.versions_of(unit).min(1),
            Node::File(file) => file.versions_of(unit),
            Node::Dir(_) => 0,
        }
    }

    /// The cache drops a refused unit, and readers see what the device has: without the last
    /// `lost` of its versions (a copy-on-write file system has the old one or the new one).
    pub fn evict(&mut self, ino: Ino, unit: u32, lost: u64) {
        let copies = self.profile.copy_on_write;
        if let Some(Node::File(file)) = self.inodes.get_mut(ino as usize).map(|i| &mut i.node) {
            file.evict(unit, if copies && lost > 0 { u64::MAX } else { lost });
        }
    }

    /// The kernel forgets files that nobody has open, and errors of theirs that nobody has seen.
    /// Returns how many it forgot.
    pub fn forget_errors(&mut self) -> u64 {
        let mut forgotten = 0;
        for (_, inode) in &mut self.inodes {
            if inode.handles == 0 && inode.errors.is_unseen() {
                inode.errors = ErrSeq::default();
                forgotten += 1;
            }
        }
        forgotten
    }

    /// The file system gives up, as after an error in its journal: it takes no more changes until
    /// it is mounted again.
    pub fn shut_down(&mut self) {
        self.is_shut_down = true;
        self.aborting = false;
    }

    /// What has gone wrong so far stops no journal any more. One that has stopped stays so until it
    /// is mounted again.
    pub(crate) fn heal(&mut self) {
        self.aborting = false;
    }

    /// Whether it has given up.
    pub fn is_shut_down(&self) -> bool {
        self.is_shut_down
    }

    /// The error of a call that changes something, or of any call, on a file system that has given
    /// up.
    pub(crate) fn refusal(&self, changes: bool) -> Option<i32> {
        match self.profile.gives_up {
            _ if !self.is_shut_down => None,
            GivesUp::ReadOnly => changes.then_some(os_code::EROFS),
            GivesUp::Dead => Some(os_code::EIO),
        }
    }

    /// A journal that must not go on after an error of data stops at its next commit. A sync of a
    /// file without anything new commits nothing.
    pub(super) fn stop_at_commit(&mut self, synced: Ino) {
        let is_new = match self.inodes.get(synced as usize).map(|inode| &inode.node) {
            Some(Node::File(file)) => file.has_unsynced(),
            Some(Node::Dir(dir)) => dir.is_dirty(),
            None => false,
        };
        if self.aborting && (is_new || self.journal_end > 0) {
            self.shut_down();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::ErrSeq;

    #[test]
    fn a_handle_hears_of_an_error_once() {
        let mut errors = ErrSeq::default();
        let (mut a, mut b) = (errors.sample(), errors.sample());
        errors.set(5);
        assert_eq!(errors.check(&mut a).unwrap_err().raw_os_error(), Some(5));
        assert!(errors.check(&mut a).is_ok());
        assert!(errors.check(&mut b).is_err(), "every handle that was open");
        assert!(errors.check(&mut b).is_ok());
    }

    #[test]
    fn a_later_handle_hears_of_it_only_if_nobody_has() {
        let mut errors = ErrSeq::default();
        let mut a = errors.sample();
        errors.set(5);
        let mut late = errors.sample();
        assert!(errors.check(&mut late).is_err());
        let mut later = errors.sample();
        assert!(errors.check(&mut later).is_ok());
        assert!(errors.check(&mut a).is_err());
    }

    #[test]
    fn the_same_error_again_is_news() {
        let mut errors = ErrSeq::default();
        let mut a = errors.sample();
        errors.set(5);
        assert!(errors.check(&mut a).is_err());
        errors.set(5);
        assert!(errors.check(&mut a).is_err());
        errors.set(5);
        errors.set(28);
        assert_eq!(errors.check(&mut a).unwrap_err().raw_os_error(), Some(28), "the last code");
        assert!(errors.check(&mut a).is_ok());
    }
}
