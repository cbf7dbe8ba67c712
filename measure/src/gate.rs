//! The judgement: is it slower, by how much, and is that more than noise?
//!
//! Each metric has an interval of the ratio after / before, and two bounds on getting worse: the
//! *threshold*, which must not be reached, and half of it, the *margin*, below which nothing is
//! worth an alarm. The interval is in one of four places:
//!
//! | verdict | the interval |
//! |---|---|
//! | [`Verdict::Better`] | lies wholly beyond the margin on the good side |
//! | [`Verdict::Same`] | else, if it ends short of the threshold: reaching it is excluded |
//! | [`Verdict::Regressed`] | else, if it begins beyond the margin: a harmless change is excluded |
//! | [`Verdict::Unclear`] | neither is excluded: more rounds are needed, or longer ones |
//!
//! So a change below the margin raises an alarm, and one beyond the threshold passes as the same,
//! only when an interval misses the truth, *however noisy the machine is*: noise makes verdicts
//! unclear, not wrong. Between margin and threshold either verdict is possible, and more rounds
//! bring `Same`. That is an indifference zone as in A. Wald, "Sequential Analysis" (1947), with the
//! two one-sided tests of D. Schuirmann (1987) for being the same.
//!
//! The two obvious rules are worse. If the whole interval had to lie beyond the threshold, a drop
//! of 12 % at a threshold of 10 % would need an interval of less than ±2 %: about ten times the
//! rounds. If the estimate had to pass the threshold and the interval to exclude no change at all,
//! a drop that is just over the threshold would be missed almost every second time, with any number
//! of rounds. Both are shown in `tests/measure/rules.rs`.
//!
//! An interval holds the truth with the gate's confidence for all metrics and looks *together*: the
//! error is split evenly (Bonferroni).
//!
//! How many rounds that takes says [`Gate::rounds_to_catch`]: with the default gate and plan, for
//! operations that last 12 % longer (a drop of 10.7 %) to be found by throughput alone in 96 of 100
//! comparisons, about 20 if a round's throughput has a noise of 5.7 %, about 60 if it has 9.9 %.
//!
//! On a shared machine of two cores with a load of 4, `cargo run --release -p seedbed-measure
//! --example false_alarms` found a noise of 7 % for throughput and 2 % for P50, raised 0 false
//! alarms in 50 comparisons (5 were unclear after 60 rounds) and caught 50 of 50 such slowdowns, in
//! 4 minutes. With `--throughput-only`, at a noise of 9 %, it was 0 alarms and 49 catches.

use std::fmt;

use serde::{Serialize, Serializer};

use crate::bootstrap::{Interval, ROUNDS_MIN, Resampling, detectable_distance};
use crate::latency::Percentile;
use crate::sample::{MeasureError, ROUNDS_MAX, Round, log_ratios, robust_deviation};

/// The part of a threshold below which a change is harmless.
const MARGIN: f64 = 0.5;
/// Fewest latencies beyond a percentile, in each round, on which a judgement may rest.
pub const BEYOND_MIN: u64 = 10;

/// What is judged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Metric {
    /// Operations per second: more is better.
    Throughput,
    /// A percentile of latency: less is better. Judged only if each round has at least
    /// [`BEYOND_MIN`] latencies beyond it.
    Latency(Percentile),
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Throughput => "throughput",
            Self::Latency(percentile) => percentile.name(),
        })
    }
}

impl Serialize for Metric {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Metric {
    /// All that a round holds but for the slowest operation, which is a single one and no figure of
    /// the program.
    pub const ALL: [Self; 5] = [
        Self::Throughput,
        Self::Latency(Percentile::P50),
        Self::Latency(Percentile::P95),
        Self::Latency(Percentile::P99),
        Self::Latency(Percentile::P999),
    ];

    fn of(self, round: &Round) -> f64 {
        match self {
            Self::Throughput => round.throughput(),
            // A clock too coarse for an operation may say 0.
            Self::Latency(percentile) => round.latency.percentile_ns(percentile).max(1) as f64,
        }
    }

