//! What each checker costs per event, on a lawful history of about a million events.
//!
//! `cargo run --release -p seedbed-check --example speed`. Each checker runs nine times, round by
//! round, so that a slow moment of the machine hits all of them; the median counts.

// A stopwatch is what this is.
#![allow(clippy::disallowed_methods)]

use std::hint::black_box;
use std::time::Instant;

use seedbed_check::lawful::Lawful;
use seedbed_check::{CHECKERS, Fact, Processes, TwoPhase, Variant, explore};

const ROUNDS: usize = 9;
/// The checkers of two-phase commit itself.
const TWO_PHASE: [&str; 3] = ["commitment", "fencing", "liveness"];

fn main() {
    let settings = Lawful {
        seed: 1,
        events: 1_000_000,
        participants: 4,
        variant: Variant::PresumedAbort,
        trouble_one_in: 2_000,
    };
    let (history, given) = settings.generate();
    let txs = history.iter().filter(|e| matches!(e.fact, Fact::Begin { .. }));
    println!("{} events, {} transactions, median of {ROUNDS}", history.len(), txs.count());
    let mut times = vec![[0_u128; ROUNDS]; CHECKERS.len()];
    for round in 0..ROUNDS {
        for (checker, times) in CHECKERS.iter().zip(&mut times) {
            let begin = Instant::now();
            let judged = black_box((checker.check)(black_box(&history), &given));
            times[round] = begin.elapsed().as_nanos();
            assert!(judged.iter().all(|judged| judged.verdict.is_ok()), "{}", checker.name);
        }
    }
    let (mut all, mut two_phase) = (0.0, 0.0);
    for (checker, times) in CHECKERS.iter().zip(&mut times) {
        times.sort_unstable();
        let per_event = times[ROUNDS / 2] as f64 / history.len() as f64;
        all += per_event;
        if TWO_PHASE.contains(&checker.name) {
            two_phase += per_event;
        }
        println!("{:>14} {per_event:6.2} ns/event", checker.name);
    }
    println!("{:>14} {two_phase:6.2} ns/event ({})", "two-phase", TWO_PHASE.join(", "));
    println!("{:>14} {all:6.2} ns/event", "all");
    for count in 3..=7 {
        let begin = Instant::now();
        let explored = explore(&TwoPhase { resource_managers: Processes::first(count) }, 1 << 20);
        let (distinct, generated) = (explored.distinct, explored.generated);
        let ms = begin.elapsed().as_millis();
        println!("TwoPhase of {count}: {distinct} states, {generated} generated, {ms} ms");
    }
}
