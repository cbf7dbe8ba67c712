//! What meters have found.

use std::fmt;
use std::time::Duration;

use super::budget::Flag;

/// What one class has used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClassUsage {
    /// The class's name.
    pub class: &'static str,
    /// Operations that began.
    pub operations: u64,
    /// Times that it was entered: as many as operations, and polls.
    pub slices: u64,
    /// CPU time, without that of classes within.
    pub cpu: Duration,
}

/// What a meter has found on its thread, or several on theirs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CpuReport {
    /// The thread's name, or what the sum is of.
    pub thread: String,
    /// CPU time that was accounted for: exactly the sum over all classes.
    pub cpu: Duration,
    /// Classes that were entered, and [`OTHER`](super::OTHER), which comes first and has neither
    /// operations nor slices.
    pub classes: Vec<ClassUsage>,
    /// How often the CPU clock was read. The monotonic clock was read twice for each slice.
    pub cpu_readings: u64,
    /// How many operations went over the budget.
    pub flagged: u64,
    /// The last of them, oldest first, at most [`flags_max`](super::CpuOptions::flags_max).
    pub flags: Vec<Flag>,
}

impl CpuReport {
    /// What the class of this name has used; `None` if it was never entered.
    pub fn class(&self, name: &str) -> Option<&ClassUsage> {
        self.classes.iter().find(|usage| usage.class == name)
    }

    /// Adds what another meter has found. Of the flags the last `flags_max` stay.
    pub(super) fn merge(&mut self, other: &Self, flags_max: usize) {
        self.cpu += other.cpu;
        self.cpu_readings += other.cpu_readings;
        for theirs in &other.classes {
            match self.classes.iter_mut().find(|ours| ours.class == theirs.class) {
                None => self.classes.push(theirs.clone()),
                Some(ours) => {
                    ours.operations += theirs.operations;
                    ours.slices += theirs.slices;
                    ours.cpu += theirs.cpu;
                }
            }
        }
        self.flagged += other.flagged;
        self.flags.extend(other.flags.iter().cloned());
        self.flags.sort_by_key(|flag| flag.at);
        self.flags.drain(..self.flags.len().saturating_sub(flags_max));
        debug_assert_eq!(self.cpu, self.classes.iter().map(|usage| usage.cpu).sum());
    }
}

impl fmt::Display for CpuReport {
    /// A line for the thread, one for each class, one for each flag.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |time: Duration| time.as_secs_f64() * 1e3;
        writeln!(f, "{}: {:.3} ms of CPU time", self.thread, ms(self.cpu))?;
        for ClassUsage { class, operations, slices, cpu } in &self.classes {
            write!(f, "  {class}: {:.3} ms", ms(*cpu))?;
            match slices {
                0 => writeln!(f)?,
                _ => writeln!(f, ", {operations} operations, {slices} slices")?,
            }
        }
        if self.flagged > 0 {
            writeln!(f, "  {} operations over the budget, the last of them:", self.flagged)?;
        }
        for Flag { class, cpu, at } in &self.flags {
            writeln!(f, "  {class}: {:.3} ms, after {:.3} s", ms(*cpu), at.as_secs_f64())?;
        }
        Ok(())
    }
}
