//! How often `seedbed bench --against` raises a false alarm, and how often it catches a build that
//! is slower, with an engine on this machine's disk.
//!
//! `cargo run --release -p seedbed-hardware --example bench_alarms -- DIR [COMPARISONS [CLIENTS]]`
//! compares the store with itself, as `--against` does: two processes, rounds in turn, the same
//! gate. Then as often again, and every round of the second one counts as if each operation had
//! lasted 12 % longer. Exits with 1 if there are more than 2 false alarms in 50 or fewer than 48
//! catches.

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

use seedbed_hardware::{Worker, Workload, process};
use seedbed_measure::{Comparison, Gate, Plan, Round, Side, Verdict};

/// With this argument the program is one of the measuring processes.
const COMMAND: &str = "bench-process";
/// How long a round takes, about.
const ROUND_NS: u64 = 150_000_000;
const SLOWDOWN: f64 = 0.12;

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let first = args.next().ok_or("a folder on the disk that is to be measured comes first")?;
    if first == COMMAND {
        process::serve(std::io::stdin().lock(), std::io::stdout().lock())?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut number = |usual: u32| args.next().map_or(Ok(usual), |text| text.parse());
    let (comparisons, clients) = (number(50)?, number(8)?);
    let bench = Alarms { dir: PathBuf::from(first), own: std::env::current_exe()?, clients };
    let (mut alarms, mut catches) = (0, 0);
    for nth in 0..comparisons {
        alarms += bench.tell(nth, 0.0)?;
        catches += bench.tell(nth, SLOWDOWN)?;
    }
    println!("false alarms: {alarms} of {comparisons}, caught: {catches} of {comparisons}");
    let good = alarms * 50 <= 2 * comparisons && catches * 50 >= 48 * comparisons;
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

struct Alarms {
    dir: PathBuf,
    own: PathBuf,
    clients: u32,
}

impl Alarms {
    /// One comparison; 1 if it found a regression.
    fn tell(&self, nth: u32, slowdown: f64) -> Result<u32, Box<dyn Error>> {
        let (verdict, rounds) = self.compare(u64::from(nth), slowdown)?;
        println!("{nth:>3}, {:>2.0} % slower: {verdict}, {rounds} rounds", slowdown * 100.0);
        Ok(u32::from(verdict == Verdict::Regressed))
    }

    fn compare(&self, seed: u64, slowdown: f64) -> Result<(Verdict, usize), Box<dyn Error>> {
        let workload = Workload { clients: self.clients, ..Workload::default() };
        let mut sides = [(); 2].map(|()| Worker::start(&self.own, COMMAND, &self.dir, &workload));
        let [Ok(before), Ok(after)] = &mut sides else {
            let failed = sides.into_iter().find_map(Result::err).expect("one of them failed");
            return Err(failed.into());
        };
        let warm = before.round(2000)?;
        let operations = (2000 * ROUND_NS / warm.elapsed_ns.max(1)).clamp(64, 1_000_000);
        before.round(operations)?;
        after.round(operations)?;
        let mut comparison = Comparison::new(Plan { seed, ..Plan::default() }, Gate::default())?;
        let mut rounds = 0;
        while let Some(turn) = comparison.turn() {
            rounds += 1;
            comparison.record(match turn.side {
                Side::Before => longer(&before.round(operations)?, 0.0),
                Side::After => longer(&after.round(operations)?, slowdown),
            })?;
        }
        for side in sides {
            side?.end()?;
        }
        Ok((comparison.report().verdict(), rounds))
    }
}

/// What a round would have come to if everything had lasted longer by this part.
fn longer(round: &seedbed_hardware::Round, by: f64) -> Round {
    let scaled = |ns: u64| (ns as f64 * (1.0 + by)) as u64;
    let mut latency = round.latency;
    let times = [
        &mut latency.mean_ns,
        &mut latency.p50_ns,
        &mut latency.p95_ns,
        &mut latency.p99_ns,
        &mut latency.p999_ns,
        &mut latency.max_ns,
    ];
    times.into_iter().for_each(|ns| *ns = scaled(*ns));
    Round { operations: round.operations, elapsed_ns: scaled(round.elapsed_ns), latency }
}
