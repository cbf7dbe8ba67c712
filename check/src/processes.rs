//! Sets of processes as bits of one word: who takes part, who voted, who has decided.

use std::fmt;
use std::ops::{BitAnd, BitOr, Sub};

use crate::history::Process;

/// A set of processes 0..64.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Processes(u64);

impl Processes {
    /// How many different processes there can be.
    pub const COUNT_MAX: usize = 64;
    /// Nobody.
    pub const NONE: Self = Self(0);
    /// All 64.
    pub const ALL: Self = Self(u64::MAX);

    /// The processes `0..count`.
    ///
    /// # Panics
    ///
    /// If `count` is more than [`Self::COUNT_MAX`].
    pub const fn first(count: usize) -> Self {
        assert!(count <= Self::COUNT_MAX, "at most 64 processes");
        if count == Self::COUNT_MAX { Self::ALL } else { Self((1 << count) - 1) }
    }

    /// Just this process. A number above 63 is no process of a history: its remainder by 64 is
    /// taken.
    #[inline]
    pub const fn one(process: Process) -> Self {
        Self(1 << (process.0 % 64))
    }

    /// This set and the process.
    #[inline]
    #[must_use]
    pub const fn with(self, process: Process) -> Self {
        Self(self.0 | Self::one(process).0)
    }

    /// Whether the process is in it.
    #[inline]
    pub const fn contains(self, process: Process) -> bool {
        self.0 & Self::one(process).0 != 0
    }

    /// Whether all of the other set are in it.
    #[inline]
    pub const fn contains_all(self, other: Self) -> bool {
        other.0 & !self.0 == 0
    }

    /// Whether nobody is in it.
    #[inline]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// How many are in it.
    #[inline]
    pub const fn len(self) -> usize {
        self.0.count_ones() as usize
    }

    /// Its processes by number.
    pub fn iter(self) -> impl Iterator<Item = Process> {
        (0..64).map(Process).filter(move |process| self.contains(*process))
    }
}

impl FromIterator<Process> for Processes {
    fn from_iter<I: IntoIterator<Item = Process>>(processes: I) -> Self {
        processes.into_iter().fold(Self::NONE, Self::with)
    }
}

impl BitOr for Processes {
    type Output = Self;

    #[inline]
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitAnd for Processes {
    type Output = Self;

    #[inline]
    fn bitand(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

impl Sub for Processes {
    type Output = Self;

    #[inline]
    fn sub(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

impl fmt::Display for Processes {
    /// `{0, 2}`; `all`; `all but {2}`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.len() > Self::COUNT_MAX / 2 {
            let rest = Self::ALL - *self;
            return match rest.is_empty() {
                true => f.write_str("all"),
                false => write!(f, "all but {rest}"),
            };
        }
        f.debug_set().entries(self.iter().map(|process| process.0)).finish()
    }
}

impl fmt::Debug for Processes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_holds_what_was_put_in() {
        let set: Processes = [Process(0), Process(63)].into_iter().collect();
        assert_eq!((set.len(), set.to_string()), (2, "{0, 63}".to_owned()));
        assert_eq!(Processes::ALL.to_string(), "all");
        assert_eq!((Processes::ALL - set).to_string(), "all but {0, 63}");
        assert!(set.contains(Process(63)) && !set.contains(Process(1)));
        assert!(Processes::first(64).contains_all(set) && !Processes::first(63).contains_all(set));
        assert_eq!(set - Processes::one(Process(0)), Processes::one(Process(63)));
    }
}
