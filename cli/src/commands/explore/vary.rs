//! `explore` for scenarios of several nodes: all variations of one small workload.

use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Duration;

use seedbed::traces::OpText;
use seedbed::vary::{Variations, Varied, VaryProgress, vary};
use seedbed::{Job, Scenario, Violation, record};
use serde::Serialize;

use crate::args::ExploreArgs;
use crate::commands::Context;
use crate::exit::{Exit, Failure};
use crate::finding::write;
use crate::lookup;
use crate::output::{BAD, HEAD, paint};
use crate::progress::{follow, per_second};
use crate::settings::jobs;
use crate::tables::grouped;

#[derive(Serialize)]
struct VariedJson<'a> {
    scenario: &'a str,
    about: &'a str,
    plant: Option<&'a str>,
    crashes: u64,
    done: u64,
    runs: u64,
    exhaustive: bool,
    beyond: u64,
    violations: Vec<FoundJson<'a>>,
    inconclusive: Vec<(&'a str, u64)>,
    interrupted: bool,
    wall_ms: u128,
    exit_code: u8,
}

#[derive(Serialize)]
struct FoundJson<'a> {
    law: &'a str,
    got: &'a str,
    trace: Result<String, String>,
}

/// Goes through all variations of a scenario.
pub(super) fn explore(
    cx: &mut Context<'_>,
    scenario: &dyn Scenario,
    variations: &dyn Variations,
    args: &ExploreArgs,
) -> Result<Exit, Failure> {
    if let Some(plant) = &args.target.plant {
        lookup::plant(scenario, plant)?;
    }
    refuse_other_bounds(scenario, args)?;
    let progress = VaryProgress::default();
    let limits = (jobs(args.bounds.jobs)?, args.max_violations);
    let look = |elapsed: Duration| {
        let get = |count: &std::sync::atomic::AtomicU64| count.load(Ordering::Relaxed);
        let (done, total, runs) =
            (get(&progress.crashes), get(&progress.crashes_total), get(&progress.runs));
        let line = format!(
            "{}: {done}/{total} crashes, {} runs ({}/s), {} violations",
            scenario.name(),
            grouped(runs),
            grouped(per_second(runs, elapsed)),
            get(&progress.violations),
        );
        (done, total.max(1), line)
    };
    let plant = args.target.plant.as_deref();
    let work = || vary(scenario, variations, plant, limits, &progress);
    let show = cx.show(args.bounds.quiet);
    let (varied, wall) = follow(show, &mut cx.err, (cx.stop, &progress.stop), look, work);
    let exit = exit_of(&varied);
    let traces: Vec<_> = varied
        .found
        .iter()
        .enumerate()
        .map(|(nth, (job, _))| keep(scenario, job, nth, &args.traces))
        .collect();
    if args.bounds.json {
        cx.out.json(&json(scenario, variations, plant, &varied, traces, (wall, exit)));
        return Ok(exit);
    }
    for ((job, violation), trace) in varied.found.iter().zip(&traces) {
        report(cx, job, violation, trace);
    }
    conclude(cx, scenario, variations, &varied, wall);
    Ok(exit)
}

/// Bounds of crash images say nothing about variations.
fn refuse_other_bounds(scenario: &dyn Scenario, args: &ExploreArgs) -> Result<(), Failure> {
    let bounds = &args.bounds;
    let given = args.state.is_some()
        || args.failures > 0
        || args.seeds.is_some()
        || !args.weaken_sync.is_empty()
        || !args.target.omit_sync.is_empty()
        || bounds.length.is_some()
        || !bounds.setting.is_empty()
        || !bounds.profile.is_empty();
    if given {
        let message = format!(
            "{} has several nodes: its variations have no lengths, settings, profiles, seeds, \
             failures, omitted syncs or state file; take these options away",
            scenario.name()
        );
        return Err(Failure::usage(message));
    }
    Ok(())
}

