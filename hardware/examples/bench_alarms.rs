//! How often `seedbed bench --against` raises a false alarm, and how often it catches a build that
//! is slower, with an engine on this machine's disk.
//!
//! `cargo run --release -p seedbed-hardware --example bench_alarms -- DIR [COMPARISONS [CLIENTS]]`
//! compares the store with itself as `--against` does, by [`in_turn`]. Then as often again, and
//! every round of the second build counts as if each operation had lasted 12 % longer. Exits with 1
//! if there are more than 2 false alarms in 50 or fewer than 48 catches.

use std::error::Error;
use std::io::{BufReader, stdin, stdout};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::AtomicBool;

use seedbed_hardware::{Launch, Workload, in_turn, process};
use seedbed_measure::{Gate, Plan, Round, Side, Verdict};

/// With this argument the program is one of the measuring processes.
const COMMAND: &str = "bench-process";
/// How long a round takes, about: as with `--quick`.
const ROUND_NS: u64 = 100_000_000;
const SLOWDOWN: f64 = 0.12;
static STOP: AtomicBool = AtomicBool::new(false);

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let first = args.next().ok_or("a folder on the disk that is to be measured comes first")?;
    if first == COMMAND {
        process::serve(BufReader::new(stdin()), stdout().lock())?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut number = |usual: u32| args.next().map_or(Ok(usual), |text| text.parse());
    let (comparisons, clients) = (number(50)?, number(8)?);
    let (dir, own) = (PathBuf::from(first), std::env::current_exe()?);
    let launch = Launch { program: &own, command: COMMAND, dir: &dir, stop: &STOP };
    let (mut alarms, mut catches) = (0, 0);
    for nth in 0..comparisons {
        alarms += tell(launch, clients, nth, 0.0)?;
        catches += tell(launch, clients, nth, SLOWDOWN)?;
    }
    println!("false alarms: {alarms} of {comparisons}, caught: {catches} of {comparisons}");
    let is_good = alarms * 50 <= 2 * comparisons && catches * 50 >= 48 * comparisons;
    Ok(if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// One comparison; 1 if it found a regression.
fn tell(launch: Launch<'_>, clients: u32, nth: u32, slowdown: f64) -> Result<u32, Box<dyn Error>> {
    let workload = Workload { clients, ..Workload::default() };
    let how = (Plan { seed: nth.into(), ..Plan::default() }, Gate::default());
    let judged = |side, round: &seedbed_hardware::Round| match side {
        Side::Before => round.into(),
        Side::After => longer(&round.into(), slowdown),
    };
    let done = in_turn([launch; 2], &workload, ROUND_NS, how, judged)?;
    let (verdict, rounds) = (done.comparison.report().verdict(), done.rounds.len());
    println!("{nth:>3}, {:>2.0} % slower: {verdict}, {rounds} rounds of each", slowdown * 100.0);
    Ok(u32::from(verdict == Verdict::Regressed))
}

/// The round as it would be if each operation had lasted longer.
fn longer(round: &Round, slowdown: f64) -> Round {
    let scaled = |ns: u64| (ns as f64 * (1.0 + slowdown)) as u64;
    let mut latency = round.latency;
    for ns in [
        &mut latency.mean_ns,
        &mut latency.p50_ns,
        &mut latency.p95_ns,
        &mut latency.p99_ns,
        &mut latency.p999_ns,
        &mut latency.max_ns,
    ] {
        *ns = scaled(*ns);
    }
    Round { elapsed_ns: scaled(round.elapsed_ns), latency, ..*round }
}
