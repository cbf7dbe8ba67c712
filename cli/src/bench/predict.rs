//! What simulation says of the same workloads, beside what was measured.

use seedbed_hardware::calibrate::Profile;
use seedbed_hardware::{Failed, Simulated, Workload, simulate_rounds};
use seedbed_measure::{Metric, Percentile};
use serde::Serialize;

use super::Done;
use super::args::BenchArgs;
use super::html;
use super::report::{Middle, time};
use crate::commands::Context;
use crate::exit::Failure;
use crate::tables;

/// Operations of a simulated round, at least and at most.
const OPERATIONS: (u64, u64) = (500, 500_000);
/// Most operations of all rounds: what they write is kept in memory.
const ALL_OPERATIONS: u64 = 2_000_000;

/// A workload as predicted.
#[derive(Debug, Serialize)]
pub(super) struct Prediction {
    pub(super) workload: String,
    #[serde(flatten)]
    pub(super) simulated: Simulated,
    /// As measured, if it was.
    pub(super) measured: Option<Pair>,
}

/// Throughput, and the median of latencies in nanoseconds.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Pair {
    pub(super) throughput: f64,
    pub(super) p50_ns: u64,
}

/// The profile, if one is asked for.
pub(super) fn profile(args: &BenchArgs) -> Result<Option<Profile>, Failure> {
    args.simulate.as_deref().map(Profile::find).transpose().map_err(Failure::usage)
}

/// Simulates workloads.
pub(super) fn predict(
    cx: &Context<'_>,
    profile: &Profile,
    workloads: &[Workload],
    done: &[Done],
) -> Result<Vec<Prediction>, Failed> {
    let mut predictions = Vec::new();
    for workload in workloads {
        if cx.is_stopped() {
            break;
        }
        let done = done.iter().find(|done| done.workload == *workload);
        predictions.push(one(profile, workload, done)?);
    }
    Ok(predictions)
}

fn one(profile: &Profile, workload: &Workload, done: Option<&Done>) -> Result<Prediction, Failed> {
    let (least, most) = OPERATIONS;
    // As many as on the machine, since a round's beginning and end count too; without one, enough
    // to fill what is under way a few times.
    let first = done.and_then(|done| done.measured.rounds.first());
    let operations = first.map_or(workload.outstanding() * 8, |round| round.operations);
    let operations = operations.clamp(least, most);
    // Engines slow down as they are filled. Beside another build each round had a new one.
    let alone = done.filter(|done| done.compared.as_ref().is_none_or(|one| !one.is_in_turn));
    let rounds = alone.map_or(1, |done| done.measured.rounds.len() as u64);
    let rounds = rounds.clamp(1, (ALL_OPERATIONS / operations).max(1)) as usize;
    let simulated_one = Workload { operations, ..workload.clone() };
    let costs = profile.costs_of(workload.engine);
    let simulated = simulate_rounds(&simulated_one, &profile.timing, costs, 0, rounds)?;
    let measured = done.map(|Done { measured, .. }| {
        let throughput = Middle::of(measured).throughput;
        Pair { throughput, p50_ns: measured.latencies.percentile_ns(Percentile::P50) }
    });
    Ok(Prediction { workload: workload.to_string(), simulated, measured })
}

impl Prediction {
    /// What a report shows of it.
    pub(super) fn figures(&self) -> [html::Prediction; 2] {
        let figure = |metric, predicted, measured| html::Prediction {
            workload: self.workload.clone(),
            metric,
            predicted,
            measured,
        };
        let (p50, pair) = (Metric::Latency(Percentile::P50), self.measured);
        let latency = self.simulated.latency.p50_ns as f64;
        [
            figure(Metric::Throughput, self.simulated.throughput, pair.map(|pair| pair.throughput)),
            figure(p50, latency, pair.map(|pair| pair.p50_ns as f64)),
        ]
    }

    /// By which part the prediction of the throughput is too high.
    fn error(&self) -> Option<f64> {
        let measured = self.measured?.throughput;
        (measured > 0.0).then(|| self.simulated.throughput / measured - 1.0)
    }

    /// By which part the prediction of the median latency is too high.
    fn latency_error(&self) -> Option<f64> {
        let measured = self.measured?.p50_ns;
        (measured > 0).then(|| self.simulated.latency.p50_ns as f64 / measured as f64 - 1.0)
    }
}

/// Predicted beside measured.
pub(super) fn print(cx: &mut Context<'_>, profile: &Profile, predictions: &[Prediction]) {
    cx.out.line(format_args!("predicted with {}: {}", profile.timing.name, profile.timing.about));
    let header =
        ["workload", "ops/s", "measured", "error", "P50", "measured", "error", "P99", "syncs/op"];
    let mut table = tables::table(&header);
    let percent = |error: Option<f64>| {
        error.map_or(String::new(), |error| format!("{:+.0} %", error * 100.0))
    };
    for one in predictions {
        let syncs = one.simulated.counters.get("syncs").copied().unwrap_or(0);
        let all = one.simulated.operations.max(1) as f64;
        table.add_row([
            one.workload.clone(),
            tables::grouped(one.simulated.throughput as u64),
            one.measured.map_or(String::new(), |pair| tables::grouped(pair.throughput as u64)),
            percent(one.error()),
            time(one.simulated.latency.p50_ns),
            one.measured.map_or(String::new(), |pair| time(pair.p50_ns)),
            percent(one.latency_error()),
            time(one.simulated.latency.p99_ns),
            format!("{:.3}", syncs as f64 / all),
        ]);
    }
    tables::numbers(&mut table, &[0]);
    tables::print(&mut cx.out, &table);
    let mut errors: Vec<f64> = predictions.iter().filter_map(Prediction::error).collect();
    let worst = predictions.iter().filter(|one| one.error().is_some());
    let size = |one: &&Prediction| one.error().unwrap_or(0.0).abs();
    let worst = worst.max_by(|a, b| size(a).total_cmp(&size(b)));
    if let Some(worst) = worst {
        errors.iter_mut().for_each(|error| *error = error.abs());
        let middle = seedbed_measure::sample::median(&errors).unwrap_or(0.0) * 100.0;
        let (name, most) = (&worst.workload, size(&worst) * 100.0);
        cx.out.line(format_args!(
            "throughput is predicted to {middle:.0} % in the middle; worst: {name}, {most:.0} %"
        ));
    }
}
