//! Small histories with known verdicts, written by hand.

use crate::laws::*;
use crate::{Event, Fact, Given, Law, Process, Processes, Tx, Variant, check_all};

const TX: Tx = Tx(0);

/// Facts of one transaction over participants 1 and 2 with coordinator 0, one every 10 ns.
fn history(facts: &[(u8, Fact)]) -> Vec<Event> {
    let event = |(at, (process, fact)): (usize, &(u8, Fact))| Event {
        at: at as u64 * 10,
        process: Process(*process),
        incarnation: 0,
        fact: *fact,
    };
    facts.iter().enumerate().map(event).collect()
}

fn begin() -> (u8, Fact) {
    (0, Fact::Begin { tx: TX, participants: [Process(1), Process(2)].into_iter().collect() })
}

fn voted(process: u8) -> [(u8, Fact); 3] {
    [
        (process, Fact::Prepared { tx: TX }),
        (process, Fact::Vote { tx: TX, yes: true }),
        (0, Fact::VoteReceived { tx: TX, from: Process(process), yes: true }),
    ]
}

fn decide(process: u8, commit: bool) -> (u8, Fact) {
    (process, Fact::Decide { tx: TX, commit })
}

fn logged(commit: bool) -> (u8, Fact) {
    (0, Fact::DecisionDurable { tx: TX, commit })
}

fn given() -> Given {
    Given { faults_recorded: true, decide_ns_max: Some(50), ..Given::default() }
}

/// What is said about a law.
fn said(facts: &[(u8, Fact)], given: &Given, law: &'static Law) -> String {
    let judged = check_all(&history(facts), given);
    judged.iter().find(|judged| judged.law == law).expect("is judged").to_string()
}

fn with(parts: &[&[(u8, Fact)]]) -> Vec<(u8, Fact)> {
    parts.concat()
}

#[test]
fn an_empty_history_obeys_all_laws() {
    let judged = check_all(&[], &Given::default());
    assert_eq!(judged.len(), 32);
    assert!(judged.iter().all(|judged| judged.verdict.is_ok()));
}

#[test]
fn a_split_decision_is_shown_by_two_events() {
    let end = [logged(true), decide(0, true), decide(1, true), decide(2, false)];
    let facts = with(&[&[begin()], &voted(1), &voted(2), &end]);
    assert_eq!(
        said(&facts, &given(), &AC1),
        "AC1 agreement: expected commit of 0, as others decided, got process 2 decides abort \
         (events 8, 10)"
    );
}

#[test]
fn a_lone_no_may_abort_at_once() {
    let no = (2, Fact::Vote { tx: TX, yes: false });
    let facts = with(&[&[begin()], &voted(1), &[no, decide(2, false)], &[decide(0, false)]]);
    let facts = with(&[&facts, &[decide(1, false), (0, Fact::Quiescent)]]);
    let judged = check_all(&history(&facts), &given());
    assert!(judged.iter().all(|judged| judged.verdict.is_ok()), "{judged:?}");
}

#[test]
fn an_abort_after_all_yes_is_excused_by_a_fault_and_unknown_without_a_record_of_them() {
    let end = [decide(0, false), decide(1, false), decide(2, false)];
    let calm = with(&[&[begin()], &voted(1), &voted(2), &end]);
    assert!(said(&calm, &given(), &AC4).starts_with("AC4 commit without failures: expected"));
    let blind = Given { faults_recorded: false, ..given() };
    assert!(said(&calm, &blind, &AC4).contains("unknown: transaction 0 may have met a fault"));
    let gave_up = with(&[&[begin()], &voted(1), &voted(2), &[(0, Fact::Timeout { tx: TX })], &end]);
    assert_eq!(said(&gave_up, &given(), &AC4), "AC4 commit without failures: ok");
    for (process, excused) in [(2, true), (3, false)] {
        let scope = Processes::one(Process(process));
        let fault = [(0, Fact::FaultBegin { scope }), (0, Fact::FaultEnd { scope })];
        let facts = with(&[&[begin()], &voted(1), &fault, &voted(2), &end]);
        assert_eq!(said(&facts, &given(), &AC4).ends_with(": ok"), excused, "process {process}");
        let crash = [(process, Fact::Crash)];
        let facts = with(&[&[begin()], &crash, &voted(1), &voted(2), &end]);
        assert_eq!(said(&facts, &given(), &AC4).ends_with(": ok"), excused, "process {process}");
    }
    // A fault that ended before the transaction began excuses nothing.
    let scope = Processes::ALL;
    let before = [(0, Fact::FaultBegin { scope }), (0, Fact::FaultEnd { scope })];
    assert!(!said(&with(&[&before, &calm]), &given(), &AC4).ends_with(": ok"));
}

#[test]
fn a_presumption_depends_on_the_variant() {
    let answer = |commit| with(&[&[begin()], &voted(1), &[(0, Fact::Answer { tx: TX, commit })]]);
    let variants = [Variant::PresumedNothing, Variant::PresumedAbort, Variant::PresumedCommit];
    for (variant, presumed) in variants.into_iter().zip([false, false, true]) {
        let given = Given { variant, ..given() };
        for commit in [false, true] {
            let is_ok = said(&answer(commit), &given, &PRESUMPTION).ends_with(": ok");
            assert_eq!(is_ok, commit == presumed, "{variant:?} answers {commit}");
        }
    }
    // With only an initiation record, the coordinator aborts.
    let given = Given { variant: Variant::PresumedCommit, ..given() };
    let initiated = [begin(), (0, Fact::Initiated { tx: TX })];
    let facts = with(&[&initiated, &[(0, Fact::Answer { tx: TX, commit: true })]]);
    assert!(!said(&facts, &given, &PRESUMPTION).ends_with(": ok"));
}

