//! Who runs when, and when it is over.

use seedbed_measure::{Comparison, Gate, MeasureError, Metric, Plan, Round, Side, Verdict};

fn run(plan: Plan, elapsed_ns: impl Fn(Side, usize) -> u64) -> Comparison {
    let mut comparison = Comparison::new(plan, Gate::default()).unwrap();
    while let Some(turn) = comparison.turn() {
        let round = Round::timed(1_000, elapsed_ns(turn.side, turn.round));
        comparison.record(round).unwrap();
    }
    comparison
}

#[test]
fn of_two_rounds_each_has_another_order() {
    for seed in 0..20 {
        let plan = Plan { seed, ..Plan::default() };
        for pair in 0..20 {
            assert_ne!(plan.first(2 * pair), plan.first(2 * pair + 1));
        }
        let first = (0..40).filter(|pair| plan.first(2 * pair) == Side::Before).count();
        assert!((8..=32).contains(&first), "seed {seed}: drawn, not fixed: {first}");
    }
}

#[test]
fn what_is_clear_ends_at_the_first_look() {
    let same = run(Plan::default(), |_, _| 1_000_000);
    assert_eq!((same.report().verdict(), same.report().rounds), (Verdict::Same, 20));
    let slower = |side, _| if side == Side::After { 1_200_000 } else { 1_000_000 };
    let slower = run(Plan::default(), slower);
    assert_eq!((slower.report().verdict(), slower.report().rounds), (Verdict::Regressed, 20));
    let faster = |side, _| if side == Side::After { 800_000 } else { 1_000_000 };
    assert_eq!(run(Plan::default(), faster).report().verdict(), Verdict::Better);
}

#[test]
fn what_is_unclear_goes_on_to_the_limit() {
    // In one round of three the one side takes twice as long, in another the other.
    let noisy = |side, round: usize| match (side, round % 3) {
        (Side::Before, 0) | (Side::After, 1) => 2_000_000,
        _ => 1_000_000,
    };
    let comparison = run(Plan::default(), noisy);
    assert_eq!(comparison.report().verdict(), Verdict::Unclear);
    assert_eq!(comparison.report().rounds, 60);
    let (before, after) = comparison.rounds();
    assert_eq!((before.len(), after.len()), (60, 60));
    assert_eq!(Plan::default().looks(), 3);
    assert_eq!(Plan::fixed(30).looks(), 1);
}

#[test]
fn an_empty_round_and_one_too_many_are_refused() {
    let mut comparison = Comparison::new(Plan::fixed(12), Gate::default()).unwrap();
    let first = comparison.turn();
    for (operations, elapsed_ns) in [(0, 1), (1, 0)] {
        let error = comparison.record(Round::timed(operations, elapsed_ns)).unwrap_err();
        assert!(matches!(error, MeasureError::NoThroughput { round: 0, .. }), "{error}");
    }
    assert_eq!(comparison.turn(), first, "a refused round is to be made again");
    assert_eq!(comparison.report().verdict(), Verdict::Unclear);
    let mut over = run(Plan::fixed(12), |_, _| 5);
    let error = over.record(Round::timed(1, 1)).unwrap_err();
    assert_eq!(error, MeasureError::Over { rounds: 12 });
}

#[test]
fn settings_that_make_no_sense_are_refused_by_name() {
    let plan = Plan::default();
    for plan in [
        Plan { rounds_first: 10, ..plan },
        Plan { rounds_first: 21, ..plan },
        Plan { rounds_step: 0, ..plan },
        Plan { rounds_step: 3, ..plan },
        Plan { rounds_max: 18, ..plan },
        Plan { rounds_max: 1002, ..plan },
    ] {
        let error = Comparison::new(plan, Gate::default()).unwrap_err().to_string();
        assert!(error.contains("rounds") && error.contains("expected"), "{error}");
    }
    let mut gates = vec![Gate::default(); 5];
    gates[0].thresholds.throughput_drop = f64::NAN;
    gates[1].thresholds.latency_growth = 0.0;
    gates[2].confidence = 1.0;
    gates[3].metrics = Vec::new();
    gates[4].resampling.resamples = 10;
    for gate in gates {
        let error = Comparison::new(plan, gate).unwrap_err();
        assert!(matches!(error, MeasureError::Setting { .. }), "{error}");
    }
}

#[test]
fn rounds_that_do_not_fit_are_refused() {
    let rounds = |count: usize| vec![Round::timed(1, 1); count];
    let gate = Gate::default();
    let error = gate.judge(&rounds(20), &rounds(19)).unwrap_err();
    assert_eq!(error, MeasureError::Unpaired { before: 20, after: 19 });
    let error = gate.judge_apart(&rounds(1001), &rounds(20)).unwrap_err();
    assert_eq!(error, MeasureError::TooManyRounds { rounds: 1001 });
    let few = gate.judge(&rounds(10), &rounds(10)).unwrap();
    assert_eq!(few.verdict(), Verdict::Unclear);
    assert!(few.metrics[0].reason.contains("12 are needed"), "{few}");
    assert!(few.notes[0].contains("P50 is not judged"), "{few}");
    assert_eq!(few.metrics.len(), 1);
    assert_eq!(few.metrics[0].metric, Metric::Throughput);
}
