//! Who runs when, and for how many rounds.
//!
//! A [`Comparison`] hands out [`Turn`]s and takes back [`Round`]s; it does not run anything, so it
//! serves callers that block and callers that await. After the first rounds it looks at the report,
//! and goes on while a metric is unclear, up to a limit. Each look is a chance of a false alarm:
//! intervals are widened for the number of looks that the plan allows, not for those that happened.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

use crate::bootstrap::ROUNDS_MIN;
use crate::gate::{Gate, Report, Verdict};
use crate::sample::{MeasureError, ROUNDS_MAX, Round};

/// One of the two that are compared.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Side {
    /// What is known: the old program.
    Before,
    /// What is judged: the new one.
    After,
}

/// One run that the caller is to make.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Turn {
    /// The number of the round, from 0.
    pub round: usize,
    /// Who runs.
    pub side: Side,
}

/// How many rounds, and in which order the sides take turns.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Plan {
    /// Rounds before the first look.
    pub rounds_first: usize,
    /// Rounds before each further look.
    pub rounds_step: usize,
    /// Rounds after which it ends, clear or not.
    pub rounds_max: usize,
    /// Draws the order of the sides.
    pub seed: u64,
}

impl Default for Plan {
    /// 20 rounds, then 20 more each time up to 60; see [`crate::gate`] for what they detect.
    fn default() -> Self {
        Self { rounds_first: 20, rounds_step: 20, rounds_max: 60, seed: 0 }
    }
}

impl Plan {
    /// One look after so many rounds.
    #[must_use]
    pub fn fixed(rounds: usize) -> Self {
        Self { rounds_first: rounds, rounds_step: 2, rounds_max: rounds, seed: 0 }
    }

    /// # Errors
    /// [`MeasureError::Setting`]: each order needs its counterpart, so numbers are even, and an
    /// interval needs [`ROUNDS_MIN`].
    pub fn check(&self) -> Result<(), MeasureError> {
        let error = |what, value: usize, expected| {
            Err(MeasureError::Setting { what, value: value.to_string(), expected })
        };
        let is_even = |rounds: usize| rounds.is_multiple_of(2);
        if !is_even(self.rounds_first) || self.rounds_first < ROUNDS_MIN {
            return error("the first number of rounds", self.rounds_first, "even, 12 or more");
        }
        if !is_even(self.rounds_step) || self.rounds_step == 0 {
            return error("the step in rounds", self.rounds_step, "even, 2 or more");
        }
        if !is_even(self.rounds_max) || self.rounds_max < self.rounds_first {
            let expected = "even, no fewer than the first";
            return error("the largest number of rounds", self.rounds_max, expected);
        }
        if self.rounds_max > ROUNDS_MAX {
            return error("the largest number of rounds", self.rounds_max, "1000 or fewer");
        }
        Ok(())
    }

    /// How often the report is looked at, at most.
    #[must_use]
    pub fn looks(&self) -> usize {
        1 + self.rounds_max.saturating_sub(self.rounds_first).div_ceil(self.rounds_step.max(1))
    }

    /// Who goes first in a round. Of each two rounds, one has either order; which comes first is
    /// drawn, so that nothing that repeats on the machine is in step with it.
    #[must_use]
    pub fn first(&self, round: usize) -> Side {
        let mut random = ChaCha8Rng::seed_from_u64(self.seed);
        random.set_stream(round as u64 / 2);
        let swapped = random.next_u32().is_multiple_of(2);
        if round.is_multiple_of(2) != swapped { Side::Before } else { Side::After }
    }
}

/// Two sides on their way to a report.
#[derive(Clone, Debug)]
pub struct Comparison {
    plan: Plan,
    gate: Gate,
    before: Vec<Round>,
    after: Vec<Round>,
    /// Rounds at which the next look is due.
    rounds_due: usize,
    report: Report,
}

impl Comparison {
    /// A comparison that has not begun.
    ///
    /// # Errors
    /// [`MeasureError::Setting`] for a plan or a gate that makes no sense.
    pub fn new(plan: Plan, gate: Gate) -> Result<Self, MeasureError> {
        plan.check()?;
        gate.check()?;
        let report = gate.judge_looking(&[], &[], plan.looks())?;
        let rounds_due = plan.rounds_first;
        Ok(Self { plan, gate, before: Vec::new(), after: Vec::new(), rounds_due, report })
    }

    /// The run that is wanted next; `None` when the comparison is over.
    #[must_use]
    pub fn turn(&self) -> Option<Turn> {
        let round = self.before.len().min(self.after.len());
        if round >= self.rounds_due {
            return None;
        }
        let side = match self.before.len().cmp(&self.after.len()) {
            std::cmp::Ordering::Less => Side::Before,
            std::cmp::Ordering::Greater => Side::After,
            std::cmp::Ordering::Equal => self.plan.first(round),
        };
        Some(Turn { round, side })
    }

    /// Takes what the run of the last [`Comparison::turn`] came to.
    ///
    /// # Errors
    /// [`MeasureError::NoThroughput`] for an empty round, which is not taken, and
    /// [`MeasureError::Over`] after the last one.
    pub fn record(&mut self, round: Round) -> Result<(), MeasureError> {
        let rounds = self.before.len();
        let turn = self.turn().ok_or(MeasureError::Over { rounds })?;
        match turn.side {
            Side::Before => {
                round.check("before", turn.round)?;
                self.before.push(round);
            }
            Side::After => {
                round.check("after", turn.round)?;
                self.after.push(round);
            }
        }
        if self.before.len() == self.rounds_due && self.after.len() == self.rounds_due {
            self.look()?;
        }
        Ok(())
    }

    fn look(&mut self) -> Result<(), MeasureError> {
        self.report = self.gate.judge_looking(&self.before, &self.after, self.plan.looks())?;
        if self.report.verdict() == Verdict::Unclear {
            let next = self.rounds_due + self.plan.rounds_step;
            self.rounds_due = next.min(self.plan.rounds_max);
        }
        Ok(())
    }

    /// The report of the last look; without metrics before the first.
    #[must_use]
    pub fn report(&self) -> &Report {
        &self.report
    }

    /// The rounds of both sides so far, in the order in which they were made.
    #[must_use]
    pub fn rounds(&self) -> (&[Round], &[Round]) {
        (&self.before, &self.after)
    }
}