    fn all_of(self, rounds: &[Round]) -> Vec<f64> {
        rounds.iter().map(|round| self.of(round)).collect()
    }
}

/// How much worse is too much, as parts of one.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Thresholds {
    /// Throughput must not drop by this part.
    pub throughput_drop: f64,
    /// No judged latency may grow by this part.
    pub latency_growth: f64,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self { throughput_drop: 0.10, latency_growth: 0.15 }
    }
}

impl Thresholds {
    fn of(&self, metric: Metric) -> f64 {
        match metric {
            Metric::Throughput => self.throughput_drop,
            Metric::Latency(_) => self.latency_growth,
        }
    }
}

/// How much worse, as a logarithm: 0 is no change, and both ways count alike.
fn log_worsening(metric: Metric, change: f64) -> f64 {
    match metric {
        Metric::Throughput => -(1.0 - change).ln(),
        Metric::Latency(_) => (1.0 + change).ln(),
    }
}

/// What an interval says, from harmless to bad.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// No change that matters.
    Same,
    /// Surely better.
    Better,
    /// Too noisy to say.
    Unclear,
    /// Surely worse, and maybe beyond the threshold.
    Regressed,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Same => "same",
            Self::Better => "better",
            Self::Unclear => "unclear",
            Self::Regressed => "regressed",
        })
    }
}

/// One metric, judged.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Judged {
    /// Which.
    pub metric: Metric,
    /// The judgement.
    pub verdict: Verdict,
    /// The ratio after / before; `None` with too few rounds.
    pub ratio: Option<Interval>,
    /// The standard deviation of a round's log ratio, stalls left out: about the part by which the
    /// two sides of a round differ by chance. 0 where rounds were not taken in turn.
    pub noise: f64,
    /// Why, in words.
    pub reason: String,
}

/// All metrics, judged.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Report {
    /// Rounds of each side; of the shorter one if they differ.
    pub rounds: usize,
    /// With which probability all intervals of all looks hold the truth.
    pub confidence: f64,
    /// One for each metric that could be judged.
    pub metrics: Vec<Judged>,
    /// What was not judged, and other things to know.
    pub notes: Vec<String>,
}

impl Report {
    /// The worst verdict of all metrics: regressed, unclear, better, same.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        let worst = self.metrics.iter().map(|judged| judged.verdict).max();
        worst.unwrap_or(Verdict::Unclear)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rounds, confidence, .. } = self;
        writeln!(f, "{}: {rounds} rounds, confidence {:.1} %", self.verdict(), confidence * 100.0)?;
        for Judged { metric, verdict, reason, .. } in &self.metrics {
            writeln!(f, "  {:<10}  {verdict:<9}  {reason}", metric.to_string())?;
        }
        self.notes.iter().try_for_each(|note| writeln!(f, "  {note}"))
    }
}

/// The rule.
#[derive(Clone, PartialEq, Debug)]
pub struct Gate {
    /// How much worse is too much.
    pub thresholds: Thresholds,
    /// With which probability all intervals of a comparison hold the truth, 0.5 to 0.9999.
    pub confidence: f64,
    /// What is judged.
    pub metrics: Vec<Metric>,
    /// How intervals are found.
    pub resampling: Resampling,
}

impl Default for Gate {
    fn default() -> Self {
        Self {
            thresholds: Thresholds::default(),
            confidence: 0.95,
            metrics: Metric::ALL.to_vec(),
            resampling: Resampling::default(),
        }
    }
}

/// How the rounds of two sides belong together.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pairing {
    Interleaved,
    Apart,
}

impl Gate {
    /// # Errors
    /// [`MeasureError::Setting`].
    pub fn check(&self) -> Result<(), MeasureError> {
        let error = |what, value: f64, expected| {
            Err(MeasureError::Setting { what, value: value.to_string(), expected })
        };
        let Thresholds { throughput_drop, latency_growth } = self.thresholds;
        if !(0.001..=0.9).contains(&throughput_drop) {
            return error("the threshold of throughput", throughput_drop, "0.001 to 0.9");
        }
        if !(0.001..=100.0).contains(&latency_growth) {
            return error("the threshold of latency", latency_growth, "0.001 to 100");
        }
        if !(0.5..=0.9999).contains(&self.confidence) {
            return error("the confidence", self.confidence, "0.5 to 0.9999");
        }
        if self.metrics.is_empty() || self.metrics.len() > Metric::ALL.len() {
            return error("the number of metrics", self.metrics.len() as f64, "1 to 5");
        }
        self.resampling.check()
    }

