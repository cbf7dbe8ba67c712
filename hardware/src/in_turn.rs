//! Two builds of a program in turn, for [`Comparison`].
//!
//! Each run of a build is a process of its own with a new folder: where memory, threads and files
//! happen to lie makes one process faster than the next by more than what is looked for, and only
//! what varies from run to run averages out (see `seedbed_measure::sample`).

use std::sync::atomic::Ordering;

use seedbed_measure::{Comparison, Gate, Latencies, MeasureError, Plan, Side};

use crate::Failed;
use crate::bench::{Ended, Round};
use crate::process::{Launch, Worker};
use crate::workload::Workload;

/// What two builds came to.
#[derive(Debug)]
pub struct InTurn {
    /// The comparison, whole or as far as it came before it was stopped.
    pub comparison: Comparison,
    /// Rounds of the new build.
    pub rounds: Vec<Round>,
    /// What its processes came to.
    pub ended: Ended,
    /// All latencies of these rounds.
    pub latencies: Latencies,
}

/// Compares two builds, the old one first, by rounds of about `round_ns`. What a round counts as is
/// `judged`'s to say.
///
/// # Errors
/// What the machine or one of the engines says.
pub fn in_turn(
    [before, after]: [Launch<'_>; 2],
    workload: &Workload,
    round_ns: u64,
    (plan, gate): (Plan, Gate),
    judged: impl Fn(Side, &Round) -> seedbed_measure::Round,
) -> Result<InTurn, Failed> {
    let told = |error: MeasureError| Failed::Machine(error.to_string());
    let mut comparison = Comparison::new(plan, gate).map_err(told)?;
    let (mut rounds, mut ended, mut latencies) = (Vec::new(), Ended::default(), Latencies::new());
    let of = |side, failed: Failed| match side {
        Side::Before => failed.of(&before.program.display()),
        Side::After => failed,
    };
    let warmed = Worker::start(before, workload)
        .and_then(|mut worker| worker.warm_up(workload, round_ns))
        .map_err(|failed| of(Side::Before, failed));
    let operations = warmed?;
    while let Some(turn) = comparison.turn() {
        let launch = if turn.side == Side::Before { before } else { after };
        let run = || {
            let mut worker = Worker::start(launch, workload)?;
            worker.round(operations.div_ceil(2))?;
            worker.start_measuring()?;
            let round = worker.round(operations)?;
            worker.end().map(|ended| (round, ended))
        };
        let (round, (one, took)) = run().map_err(|failed| of(turn.side, failed))?;
        if launch.stop.load(Ordering::Relaxed) {
            break;
        }
        comparison.record(judged(turn.side, &round)).map_err(told)?;
        if turn.side == Side::After {
            rounds.push(round);
            ended.add(one);
            latencies.merge(&took);
        }
    }
    Ok(InTurn { comparison, rounds, ended, latencies })
}
