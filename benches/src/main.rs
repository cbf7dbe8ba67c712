//! seedbed and its peers side by side, from this folder: `cargo run --release -- simulators`, and
//! `cargo run --release -- commits` for the store.
//!
//! Rounds are interleaved (seedbed, madsim, turmoil, floor, and again), every figure is taken in a
//! process of its own, and what counts is the ratio of neighbours: absolute values drift with the
//! machine's load by more than most differences.

mod commits;
mod floor;
mod madsim;
mod measure;
mod report;
mod seedbed;
mod syncs;
mod turmoil;
mod work;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use serde_json::json;

use crate::measure::LIBRARIES;
use crate::report::{Comparison, Memory, NOTES};
use crate::work::ROWS;

/// Run lengths of the memory workload.
const MEMORY_RUNS: [u64; 3] = [10_000, 40_000, 160_000];

/// Compares seedbed with its peers.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    #[command(subcommand)]
    job: Job,
}

#[derive(Debug, Subcommand)]
enum Job {
    /// Deterministic simulators: madsim and turmoil, and a hand-written floor.
    Simulators {
        /// Only workloads whose name contains this.
        #[arg(long, default_value = "")]
        filter: String,
        /// How often every figure is taken.
        #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..))]
        rounds: u64,
        /// Print JSON instead of tables.
        #[arg(long)]
        json: bool,
    },
    /// Durable commits: the store beside other stores, beside writes that are not durable, and
    /// beside what the machine allows.
    Commits {
        /// Where to make folders: the file system that is measured.
        #[arg(long, default_value = ".")]
        dir: PathBuf,
        /// How often every figure is taken.
        #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..))]
        rounds: u64,
        /// How long each is measured, in seconds.
        #[arg(long, default_value_t = 0.5)]
        seconds: f64,
        /// How long to wait in all for other programs to leave the machine alone, in seconds.
        #[arg(long, default_value_t = 600)]
        patience: u64,
        /// Print JSON instead of tables.
        #[arg(long)]
        json: bool,
    },
    /// Checkpoints of the store on a real file system, with syncs left out or weakened.
    Syncs {
        /// Where to make folders: the file system that is measured.
        #[arg(long, default_value = ".")]
        dir: PathBuf,
        /// A sync to change, as FILE:LINE=data (a data sync instead) or FILE:LINE=omit.
        #[arg(long = "change", required = true)]
        changes: Vec<String>,
        /// How often every figure is taken.
        #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u64).range(1..))]
        rounds: u64,
        /// Checkpoints in each.
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..))]
        checkpoints: u64,
    },
    /// Takes one figure and prints it as JSON.
    #[command(hide = true)]
    Worker { library: String, workload: String, size: Option<u64> },
    /// Takes one figure of `commits` and prints it as JSON.
    #[command(hide = true)]
    CommitWorker { cell: String, dir: PathBuf },
}

fn main() -> ExitCode {
    let done = match Args::parse().job {
        Job::Simulators { filter, rounds, json } => simulators(&filter, rounds, json),
        Job::Commits { dir, rounds, seconds, patience, json } => {
            commits::compare(&dir, rounds, seconds, patience, json)
        }
        Job::CommitWorker { cell, dir } => commits::work(&cell, &dir),
        Job::Syncs { dir, changes, rounds, checkpoints } => {
            syncs::compare(&dir, &changes, rounds, checkpoints)
        }
        Job::Worker { library, workload, size } => {
            measure::work(&library, &workload, size).map(|found| println!("{}", json!(found)))
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn simulators(filter: &str, rounds: u64, json: bool) -> Result<(), String> {
    let mut comparisons = Vec::new();
    for row in ROWS.iter().filter(|row| row.name.contains(filter)) {
        let mut found = Vec::new();
        for _ in 0..rounds {
            let round = LIBRARIES.iter().map(|of| measure::in_process(of, row.name, None));
            found.push(round.collect::<Result<Vec<_>, _>>()?);
        }
        let comparison = Comparison::new(row, &found);
        if !json {
            comparison.print();
        }
        comparisons.push(comparison);
    }
    let memory = if "memory".contains(filter) { peaks()? } else { Vec::new() };
    if comparisons.is_empty() && memory.is_empty() {
        let names: Vec<_> = ROWS.iter().map(|row| row.name).chain(["memory"]).collect();
        return Err(format!("no workload contains {filter:?}; there are {}", names.join(", ")));
    }
    if json {
        println!("{:#}", json!({ "simulators": comparisons, "memory_kib": memory }));
        return Ok(());
    }
    if !memory.is_empty() {
        report::print_memory(&memory);
    }
    println!("\n{NOTES}");
    Ok(())
}

/// Peak memory of every library after runs of growing length.
fn peaks() -> Result<Vec<Memory>, String> {
    let mut rows = Vec::new();
    for library in LIBRARIES {
        let mut peaks = Vec::new();
        for n in MEMORY_RUNS {
            let found = measure::in_process(library, "memory", Some(n))?;
            peaks.extend(found.and_then(|found| Some((n, found.peak_kib?))));
        }
        rows.push(Memory { library, peaks });
    }
    Ok(rows)
}
