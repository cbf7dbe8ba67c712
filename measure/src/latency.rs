//! Latencies: a histogram of three digits, corrected for coordinated omission on request.
//!
//! A closed-loop client sends its next request when the last one is answered. While the server
//! stalls it asks nothing, so a stall of a second is one slow answer among thousands of fast ones,
//! though every client that came in that second would have waited. G. Tene calls this coordinated
//! omission ("How NOT to Measure Latency", 2013); [`Latencies::record_closed`] adds the answers
//! that were not asked for, as HdrHistogram does. An open-loop client has a time at which each
//! request is *due*: it records the time from then to the answer, and nothing has to be added.
//!
//! Invariants: what is not between 0 and an hour counts as an hour, counts stop at [`COUNT_MAX`],
//! and one call of any function costs a bounded number of steps.

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use crate::gate::BEYOND_MIN;

/// What is slower counts as this slow: one hour.
pub const LATENCY_NS_MAX: u64 = 3_600_000_000_000;
/// Most latencies that are counted; later ones are left out.
pub const COUNT_MAX: u64 = 1 << 52;
/// Significant decimal digits: a reading is at most a thousandth above what was recorded.
const DIGITS: u8 = 3;
/// Most steps of one correction; longer series are added in groups.
const CORRECTION_STEPS_MAX: u64 = 10_000;

/// A percentile that is reported.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Percentile {
    /// The median.
    P50,
    /// 95 of 100 are at most this slow.
    P95,
    /// 99 of 100 are at most this slow.
    P99,
    /// 999 of 1000 are at most this slow.
    P999,
}

impl Percentile {
    /// All of them, rising.
    pub const ALL: [Self; 4] = [Self::P50, Self::P95, Self::P99, Self::P999];

    /// Of a thousand latencies, how many are at most this slow.
    #[must_use]
    pub const fn per_mille(self) -> u64 {
        match self {
            Self::P50 => 500,
            Self::P95 => 950,
            Self::P99 => 990,
            Self::P999 => 999,
        }
    }

    /// Its name in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::P50 => "P50",
            Self::P95 => "P95",
            Self::P99 => "P99",
            Self::P999 => "P99.9",
        }
    }
}

/// A histogram of latencies in nanoseconds, about 300 KiB however many are recorded.
#[derive(Clone, Debug)]
pub struct Latencies {
    histogram: Histogram<u64>,
    /// The largest, exact.
    max_ns: u64,
}

impl Default for Latencies {
    fn default() -> Self {
        Self::new()
    }
}

impl Latencies {
    /// An empty histogram.
    #[must_use]
    pub fn new() -> Self {
        let histogram = Histogram::new_with_bounds(1, LATENCY_NS_MAX, DIGITS)
            .expect("these bounds and digits are legal");
        Self { histogram, max_ns: 0 }
    }

    /// Records one latency. In an open loop that is the time from when the request was *due*, not
    /// from when it was sent.
    pub fn record(&mut self, latency_ns: u64) {
        self.record_many(latency_ns, 1);
    }

    /// Records one latency of a closed loop whose client would have asked every `expected_ns`: a
    /// longer wait counts for the requests that were held back as well, each `expected_ns` less
    /// slow than the one before. With 0 nothing is corrected.
    ///
    /// Where more than 10,000 requests were held back they are added in groups, each as slow as its
    /// slowest.
    pub fn record_closed(&mut self, latency_ns: u64, expected_ns: u64) {
        let latency_ns = latency_ns.min(LATENCY_NS_MAX);
        self.record(latency_ns);
        let Some(held_back) = latency_ns.checked_div(expected_ns) else { return };
        // The one that was answered is recorded.
        let mut left = held_back.saturating_sub(1);
        let group = left.div_ceil(CORRECTION_STEPS_MAX).max(1);
        let mut slowest_ns = latency_ns;
        while left > 0 {
            slowest_ns -= expected_ns;
            let count = group.min(left);
            self.record_many(slowest_ns, count);
            slowest_ns -= expected_ns * (count - 1);
            left -= count;
        }
    }

    fn record_many(&mut self, latency_ns: u64, count: u64) {
        let latency_ns = latency_ns.min(LATENCY_NS_MAX);
        let count = count.min(COUNT_MAX - self.count());
        if count > 0 {
            self.histogram.saturating_record_n(latency_ns, count);
            self.max_ns = self.max_ns.max(latency_ns);
        }
    }

    /// Adds all that another histogram holds.
    pub fn merge(&mut self, other: &Self) {
        self.add_buckets(&other.buckets());
    }

    /// All that it holds, rising: what [`Latencies::add_buckets`] takes, for other processes.
    #[must_use]
    pub fn buckets(&self) -> Vec<Bucket> {
        let bucket = |bucket: hdrhistogram::iterators::IterationValue<u64>| Bucket {
            ns: bucket.value_iterated_to().min(self.max_ns),
            count: bucket.count_at_value(),
        };
        self.histogram.iter_recorded().map(bucket).collect()
    }

    /// Adds what another histogram held. Its largest stays exact.
    pub fn add_buckets(&mut self, buckets: &[Bucket]) {
        buckets.iter().for_each(|bucket| self.record_many(bucket.ns, bucket.count));
    }

