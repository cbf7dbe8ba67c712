//! What CPU accounting costs on this machine, and whether its budget catches a spike.
//!
//! * The cost of a reading of either clock, and of a slice.
//! * Overhead on operations of 1 ms, 100 us and 10 us of fixed work: the CPU time of blocks of
//!   operations, divided by that of blocks without accounting that take turns with them. Printed
//!   are the median of the ratios, and the ratio of the lower deciles of the times: other work on
//!   the machine only ever makes a block longer. Contenders: `naive` reads the CPU clock before and
//!   after each operation; `operations` has a slice for each; `slices` has one for each millisecond
//!   of work, as a task of a runtime does many small operations in one poll. The last two with a
//!   budget of 0.1 ms, and without one.
//! * Spikes: in each round one operation burns 0.11 ms of CPU time among 100 small ones, and ten
//!   burn half of the limit. A flag of those is right by the CPU clock only above the limit, and
//!   possible above 75 us, where an interrupt or a switch of threads was charged to the operation.
//!
//! CPU time, not elapsed time, is compared: other work on the machine counts as little as it can.
//!
//! `cargo run --release -p seedbed-env --example cpu_overhead -- [--json] [TURNS]`

// It measures the real world.
#![allow(clippy::disallowed_methods)]

use std::hint::black_box;
use std::pin::pin;
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use seedbed_env::cpu::{self, Class, CpuBudget, CpuMeter, CpuOptions, thread_time};
use serde_json::{Value, json};

static WORK: Class = Class::new("work");
static SMALL: Class = Class::new("small");
static HALF: Class = Class::new("half of the limit");
static SPIKE: Class = Class::new("spike");

/// The budget, and what a spike burns.
const LIMIT: Duration = CpuBudget::LIMIT_MIN;
const SPIKE_TIME: Duration = Duration::from_micros(110);
const ROUNDS: u64 = 1000;
/// Work of one block, and of one slice of `slices`, in nanoseconds.
const BLOCK: u64 = 2_000_000;
const SLICE: u64 = 1_000_000;

/// What is compared: the first one is the base, the last one is the same again, for the error of
/// the measurement.
const CONTENDERS: [&str; 7] = [
    "bare",
    "naive",
    "operations, budget",
    "operations",
    "slices, budget",
    "slices",
    "the measurement's own error",
];

type Failed = Box<dyn std::error::Error>;

fn main() -> Result<(), Failed> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let is_json = args.iter().any(|arg| arg == "--json");
    let turns = match args.iter().find(|arg| *arg != "--json") {
        Some(turns) => turns.parse().map_err(|_| format!("{turns} is no number of turns"))?,
        None => 500,
    };
    if turns == 0 {
        return Err("give at least one turn".into());
    }
    let costs = costs()?;
    let speed = calibrate();
    let overheads = [1_000_000, 100_000, 10_000]
        .iter()
        .map(|length| overhead(speed, *length, turns))
        .collect::<Result<Vec<_>, _>>()?;
    let spikes = spikes(speed)?;
    let all = json!({ "costs_ns": costs, "overheads": overheads, "spikes": spikes });
    match is_json {
        true => println!("{all:#}"),
        false => print(&all),
    }
    Ok(())
}

fn print(all: &Value) {
    let object = |name: &str| all[name].as_object().into_iter().flatten();
    println!("nanoseconds each");
    object("costs_ns").for_each(|(name, cost)| println!("  {name:<44}{:>8}", cost.to_string()));
    println!("overhead in % of the CPU time: median of ratios, ratio of lower deciles");
    for row in all["overheads"].as_array().into_iter().flatten() {
        println!("  operations of {} us", row["operation_us"]);
        let percent = row["percent_median_decile"].as_object().into_iter().flatten();
        for (name, percent) in percent {
            let [median, decile] = [0, 1].map(|at| percent[at].to_string());
            println!("    {name:<42}{median:>8}{decile:>8}");
        }
    }
    println!("spikes");
    object("spikes").for_each(|(name, count)| println!("  {name:<44}{:>8}", count.to_string()));
}

fn with_budget() -> Result<CpuOptions, Failed> {
    let budget = Some(CpuBudget::new(LIMIT)?);
    Ok(CpuOptions { budget, flags_max: 100_000, ..CpuOptions::default() })
}

fn quantile(mut values: Vec<f64>, part: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    values[(values.len() as f64 * part) as usize]
}

fn rounded(value: f64, digits: i32) -> f64 {
    let scale = 10_f64.powi(digits);
    (value * scale).round() / scale
}

/// The time of one `call` in nanoseconds: the median over batches.
fn cost(mut call: impl FnMut()) -> f64 {
    const BATCH: u32 = 1000;
    let batch = |_| {
        let start = Instant::now();
        (0..BATCH).for_each(|_| call());
        start.elapsed().as_nanos() as f64 / f64::from(BATCH)
    };
    rounded(quantile((0..200).map(batch).collect(), 0.5), 1)
}

