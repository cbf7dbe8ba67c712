//! When to forget outcomes that nobody will ask for: seldom, so that it costs nothing to speak of,
//! and for all connections of a writer together.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use seedbed_engines::sink::Gid;
use tokio::time::Instant;

/// Not more often than this,
const EVERY: Duration = Duration::from_secs(1);
/// but after so many transactions anyway.
const TRANSACTIONS: u32 = 512;

/// What was forgotten last.
#[derive(Debug, Default)]
pub(crate) struct Sweep(Mutex<Last>);

#[derive(Debug, Default)]
struct Last {
    below: Gid,
    at: Option<Instant>,
    transactions: u32,
}

impl Sweep {
    /// Counts a transaction; says whether what is below `finished` is to be forgotten now. Says so
    /// to one caller only.
    pub(crate) fn is_due(&self, finished: Gid) -> bool {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        last.transactions += 1;
        let waited = last.at.is_none_or(|at| at.elapsed() >= EVERY);
        if finished <= last.below || !(waited || last.transactions >= TRANSACTIONS) {
            return false;
        }
        *last = Last { below: finished, at: Some(Instant::now()), transactions: 0 };
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_are_forgotten_seldom_and_only_if_more_is_finished() {
        let gid = |number| Gid { incarnation: 1, number };
        let sweep = Sweep::default();
        assert!(sweep.is_due(gid(1)));
        assert!(!sweep.is_due(gid(1)), "nothing more is finished");
        let asked = (2..2 + u64::from(TRANSACTIONS)).position(|number| sweep.is_due(gid(number)));
        assert_eq!(asked, Some(TRANSACTIONS as usize - 2));
    }
}
