//! Which bytes of a disk were read: what an engine cannot tell apart, it treats alike.
//!
//! Whoever looks at many crash images may skip one that differs from another only in what nobody
//! reads, in its recovery and in all that follows from it. Units that are written without being
//! read count as well: what a power loss may leave of a write depends on whether there were bytes.
//! (For memory instead of files this is what Jaaru does: Gorjiara, Xu and Demsky, ASPLOS 2021.)
//! Names and lengths count as read always.

use seedbed_env::map::FxHashSet;

use super::{Disk, Ino};

/// Units of files that were read. Only ever grows.
#[derive(Clone, Debug, Default)]
pub struct Reads {
    units: FxHashSet<(Ino, u32)>,
}

impl Reads {
    /// Whether any of a unit's bytes were read.
    pub fn contains(&self, ino: Ino, unit: u32) -> bool {
        self.units.contains(&(ino, unit))
    }

    /// How many units were read: another number is another set, since it only grows.
    pub fn len(&self) -> usize {
        self.units.len()
    }

    /// Whether nothing was read.
    pub fn is_empty(&self) -> bool {
        self.units.is_empty()
    }

    /// `len` bytes at `at` of a file are read, written or cut off; what is beyond its end is not.
    pub(crate) fn note(&mut self, disk: &Disk, ino: Ino, at: u64, len: u64) {
        let size = u64::from(disk.profile.unit);
        // All of the last unit: a later write may make it longer.
        let end = at.saturating_add(len).min(disk.len(ino).next_multiple_of(size));
        if at >= end {
            return;
        }
        let units = at / size..=(end - 1) / size;
        self.units.extend(units.map(|unit| (ino, unit as u32)));
    }

    /// Adds what another one has.
    pub(crate) fn add(&mut self, other: &Self) {
        self.units.extend(&other.units);
    }
}