/// What AC5 says about these facts and 100 ns of silence, healed at their end.
fn stuck(facts: &[(u8, Fact)]) -> String {
    let silence = [(0, Fact::Healed { core: Processes::ALL }); 1];
    let mut history = history(&with(&[facts, &silence]));
    let last = *history.last().expect("not empty");
    history.push(Event { at: last.at + 100, fact: Fact::Quiescent, ..last });
    let judged = check_all(&history, &given());
    judged.iter().find(|judged| judged.law == &AC5).expect("is judged").to_string()
}

#[test]
fn what_does_not_end_is_named_with_its_phase_and_what_it_waits_for() {
    let asked = [begin(), (0, Fact::PrepareSent { tx: TX, to: Process(1) })];
    let both = [(0, Fact::PrepareSent { tx: TX, to: Process(2) })];
    let sent = &voted(2)[..2];
    let votes = with(&[&asked, &both, &voted(1), &voted(2)]);
    let told = with(&[&votes, &[logged(true), decide(0, true), decide(1, true)]]);
    let cases: [(&[_], &str); 8] = [
        (
            &with(&[&asked, &voted(1)]),
            "process 0 undecided: it collects votes and has not asked {2}",
        ),
        (&with(&[&asked, &both, &voted(1)]), "collects votes and waits for those of {2}"),
        (&with(&[&asked, &both, &voted(1), sent]), "those of {2} were sent and have not arrived"),
        (&votes, "it has all votes and makes no decision durable"),
        (&with(&[&votes, &[logged(true)]]), "it has decided (event 9) and tells nobody"),
        (&told, "process 2 undecided: it is in doubt and does not apply the decision (event 10)"),
        (&with(&[&told, &[(2, Fact::Crash)]]), "process 2 undecided: it is down since event 12"),
        (
            &with(&[&asked, &both, &voted(1), &[(0, Fact::Crash), (0, Fact::Recovered)]]),
            "process 1 undecided: it is in doubt and waits for process 0 to decide",
        ),
    ];
    for (facts, expected) in cases {
        let said = stuck(facts);
        assert!(said.contains(expected), "expected {expected}: {said}");
    }
}

#[test]
fn liveness_is_unknown_without_a_bound_a_healing_or_time() {
    let open = with(&[&[begin()], &voted(1)]);
    assert!(said(&open, &given(), &AC5).ends_with("the history does not end healed"));
    let healed = with(&[&open, &[(0, Fact::Healed { core: Processes::ALL })]]);
    assert!(said(&healed, &given(), &AC5).ends_with("the history ends before the bound"));
    let unbounded = Given { decide_ns_max: None, ..given() };
    assert!(said(&healed, &unbounded, &AC5).ends_with("no bound is given"));
    let fault = (0, Fact::FaultBegin { scope: Processes::NONE });
    let again = with(&[&healed, &[fault]]);
    assert!(said(&again, &given(), &AC5).ends_with("the history does not end healed"));
}

#[test]
fn a_decision_by_hand_is_one_forced_write_more() {
    let forced = |process| (process, Fact::Forced { tx: TX });
    let heuristic = (1, Fact::Heuristic { tx: TX, commit: false });
    let aborted = with(&[&[begin()], &voted(1), &voted(2), &[decide(0, false)]]);
    let three = [forced(1), forced(2), forced(1)];
    let law = &FORCED_WRITES;
    assert!(!said(&with(&[&aborted, &three]), &given(), law).ends_with(": ok"));
    assert!(said(&with(&[&aborted, &[heuristic], &three]), &given(), law).ends_with(": ok"));
    let four = with(&[&aborted, &[heuristic], &three, &[forced(2)]]);
    assert!(!said(&four, &given(), law).ends_with(": ok"));
}

#[test]
fn costs_have_the_published_budgets() {
    use crate::Budget;
    let budget = |variant, commit| {
        let Budget { forced, messages } = Budget::of(variant, commit, 3, 0);
        (forced, messages)
    };
    assert_eq!(budget(Variant::PresumedAbort, true), (7, 12));
    assert_eq!(budget(Variant::PresumedNothing, true), (7, 12));
    assert_eq!(budget(Variant::PresumedCommit, true), (5, 9));
    assert_eq!(budget(Variant::PresumedAbort, false), (3, 9));
}

#[test]
fn an_epoch_whose_transaction_never_begins_is_unknown() {
    use crate::{Checkpoint, Offset};
    let checkpoint = Checkpoint(0);
    let facts = [
        (0, Fact::CheckpointStart { checkpoint }),
        (0, Fact::Joins { tx: TX, checkpoint }),
        (0, Fact::CheckpointDurable { checkpoint, offset: Offset(0) }),
        (0, Fact::Quiescent),
    ];
    for law in [&EPOCHS, &VOTES] {
        assert!(said(&facts, &given(), law).ends_with("transaction 0 never begins"));
    }
    let unasked = "unknown: the content of the target is not given";
    assert!(said(&facts, &given(), &EXACTLY_ONCE).ends_with(unasked));
}
