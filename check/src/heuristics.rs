//! Heuristic decisions: allowed to a participant in doubt, but damage must be told, once.
//!
//! Mohan, Lindsay, Obermarck (TODS 1986) and the X/Open XA specification (heuristic hazard, mixed)
//! let a participant in doubt give up waiting. That may break atomicity; what may not happen is that
//! nobody is told.

use std::collections::BTreeMap;

use crate::dense::Dense;
use crate::given::Given;
use crate::history::{Event, Fact, Process, Tx};
use crate::processes::Processes;
use crate::verdict::{Finding, Judgement, Law, Sheet};

/// Damage is reported.
pub static HEURISTICS: Law = Law {
    name: "heuristic damage is reported once",
    statement: "For each participant that decided heuristically, and otherwise than its \
                transaction, there is exactly one report at quiescence; for no other is there any.",
};

pub(crate) static LAWS: [&Law; 1] = [&HEURISTICS];

/// What is known of one transaction with heuristic decisions or reports of such.
#[derive(Clone, Copy, Debug, Default)]
struct Case {
    committed: Processes,
    aborted: Processes,
    reported: Processes,
    last: usize,
}

/// Judges the reports of heuristic damage.
pub(crate) fn check(history: &[Event], _: &Given) -> Vec<Judgement> {
    let mut sheet = Sheet::new(&LAWS);
    let mut cases = BTreeMap::<Tx, Case>::new();
    let mut outcomes = Dense::<Option<bool>>::new(history.len());
    let mut is_quiescent = false;
    for (at, event) in history.iter().enumerate() {
        match event.fact {
            Fact::Heuristic { tx, commit } => {
                let case = cases.entry(tx).or_default();
                let list = if commit { &mut case.committed } else { &mut case.aborted };
                *list = list.with(event.process);
                case.last = at;
            }
            Fact::HeuristicReported { tx, of } => {
                let case = cases.entry(tx).or_default();
                if case.reported.contains(of) {
                    sheet.violation(&HEURISTICS, || twice(history, at, tx, of));
                }
                case.reported = case.reported.with(of);
                case.last = at;
            }
            Fact::DecisionDurable { tx, commit }
            | Fact::Decide { tx, commit }
            | Fact::Answer { tx, commit } => {
                outcomes.at(tx.0).get_or_insert(commit);
            }
            Fact::Quiescent => is_quiescent = true,
            _ => {}
        }
    }
    for (tx, case) in &cases {
        judge(&mut sheet, *tx, case, *outcomes.at(tx.0), is_quiescent);
    }
    outcomes.tell("transaction", &mut sheet);
    sheet.done()
}

fn twice(history: &[Event], at: usize, tx: Tx, of: Process) -> Finding {
    let fact = Fact::HeuristicReported { tx, of };
    let earlier = history[..at].iter().position(|event| event.fact == fact);
    let got = format!("another one on process {} and transaction {}", of.0, tx.0);
    Finding::new("one report of each case", got, earlier.into_iter().chain([at]))
}

fn judge(sheet: &mut Sheet, tx: Tx, case: &Case, outcome: Option<bool>, is_quiescent: bool) {
    let tx = tx.0;
    let Some(outcome) = outcome else {
        return sheet.unknown(&HEURISTICS, || format!("transaction {tx} has no outcome"));
    };
    let damaged = if outcome { case.aborted } else { case.committed };
    let groundless = case.reported - damaged;
    if !groundless.is_empty() {
        sheet.violation(&HEURISTICS, || {
            let expected = format!("a report for {damaged} only, in transaction {tx}");
            Finding::new(expected, format!("one for {groundless}"), [case.last])
        });
    }
    let missing = damaged - case.reported;
    if missing.is_empty() {
        return;
    }
    if is_quiescent {
        sheet.violation(&HEURISTICS, || {
            let expected = format!("a report for {missing} in transaction {tx}");
            Finding::new(expected, "none at quiescence", [case.last])
        });
    } else {
        sheet.unknown(&HEURISTICS, || format!("transaction {tx} may be reported later"));
    }
}
