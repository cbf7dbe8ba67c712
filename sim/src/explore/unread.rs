//! Read-driven pruning: an image that differs from one that was looked at only in bytes that nobody
//! reads is not looked at again.
//!
//! What counts as read is what any recovery, and the work after it, has read in this case so far.
//! So an image is compared with those only that were looked at, crashes in their recoveries and all,
//! without anything new being read: whatever follows from them is known to depend on nothing else.
//! When more is read, all comparisons begin anew.

use seedbed_env::map::FxHashMap;

use crate::disk::{CrashImage, Reads};

#[derive(Default)]
pub(super) struct Unread {
    reads: Reads,
    /// What the reads can tell of images that were looked at since they last grew, with what clients
    /// had been told; and after how many crashes at least.
    looked_at: FxHashMap<(u128, u64), usize>,
}

impl Unread {
    /// A boot read this.
    pub(super) fn add(&mut self, reads: &Reads) {
        let before = self.reads.len();
        self.reads.add(reads);
        if self.reads.len() > before {
            self.looked_at.clear();
        }
    }

    /// Whether nobody can tell this image from one that was looked at after as many crashes or
    /// fewer: fewer leave more to come.
    pub(super) fn is_known(&self, image: &CrashImage<'_>, told: u64, depth: usize) -> bool {
        let hash = image.hash_for(&self.reads);
        let before = hash.and_then(|hash| self.looked_at.get(&(hash, told)));
        before.is_some_and(|&before| before <= depth)
    }

    /// The image was looked at, with all that follows from it.
    pub(super) fn looked_at(&mut self, image: &CrashImage<'_>, told: u64, depth: usize) {
        if let Some(hash) = image.hash_for(&self.reads) {
            let before = self.looked_at.entry((hash, told)).or_insert(depth);
            *before = depth.min(*before);
        }
    }

    /// All images are new again.
    pub(super) fn forget(&mut self) {
        self.looked_at.clear();
    }
}
