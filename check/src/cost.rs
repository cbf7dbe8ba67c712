//! What a transaction may cost: forced writes and messages, by the variant of the protocol.
//!
//! The budgets are those of Mohan, Lindsay, Obermarck (TODS 1986) for `n` update participants of
//! which `r` refuse, and everybody answers. Per transaction:
//!
//! | variant | commit: forced, messages | abort: forced, messages |
//! |---|---|---|
//! | presumed nothing | 2n + 1, 4n | 2(n-r) + r + 1, 4n - 2r |
//! | presumed abort | 2n + 1, 4n | n - r, 3n - r |
//! | presumed commit | n + 2, 3n | 2(n-r) + r + 2, 4n - 2r |
//!
//! A person, or a participant on its own, who decides what is in doubt forces that: one more.
//!
//! A refusal counts that has come to the coordinator when it decides: who does not wait for all
//! votes tells the others as well.
//!
//! A transaction that a fault or crash touched is not counted: it may repeat and write more.

use crate::dense::Dense;
use crate::disturbances::Disturbances;
use crate::given::{Given, Variant};
use crate::history::{Event, Fact, Process, Tx};
use crate::processes::Processes;
use crate::verdict::{Finding, Judgement, Law, Sheet};

/// Forced writes.
pub static FORCED_WRITES: Law = Law {
    name: "forced writes",
    statement: "A decided transaction that no fault and no crash touched took at most as many \
                forced writes as its variant needs.",
};
/// Messages.
pub static MESSAGES: Law = Law {
    name: "messages",
    statement: "A decided transaction that no fault and no crash touched took at most as many \
                messages as its variant needs, repetitions not counted.",
};

pub(crate) static LAWS: [&Law; 2] = [&FORCED_WRITES, &MESSAGES];

/// What a transaction may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Forced writes, of all processes together.
    pub forced: u32,
    /// Messages, of all processes together.
    pub messages: u32,
}

impl Budget {
    /// What a transaction costs with this many update participants, of which so many refuse. Those
    /// that refuse are told nothing more.
    pub fn of(variant: Variant, commit: bool, participants: u32, refusals: u32) -> Self {
        let n = participants;
        let rest = n.saturating_sub(refusals);
        let all = 2 * n + 2 * rest;
        let (forced, messages) = match (variant, commit) {
            (Variant::PresumedNothing | Variant::PresumedAbort, true) => (2 * n + 1, 4 * n),
            (Variant::PresumedCommit, true) => (n + 2, 3 * n),
            (Variant::PresumedNothing, false) => (2 * rest + refusals + 1, all),
            (Variant::PresumedAbort, false) => (rest, 2 * n + rest),
            (Variant::PresumedCommit, false) => (2 * rest + refusals + 2, all),
        };
        Self { forced, messages }
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct State {
    participants: Processes,
    refused: Processes,
    forced: u32,
    messages: u32,
    heuristics: u32,
    begin: u32,
    last: u32,
    coordinator: u8,
    is_begun: bool,
    outcome: Option<bool>,
}

/// Judges the cost of each transaction.
pub(crate) fn check(history: &[Event], given: &Given) -> Vec<Judgement> {
    let mut sheet = Sheet::new(&LAWS);
    let mut states = Dense::<State>::new(history.len());
    for (at, event) in history.iter().enumerate() {
        match event.fact {
            Fact::Begin { tx, participants } => {
                let state = states.at(tx.0);
                state.participants = participants;
                state.begin = at as u32;
                state.coordinator = event.process.0;
                state.is_begun = true;
            }
            Fact::VoteReceived { tx, from, yes: false } => {
                let state = states.at(tx.0);
                if state.outcome.is_none() {
                    state.refused = state.refused.with(from);
                }
            }
            Fact::Decide { tx, commit } => states.at(tx.0).outcome = Some(commit),
            Fact::Heuristic { tx, .. } => states.at(tx.0).heuristics += 1,
            Fact::Forced { tx } => {
                let state = states.at(tx.0);
                state.forced += 1;
                state.last = at as u32;
            }
            Fact::Message { tx } => {
                let state = states.at(tx.0);
                state.messages += 1;
                state.last = at as u32;
            }
            _ => {}
        }
    }
    let disturbances = Disturbances::new(history);
    for (tx, state) in states.iter() {
        judge(&mut sheet, &disturbances, given, Tx(tx), state);
    }
    states.tell("transaction", &mut sheet);
    sheet.done()
}

fn judge(sheet: &mut Sheet, disturbances: &Disturbances<'_>, given: &Given, tx: Tx, state: &State) {
    let Some(commit) = state.outcome else { return };
    let (n, refused) = (state.participants.len() as u32, state.refused.len() as u32);
    let budget = Budget::of(given.variant, commit, n, refused);
    let costs = [
        (&FORCED_WRITES, state.forced, budget.forced + state.heuristics),
        (&MESSAGES, state.messages, budget.messages),
    ];
    for (law, spent, allowed) in costs.into_iter().filter(|(_, spent, allowed)| spent > allowed) {
        if !state.is_begun || !given.faults_recorded {
            let what = if state.is_begun { "faults are not recorded" } else { "it never begins" };
            sheet.unknown(law, || format!("transaction {} took {spent}, and {what}", tx.0));
            continue;
        }
        let all = state.participants.with(Process(state.coordinator));
        let (from, to) = (state.begin as usize, state.last as usize);
        if !disturbances.touch(all, from, to) {
            sheet.violation(law, || {
                let what = if commit { "committing" } else { "aborting" };
                let expected = format!("at most {allowed} for {what} {} over {n}", tx.0);
                Finding::new(expected, format!("{spent}"), [from, to])
            });
        }
    }
}
