//! What a run of `bench` prints.

use seedbed_hardware::{Engine, Machine, Round, Workload};
use seedbed_measure::Percentile;
use serde_json::json;

use super::Done;
use super::args::BenchArgs;
use super::compare::Compared;
use super::measure::Measured;
use super::predict::Prediction;
use crate::commands::Context;
use crate::exit::Exit;
use crate::output::{BAD, GOOD, NOTE, paint};
use crate::tables;

/// What there is to report.
pub(super) struct Report<'a> {
    pub(super) machine: &'a Machine,
    pub(super) engine: Engine,
    pub(super) done: &'a [Done],
    pub(super) predictions: &'a [Prediction],
}

pub(super) fn print(cx: &mut Context<'_>, args: &BenchArgs, report: &Report<'_>, exit: Exit) {
    if args.json {
        let whole = whole(cx, report, exit);
        return cx.out.json(&whole);
    }
    let done = report.done;
    if done.is_empty() {
        return;
    }
    figures(cx, done);
    costs(cx, done);
    for Done { workload, measured, compared } in done {
        let late = measured.rounds.iter().map(|round| round.late_max_ns).max().unwrap_or(0);
        if late > 5_000_000 {
            let text = format!("{workload}: operations began up to {} late", time(late));
            cx.err.line(paint(NOTE, text));
        }
        if let Some(compared) = compared {
            cx.out.text(format_args!("{workload}, {}", compared.text()));
        }
    }
    let checked: u64 = done.iter().map(|done| done.measured.ended.checked).sum();
    let (checked, count) = (tables::grouped(checked), done.len());
    let right = format!("{checked} keys and rows of {count} workloads are what was acknowledged");
    cx.out.line(paint(GOOD, right));
    let regressed = done.iter().filter_map(|done| done.compared.as_ref());
    let regressed = regressed.filter(|compared| compared.is_regressed()).count();
    if regressed > 0 {
        cx.out.line(paint(BAD, format_args!("{regressed} of {count} workloads have regressed")));
    }
}

/// Throughput and latency.
fn figures(cx: &mut Context<'_>, done: &[Done]) {
    let compares = done.iter().any(|done| done.compared.is_some());
    let mut header = vec!["workload", "ops/s", "P50", "P95", "P99", "P99.9", "max", "rounds"];
    header.extend(compares.then_some("against"));
    let mut table = tables::table(&header);
    for Done { workload, measured, compared } in done {
        let throughput = Middle::of(measured).throughput;
        let mut row = vec![workload.to_string(), tables::grouped(throughput as u64)];
        row.extend(percentiles(measured).map(|ns| ns.map_or("-".to_owned(), time)));
        row.push(measured.rounds.len().to_string());
        if compares {
            row.push(compared.as_ref().map(Compared::word).unwrap_or_default());
        }
        table.add_row(row);
    }
    tables::numbers(&mut table, &[0]);
    tables::print(&mut cx.out, &table);
}

/// What an operation costs.
fn costs(cx: &mut Context<'_>, done: &[Done]) {
    let header =
        ["workload", "CPU/op", "syncs/op", "written/op", "allocs/op", "peak memory", "by class"];
    let mut table = tables::table(&header);
    for Done { workload, measured, .. } in done {
        let Middle { syncs, written, allocations, .. } = Middle::of(measured);
        table.add_row([
            workload.to_string(),
            time(cpu_per_operation(measured) as u64),
            format!("{syncs:.3}"),
            bytes(written),
            format!("{allocations:.1}"),
            match measured.ended.peak_memory {
                0 => "unknown".to_owned(),
                peak => bytes(peak as f64),
            },
            classes(measured),
        ]);
    }
    tables::numbers(&mut table, &[0, 6]);
    tables::print(&mut cx.out, &table);
}

/// CPU time of all threads for one operation, in nanoseconds.
pub(super) fn cpu_per_operation(measured: &Measured) -> f64 {
    let operations: f64 = measured.rounds.iter().map(|round| round.operations as f64).sum();
    let cpu: f64 = measured.ended.threads.values().map(|ns| *ns as f64).sum();
    cpu / operations.max(1.0)
}

