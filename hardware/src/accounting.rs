//! What CPU accounting costs on this machine, and whether its budget catches a spike.
//!
//! * The cost of a reading of either clock, and of a slice.
//! * Overhead on operations of fixed work: the CPU time of blocks of operations, divided by that of
//!   blocks without accounting that take turns with them; the median of the ratios, and the ratio
//!   of the lower deciles of the times: other work on the machine only ever makes a block longer.
//!   Contenders: *naive* reads the CPU clock before and after each operation; *operations* has a
//!   slice for each; *slices* has one for each millisecond of work, as a task of a runtime does
//!   many small operations in one poll. The last two with a budget of 0.1 ms, and without one.
//! * Spikes: in each round one operation burns 0.11 ms of CPU time among 100 small ones, and ten
//!   burn half of the limit. A flag of those is right by the CPU clock only above the limit, and
//!   possible above 75 us, where an interrupt or a switch of threads was charged to the operation.
//!
//! CPU time, not elapsed time, is compared: other work on the machine counts as little as it can.

use std::hint::black_box;
use std::pin::pin;
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use seedbed_env::cpu::{self, Class, CpuBudget, CpuError, CpuMeter, CpuOptions, thread_time};
use serde::Serialize;

static WORK: Class = Class::new("work");
static SMALL: Class = Class::new("small");
static HALF: Class = Class::new("half of the limit");
static SPIKE: Class = Class::new("spike");

/// The budget, and what a spike burns.
const LIMIT: Duration = CpuBudget::LIMIT_MIN;
const SPIKE_TIME: Duration = Duration::from_micros(110);
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

/// Nanoseconds of each.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Costs {
    /// A reading of the thread's CPU clock.
    pub cpu_clock: f64,
    /// A reading of the monotonic clock.
    pub monotonic: f64,
    /// A slice without a meter.
    pub unmetered: f64,
    /// A slice of `run`.
    pub run: f64,
    /// A slice of `in_class`.
    pub in_class: f64,
    /// A slice of `run` with a budget of 0.1 ms.
    pub budgeted: f64,
    /// A slice at both ends of which the CPU clock is read: the most that it can cost.
    pub dearest: f64,
}

/// Overhead of one contender in percent of the CPU time.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Overhead {
    /// Who.
    pub contender: &'static str,
    /// The median of the ratios.
    pub median: f64,
    /// The ratio of the lower deciles of the times.
    pub deciles: f64,
}

/// What the budget flagged.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Spikes {
    /// Rounds with one spike of 110 us each.
    pub rounds: u64,
    /// Of them, those in which it was flagged.
    pub caught: u64,
    /// Flags of ten operations of 50 us a round.
    pub half_flagged: u64,
    /// Such operations that came to more than 75 us.
    pub half_long: u64,
    /// Flags of a hundred operations of 5 us a round.
    pub small_flagged: u64,
}

fn with_budget() -> Result<CpuOptions, CpuError> {
    let budget = Some(CpuBudget::new(LIMIT)?);
    Ok(CpuOptions { budget, flags_max: 100_000, ..CpuOptions::default() })
}

fn quantile(mut values: Vec<f64>, part: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    values[(values.len() as f64 * part) as usize]
}

/// The time of one `call` in nanoseconds: the median over batches.
fn cost(mut call: impl FnMut()) -> f64 {
    const BATCH: u32 = 1000;
    let batch = |_| {
        let start = Instant::now();
        (0..BATCH).for_each(|_| call());
        start.elapsed().as_nanos() as f64 / f64::from(BATCH)
    };
    quantile((0..200).map(batch).collect(), 0.5)
}

/// The cost of readings and slices.
///
/// # Errors
/// The system does not tell a thread's CPU time.
pub fn costs() -> Result<Costs, CpuError> {
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
    Ok(Costs { cpu_clock, monotonic, unmetered, run, in_class, budgeted, dearest })
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

/// The overhead of each contender on operations that take `length`, over so many turns. The last
/// contender is the same work without accounting: the error of the measurement.
///
/// # Errors
/// The system does not tell a thread's CPU time.
pub fn overhead(length: Duration, turns: usize) -> Result<Vec<Overhead>, CpuError> {
    let (speed, length) = (calibrate(), length.as_nanos().max(1) as u64);
    let steps = speed * length / 1_000_000;
    let (operations, in_slice) = ((BLOCK / length).max(1), (SLICE / length).max(1));
    let turns = turns.max(1);
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
    let metered = |options: CpuOptions, block: &dyn Fn()| -> Result<f64, CpuError> {
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
    let overheads = CONTENDERS.iter().zip(&times).skip(1).map(|(contender, times)| {
        let ratios = times.iter().zip(base).map(|(time, base)| time / base).collect();
        let deciles = quantile(times.clone(), 0.1) / quantile(base.clone(), 0.1);
        let percent = |ratio: f64| (ratio - 1.0) * 100.0;
        let (median, deciles) = (percent(quantile(ratios, 0.5)), percent(deciles));
        Overhead { contender, median, deciles }
    });
    Ok(overheads.collect())
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
///
/// # Errors
/// The system does not tell a thread's CPU time.
pub fn spikes(rounds: u64) -> Result<Spikes, CpuError> {
    let speed = calibrate();
    let mut spikes = Spikes { rounds, caught: 0, half_flagged: 0, half_long: 0, small_flagged: 0 };
    let small = || cpu::run(&SMALL, || spin(speed / 200));
    for round in 0..rounds {
        let meter = CpuMeter::start(with_budget()?)?;
        for operation in 0..100 {
            small();
            if operation % 10 == 0 {
                let burned = cpu::run(&HALF, || burn(LIMIT / 2));
                spikes.half_long += u64::from(burned > LIMIT * 3 / 4);
            }
            if operation == round % 100 {
                cpu::run(&SPIKE, || burn(SPIKE_TIME));
            }
        }
        let flags = meter.report().flags;
        let of =
            |class: &Class| flags.iter().filter(|flag| flag.class == class.name()).count() as u64;
        spikes.caught += u64::from(of(&SPIKE) == 1);
        spikes.half_flagged += of(&HALF);
        spikes.small_flagged += of(&SMALL);
    }
    Ok(spikes)
}
