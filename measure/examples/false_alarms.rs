//! How often the gate raises a false alarm, and how often it catches an injected slowdown, on this
//! machine, with whatever else runs on it.
//!
//! `cargo run --release -p seedbed-measure --example false_alarms`. Each comparison runs one
//! program against itself in interleaved rounds; then again as often with one side slowed down,
//! every operation lasting that much longer (12 % longer is a throughput lower by 10.7 %). An
//! operation is some arithmetic, a walk through memory that is larger than a cache, and a write to
//! a file. Exits with 1 if there are more than 2 false alarms in 50 or fewer than 48 catches.

// A stopwatch is what this is.
#![allow(clippy::disallowed_methods)]

use std::collections::BTreeMap;
use std::error::Error;
use std::fs::File;
use std::hint::black_box;
use std::io::{Seek, SeekFrom, Write};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use seedbed_measure::{
    Comparison, Gate, Latencies, Metric, Plan, Report, Round, Side, Verdict, sample,
};

/// False alarms and catches of the gate, on this machine.
#[derive(Parser)]
struct Args {
    /// Comparisons of the program with itself, and again with the slower one.
    #[arg(long, default_value_t = 50)]
    comparisons: u64,
    /// Most rounds of a comparison; even, 12 or more.
    #[arg(long, default_value_t = 60)]
    rounds: usize,
    /// By how many percent of its time each operation of the slower side lasts longer.
    #[arg(long, default_value_t = 12.0)]
    slowdown: f64,
    /// Operations in one run of one side.
    #[arg(long, default_value_t = 2000)]
    operations: u64,
    /// Judge nothing but throughput, so that no latency helps it out.
    #[arg(long)]
    throughput_only: bool,
}

/// 16 MiB of words to walk through.
const MEMORY_WORDS: usize = 2 << 20;
const MEMORY_STEPS: usize = 64;
const PAGE_BYTES: usize = 4096;
/// The file is written from the beginning again after so many pages.
const FILE_PAGES: u64 = 1024;

/// The program that is measured.
struct Work {
    memory: Vec<u64>,
    page: Vec<u8>,
    file: File,
    at: u64,
    /// What lasts longer than this has been interrupted.
    uninterrupted_max: Duration,
}

