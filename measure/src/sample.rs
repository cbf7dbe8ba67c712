//! Rounds, and the change between two sides in robust numbers.
//!
//! A *round* runs each side once, one right after the other, so that whatever the machine does for
//! longer than a round happens to both: randomised interleaved trials (A. Abedi and T. Brecht,
//! "Conducting Repeatable Experiments in Highly Variable Cloud Computing Environments", ICPE 2017).
//! A *block* is two consecutive rounds, one in each order: the mean of their log ratios is free of
//! what going first gives or takes, and of a drift that is linear over both. Blocks are what is
//! resampled, because they are the smallest parts that are alike and, but for what lasts longer
//! than a block, independent; single operations within a run are not (T. Kalibera and R. Jones,
//! "Rigorous Benchmarking in Reasonable Time", ISMM 2013: repeat, and resample, at the highest
//! level that varies).
//!
//! The centre of the blocks is the estimator of J. L. Hodges and E. L. Lehmann ("Estimates of
//! Location Based on Rank Tests", 1963), the median of the means of all pairs: stalls in up to 29 %
//! of the blocks cannot carry it away, and on clean data it needs 1.05 times the blocks that a mean
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

/// The log ratio of each block: the mean over two consecutive rounds of ln(after / before). An odd
/// last round is left out, because its order has no counterpart.
#[must_use]
pub fn block_log_ratios(before: &[f64], after: &[f64]) -> Vec<f64> {
    let ratios: Vec<f64> = before.iter().zip(after).map(|(b, a)| (a / b).ln()).collect();
    ratios.chunks_exact(2).map(|block| f64::midpoint(block[0], block[1])).collect()
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
    /// (mean, place, place).
    means: Vec<(f64, u32, u32)>,
}

impl PairMeans {
    /// Of up to [`ROUNDS_MAX`] finite values; more are left out.
    #[must_use]
    pub fn new(values: &[f64]) -> Self {
        let values = &values[..values.len().min(ROUNDS_MAX)];
        let mut means = Vec::with_capacity(values.len() * (values.len() + 1) / 2);
        for (i, first) in values.iter().enumerate() {
            for (j, second) in values.iter().enumerate().skip(i) {
                means.push((f64::midpoint(*first, *second), i as u32, j as u32));
            }
        }
        means.sort_by(|a, b| a.0.total_cmp(&b.0));
        Self { means }
    }

    /// The estimator for a sample that holds the value at each place `counts[place]` times; `None`
    /// of an empty one.
    ///
    /// A pair of different places is there as often as the product of its counts, a place with
    /// itself as often as it has pairs with itself, so one pass over the sorted means finds the
    /// median without sorting anew.
    #[must_use]
    pub fn centre(&self, counts: &[u32]) -> Option<f64> {
        let size: u64 = counts.iter().map(|count| u64::from(*count)).sum();
        let pairs = size * (size + 1) / 2;
        // With an even number of pairs the two in the middle, otherwise the same one twice.
        let (low, high) = (pairs.div_ceil(2), pairs / 2 + 1);
        let mut seen = 0;
        let mut lower = None;
        for (mean, i, j) in &self.means {
            let (a, b) = (u64::from(counts[*i as usize]), u64::from(counts[*j as usize]));
            seen += if i == j { a * (a + 1) / 2 } else { a * b };
            if lower.is_none() && seen >= low {
                lower = Some(*mean);
            }
            if seen >= high {
                return lower.map(|lower| f64::midpoint(lower, *mean));
            }
        }
        None
    }
}

/// The Hodges-Lehmann centre of finite values; `None` of nothing.
#[must_use]
pub fn centre(values: &[f64]) -> Option<f64> {
    PairMeans::new(values).centre(&vec![1; values.len()])
}
