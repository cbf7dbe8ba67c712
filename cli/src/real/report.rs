//! What a run on this machine came to, for people and for scripts.

use std::time::Duration;

use serde::Serialize;

use super::drive::Tally;
use super::{Ended, Setup, Violation};
use crate::args::RunArgs;
use crate::commands::Context;
use crate::exit::{Exit, Failure};
use crate::output::{BAD, GOOD, NOTE, paint};
use crate::tables::grouped;

/// How a run ended.
pub(super) struct Result {
    /// The participants, for people.
    pub(super) about: String,
    pub(super) ended: std::result::Result<(), Ended>,
    pub(super) tally: Tally,
    pub(super) wall: Duration,
}

/// Prints it.
pub(super) fn report(
    cx: &mut Context<'_>,
    args: &RunArgs,
    setup: &Setup,
    result: &Result,
) -> std::result::Result<Exit, Failure> {
    let exit = match &result.ended {
        Ok(()) => Exit::Fine,
        Err(Ended::Violation(_)) => Exit::Violation,
        Err(Ended::Interrupted) => Exit::Inconclusive,
        Err(Ended::Failed(failure)) => return Err(failure.clone()),
    };
    if args.sweep.json {
        cx.out.json(&json(setup, result, exit));
        return Ok(exit);
    }
    if let Err(Ended::Violation(Violation { law, got })) = &result.ended {
        cx.out.line(format_args!("{} {law}", paint(BAD, "violation:")));
        cx.out.line(format_args!("  got: {}", seedbed::traces::escape(got)));
        if args.real.dir.is_none() {
            cx.out.line("  again with --dir DIR: folders and logs stay there");
        }
    }
    if !args.sweep.quiet {
        summary(cx, setup, result);
    }
    Ok(exit)
}

fn summary(cx: &mut Context<'_>, setup: &Setup, result: &Result) {
    let Result { about, ended, tally, wall } = result;
    let Tally { sink_kills, peer_kills, stops, found_prepared, prepared, .. } = tally;
    let out = &mut cx.out;
    out.line(format_args!("{about}; seed {}", setup.seed));
    let whom = if setup.postgres.is_some() { "the server" } else { "a participant" };
    let kills = sink_kills + peer_kills;
    out.line(format_args!("{kills} kills: {sink_kills} of the sink, {peer_kills} of {whom}"));
    out.line(format_args!(
        "after {found_prepared} of {stops} stops transactions were found prepared, {prepared} in \
         all; {} of {sink_kills} starts of the sink found decisions to carry out, {} in all",
        tally.found_decided, tally.decided
    ));
    out.line(format_args!("{:.1} s, {:.1} s of it until all was settled", wall.as_secs_f64(), {
        tally.working.as_secs_f64()
    }));
    let rows = grouped(setup.rows);
    match ended {
        Ok(()) => out.line(format_args!(
            "{}: {rows} rows, checksum {:016x}; nothing is left prepared, no damage",
            paint(GOOD, "exactly once"),
            tally.checksum
        )),
        Err(Ended::Interrupted) => {
            let done = grouped(tally.checkpointed);
            let what = "interrupted: the rows were not compared";
            out.line(format_args!("{}, {done} of {rows} checkpointed", paint(NOTE, what)));
        }
        Err(_) => {}
    }
}

/// The result; the help of `run` describes it.
#[derive(Serialize)]
struct Json<'a> {
    scenario: &'static str,
    real: bool,
    seed: u64,
    rows: u64,
    participants: usize,
    postgres: bool,
    plant: Option<&'a str>,
    kills: Kills,
    found: Found,
    checkpointed: u64,
    rows_found: u64,
    checksum: String,
    left_prepared: u64,
    damage: u64,
    working_ms: u64,
    wall_ms: u64,
    violations: Vec<ViolationJson<'a>>,
    interrupted: bool,
    exit_code: u8,
}

#[derive(Serialize)]
struct Kills {
    sink: u32,
    participant: u32,
}

#[derive(Serialize)]
struct Found {
    stops: u32,
    with_prepared: u32,
    prepared: u64,
    with_decisions: u32,
    decisions: u64,
}

#[derive(Serialize)]
struct ViolationJson<'a> {
    law: &'static str,
    got: &'a str,
}

fn json<'a>(setup: &'a Setup, result: &'a Result, exit: Exit) -> Json<'a> {
    let tally = &result.tally;
    let violation = match &result.ended {
        Err(Ended::Violation(one)) => Some(ViolationJson { law: one.law, got: &one.got }),
        _ => None,
    };
    let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    Json {
        scenario: super::SCENARIO,
        real: true,
        seed: setup.seed,
        rows: setup.rows,
        participants: setup.participants,
        postgres: setup.postgres.is_some(),
        plant: setup.plant.as_deref(),
        kills: Kills { sink: tally.sink_kills, participant: tally.peer_kills },
        found: Found {
            stops: tally.stops,
            with_prepared: tally.found_prepared,
            prepared: tally.prepared,
            with_decisions: tally.found_decided,
            decisions: tally.decided,
        },
        checkpointed: tally.checkpointed,
        rows_found: tally.rows,
        checksum: format!("{:016x}", tally.checksum),
        left_prepared: tally.left_prepared,
        damage: tally.damage,
        working_ms: ms(tally.working),
        wall_ms: ms(result.wall),
        violations: violation.into_iter().collect(),
        interrupted: matches!(result.ended, Err(Ended::Interrupted)),
        exit_code: exit.code(),
    }
}
