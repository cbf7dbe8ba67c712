//! What each checker costs per event, on a lawful history of about a million events.
//!
//! `cargo run --release -p seedbed-check --example speed`. Each checker runs nine times, round by
//! round, so that a slow moment of the machine hits all of them; the median counts.

// A stopwatch is what this is.
#![allow(clippy::disallowed_methods)]

use std::hint::black_box;
use std::time::Instant;

use seedbed_check::lawful::Lawful;
use seedbed_check::{
    CHECKERS, Event, Fact, Given, Judgement, Processes, TwoPhase, Variant, check_two_phase, explore,
};

const ROUNDS: usize = 9;

type Check = fn(&[Event], &Given) -> Vec<Judgement>;
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
    let mut checks: Vec<(&str, Check)> = CHECKERS.iter().map(|c| (c.name, c.check)).collect();
    checks.push(("two-phase", check_two_phase));
    let mut times = vec![[0_u128; ROUNDS]; checks.len()];
    for round in 0..ROUNDS {
        for ((name, check), times) in checks.iter().zip(&mut times) {
            let begin = Instant::now();
            let judged = black_box(check(black_box(&history), &given));
            times[round] = begin.elapsed().as_nanos();
            assert!(judged.iter().all(|judged| judged.verdict.is_ok()), "{name}");
        }
    }
    let mut all = 0.0;
    for ((name, _), times) in checks.iter().zip(&mut times) {
        times.sort_unstable();
        let per_event = times[ROUNDS / 2] as f64 / history.len() as f64;
        if *name == "two-phase" {
            println!("{:>14} {all:6.2} ns/event", "all of them");
            println!("commitment, fencing, liveness, automata in one pass:");
        }
        all += per_event;
        println!("{name:>14} {per_event:6.2} ns/event");
    }
    for count in 3..=7 {
        let begin = Instant::now();
        let explored = explore(&TwoPhase { resource_managers: Processes::first(count) }, 1 << 20);
        let (distinct, generated) = (explored.distinct, explored.generated);
        let ms = begin.elapsed().as_millis();
        println!("TwoPhase of {count}: {distinct} states, {generated} generated, {ms} ms");
    }
}