impl Work {
    fn new() -> Result<Self, Box<dyn Error>> {
        // An odd multiplier and a power of two: each word names another one.
        let words = (0..MEMORY_WORDS as u64).map(|word| word.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let (memory, page) = (words.collect(), vec![0; PAGE_BYTES]);
        let uninterrupted_max = Duration::MAX;
        let file = tempfile::tempfile()?;
        let mut work = Self { memory, page, file, at: 0, uninterrupted_max };
        // Unmeasured: first touches of memory and file cost more.
        let first = work.round(2 * FILE_PAGES, 0.0)?;
        work.uninterrupted_max = Duration::from_nanos(first.latency.p50_ns * 4);
        Ok(work)
    }

    fn operation(&mut self) -> std::io::Result<()> {
        let mut state = self.at;
        for _ in 0..MEMORY_STEPS {
            state = self.memory[(state >> 43) as usize % MEMORY_WORDS] ^ state.rotate_left(7);
        }
        for byte in &mut self.page {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            *byte = (state >> 56) as u8;
        }
        self.file.seek(SeekFrom::Start(self.at % FILE_PAGES * PAGE_BYTES as u64))?;
        self.file.write_all(&self.page)?;
        self.at = black_box(self.at + 1);
        Ok(())
    }

    /// One run of one side; `slowdown` is a part of one.
    ///
    /// An operation that others interrupted is slowed down as if it had lasted as long as one that
    /// was not, because a slower program does not make others take longer turns. It is interrupted
    /// more often by itself. Were interruptions stretched too, a busy machine would turn 12 % into
    /// 18 %, which is easier to catch.
    fn round(&mut self, operations: u64, slowdown: f64) -> std::io::Result<Round> {
        let mut latencies = Latencies::new();
        let start = Instant::now();
        for _ in 0..operations {
            let begin = Instant::now();
            self.operation()?;
            if slowdown > 0.0 {
                let end = begin.elapsed();
                let longer = end + end.min(self.uninterrupted_max).mul_f64(slowdown);
                while begin.elapsed() < longer {
                    std::hint::spin_loop();
                }
            }
            latencies.record(nanoseconds(begin.elapsed()));
        }
        let elapsed_ns = nanoseconds(start.elapsed());
        Ok(Round { operations, elapsed_ns, latency: latencies.summary() })
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// What all comparisons of one kind came to.
#[derive(Default)]
struct Tally {
    verdicts: BTreeMap<Verdict, u64>,
    rounds: Vec<f64>,
    /// By metric: alarms, unclear ones, estimates, widths of intervals, noise of a round.
    metrics: BTreeMap<String, Metrics>,
}

#[derive(Default)]
struct Metrics {
    alarms: u64,
    unclear: u64,
    ratios: Vec<f64>,
    half_widths: Vec<f64>,
    noises: Vec<f64>,
}

impl Tally {
    fn add(&mut self, report: &Report) {
        *self.verdicts.entry(report.verdict()).or_default() += 1;
        self.rounds.push(report.rounds as f64);
        for judged in &report.metrics {
            let metric = self.metrics.entry(judged.metric.to_string()).or_default();
            metric.alarms += u64::from(judged.verdict == Verdict::Regressed);
            metric.unclear += u64::from(judged.verdict == Verdict::Unclear);
            metric.noises.push(judged.noise);
            if let Some(ratio) = judged.ratio {
                metric.ratios.push(ratio.estimate);
                metric.half_widths.push((ratio.high - ratio.low) / 2.0);
            }
        }
    }

    fn count(&self, verdict: Verdict) -> u64 {
        self.verdicts.get(&verdict).copied().unwrap_or(0)
    }

    fn print(&self, title: &str) {
        let [same, better, unclear, regressed] =
            [Verdict::Same, Verdict::Better, Verdict::Unclear, Verdict::Regressed]
                .map(|verdict| self.count(verdict));
        let rounds = sample::median(&self.rounds).unwrap_or(0.0);
        println!(
            "{title}: {regressed} regressed, {unclear} unclear, {same} same, {better} better; \
             median of {rounds:.0} rounds"
        );
        println!("  {:<10} {:>9} {:>7} | medians of:", "", "regressed", "unclear");
        println!("  {:<28} | {:>7} {:>9} {:>14}", "", "ratio", "interval", "noise of round");
        for (name, metric) in &self.metrics {
            let Metrics { alarms, unclear, .. } = metric;
            let middle = |values: &[f64]| sample::median(values).unwrap_or(f64::NAN);
            println!(
                "  {name:<10} {alarms:>9} {unclear:>7} | {:>7.3} {:>7.1} % {:>12.1} %",
                middle(&metric.ratios),
                100.0 * middle(&metric.half_widths),
                100.0 * middle(&metric.noises),
            );
        }
    }
}

fn compare(
    work: &mut Work,
    args: &Args,
    slowdown: f64,
    seed: u64,
) -> Result<Report, Box<dyn Error>> {
    let plan = Plan::default();
    let rounds_first = plan.rounds_first.min(args.rounds);
    let plan = Plan { rounds_first, rounds_max: args.rounds, seed, ..plan };
    let mut gate = Gate::default();
    if args.throughput_only {
        gate.metrics = vec![Metric::Throughput];
    }
    let mut comparison = Comparison::new(plan, gate)?;
    while let Some(turn) = comparison.turn() {
        let slowdown = if turn.side == Side::After { slowdown } else { 0.0 };
        comparison.record(work.round(args.operations, slowdown)?)?;
    }
    Ok(comparison.report().clone())
}

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let args = Args::parse();
    let begin = Instant::now();
    let mut work = Work::new()?;
    let (mut same, mut slower) = (Tally::default(), Tally::default());
    for seed in 0..args.comparisons {
        same.add(&compare(&mut work, &args, 0.0, seed)?);
        slower.add(&compare(&mut work, &args, args.slowdown / 100.0, seed)?);
    }
    same.print("A/A");
    slower.print(&format!("A/B, operations last {} % longer", args.slowdown));
    let (alarms, catches) = (same.count(Verdict::Regressed), slower.count(Verdict::Regressed));
    let all = args.comparisons;
    println!(
        "false alarms: {alarms} of {all}, caught: {catches} of {all}; {:.0} s",
        begin.elapsed().as_secs_f64()
    );
    let good = alarms * 50 <= 2 * all && catches * 50 >= 48 * all;
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
