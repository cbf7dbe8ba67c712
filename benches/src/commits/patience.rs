//! Waiting until other programs leave the machine alone: where they compete for its cores, a sync
//! of 0.1 ms becomes one of 4.0 ms, and what is compared is the scheduler.
//!
//! A figure is taken when the machine is quiet, and again if others disturbed it. Waiting has a
//! limit for the whole comparison; when that is used up, figures count as they come, and the
//! report says how many were disturbed.

use std::time::{Duration, Instant};

use super::cell::Found;
use super::worker::machine_cpu;

/// A figure is disturbed if other programs had more than this share of the machine.
pub(crate) const FOREIGN_MAX: f64 = 0.10;
/// How long others are watched.
const WATCH: Duration = Duration::from_millis(100);
/// How often a figure is taken at most.
const ATTEMPTS: u32 = 4;

/// See the module.
#[derive(Debug)]
pub(crate) struct Patience {
    left: Duration,
    /// Watches other programs for a while: their share of the machine.
    watch: fn() -> f64,
}

impl Patience {
    pub(crate) fn new(left: Duration, watch: fn() -> f64) -> Self {
        Self { left, watch }
    }

    /// The least disturbed of some attempts, or the first one that was not.
    pub(crate) fn take(
        &mut self,
        mut attempt: impl FnMut() -> Result<Found, String>,
    ) -> Result<Found, String> {
        self.wait();
        let mut best = attempt()?;
        for _ in 1..ATTEMPTS {
            if best.foreign <= FOREIGN_MAX || self.left.is_zero() {
                break;
            }
            let start = Instant::now();
            self.wait();
            let again = attempt()?;
            self.left = self.left.saturating_sub(start.elapsed());
            if again.foreign < best.foreign {
                best = again;
            }
        }
        Ok(best)
    }

    fn wait(&mut self) {
        while !self.left.is_zero() && (self.watch)() > FOREIGN_MAX {
            self.left = self.left.saturating_sub(WATCH);
        }
    }
}

/// The share of the machine that programs have, this one not counted: it sleeps.
pub(crate) fn watch() -> f64 {
    let before = machine_cpu();
    std::thread::sleep(WATCH);
    let after = machine_cpu();
    let all = after.1 - before.1;
    if all > 0.0 { (after.0 - before.0) / all } else { 0.0 }
}