    /// Judges rounds that were taken in turn, looked at once: the first of `before` next to the
    /// first of `after`, and so on.
    ///
    /// # Errors
    /// [`MeasureError`] if the rounds are not in pairs, too many or empty, or the gate makes no
    /// sense.
    pub fn judge(&self, before: &[Round], after: &[Round]) -> Result<Report, MeasureError> {
        self.judge_looking(before, after, 1)
    }

    /// As [`Gate::judge`], for rounds that are looked at up to `looks` times.
    ///
    /// # Errors
    /// As [`Gate::judge`].
    pub fn judge_looking(
        &self,
        before: &[Round],
        after: &[Round],
        looks: usize,
    ) -> Result<Report, MeasureError> {
        if before.len() != after.len() {
            let (before, after) = (before.len(), after.len());
            return Err(MeasureError::Unpaired { before, after });
        }
        self.judge_paired(before, after, looks, Pairing::Interleaved)
    }

    /// Judges rounds that were *not* taken in turn, such as those of a saved baseline.
    ///
    /// Whatever else has changed on the machine since then counts as a change of the program, and
    /// no number of rounds helps: use it on quiet machines, or with thresholds well above what two
    /// runs of one program differ by on different days.
    ///
    /// # Errors
    /// As [`Gate::judge`], but the numbers of rounds may differ.
    pub fn judge_apart(&self, before: &[Round], after: &[Round]) -> Result<Report, MeasureError> {
        self.judge_paired(before, after, 1, Pairing::Apart)
    }

    fn judge_paired(
        &self,
        before: &[Round],
        after: &[Round],
        looks: usize,
        pairing: Pairing,
    ) -> Result<Report, MeasureError> {
        self.check()?;
        for (side, rounds) in [("before", before), ("after", after)] {
            if rounds.len() > ROUNDS_MAX {
                return Err(MeasureError::TooManyRounds { rounds: rounds.len() });
            }
            rounds.iter().enumerate().try_for_each(|(at, round)| round.check(side, at))?;
        }
        let mut notes = Vec::new();
        let mut metrics = self.metrics.clone();
        metrics.retain(|metric| match too_thin(*metric, before, after) {
            Some(note) => {
                notes.push(note);
                false
            }
            None => true,
        });
        if pairing == Pairing::Apart {
            let note = "the rounds were not taken in turn: what has changed on the machine since \
                        counts as a change of the program";
            notes.push(note.into());
        }
        let confidence = self.confidence_of_each(metrics.len(), looks);
        let judge = |metric| self.judge_metric(metric, before, after, confidence, pairing);
        let metrics = metrics.into_iter().map(judge).collect();
        let rounds = before.len().min(after.len());
        Ok(Report { rounds, confidence: self.confidence, metrics, notes })
    }

    fn confidence_of_each(&self, metrics: usize, looks: usize) -> f64 {
        1.0 - (1.0 - self.confidence) / (metrics.max(1) * looks.max(1)) as f64
    }

    fn judge_metric(
        &self,
        metric: Metric,
        before: &[Round],
        after: &[Round],
        confidence: f64,
        pairing: Pairing,
    ) -> Judged {
        let (values_b, values_a) = (metric.all_of(before), metric.all_of(after));
        let (interval, noise) = match pairing {
            Pairing::Interleaved => {
                let ratios = log_ratios(&values_b, &values_a);
                let interval = self.resampling.interval(&ratios, confidence);
                (interval, robust_deviation(&ratios))
            }
            Pairing::Apart => {
                let logs = |values: &[f64]| values.iter().map(|v| v.ln()).collect::<Vec<_>>();
                let (logs_b, logs_a) = (logs(&values_b), logs(&values_a));
                (self.resampling.interval_apart(&logs_b, &logs_a, confidence), 0.0)
            }
        };
        let Some(log) = interval else {
            let rounds = before.len().min(after.len());
            let reason = format!("{rounds} rounds are too few: {ROUNDS_MIN} are needed at least");
            return Judged { metric, verdict: Verdict::Unclear, ratio: None, noise, reason };
        };
        let verdict = self.verdict(metric, log);
        let ratio = log.map(f64::exp);
        let reason = self.reason(metric, verdict, ratio);
        Judged { metric, verdict, ratio: Some(ratio), noise, reason }
    }

