//! A simulated machine: log-normal noise, stalls, and drift by a factor of two over minutes.
//!
//! Only as much of a machine as the gate has to cope with. Time passes while programs run, so what
//! the drift does to whom depends on the order of runs, as on a real one.

use std::f64::consts::TAU;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use seedbed_measure::{Round, Summary};

/// A number of the standard normal distribution (G. Box and M. Muller, 1958).
pub(crate) fn normal(random: &mut ChaCha8Rng) -> f64 {
    let mut unit = || (random.next_u32() as f64 + 0.5) / f64::from(u32::MAX);
    (-2.0 * unit().ln()).sqrt() * (TAU * unit()).cos()
}

/// What a machine does to the times of a program.
#[derive(Clone, Copy)]
pub(crate) struct Weather {
    /// Standard deviation of the logarithm of a run's time.
    pub(crate) noise: f64,
    /// One run in so many takes twice its time; 0 for none.
    pub(crate) stall_one_in: u32,
    /// Seconds in which the machine becomes slower by half and faster again; 0 for never.
    pub(crate) drift_period_s: f64,
    /// What going second in a round costs, as a part of one.
    pub(crate) second_costs: f64,
}

/// As a machine that other work runs on, from one to another within minutes.
pub(crate) const SHARED: Weather =
    Weather { noise: 0.03, stall_one_in: 20, drift_period_s: 360.0, second_costs: 0.02 };

pub(crate) struct Machine {
    weather: Weather,
    random: ChaCha8Rng,
    now_s: f64,
    begin: f64,
}

/// Operations of a run on a machine without weather, each a millisecond.
const OPERATIONS: u64 = 20_000;

impl Machine {
    pub(crate) fn new(weather: Weather, seed: u64) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let begin = f64::from(random.next_u32()) / f64::from(u32::MAX);
        Self { weather, random, now_s: 0.0, begin }
    }

    /// A run of a program that takes `factor` times as long as it might; about two seconds pass.
    pub(crate) fn run(&mut self, factor: f64, second: bool) -> Round {
        let Weather { noise, stall_one_in, drift_period_s, second_costs } = self.weather;
        let mut slower = factor * if second { 1.0 + second_costs } else { 1.0 };
        if drift_period_s > 0.0 {
            let phase = (self.now_s / drift_period_s + self.begin) * TAU;
            slower *= 2.0_f64.powf(phase.sin() / 2.0);
        }
        let stalls = stall_one_in > 0 && self.random.next_u32().is_multiple_of(stall_one_in);
        slower *= if stalls { 2.0 } else { 1.0 };
        // The further out in the tail, the noisier.
        let mut time_ns = |ns: f64, more: f64| {
            (ns * slower * (more * noise * normal(&mut self.random)).exp()) as u64
        };
        let elapsed_ns = time_ns(2e9, 1.0);
        let mut tail = [time_ns(9e4, 1.0), time_ns(2e5, 1.5), time_ns(5e5, 3.0), time_ns(2e6, 6.0)];
        tail.sort_unstable();
        let [p50_ns, p95_ns, p99_ns, p999_ns] = tail;
        let latency = Summary {
            count: OPERATIONS,
            mean_ns: p50_ns,
            p50_ns,
            p95_ns,
            p99_ns,
            p999_ns,
            max_ns: p999_ns.saturating_mul(2),
        };
        self.now_s += elapsed_ns as f64 / 1e9;
        Round { operations: OPERATIONS, elapsed_ns, latency }
    }
}
