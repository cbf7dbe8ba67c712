//! Rounds, and the change between two sides in robust numbers.
//!
//! A *round* runs each side once, one right after the other, so that whatever the machine does for
//! longer than a round happens to both, and only the ratio of the two is looked at: randomised
//! interleaved trials (A. Abedi and T. Brecht, "Conducting Repeatable Experiments in Highly
//! Variable Cloud Computing Environments", ICPE 2017). Each side goes first equally often, so that
//! what going first gives or takes moves as many ratios up as down.
//!
//! Rounds are what is counted and resampled, never the operations in them: operations of one run
//! share its moment and are not independent (T. Kalibera and R. Jones, "Rigorous Benchmarking in
//! Reasonable Time", ISMM 2013: repeat, and resample, at the highest level that varies). If a
//! process of its own is started for each run, its layout of memory varies from round to round too;
//! otherwise one layout is compared with one other.
//!
//! The centre of the log ratios is the estimator of J. L. Hodges and E. L. Lehmann ("Estimates of
//! Location Based on Rank Tests", 1963), the median of the means of all pairs: stalls in up to 29 %
//! of the rounds cannot carry it away, and on clean data it needs 1.05 times the rounds that a mean
//! would, where a median needs 1.57 times.

use serde::{Deserialize, Serialize};

use crate::latency::Summary;

/// Most rounds that are looked at: the work grows with their square.
pub const ROUNDS_MAX: usize = 1000;

/// Why something cannot be compared.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MeasureError {
    /// A round without operations or without time.
    #[error(
        "{side}, round {round}: {operations} operations in {elapsed_ns} ns give no throughput: \
         make rounds longer"
    )]
    NoThroughput {
        /// Which side.
        side: &'static str,
        /// From 0.
        round: usize,
        /// Of the round.
        operations: u64,
        /// Of the round.
        elapsed_ns: u64,
    },
    /// Interleaved rounds come in pairs.
    #[error("{before} rounds before and {after} after: interleaved rounds come in pairs")]
    Unpaired {
        /// Rounds of the one side.
        before: usize,
        /// Rounds of the other.
        after: usize,
    },
    /// More rounds than can be looked at.
    #[error("{rounds} rounds are more than {ROUNDS_MAX}: make rounds longer instead")]
    TooManyRounds {
        /// How many there are.
        rounds: usize,
    },
    /// A setting that makes no sense.
    #[error("{what} is {value}, expected {expected}")]
    Setting {
        /// Which.
        what: &'static str,
        /// What it is.
        value: String,
        /// What it may be.
        expected: &'static str,
    },
    /// A round that nobody asked for.
    #[error("the comparison is over after {rounds} rounds and takes no more")]
    Over {
        /// How many there were.
        rounds: usize,
    },
}

/// What one side did in one round.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Round {
    /// Operations done.
    pub operations: u64,
    /// How long they took together, in nanoseconds.
    pub elapsed_ns: u64,
    /// How long each took; a count of 0 where that was not measured.
    pub latency: Summary,
}

impl Round {
    /// A round of which only the throughput was measured.
    #[must_use]
    pub fn timed(operations: u64, elapsed_ns: u64) -> Self {
        Self { operations, elapsed_ns, latency: Summary::default() }
    }

    /// Operations per second; 0 or not finite if nothing was done or no time passed.
    #[must_use]
    pub fn throughput(&self) -> f64 {
        self.operations as f64 * 1e9 / self.elapsed_ns as f64
    }

    /// # Errors
    /// [`MeasureError::NoThroughput`].
    pub(crate) fn check(&self, side: &'static str, round: usize) -> Result<(), MeasureError> {
        let Self { operations, elapsed_ns, .. } = *self;
        if operations == 0 || elapsed_ns == 0 {
            return Err(MeasureError::NoThroughput { side, round, operations, elapsed_ns });
        }
        Ok(())
    }
}