fn costs() -> Result<Value, Failed> {
    let cpu_clock = cost(|| {
        black_box(thread_time());
    });
    let monotonic = cost(|| {
        black_box(Instant::now());
    });
    let call = || cpu::run(&WORK, || black_box(()));
    let poll = || {
        let future = pin!(cpu::in_class(&WORK, async { black_box(()) }));
        let _ = black_box(future.poll(&mut Context::from_waker(Waker::noop())));
    };
    let unmetered = cost(call);
    let meter = CpuMeter::start(CpuOptions::default())?;
    let (run, in_class) = (cost(call), cost(poll));
    drop(meter);
    let meter = CpuMeter::start(with_budget()?)?;
    let budgeted = cost(call);
    drop(meter);
    let meter = CpuMeter::start(CpuOptions { quantum: Some(Duration::ZERO), ..with_budget()? })?;
    let dearest = cost(call);
    drop(meter);
    Ok(json!({
        "a reading of the thread's CPU clock": cpu_clock,
        "a reading of the monotonic clock": monotonic,
        "run, no meter": unmetered,
        "run, metered": run,
        "a poll of in_class, metered": in_class,
        "run, metered with a budget of 0.1 ms": budgeted,
        "run, CPU clock read at both ends": dearest,
    }))
}

/// Work that the compiler cannot shorten and that touches no memory. The same code for all, so that
/// its place in the program makes no difference.
#[inline(never)]
fn spin(steps: u64) {
    let mut state = black_box(1_u64);
    for _ in 0..steps {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
    }
    black_box(state);
}

/// Steps of [`spin`] in a millisecond of CPU time: the most of many tries.
fn calibrate() -> u64 {
    const STEPS: u64 = 100_000;
    let try_once = |_| {
        let start = thread_time();
        spin(STEPS);
        (thread_time() - start).as_nanos() as u64
    };
    let least = (0..200).map(try_once).min().unwrap_or(1).max(1);
    STEPS * 1_000_000 / least
}

/// CPU time of `block` in nanoseconds.
fn timed(block: impl FnOnce()) -> f64 {
    let start = thread_time();
    block();
    (thread_time() - start).as_nanos() as f64
}

/// The overhead of each contender on operations of `length` nanoseconds.
fn overhead(speed: u64, length: u64, turns: usize) -> Result<Value, Failed> {
    let steps = speed * length / 1_000_000;
    let (operations, in_slice) = (BLOCK / length, SLICE / length);
    let bare = || (0..operations).for_each(|_| spin(black_box(steps)));
    let naive = || {
        let mut sum = Duration::ZERO;
        for _ in 0..operations {
            let start = thread_time();
            spin(black_box(steps));
            sum += thread_time() - start;
        }
        black_box(sum);
    };
    let each = || (0..operations).for_each(|_| cpu::run(&WORK, || spin(black_box(steps))));
    let slices = || {
        for _ in 0..operations / in_slice {
            cpu::run(&WORK, || (0..in_slice).for_each(|_| spin(black_box(steps))));
        }
    };
    let metered = |options: CpuOptions, block: &dyn Fn()| -> Result<f64, Failed> {
        let meter = CpuMeter::start(options)?;
        let time = timed(block);
        drop(meter);
        Ok(time)
    };
    let (free, budget) = (CpuOptions::default(), with_budget()?);
    let contend = |contender: usize| match contender {
        1 => Ok(timed(naive)),
        2 => metered(budget, &each),
        3 => metered(free, &each),
        4 => metered(budget, &slices),
        5 => metered(free, &slices),
        _ => Ok(timed(bare)),
    };
    let mut times: [Vec<f64>; CONTENDERS.len()] = Default::default();
    for turn in 0..turns {
        // Who comes first changes, so that nobody has a place of its own.
        for place in 0..CONTENDERS.len() {
            let contender = (turn + place) % CONTENDERS.len();
            times[contender].push(contend(contender)?);
        }
    }
    let base = &times[0];
    let rows = CONTENDERS.iter().zip(&times).skip(1).map(|(name, times)| {
        let ratios = times.iter().zip(base).map(|(time, base)| time / base).collect();
        let deciles = quantile(times.clone(), 0.1) / quantile(base.clone(), 0.1);
        let percent = |ratio: f64| rounded((ratio - 1.0) * 100.0, 3);
        (name.to_string(), json!([percent(quantile(ratios, 0.5)), percent(deciles)]))
    });
    let rows: serde_json::Map<String, Value> = rows.collect();
    Ok(json!({ "operation_us": length / 1000, "percent_median_decile": rows }))
}

/// Runs until this thread has burned so much CPU time; returns what it was in the end: an
/// interrupt may have come.
fn burn(time: Duration) -> Duration {
    let start = thread_time();
    loop {
        let burned = thread_time() - start;
        if burned >= time {
            return burned;
        }
    }
}

/// Rounds with a spike each: how many are caught, and what is flagged that is none.
fn spikes(speed: u64) -> Result<Value, Failed> {
    let (mut caught, mut near, mut half, mut small_ones) = (0_u64, 0_u64, 0_usize, 0_usize);
    let small = || cpu::run(&SMALL, || spin(speed / 200));
    for round in 0..ROUNDS {
        let meter = CpuMeter::start(with_budget()?)?;
        for operation in 0..100 {
            small();
            if operation % 10 == 0 {
                let burned = cpu::run(&HALF, || burn(LIMIT / 2));
                near += u64::from(burned > LIMIT * 3 / 4);
            }
            if operation == round % 100 {
                cpu::run(&SPIKE, || burn(SPIKE_TIME));
            }
        }
        let flags = meter.report().flags;
        let of = |class: &Class| flags.iter().filter(|flag| flag.class == class.name()).count();
        caught += u64::from(of(&SPIKE) == 1);
        half += of(&HALF);
        small_ones += of(&SMALL);
    }
    Ok(json!({
        "rounds with one spike of 110 us": ROUNDS,
        "rounds with one spike of 110 us: caught": caught,
        "10 000 operations of 50 us: flagged": half,
        "10 000 operations of 50 us: over 75 us": near,
        "100 000 operations of 5 us: flagged": small_ones,
    }))
}
