//! `seedbed bench`: engines under load on this machine's disk, timed, counted, checked, compared.
//!
//! `grid.rs` says which workloads there are, `measure.rs` runs one of them, `compare.rs` compares
//! with a baseline or another build, `report.rs` prints, `durability.rs` and `html/` make a page;
//! `claims/` is the ledger of what others have claimed. The load itself is the crate
//! `seedbed-hardware`'s, the judging `seedbed-measure`'s.

// It is about the real world.
#![allow(clippy::disallowed_methods)]

pub(crate) mod args;
pub(crate) mod calibrate;
pub(crate) mod claims;
mod compare;
mod durability;
mod grid;
mod html;
mod measure;
mod place;
mod predict;
mod report;

use std::io;
use std::path::PathBuf;
use std::time::SystemTime;

use seedbed_hardware::{Engine, Failed, Machine, Workload};
use seedbed_measure::Thresholds;

use self::args::BenchArgs;
use self::compare::Compared;
use self::grid::Size;
use self::measure::Measured;
use self::place::Place;
use crate::commands::Context;
use crate::exit::{Exit, Failure};
use crate::output::{NOTE, paint};

/// The hidden command that makes a process one that measures.
pub(crate) const COMMAND: &str = "bench-process";

/// A process that measures; not for people.
pub(crate) fn process() -> Exit {
    match seedbed_hardware::process::serve(io::BufReader::new(io::stdin()), io::stdout().lock()) {
        Ok(()) => Exit::Fine,
        // Whoever has started it is gone.
        Err(_) => Exit::Killed,
    }
}

/// This program, which measures in processes of its own.
fn own_program() -> Result<PathBuf, Failed> {
    std::env::current_exe()
        .map_err(|error| Failed::Machine(format!("this program's file: {error}")))
}

/// What one workload came to.
struct Done {
    workload: Workload,
    measured: Measured,
    compared: Option<Compared>,
}

pub(crate) fn run(cx: &mut Context<'_>, args: &BenchArgs) -> Result<Exit, Failure> {
    let engine = args.engine.as_deref().unwrap_or_default();
    let engine: Engine = engine.parse().map_err(Failure::usage)?;
    let workloads = grid::workloads(args, engine)?;
    let machine = machine(args, &workloads)?;
    let profile = predict::profile(args)?;
    let place = args.html.as_deref().map(|path| Place::new("--html", path)).transpose()?;
    let comparing = compare::Comparing::new(cx, args, &machine, &workloads)?;
    // Also without progress: a figure without its machine says nothing.
    if !args.json {
        cx.out.line(&machine);
    }
    let size = Size::of(args);
    let mut done = Vec::new();
    // What ended it early; what was measured before is reported all the same.
    let mut broken: Option<(String, Failed)> = None;
    for (nth, workload) in workloads.iter().enumerate() {
        if cx.is_stopped() || args.only_simulate {
            break;
        }
        if !args.quiet {
            let count = workloads.len();
            cx.err.line(format_args!("{} of {count}: {workload}", nth + 1));
        }
        match measure::measure(cx, args, &comparing, workload, size) {
            Ok(Some((measured, compared))) => {
                done.push(Done { workload: workload.clone(), measured, compared });
            }
            // Interrupted before there was anything.
            Ok(None) => break,
            Err(failed) => {
                broken = Some((workload.to_string(), failed));
                break;
            }
        }
    }
    // What was measured is kept whatever comes of the rest.
    let kept = comparing.keep(&mut cx.err, &done);
    let mut predictions = Vec::new();
    if let Some(profile) = profile.as_ref().filter(|_| broken.is_none()) {
        match predict::predict(cx, profile, &workloads, &done) {
            Ok(predicted) => predictions = predicted,
            Err(failed) => broken = Some((profile.timing.name.clone(), failed)),
        }
    }
    let exit = exit_of(cx, args, &done, broken.as_ref().map(|(_, failed)| failed));
    let report =
        report::Report { machine: &machine, engine, done: &done, predictions: &predictions };
    report::print(cx, args, &report, exit);
    if args.fail_on_regression {
        compare::tell(cx, &done);
    }
    if let Some(profile) = profile.filter(|_| !args.json && !predictions.is_empty()) {
        predict::print(cx, &profile, &predictions);
    }
    let wrong = matches!(broken, Some((_, Failed::Wrong(_))));
    let broken = broken.map(|(what, failed)| format!("{what}: {failed}"));
    let wanted = if args.only_simulate { 0 } else { workloads.len() };
    let wrong = broken.clone().filter(|_| wrong);
    let about = (wanted, comparing.thresholds(), wrong);
    let paged = place.map_or(Ok(()), |place| page(cx, args, &place, &report, about));
    let failures = [broken.map(|what| Failure::new(exit, what)), kept.err(), paged.err()];
    if cx.is_stopped() {
        let (had, all) = (done.len(), workloads.len());
        cx.err.line(paint(NOTE, format_args!("interrupted after {had} of {all} workloads")));
    }
    together(exit, failures.into_iter().flatten().collect()).map_or(Ok(exit), Err)
}