/// The median; of an even number the mean of the two in the middle; `None` of nothing.
#[must_use]
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    let upper = *sorted.get(middle)?;
    Some(if sorted.len().is_multiple_of(2) {
        f64::midpoint(sorted[middle - 1], upper)
    } else {
        upper
    })
}

/// The log ratio of each round, ln(after / before).
#[must_use]
pub fn log_ratios(before: &[f64], after: &[f64]) -> Vec<f64> {
    before.iter().zip(after).map(|(b, a)| (a / b).ln()).collect()
}

/// The standard deviation of normal values with the same spread, from the median of the distances
/// to the median (times 1.4826), so that single stalls do not count; 0 of fewer than two.
#[must_use]
pub fn robust_deviation(values: &[f64]) -> f64 {
    let Some(centre) = median(values) else { return 0.0 };
    let distances: Vec<f64> = values.iter().map(|value| (value - centre).abs()).collect();
    median(&distances).unwrap_or(0.0) * 1.4826
}

/// All means of two values, a value with itself included, in rising order, each with the two places
/// that it comes from: what the Hodges-Lehmann estimator is the median of, for the values
/// themselves and for each resample of them.
#[derive(Clone, Debug)]
pub struct PairMeans {
    /// How many values there are.
    values: usize,
    means: Vec<f64>,
    /// The places of each mean; the second is never the smaller one.
    places: Vec<(u16, u16)>,
}

impl PairMeans {
    /// Of up to [`ROUNDS_MAX`] values; more are left out.
    #[must_use]
    pub fn new(values: &[f64]) -> Self {
        let values = &values[..values.len().min(ROUNDS_MAX)];
        let mut pairs = Vec::with_capacity(values.len() * (values.len() + 1) / 2);
        for (i, first) in values.iter().enumerate() {
            for (j, second) in values.iter().enumerate().skip(i) {
                pairs.push((f64::midpoint(*first, *second), (i as u16, j as u16)));
            }
        }
        pairs.sort_by(|a, b| a.0.total_cmp(&b.0));
        let (means, places) = pairs.into_iter().unzip();
        Self { values: values.len(), means, places }
    }

    /// The estimator for a sample that holds the value at each place `counts[place]` times; `None`
    /// of an empty one, and for counts that are not one for each value or above a million.
    ///
    /// A pair of different places is there as often as the product of its counts, a place with
    /// itself as often as it has pairs with itself, so one pass over the sorted means finds the
    /// median without sorting anew.
    #[must_use]
    pub fn centre(&self, counts: &[u32]) -> Option<f64> {
        if counts.len() != self.values || counts.iter().any(|count| *count > 1_000_000) {
            return None;
        }
        let size: u64 = counts.iter().map(|count| u64::from(*count)).sum();
        let pairs = size * (size + 1) / 2;
        // With an even number of pairs the two in the middle, otherwise the same one twice.
        let (low, high) = (pairs.div_ceil(2), pairs / 2 + 1);
        let mut seen = 0;
        let mut weighed = self.places.iter().map(|(i, j)| {
            let (a, b) = (counts[usize::from(*i)], counts[usize::from(*j)]);
            let (a, b) = (u64::from(a), u64::from(b));
            seen += if i == j { a * (a + 1) / 2 } else { a * b };
            seen
        });
        let lower = weighed.by_ref().position(|seen| seen >= low)?;
        if seen >= high {
            return Some(self.means[lower]);
        }
        let is_next =
            |(i, j): &(u16, u16)| counts[usize::from(*i)] > 0 && counts[usize::from(*j)] > 0;
        let upper = lower + 1 + self.places[lower + 1..].iter().position(is_next)?;
        Some(f64::midpoint(self.means[lower], self.means[upper]))
    }
}

/// The Hodges-Lehmann centre of finite values; `None` of nothing.
#[must_use]
pub fn centre(values: &[f64]) -> Option<f64> {
    PairMeans::new(values).centre(&vec![1; values.len()])
}
