//! One workload: warm-up, rounds, the end.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::Ordering;

use seedbed_hardware::{Ended, Failed, InTurn, Launch, Round, Worker, Workload, in_turn};
use seedbed_measure::Latencies;

use super::args::BenchArgs;
use super::compare::{Compared, Comparing};
use super::grid::Size;
use super::{COMMAND, own_program};
use crate::commands::Context;

/// What was measured of one workload.
#[derive(Debug)]
pub(super) struct Measured {
    pub(super) rounds: Vec<Round>,
    /// Those of all rounds together.
    pub(super) latencies: Latencies,
    pub(super) ended: Ended,
    pub(super) exact: Exact,
}

/// Figures without noise, and over how many operations; of none if they were not counted.
pub(super) type Exact = (u64, BTreeMap<String, u64>);

/// How processes of a program are started that measure.
pub(super) fn launch<'a>(cx: &Context<'a>, program: &'a Path, dir: &'a Path) -> Launch<'a> {
    Launch { program, command: COMMAND, dir, stop: cx.stop }
}

/// Measures a workload, and compares it if that is wanted. `None` if it was interrupted before
/// there was anything.
pub(super) fn measure(
    cx: &Context<'_>,
    args: &BenchArgs,
    comparing: &Comparing,
    workload: &Workload,
    size: Size,
) -> Result<Option<(Measured, Option<Compared>)>, Failed> {
    let own = own_program()?;
    let own = launch(cx, &own, &args.dir);
    match &args.against {
        None => {
            let measured = alone(own, workload, size)?;
            let compared = measured.as_ref().map(|measured| comparing.judge(workload, measured));
            Ok(measured.map(|measured| (measured, compared.flatten())))
        }
        Some(other) => beside([Launch { program: other, ..own }, own], comparing, workload, size),
    }
}

fn alone(own: Launch<'_>, workload: &Workload, size: Size) -> Result<Option<Measured>, Failed> {
    let is_stopped = || own.stop.load(Ordering::Relaxed);
    let mut worker = Worker::start(own, workload)?;
    let operations = worker.warm_up(workload, size.round_ns)?;
    worker.start_measuring()?;
    let mut rounds = Vec::new();
    while rounds.len() < size.rounds && !is_stopped() {
        rounds.push(worker.round(operations)?);
    }
    let (ended, latencies) = worker.end()?;
    if rounds.iter().all(|round| round.operations == 0) {
        return Ok(None);
    }
    let exact = exact_of(own, workload)?;
    Ok(Some(Measured { rounds, latencies, ended, exact }))
}

/// Figures without noise; who wants an end need not wait for them.
fn exact_of(launch: Launch<'_>, workload: &Workload) -> Result<Exact, Failed> {
    match launch.stop.load(Ordering::Relaxed) {
        true => Ok(Exact::default()),
        false => Worker::exact_of(launch, workload),
    }
}

/// Another build and this one, in turn.
fn beside(
    [other, own]: [Launch<'_>; 2],
    comparing: &Comparing,
    workload: &Workload,
    size: Size,
) -> Result<Option<(Measured, Option<Compared>)>, Failed> {
    let builds = [other, own];
    let plain = |_, round: &Round| round.into();
    let done = in_turn(builds, workload, size.round_ns, comparing.plan(), plain)?;
    let InTurn { comparison, rounds, ended, latencies } = done;
    if rounds.is_empty() {
        return Ok(None);
    }
    let (exact, exact_before) = (exact_of(own, workload)?, exact_of(other, workload)?);
    let judged = comparison.report().clone();
    let compared = Compared::of(other.program.display(), judged, (&exact_before, &exact));
    Ok(Some((Measured { rounds, latencies, ended, exact }, Some(compared))))
}