    /// The rule itself, on an interval of ln(after / before).
    #[must_use]
    pub fn verdict(&self, metric: Metric, log: Interval) -> Verdict {
        let (least, most) = match metric {
            Metric::Throughput => (-log.high, -log.low),
            Metric::Latency(_) => (log.low, log.high),
        };
        let threshold = self.thresholds.of(metric);
        let margin = log_worsening(metric, threshold * MARGIN);
        if most < -margin {
            Verdict::Better
        } else if most < log_worsening(metric, threshold) {
            Verdict::Same
        } else if least > margin {
            Verdict::Regressed
        } else {
            Verdict::Unclear
        }
    }

    fn reason(&self, metric: Metric, verdict: Verdict, ratio: Interval) -> String {
        let threshold = self.thresholds.of(metric) * 100.0;
        let (margin, worse) = match metric {
            Metric::Throughput => (threshold * MARGIN, "drop"),
            Metric::Latency(_) => (threshold * MARGIN, "growth"),
        };
        let what = match verdict {
            Verdict::Same => format!("a {worse} of {threshold:.1} % is excluded"),
            Verdict::Better => format!("it is better by more than {margin:.1} %"),
            Verdict::Regressed => format!(
                "a {worse} of less than {margin:.1} % is excluded, one of {threshold:.1} % is not"
            ),
            Verdict::Unclear => format!(
                "neither a {worse} of less than {margin:.1} % nor one of {threshold:.1} % is \
                 excluded: more or longer rounds are needed"
            ),
        };
        let Interval { estimate, low, high } = ratio;
        format!("{estimate:.3} times [{low:.3}, {high:.3}]: {what}")
    }

    /// About how many rounds it takes until a metric that is worse by `change` (a part of one) is
    /// found so with probability `power`, where a round's log ratio has the standard deviation
    /// `noise` and the plan has so many `looks`; `None` if `change` is within the margin.
    ///
    /// The usual formula, n = ((z₁ + z₂) × noise / distance)², for the distance from the margin,
    /// with the Hodges-Lehmann estimator's 1.05. Below some 20 rounds the wider tails of Student's
    /// t ask for a third more.
    #[must_use]
    pub fn rounds_to_catch(
        &self,
        metric: Metric,
        change: f64,
        noise: f64,
        looks: usize,
        power: f64,
    ) -> Option<usize> {
        let margin = log_worsening(metric, self.thresholds.of(metric) * MARGIN);
        let distance = log_worsening(metric, change) - margin;
        let is_sound = distance > 0.0 && noise.is_finite() && power > 0.0 && power < 1.0;
        if !is_sound {
            return None;
        }
        let confidence = self.confidence_of_each(self.metrics.len(), looks);
        let deviations = detectable_distance(confidence, power) * noise / distance;
        let rounds = (1.05 * deviations * deviations).ceil() as usize;
        Some(rounds.max(ROUNDS_MIN).next_multiple_of(2))
    }
}

/// Why a percentile cannot be judged, if it cannot.
fn too_thin(metric: Metric, before: &[Round], after: &[Round]) -> Option<String> {
    let Metric::Latency(percentile) = metric else { return None };
    let least = before.iter().chain(after).map(|round| round.latency.beyond(percentile)).min()?;
    (least < BEYOND_MIN).then(|| {
        format!(
            "{metric} is not judged: a round has only {least} latencies beyond it, needed are \
             {BEYOND_MIN}"
        )
    })
}
