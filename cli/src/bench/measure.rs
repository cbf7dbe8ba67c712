//! One workload: warm-up, rounds, the end.

use std::collections::BTreeMap;
use std::path::Path;

use seedbed_hardware::{Ended, Failed, Round, Worker, Workload};
use seedbed_measure::{Comparison, Side};

use super::args::BenchArgs;
use super::compare::{Compared, Comparing};
use super::grid::Size;
use super::{COMMAND, own_program};
use crate::commands::Context;

/// What was measured of one workload.
#[derive(Debug)]
pub(super) struct Measured {
    pub(super) rounds: Vec<Round>,
    pub(super) ended: Ended,
    pub(super) exact: Exact,
}

/// Figures without noise, and over how many operations; of none if they were not counted.
pub(super) type Exact = (u64, BTreeMap<String, u64>);

/// Operations of the first round of a warm-up.
const FIRST: u64 = 64;
/// Most operations of a round; they are kept in memory until its end.
const MOST: u64 = 4_000_000;

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
    match &args.against {
        None => {
            let measured = alone(cx, &own, args, workload, size)?;
            let compared = measured.as_ref().map(|measured| comparing.judge(workload, measured));
            Ok(measured.map(|measured| (measured, compared.flatten())))
        }
        Some(other) => in_turn(cx, (&own, other), args, comparing, workload, size),
    }
}

fn alone(
    cx: &Context<'_>,
    program: &Path,
    args: &BenchArgs,
    workload: &Workload,
    size: Size,
) -> Result<Option<Measured>, Failed> {
    let mut worker = Worker::start(program, COMMAND, &args.dir, workload)?;
    let operations = warm_up(cx, &mut worker, workload, size)?;
    worker.start_measuring()?;
    let mut rounds = Vec::new();
    while rounds.len() < size.rounds && !cx.is_stopped() {
        rounds.push(worker.round(operations)?);
    }
    let ended = worker.end()?;
    let exact = Worker::exact_of(program, COMMAND, &args.dir, workload)?;
    Ok((!rounds.is_empty()).then_some(Measured { rounds, ended, exact }))
}

/// This build and another one, round by round in turn.
fn in_turn(
    cx: &Context<'_>,
    (own, other): (&Path, &Path),
    args: &BenchArgs,
    comparing: &Comparing,
    workload: &Workload,
    size: Size,
) -> Result<Option<(Measured, Option<Compared>)>, Failed> {
    let mut before = Worker::start(other, COMMAND, &args.dir, workload)?;
    let mut after = Worker::start(own, COMMAND, &args.dir, workload)?;
    let operations = warm_up(cx, &mut before, workload, size)?;
    warm_up(cx, &mut after, workload, size)?;
    after.start_measuring()?;
    let (plan, gate) = comparing.plan();
    let mut comparison =
        Comparison::new(plan, gate).map_err(|error| Failed::Machine(error.to_string()))?;
    let mut rounds = Vec::new();
    while let Some(turn) = comparison.turn() {
        if cx.is_stopped() {
            break;
        }
        let round = match turn.side {
            Side::Before => before.round(operations)?,
            Side::After => after.round(operations)?,
        };
        let judged = plain(&round);
        if turn.side == Side::After {
            rounds.push(round);
        }
        comparison.record(judged).map_err(|error| Failed::Machine(error.to_string()))?;
    }
    before.end()?;
    let ended = after.end()?;
    if rounds.is_empty() {
        return Ok(None);
    }
    let exact = Worker::exact_of(own, COMMAND, &args.dir, workload)?;
    let exact_before = Worker::exact_of(other, COMMAND, &args.dir, workload)?;
    let judged = comparison.report().clone();
    let compared = Compared::of(other.display(), judged, (&exact_before, &exact));
    Ok(Some((Measured { rounds, ended, exact }, Some(compared))))
}

/// Runs rounds that grow until one takes as long as it should; gives the operations of such a one.
pub(super) fn warm_up(
    cx: &Context<'_>,
    worker: &mut Worker,
    workload: &Workload,
    size: Size,
) -> Result<u64, Failed> {
    let least = workload.outstanding().max(FIRST);
    if workload.rate > 0 {
        // What arrives in that time, however long it takes.
        let arrive = u128::from(workload.rate) * u128::from(size.round_ns) / 1_000_000_000;
        let operations = u64::try_from(arrive).unwrap_or(MOST).clamp(1, MOST);
        worker.round(operations)?;
        return Ok(operations);
    }
    let mut operations = least.min(MOST);
    loop {
        let round = worker.round(operations)?;
        let enough = round.elapsed_ns >= size.round_ns / 2;
        if enough || operations >= MOST || cx.is_stopped() {
            let scaled = u128::from(operations) * u128::from(size.round_ns)
                / u128::from(round.elapsed_ns.max(1));
            return Ok(u64::try_from(scaled).unwrap_or(MOST).clamp(least.min(MOST), MOST));
        }
        operations = (operations * 4).min(MOST);
    }
}

/// What the statistics need of a round.
pub(super) fn plain(round: &Round) -> seedbed_measure::Round {
    let Round { operations, elapsed_ns, latency, .. } = *round;
    seedbed_measure::Round { operations, elapsed_ns, latency }
}
