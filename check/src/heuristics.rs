//! Heuristic decisions: allowed to a participant in doubt, but damage must be told, once.
//!
//! Mohan, Lindsay, Obermarck (TODS 1986) and the X/Open XA specification (heuristic hazard, mixed)
//! let a participant in doubt give up waiting. That may break atomicity; what may not happen is
//! that nobody is told.

use std::collections::BTreeMap;

use crate::history::{Event, Fact, Process, Tx};
use crate::processes::Processes;
use crate::verdict::{Finding, Law, Sheet};

/// Damage is reported.
pub static HEURISTICS: Law = Law {
    name: "heuristic damage is reported once",
    statement: "For each participant that decided heuristically, and otherwise than its \
                transaction, there is exactly one report at quiescence; for no other is there any.",
};

/// What is known of one transaction with heuristic decisions or reports of such.
#[derive(Clone, Copy, Debug, Default)]
struct Case {
    committed: Processes,
    aborted: Processes,
    reported: Processes,
    last: usize,
}

/// All such transactions of a history. They are few, so they have no place in the state that every
/// transaction has.
#[derive(Debug, Default)]
pub(crate) struct Cases(BTreeMap<Tx, Case>);

impl Cases {
    #[cold]
    pub(crate) fn decided(&mut self, at: usize, process: Process, tx: Tx, commit: bool) {
        let case = self.0.entry(tx).or_default();
        let list = if commit { &mut case.committed } else { &mut case.aborted };
        *list = list.with(process);
        case.last = at;
    }

    #[cold]
    pub(crate) fn reported(
        &mut self,
        sheet: &mut Sheet,
        history: &[Event],
        at: usize,
        tx: Tx,
        of: Process,
    ) {
        let case = self.0.entry(tx).or_default();
        if case.reported.contains(of) {
            sheet.violation(&HEURISTICS, || twice(history, at, tx, of));
        }
        case.reported = case.reported.with(of);
        case.last = at;
    }

    /// Judges them all, by what their transactions came to.
    pub(crate) fn end(
        &self,
        sheet: &mut Sheet,
        is_quiescent: bool,
        mut outcome: impl FnMut(Tx) -> Option<bool>,
    ) {
        for (tx, case) in &self.0 {
            judge(sheet, *tx, case, outcome(*tx), is_quiescent);
        }
    }
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