    /// How many latencies it holds, those added by correction included.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.histogram.len()
    }

    /// The largest in nanoseconds, exact; 0 if there is none.
    #[must_use]
    pub fn max_ns(&self) -> u64 {
        self.max_ns
    }

    /// The mean in nanoseconds, rounded; 0 if there is none.
    #[must_use]
    pub fn mean_ns(&self) -> u64 {
        // A float to integer cast saturates.
        (self.histogram.mean().round() as u64).min(self.max_ns)
    }

    /// The smallest latency in nanoseconds that so many are at most as slow as: the one of rank
    /// ⌈count × per mille / 1000⌉, at most a thousandth too high; 0 if there is none.
    #[must_use]
    pub fn percentile_ns(&self, percentile: Percentile) -> u64 {
        let count = u128::from(self.count());
        self.of_rank((count * u128::from(percentile.per_mille())).div_ceil(1000) as u64)
    }

    /// The smallest latency in nanoseconds that this part of all, 0 to 1, are at most as slow as.
    #[must_use]
    pub fn part_ns(&self, part: f64) -> u64 {
        // A float to integer cast saturates.
        self.of_rank((self.count() as f64 * part).ceil() as u64)
    }

    /// The `rank`th of all, from 1, rising; 0 if there is none.
    fn of_rank(&self, rank: u64) -> u64 {
        let count = self.count();
        if count == 0 {
            return 0;
        }
        let rank = rank.clamp(1, count);
        // The library multiplies by the count and rounds up: half a rank less meets the rank
        // whatever the rounding of floats does.
        let quantile = (rank as f64 - 0.5) / count as f64;
        self.histogram.value_at_quantile(quantile).min(self.max_ns)
    }

    /// All figures of a report.
    #[must_use]
    pub fn summary(&self) -> Summary {
        Summary {
            count: self.count(),
            mean_ns: self.mean_ns(),
            p50_ns: self.percentile_ns(Percentile::P50),
            p95_ns: self.percentile_ns(Percentile::P95),
            p99_ns: self.percentile_ns(Percentile::P99),
            p999_ns: self.percentile_ns(Percentile::P999),
            max_ns: self.max_ns,
        }
    }

    /// The curve for plots: up to a few hundred points, closer together towards 100 %, both
    /// coordinates rising.
    #[must_use]
    pub fn curve(&self) -> Vec<Point> {
        let mut points: Vec<Point> = Vec::new();
        for step in self.histogram.iter_quantiles(5) {
            let value_ns = step.value_iterated_to().min(self.max_ns);
            let percentile = step.quantile() * 100.0;
            if points.last().is_none_or(|last| last.value_ns < value_ns) {
                points.push(Point { percentile, value_ns });
            }
        }
        points
    }
}

/// Latencies of about one length.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Bucket {
    /// In nanoseconds; at most a thousandth too high, and of the last one exact.
    pub ns: u64,
    /// How many there are.
    pub count: u64,
}

/// One point of a curve of latencies.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct Point {
    /// So many percent of all latencies are at most `value_ns`.
    pub percentile: f64,
    /// In nanoseconds.
    pub value_ns: u64,
}

/// What a report says of latencies, in nanoseconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Summary {
    /// How many there are, those added by correction included.
    pub count: u64,
    /// The mean, rounded.
    pub mean_ns: u64,
    /// The median.
    pub p50_ns: u64,
    /// The 95th percentile.
    pub p95_ns: u64,
    /// The 99th percentile.
    pub p99_ns: u64,
    /// The 99.9th percentile.
    pub p999_ns: u64,
    /// The largest, exact.
    pub max_ns: u64,
}

impl Summary {
    /// A percentile in nanoseconds.
    #[must_use]
    pub fn percentile_ns(&self, percentile: Percentile) -> u64 {
        match percentile {
            Percentile::P50 => self.p50_ns,
            Percentile::P95 => self.p95_ns,
            Percentile::P99 => self.p99_ns,
            Percentile::P999 => self.p999_ns,
        }
    }

    /// How many latencies lie beyond a percentile: what it rests on.
    #[must_use]
    pub fn beyond(&self, percentile: Percentile) -> u64 {
        (u128::from(self.count) * u128::from(1000 - percentile.per_mille()) / 1000) as u64
    }

    /// A percentile in nanoseconds, if so many lie beyond it that it says something.
    #[must_use]
    pub fn known_ns(&self, percentile: Percentile) -> Option<u64> {
        (self.beyond(percentile) >= BEYOND_MIN).then(|| self.percentile_ns(percentile))
    }

    /// Whether the figures can be those of one histogram: rising, and none above the largest.
    #[must_use]
    pub fn is_plausible(&self) -> bool {
        let rising = [self.p50_ns, self.p95_ns, self.p99_ns, self.p999_ns, self.max_ns];
        rising.is_sorted()
            && self.max_ns <= LATENCY_NS_MAX
            && self.mean_ns <= self.max_ns
            && self.count <= COUNT_MAX
            && (self.count > 0 || self.max_ns == 0)
    }
}