/// The classes that use most.
fn classes(measured: &Measured) -> String {
    let total: u64 = measured.ended.classes.values().map(|class| class.cpu_ns).sum();
    let mut all: Vec<_> = measured.ended.classes.iter().collect();
    all.sort_by_key(|(name, class)| (std::cmp::Reverse(class.cpu_ns), *name));
    let share = |ns: u64| ns * 100 / total.max(1);
    let words = all.iter().filter(|(_, class)| share(class.cpu_ns) >= 3);
    let words = words.map(|(name, class)| format!("{name} {} %", share(class.cpu_ns)));
    words.collect::<Vec<_>>().join(", ")
}

/// P50, P95, P99, P99.9 and the slowest in nanoseconds, of the operations of all rounds together: a
/// stall shows however few rounds had one. What rests on too few operations is none.
pub(super) fn percentiles(measured: &Measured) -> [Option<u64>; 5] {
    let summary = measured.latencies.summary();
    let [p50, p95, p99, p999] = Percentile::ALL.map(|percentile| summary.known_ns(percentile));
    [p50, p95, p99, p999, (summary.count > 0).then_some(summary.max_ns)]
}

/// Medians of the rounds.
pub(super) struct Middle {
    pub(super) throughput: f64,
    pub(super) syncs: f64,
    pub(super) written: f64,
    pub(super) allocations: f64,
    /// Of the sink: which part of the time a connection was in use.
    pub(super) pools_busy: f64,
}

impl Middle {
    pub(super) fn of(measured: &Measured) -> Self {
        let median = |of: &dyn Fn(&Round) -> f64| {
            let values: Vec<f64> = measured.rounds.iter().map(of).collect();
            seedbed_measure::sample::median(&values).unwrap_or(0.0)
        };
        let each = |of: fn(&Round) -> u64| {
            median(&|round| of(round) as f64 / round.operations.max(1) as f64)
        };
        Self {
            // A round may be of no time at all, as far as a file says.
            throughput: median(&|round| {
                round.operations as f64 * 1e9 / round.elapsed_ns.max(1) as f64
            }),
            syncs: each(|round| round.disk.syncs + round.disk.dir_syncs),
            written: each(|round| round.disk.written_bytes),
            allocations: each(|round| round.allocations.count),
            pools_busy: median(&|round| round.pools_busy.unwrap_or(0.0)),
        }
    }
}

pub(super) fn time(ns: u64) -> String {
    match ns as f64 {
        ns if ns < 1e3 => format!("{ns:.0} ns"),
        ns if ns < 1e6 => format!("{:.1} us", ns / 1e3),
        ns if ns < 1e9 => format!("{:.2} ms", ns / 1e6),
        ns => format!("{:.2} s", ns / 1e9),
    }
}

fn bytes(count: f64) -> String {
    match count {
        count if count < 1024.0 => format!("{count:.0} B"),
        count if count < 1024.0 * 1024.0 => format!("{:.1} KiB", count / 1024.0),
        count => format!("{:.1} MiB", count / 1024.0 / 1024.0),
    }
}

/// All that was measured, for programs.
fn whole(cx: &Context<'_>, report: &Report<'_>, exit: Exit) -> serde_json::Value {
    let one = |Done { workload, measured, compared }: &Done| {
        json!({
            "name": Workload::to_string(workload),
            "workload": workload,
            "rounds": measured.rounds,
            "latency": measured.latencies.summary(),
            "curve": measured.latencies.curve(),
            "ended": measured.ended,
            "exact": {"operations": measured.exact.0, "counts": measured.exact.1},
            "comparison": compared,
        })
    };
    json!({
        "engine": report.engine,
        "machine": report.machine,
        "workloads": report.done.iter().map(one).collect::<Vec<_>>(),
        "predictions": report.predictions,
        "interrupted": cx.is_stopped(),
        "exit_code": exit.code(),
    })
}
