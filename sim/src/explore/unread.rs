//! Read-driven pruning: an image that differs from one that was looked at only in bytes that nobody
//! reads is not looked at again.
//!
//! What counts as read is what any recovery, and the work after it, has read in this case so far.
//! So an image is compared with those only that were looked at, crashes in their recoveries and
//! all, without anything new being read: whatever follows from them is known to depend on nothing
//! else. When more is read, all comparisons begin anew.
//!
//! Not all that follows from an image may be known although it was looked at: it may lead back to
//! one that is still being looked at. Then nothing is compared with it.

use seedbed_env::map::FxHashMap;

use crate::disk::{CrashImage, Reads};

/// An image or another state, by its hash and by what clients were told.
type State = (u128, u64);

#[derive(Default)]
pub(super) struct Unread {
    reads: Reads,
    /// What the reads can tell of images that were looked at since they last grew, with what
    /// clients had been told; and after how many crashes at least.
    looked_at: FxHashMap<State, usize>,
    /// What is being looked at, outermost first, and the outermost of these that it leads to.
    open: Vec<(State, Option<usize>)>,
    /// What was looked at and leads to something that is open, by its place there.
    leaning: FxHashMap<State, usize>,
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

    /// This is looked at from now on.
    pub(super) fn begin(&mut self, state: State) {
        self.open.push((state, None));
    }

    /// What is being looked at leads to something that was looked at before.
    pub(super) fn leans_on(&mut self, state: State) {
        let open = self.open.iter().position(|(open, _)| *open == state);
        let place = open.or_else(|| self.leaning.get(&state).copied());
        if let (Some(place), Some((_, outermost))) = (place, self.open.last_mut()) {
            *outermost = Some(outermost.map_or(place, |known| known.min(place)));
        }
    }

    /// The last begun is over. Whether all that follows from it is known: whether it leads to
    /// nothing that is still open.
    pub(super) fn end(&mut self) -> bool {
        let (state, outermost) = self.open.pop().expect("what ends has begun");
        let own = self.open.len();
        match outermost.filter(|&place| place < own) {
            Some(place) => {
                // So does what leads to this one.
                self.leaning
                    .values_mut()
                    .filter(|known| **known >= own)
                    .for_each(|known| *known = place);
                self.leaning.insert(state, place);
                let (_, outer) = self.open.last_mut().expect("something is open below it");
                *outer = Some(outer.map_or(place, |known| known.min(place)));
                false
            }
            None => {
                self.leaning.retain(|_, known| *known < own);
                true
            }
        }
    }

    /// An image was looked at, with all that follows from it.
    pub(super) fn looked_at(&mut self, image: &CrashImage<'_>, told: u64, depth: usize) {
        if let Some(hash) = image.hash_for(&self.reads) {
            let before = self.looked_at.entry((hash, told)).or_insert(depth);
            *before = depth.min(*before);
        }
    }

    /// All images are new again.
    pub(super) fn forget(&mut self) {
        self.looked_at.clear();
        self.leaning.clear();
    }
}
