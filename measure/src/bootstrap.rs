//! Confidence intervals by resampling, the same for the same input.
//!
//! The interval is the bootstrap's percentile interval, made as much wider as Student's t is wider
//! than the normal distribution: with few rounds a plain one is too narrow, because resamples vary
//! less than samples by the factor √((n-1)/n) and know too little of the tails. T. Hesterberg
//! ("What Teachers Should Know about the Bootstrap", The American Statistician 69, 2015: the
//! expanded percentile interval) replaces the tail α/2 by Φ(-√(n/(n-1)) t(α/2, n-1)), which is what
//! is done here.
//!
//! Why not BCa: its acceleration comes from leaving out one value at a time, which says nothing of
//! a median-like estimator, and what it corrects, bias and skewness, is small here by design: log
//! ratios of two runs in either order are symmetric where nothing changed.

use distrs::{Normal, StudentsT};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use serde::Serialize;

use crate::sample::{MeasureError, PairMeans, ROUNDS_MAX};

/// Fewest rounds that give an interval: with fewer, its ends would hang on the outermost of them.
pub const ROUNDS_MIN: usize = 12;

/// An estimate and the interval around it.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct Interval {
    /// The best guess.
    pub estimate: f64,
    /// Its lower end.
    pub low: f64,
    /// Its upper end.
    pub high: f64,
}

impl Interval {
    /// Each of the three through a rising function.
    #[must_use]
    pub fn map(self, f: impl Fn(f64) -> f64) -> Self {
        Self { estimate: f(self.estimate), low: f(self.low), high: f(self.high) }
    }
}

/// How to resample.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Resampling {
    /// How many resamples, 1,000 to 1,000,000.
    pub resamples: u32,
    /// Where their random numbers come from.
    pub seed: u64,
}

impl Default for Resampling {
    fn default() -> Self {
        Self { resamples: 10_000, seed: 0 }
    }
}

impl Resampling {
    /// # Errors
    /// [`MeasureError::Setting`] for a number of resamples that is out of range.
    pub(crate) fn check(&self) -> Result<(), MeasureError> {
        if (1_000..=1_000_000).contains(&self.resamples) {
            return Ok(());
        }
        let value = self.resamples.to_string();
        let expected = "1000 to 1000000";
        Err(MeasureError::Setting { what: "the number of resamples", value, expected })
    }

    /// The interval of the centre of `values`, wide enough to hold the true one with probability
    /// `confidence`; `None` with fewer than [`ROUNDS_MIN`] values, more than [`ROUNDS_MAX`],
    /// or one that is not finite.
    ///
    /// A tail thinner than one resample ends at the outermost resample.
    #[must_use]
    pub fn interval(&self, values: &[f64], confidence: f64) -> Option<Interval> {
        let sizes = ROUNDS_MIN..=ROUNDS_MAX;
        if !sizes.contains(&values.len()) || values.iter().any(|value| !value.is_finite()) {
            return None;
        }
        let means = PairMeans::new(values);
        let estimate = means.centre(&vec![1; values.len()])?;
        let mut random = ChaCha8Rng::seed_from_u64(self.seed);
        let mut counts = vec![0; values.len()];
        let mut centres = Vec::with_capacity(self.resamples as usize);
        for _ in 0..self.resamples {
            draw(&mut random, &mut counts);
            centres.push(means.centre(&counts)?);
        }
        Some(ends(estimate, centres, expanded_tail(values.len(), confidence)))
    }

    /// The interval of the difference of the centres, `after` less `before`, of values that were
    /// *not* taken in turn. Each side is resampled by itself, so what the machine did to one side
    /// and not to the other counts as a change.
    ///
    /// `None` as for [`Resampling::interval`].
    #[must_use]
    pub fn interval_apart(
        &self,
        before: &[f64],
        after: &[f64],
        confidence: f64,
    ) -> Option<Interval> {
        let (fewer, more) = (before.len().min(after.len()), before.len().max(after.len()));
        let mut all = before.iter().chain(after);
        if fewer < ROUNDS_MIN || more > ROUNDS_MAX || all.any(|value| !value.is_finite()) {
            return None;
        }
        let (means_b, means_a) = (PairMeans::new(before), PairMeans::new(after));
        let (mut counts_b, mut counts_a) = (vec![1; before.len()], vec![1; after.len()]);
        let estimate = means_a.centre(&counts_a)? - means_b.centre(&counts_b)?;
        let mut random = ChaCha8Rng::seed_from_u64(self.seed);
        let mut centres = Vec::with_capacity(self.resamples as usize);
        for _ in 0..self.resamples {
            draw(&mut random, &mut counts_b);
            draw(&mut random, &mut counts_a);
            centres.push(means_a.centre(&counts_a)? - means_b.centre(&counts_b)?);
        }
        Some(ends(estimate, centres, expanded_tail(fewer, confidence)))
    }
}

/// Draws as many places as there are, with replacement, and counts how often each was drawn.
fn draw(random: &mut ChaCha8Rng, counts: &mut [u32]) {
    counts.fill(0);
    let places = counts.len() as u64;
    for _ in 0..places {
        // Uneven by less than places / 2^32.
        let place = (u64::from(random.next_u32()) * places) >> 32;
        counts[place as usize] += 1;
    }
}

/// The share of resamples beyond each end of the interval.
fn expanded_tail(rounds: usize, confidence: f64) -> f64 {
    let n = rounds as f64;
    let distance = -StudentsT::ppf((1.0 - confidence) / 2.0, n - 1.0);
    standard_normal_below(-(n / (n - 1.0)).sqrt() * distance)
}

fn standard_normal_below(x: f64) -> f64 {
    Normal::cdf(x, 0.0, 1.0)
}

fn ends(estimate: f64, mut centres: Vec<f64>, tail: f64) -> Interval {
    centres.sort_by(f64::total_cmp);
    let last = centres.len() - 1;
    let skipped = ((tail * centres.len() as f64) as usize).min(last / 2);
    // The centre of what was seen is inside whatever the resamples say.
    let low = centres[skipped].min(estimate);
    let high = centres[last - skipped].max(estimate);
    Interval { estimate, low, high }
}

/// How many standard errors lie between what a test of this `confidence` must exclude and what it
/// detects with probability `power`: the factor of sample size formulas.
pub(crate) fn detectable_distance(confidence: f64, power: f64) -> f64 {
    let quantile = |p| Normal::ppf(p, 0.0, 1.0);
    quantile(f64::midpoint(confidence, 1.0)) + quantile(power)
}

#[cfg(test)]
mod tests {
    use super::{detectable_distance, expanded_tail};

    /// By hand, from tables of t and Φ: t(0.025, 4) = 2.7764, t(0.025, 9) = 2.2622 and
    /// t(0.005, 19) = 2.8609, each times √(n/(n-1)).
    #[test]
    fn tails_are_those_of_the_tables() {
        for (rounds, confidence, tail) in
            [(5, 0.95, 0.000_955), (10, 0.95, 0.008_551), (20, 0.99, 0.001_667)]
        {
            let found = expanded_tail(rounds, confidence);
            assert!((found / tail - 1.0).abs() < 0.01, "{rounds} rounds: {found}");
        }
        assert!((detectable_distance(0.95, 0.8) - (1.960 + 0.8416)).abs() < 0.001);
    }
}
