//! `run sink --real`: the sink on this machine, with processes that are killed by SIGKILL.
//!
//! The sink runs in a process of its own (`process.rs`), embedded participants in one each, or a
//! PostgreSQL server beside them. `plan.rs` says what is killed when, `drive.rs` does it, and
//! `verify.rs` compares what is in the tables with the source.
//!
//! Invariants: nothing is left behind, however this ends, except the user's `--dir` and tables in
//! the user's own database if we are killed; no other process or server is touched.

// It is about the real world: clocks, threads and sleep are real.
#![allow(clippy::disallowed_methods)]

mod child;
mod drive;
mod embedded;
mod peers;
mod plan;
pub(crate) mod process;
mod report;
mod server;
mod source;
mod verify;

use std::fmt::Display;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::atomic::Ordering;

use seedbed::Scenario;

use self::child::Folder;
use self::drive::{Drive, Progress, Tally};
use self::peers::Peers;
use crate::args::RunArgs;
use crate::commands::Context;
use crate::exit::{Exit, Failure};
use crate::lookup;
use crate::progress::{follow, per_second};
use crate::tables::grouped;

pub(crate) use self::child::COMMAND;

/// The scenario whose engine this is.
const SCENARIO: &str = "sink";

/// With less room than this a disk is full.
const ROOM: usize = 1 << 20;

/// What is to be done.
#[derive(Clone, Debug)]
struct Setup {
    rows: u64,
    kills: u32,
    seed: u64,
    participants: usize,
    batch: usize,
    checkpoint_ms: u64,
    plant: Option<String>,
    postgres: Option<String>,
}

/// A law that was broken.
#[derive(Clone, Debug)]
struct Violation {
    law: &'static str,
    got: String,
}

/// Why a run is over before its end.
#[derive(Debug)]
enum Ended {
    Interrupted,
    Violation(Violation),
    Failed(Failure),
}

impl From<Failure> for Ended {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// Something of this machine did not do what it should; a full disk is the user's to mend.
fn failure(what: &dyn Display, error: impl Display) -> Ended {
    let text = format!("{what}: {error}");
    let exit = if is_disk_full(&text) { Exit::Usage } else { Exit::Internal };
    Ended::Failed(Failure::new(exit, text))
}

fn is_disk_full(text: &str) -> bool {
    ["disk is full", "No space left", "quota"].iter().any(|word| text.contains(word))
}

/// Whether there is no room below the folder of this log any more. What a store says of it may be
/// that it was closed.
fn has_no_room(log: &Path) -> bool {
    let probe = log.with_file_name("room");
    let written = std::fs::write(&probe, vec![0; ROOM]);
    let _ = std::fs::remove_file(&probe);
    let full = [ErrorKind::StorageFull, ErrorKind::QuotaExceeded];
    written.is_err_and(|error| full.contains(&error.kind()))
}

impl Ended {
    fn violation(law: &'static str, got: String) -> Self {
        Self::Violation(Violation { law, got })
    }

    /// A process of ours does what it must not, unless its log says that the disk is full.
    fn broken(what: &str, log: &Path) -> Self {
        if is_disk_full(what) || is_disk_full(&child::tail(log)) || has_no_room(log) {
            return Self::Failed(Failure::usage(format!("the disk is full: {what}")));
        }
        Self::violation("every process works until it is killed", what.to_owned())
    }

    fn hangs(what: &str, log: &Path) -> Self {
        let last = child::tail(log);
        if is_disk_full(&last) || has_no_room(log) {
            return Self::Failed(Failure::usage(format!("the disk is full: {what}{last}")));
        }
        Self::violation("the sink goes on", format!("{what}; the last it logged:{last}"))
    }

    /// The sink has stopped with this error.
    fn sink_failed(error: &str, log: &Path) -> Self {
        if error.contains("was rejected") {
            return Self::violation("exactly once", format!("the sink stopped: {error}"));
        }
        Self::broken(&format!("the sink stopped: {error}"), log)
    }
}

/// Runs the sink on this machine.
pub(crate) fn run(cx: &mut Context<'_>, args: &RunArgs) -> Result<Exit, Failure> {
    let scenario = lookup::scenario(cx.scenarios, &args.scenario)?;
    let setup = Setup::new(scenario, args)?;
    let folder = Folder::new(args.real.dir.as_deref())?;
    let mut threads = tokio::runtime::Builder::new_multi_thread();
    let runtime = threads.worker_threads(1).enable_all().build();
    let runtime = runtime.map_err(|error| Failure::new(Exit::Internal, error))?;
    let progress = Progress::default();
    let show = cx.show(args.sweep.quiet);
    let kind = if folder.is_temporary() { ", temporary" } else { "" };
    let (plain, path) = (!args.sweep.json && !args.sweep.quiet, folder.path().display());
    if plain {
        cx.out.line(format_args!("folder {path}{kind}"));
    }
    let look = |elapsed: std::time::Duration| {
        let (rows, kills) =
            (progress.rows.load(Ordering::Relaxed), progress.kills.load(Ordering::Relaxed));
        let doing = *progress.doing.lock().unwrap_or_else(|held| held.into_inner());
        let rate = grouped(per_second(rows, elapsed));
        let (done, all) = (grouped(rows), grouped(setup.rows));
        let line = format!("sink: {done}/{all} rows, {kills}/{} kills, {rate} rows/s", setup.kills);
        let line = if doing.is_empty() { line } else { format!("{line}; {doing}") };
        (rows, setup.rows, line)
    };
    let work = || {
        runtime.block_on(async {
            let peers = match Peers::start(&setup, folder.path()).await {
                Ok(peers) => peers,
                Err(ended) => return (String::new(), Err(ended), Tally::default()),
            };
            let about = peers.describe();
            let mut drive = Drive::new(&setup, &progress, folder.path(), peers);
            let ended = drive.run().await;
            (about, ended, drive.tally)
        })
    };
    let (result, wall) = follow(show, &mut cx.err, (cx.stop, &progress.stop), look, work);
    let (about, ended, tally) = result;
    report::report(cx, args, &setup, &report::Result { about, ended, tally, wall })
}

impl Setup {
    fn new(scenario: &dyn Scenario, args: &RunArgs) -> Result<Self, Failure> {
        if scenario.name() != SCENARIO {
            let name = scenario.name();
            return Err(Failure::usage(format!("{name} cannot run with --real: only {SCENARIO}")));
        }
        let (sweep, real) = (&args.sweep, &args.real);
        let simulated = [
            ("--seeds", sweep.seeds.is_some()),
            ("--jobs", sweep.jobs.is_some()),
            ("--faults", sweep.faults.is_some()),
            ("--max-violations", sweep.max_violations.is_some()),
            ("--check-determinism", sweep.check_determinism.is_some()),
            ("--traces", sweep.traces.is_some()),
            ("--omit-sync", !args.target.omit_sync.is_empty()),
        ];
        if let Some((flag, _)) = simulated.into_iter().find(|(_, given)| *given) {
            let text = format!("{flag} (or its variable) is for simulated runs, not for --real");
            return Err(Failure::usage(text));
        }
        let plant = args.target.plant.clone().filter(|name| !name.is_empty());
        plant.as_ref().map_or(Ok(()), |name| lookup::plant(scenario, name).map(drop))?;
        let usual = if real.postgres.is_some() { 2 } else { 3 };
        Ok(Self {
            rows: real.rows,
            kills: real.kills,
            seed: real.seed,
            participants: real.participants.map_or(usual, usize::from),
            batch: real.batch as usize,
            checkpoint_ms: real.checkpoint_ms,
            plant,
            postgres: real.postgres.clone(),
        })
    }
}