/// All that went wrong as one failure, none hidden by another.
fn together(exit: Exit, failures: Vec<Failure>) -> Option<Failure> {
    let exit = if exit == Exit::Fine { failures.first()?.exit } else { exit };
    let messages: Vec<_> = failures.into_iter().map(|failure| failure.message).collect();
    (!messages.is_empty()).then(|| Failure::new(exit, messages.join("\n")))
}

/// Writes what there is as a page, if there is anything.
fn page(
    cx: &mut Context<'_>,
    args: &BenchArgs,
    place: &Place,
    report: &report::Report<'_>,
    (wanted, thresholds, wrong): (usize, Thresholds, Option<String>),
) -> Result<(), Failure> {
    let report::Report { machine, engine, done, predictions } = *report;
    if done.is_empty() && predictions.is_empty() && wrong.is_none() {
        cx.err.line(paint(NOTE, "nothing was measured; no report is written"));
        return Ok(());
    }
    let overhead = durability::measure(&args.dir, done).unwrap_or_else(|error| {
        let text = format!("without the curve of overheads: {}: {error}", args.dir.display());
        cx.err.line(paint(NOTE, text));
        None
    });
    let page = html::Page {
        engine: engine.name(),
        machine,
        taken: SystemTime::now(),
        done,
        wanted,
        wrong,
        thresholds,
        predictions: Some(predictions.iter().flat_map(predict::Prediction::figures).collect()),
        overhead,
    };
    place.write(&page.text())
}

/// The machine; refuses one on which figures of durable workloads mean nothing.
fn machine(args: &BenchArgs, workloads: &[Workload]) -> Result<Machine, Failure> {
    let dir = &args.dir;
    if !dir.is_dir() {
        let what =
            format!("{}: no such folder; --dir names one on the disk to measure", dir.display());
        return Err(Failure::usage(what));
    }
    let machine = Machine::here(dir);
    let measures = !args.only_simulate && !args.allow_memory;
    if machine.is_in_memory() && measures && workloads.iter().any(Workload::is_durable) {
        let (dir, kind) = (dir.display(), &machine.file_system);
        return Err(Failure::usage(format!(
            "{dir} is on {kind}, where a sync keeps nothing and costs nothing: name a folder on a \
             disk by --dir, or measure all the same with --allow-memory"
        )));
    }
    Ok(machine)
}

fn exit_of(cx: &Context<'_>, args: &BenchArgs, done: &[Done], broken: Option<&Failed>) -> Exit {
    let gate = if args.fail_on_regression { compare::exit_of(done) } else { Exit::Fine };
    if matches!(broken, Some(Failed::Wrong(_))) || gate == Exit::Violation {
        Exit::Violation
    } else if broken.is_some() || cx.is_stopped() {
        Exit::Inconclusive
    } else {
        gate
    }
}
