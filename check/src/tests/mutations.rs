//! Every mutation is caught by the law that it breaks, and no benign one by any.
//!
//! `cargo test -p seedbed-check score -- --nocapture --test-threads 1` prints the table of
//! `docs/checkers.md`.

use std::collections::{BTreeMap, BTreeSet};

use super::lawful::case;
use super::mutants::{BENIGN, MUTANTS, Patient};
use crate::lawful::Lawful;
use crate::{CHECKERS, Fact, check_all, check_two_phase};

const SEEDS: u64 = 120;
/// The fewest histories on which each mutation must have found a place.
const APPLIED_MIN: usize = 10;

/// Somewhat longer than other cases, so that most mutations find a place.
fn patient(seed: u64) -> Patient {
    let (history, given) = Lawful { events: 2_000, ..case(seed) }.generate();
    Patient { history, given, salt: (seed as usize).wrapping_mul(7_919) + 13 }
}

#[test]
fn mutation_score() {
    println!("| mutation | law | histories | caught |\n|---|---|---|---|");
    let (mut all, mut all_caught, mut missed) = (0, 0, Vec::new());
    for (name, law, mutate) in MUTANTS {
        let (mut applied, mut caught) = (0, 0);
        for seed in 0..SEEDS {
            let mut patient = patient(seed);
            if mutate(&mut patient).is_none() {
                continue;
            }
            applied += 1;
            let judged = check_all(&patient.history, &patient.given);
            let own = judged.iter().find(|judged| judged.law == *law).expect("is judged");
            match own.verdict.violation() {
                Some(found) => {
                    caught += 1;
                    let ascends = found.witness.windows(2).all(|pair| pair[0] < pair[1]);
                    let is_inside = found.witness.iter().all(|at| *at < patient.history.len());
                    assert!(ascends && is_inside && found.witness.len() <= 6, "{found}");
                }
                None => missed.push(format!("{name}, seed {seed}: {own}")),
            }
        }
        println!("| {name} | {} | {applied} | {caught} |", law.name);
        if applied < APPLIED_MIN {
            missed.push(format!("{name}: only {applied} histories"));
        }
        all += applied;
        all_caught += caught;
    }
    println!("| **all {}** | | **{all}** | **{all_caught}** |", MUTANTS.len());
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}

/// Blind mutations: one event of each kind dropped, or put up to 40 places later. Many are harmless
/// (a message fewer, a fault fewer, an event that commutes, a transaction that aborts anyway), so
/// the score has a floor and is not perfect.
#[test]
fn blind_mutation_score() {
    let mut scores = BTreeMap::<(String, &str), (u32, u32)>::new();
    for seed in 0..60 {
        let Patient { history, given, salt } = patient(seed);
        let mut places = BTreeMap::<String, Vec<usize>>::new();
        for (at, event) in history.iter().enumerate() {
            let shown = format!("{:?}", event.fact);
            let kind = shown.split(' ').next().unwrap_or_default().to_owned();
            places.entry(kind).or_default().push(at);
        }
        for (kind, places) in places {
            let at = places[salt % places.len()];
            let to = (at + 1 + salt % 40).min(history.len() - 1);
            for (how, to) in [("dropped", None), ("moved", Some(to))] {
                let mut mutant = history.clone();
                let event = mutant.remove(at);
                if let Some(to) = to {
                    mutant.insert(to, event);
                }
                let judged = check_all(&mutant, &given);
                let score = scores.entry((kind.clone(), how)).or_default();
                score.0 += 1;
                score.1 += u32::from(judged.iter().any(|judged| !judged.verdict.is_ok()));
            }
        }
    }
    println!("| fact | mutation | histories | noticed |\n|---|---|---|---|");
    for ((kind, how), (all, noticed)) in &scores {
        println!("| {kind} | {how} | {all} | {noticed} |");
    }
    let score = |how: &str| {
        let own = scores.iter().filter(|((_, own), _)| *own == how);
        own.fold((0, 0), |sum, (_, score)| (sum.0 + score.0, sum.1 + score.1))
    };
    let (dropped, moved) = (score("dropped"), score("moved"));
    println!("| **all** | dropped | **{}** | **{}** |", dropped.0, dropped.1);
    println!("| **all** | moved | **{}** | **{}** |", moved.0, moved.1);
    let always = ["Begin", "Prepared", "Heuristic", "HeuristicReported", "WaitBegin", "Quiescent"];
    for kind in always {
        let (all, noticed) = scores[&(kind.to_owned(), "dropped")];
        assert_eq!(all, noticed, "{kind} dropped");
    }
    assert!(dropped.1 * 100 >= dropped.0 * 40, "{} of {} dropped", dropped.1, dropped.0);
}

#[test]
fn in_one_pass_checkers_say_what_each_says_alone() {
    for (seed, (_, _, mutate)) in (0..).zip(MUTANTS) {
        let mut patient = patient(seed);
        let _ = mutate(&mut patient);
        let mut alone = check_all(&patient.history, &patient.given);
        let together = check_two_phase(&patient.history, &patient.given);
        alone.truncate(together.len());
        assert_eq!(together.len(), 15);
        assert_eq!(alone, together);
    }
}

#[test]
fn every_law_has_a_mutation() {
    let laws: BTreeSet<&str> = CHECKERS.iter().flat_map(|c| c.laws).map(|law| law.name).collect();
    let covered: BTreeSet<&str> = MUTANTS.iter().map(|(_, law, _)| law.name).collect();
    assert_eq!(laws, covered);
}

#[test]
fn no_law_notices_what_is_benign() {
    for (name, mutate) in BENIGN {
        let mut applied = 0;
        for seed in 0..SEEDS {
            let mut patient = patient(seed);
            if mutate(&mut patient).is_none() {
                continue;
            }
            applied += 1;
            for judged in check_all(&patient.history, &patient.given) {
                assert!(judged.verdict.is_ok(), "{name}, seed {seed}: {judged}");
            }
        }
        assert!(applied >= APPLIED_MIN, "{name}: only {applied} histories");
    }
}

#[test]
fn without_its_end_a_history_is_never_accused_and_not_acquitted() {
    for seed in 0..SEEDS {
        let Patient { mut history, given, .. } = patient(seed);
        history.truncate(history.len() / 2);
        let judged = check_all(&history, &given);
        let accused = judged.iter().find(|judged| judged.verdict.violation().is_some());
        assert!(accused.is_none(), "seed {seed}: {accused:?}");
        assert!(judged.iter().any(|judged| !judged.verdict.is_ok()), "seed {seed}: all ok");
    }
}

#[test]
fn without_begins_no_decision_is_acquitted() {
    let Patient { mut history, given, .. } = patient(4);
    history.retain(|event| !matches!(event.fact, Fact::Begin { .. }));
    let judged = check_all(&history, &given);
    for name in ["AC3 unanimity", "AC4 commit without failures", "TCommit step", "TwoPhase step"] {
        let own = judged.iter().find(|judged| judged.law.name == name).expect("is judged");
        assert!(!own.verdict.is_ok(), "{own}");
    }
}