fn exit_of(varied: &Varied) -> Exit {
    match varied {
        varied if !varied.found.is_empty() => Exit::Violation,
        varied if !varied.is_exhaustive() => Exit::Inconclusive,
        _ => Exit::Fine,
    }
}

fn keep(scenario: &dyn Scenario, job: &Job, nth: usize, folder: &Path) -> Result<String, String> {
    let plant = job.plant.as_ref().map(|plant| format!("-{plant}")).unwrap_or_default();
    let path = folder.join(format!("{}-explore{plant}-{nth}.trace", scenario.name()));
    let trace = record(scenario, job);
    write(&trace, &path).map(|()| path.display().to_string())
}

fn report(cx: &mut Context<'_>, job: &Job, violation: &Violation, trace: &Result<String, String>) {
    let out = &mut cx.out;
    out.line(format_args!("\n{}", paint(BAD, format!("violation: {}", violation.law))));
    out.line(format_args!("  got       {}", violation.got));
    let workload = job.workload.iter().flatten().map(|op: &OpText| op.text.as_str());
    out.line(format_args!("  workload  {}", workload.collect::<Vec<_>>().join(", ")));
    if let seedbed::Source::Sparse(decisions) = &job.source {
        for made in decisions.iter() {
            out.line(format_args!("  decision  {}[{}] = {}", made.label, made.nth, made.value));
        }
    }
    match trace {
        Ok(path) => out.line(format_args!("  replay:   seedbed replay {path}")),
        Err(why) => out.line(format_args!("  trace     none: {why}")),
    }
}

fn conclude(
    cx: &mut Context<'_>,
    scenario: &dyn Scenario,
    variations: &dyn Variations,
    varied: &Varied,
    wall: Duration,
) {
    let out = &mut cx.out;
    out.line(format_args!(
        "{}",
        paint(HEAD, format!("{}: {}", scenario.name(), variations.about()))
    ));
    out.line(format_args!(
        "{} of {} crashes, {} runs in {:.1} s",
        grouped(varied.done),
        grouped(varied.crashes),
        grouped(varied.runs),
        wall.as_secs_f64()
    ));
    for (reason, count) in &varied.inconclusive {
        out.line(format_args!("{} runs without a verdict: {reason}", grouped(*count)));
    }
    if varied.beyond > 0 {
        out.line(format_args!(
            "{} runs crashed at an operation that none was to come to: there are more crashes than \
             these",
            grouped(varied.beyond)
        ));
    }
    let found = varied.found.len();
    match (found, varied.interrupted) {
        (0, false) if varied.is_exhaustive() => out.line(format_args!(
            "exhaustive over the runs described above: all laws held in each of them"
        )),
        (0, false) if varied.inconclusive.is_empty() => out
            .line(format_args!("not exhaustive: all laws held in these runs, but there are more")),
        (0, false) => out.line(format_args!("no law was broken, but not every run has a verdict")),
        (0, true) => out.line(format_args!("stopped: all laws held in the runs that were made")),
        (many, _) => out.line(format_args!("{many} violations")),
    }
}

fn json<'a>(
    scenario: &'a dyn Scenario,
    variations: &'a dyn Variations,
    plant: Option<&'a str>,
    varied: &'a Varied,
    traces: Vec<Result<String, String>>,
    (wall, exit): (Duration, Exit),
) -> VariedJson<'a> {
    let found = varied.found.iter().zip(traces);
    VariedJson {
        scenario: scenario.name(),
        about: variations.about(),
        plant,
        crashes: varied.crashes,
        done: varied.done,
        runs: varied.runs,
        exhaustive: varied.is_exhaustive(),
        beyond: varied.beyond,
        violations: found
            .map(|((_, violation), trace)| FoundJson {
                law: &violation.law,
                got: &violation.got,
                trace,
            })
            .collect(),
        inconclusive: varied
            .inconclusive
            .iter()
            .map(|(why, count)| (why.as_str(), *count))
            .collect(),
        interrupted: varied.interrupted,
        wall_ms: wall.as_millis(),
        exit_code: exit as u8,
    }
}
