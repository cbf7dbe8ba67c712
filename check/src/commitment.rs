//! The laws of atomic commitment, as one automaton per transaction.
//!
//! AC1 to AC4 are those of P. A. Bernstein, V. Hadzilacos, N. Goodman, "Concurrency Control and
//! Recovery in Database Systems", 1987, chapter 7. What must be durable before what is visible, and
//! what a coordinator may forget, follows C. Mohan, B. Lindsay, R. Obermarck, TODS 1986.
//!
//! A transaction's state is one cache line of process sets. What a violation needs besides (where
//! things happened) is looked up in the history once there is one.

use crate::dense::Dense;
use crate::disturbances::Disturbances;
use crate::given::{Given, Variant};
use crate::heuristics::{Cases, HEURISTICS};
use crate::history::{Event, Fact, Process, Tx};
use crate::pass::Pass;
use crate::processes::Processes;
use crate::verdict::{Finding, Judgement, Law, Sheet};

/// Agreement.
pub static AC1: Law = Law {
    name: "AC1 agreement",
    statement: "All processes that decide a transaction decide the same. A heuristic decision is \
                not counted: it has laws of its own.",
};
/// Stability of decisions.
pub static AC2: Law = Law {
    name: "AC2 stability",
    statement: "No process reverses its decision, whether visible or in its log, in this life or a \
                later one.",
};
/// Commit needs all votes.
pub static AC3: Law = Law {
    name: "AC3 unanimity",
    statement: "If any process decides commit, every participant has voted Yes before, and none \
                No.",
};
/// All Yes and no failure mean commit.
pub static AC4: Law = Law {
    name: "AC4 commit without failures",
    statement: "If all participants vote Yes, and neither a fault nor a crash touched any process \
                of the transaction from its begin, nor its coordinator gave up waiting, no process \
                decides abort.",
};
/// A vote is durable before it is visible.
pub static DURABLE_VOTE: Law = Law {
    name: "durable vote",
    statement: "A participant votes Yes only after its prepare record is durable.",
};
/// A decision is durable before it is visible.
pub static DURABLE_DECISION: Law = Law {
    name: "durable decision",
    statement: "A commit is visible anywhere only after its record at the coordinator is durable; \
                with presumed commit, a prepare request leaves only after the initiation record \
                is.",
};
/// Presumptions are sound.
pub static PRESUMPTION: Law = Law {
    name: "sound presumption",
    statement: "A coordinator forgets a decision that its presumption contradicts only after all \
                acknowledgements: a commit unless commit is presumed, an abort unless abort is. It \
                answers by its record, or without one by its presumption.",
};
/// Who is in doubt does not decide alone.
pub static WINDOW: Law = Law {
    name: "no decision in doubt",
    statement: "A participant that has voted Yes decides only what its coordinator or another \
                participant has decided before, or abort while some participant has not voted Yes.",
};
/// Names are used once.
pub static UNIQUE: Law =
    Law { name: "names are used once", statement: "No transaction begins twice, in any life." };

/// The laws judged here.
pub(crate) static LAWS: [&Law; 10] = [
    &AC1,
    &AC2,
    &AC3,
    &AC4,
    &DURABLE_VOTE,
    &DURABLE_DECISION,
    &PRESUMPTION,
    &WINDOW,
    &HEURISTICS,
    &UNIQUE,
];

#[derive(Clone, Copy, Debug, Default)]
struct State {
    participants: Processes,
    prepared: Processes,
    yes: Processes,
    no: Processes,
    acks: Processes,
    commit: Processes,
    abort: Processes,
    begin: u32,
    coordinator: u8,
    flags: u8,
}

const BEGUN: u8 = 1;
const INITIATED: u8 = 2;
const DURABLE_COMMIT: u8 = 4;
const DURABLE_ABORT: u8 = 8;
const TIMED_OUT: u8 = 16;
const FORGOTTEN: u8 = 32;
/// A presumption was told after the record was forgotten.
const TOLD_COMMIT: u8 = 64;
const TOLD_ABORT: u8 = 128;

impl State {
    fn is(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// Those who decided so.
    fn deciders(&mut self, commit: bool) -> &mut Processes {
        if commit { &mut self.commit } else { &mut self.abort }
    }

    /// What the coordinator has in its log, if anything.
    fn record(&self) -> Option<bool> {
        let decided = self.flags & (DURABLE_COMMIT | DURABLE_ABORT);
        (decided != 0 && !self.is(FORGOTTEN)).then_some(decided & DURABLE_COMMIT != 0)
    }

    /// What the transaction came to, if anything is known of that.
    fn outcome(&self) -> Option<bool> {
        let commit = self.is(DURABLE_COMMIT) || !self.commit.is_empty();
        let abort = self.is(DURABLE_ABORT | TOLD_ABORT) || !self.abort.is_empty();
        (commit || abort).then_some(commit)
    }

    /// What the coordinator must answer.
    fn answer(&self, variant: Variant) -> bool {
        let initiated = self.is(INITIATED) && !self.is(FORGOTTEN);
        self.record().unwrap_or(variant == Variant::PresumedCommit && !initiated)
    }

    /// Whether a participant that is in doubt can know this decision.
    fn is_evident(&self, process: Process, commit: bool) -> bool {
        let others = Processes::ALL - Processes::one(process);
        if commit {
            !(self.commit & others).is_empty() || self.is(TOLD_COMMIT)
        } else {
            !(self.abort & others).is_empty()
                || self.is(TOLD_ABORT)
                || !self.yes.contains_all(self.participants)
        }
    }
}

struct Judge<'a> {
    history: &'a [Event],
    given: &'a Given,
    sheet: Sheet,
    disturbances: Disturbances<'a>,
}

/// Judges the laws of atomic commitment.
pub(crate) struct Commitment<'a> {
    judge: Judge<'a>,
    states: Dense<State>,
    cases: Cases,
    is_quiescent: bool,
}

impl<'a> Pass<'a> for Commitment<'a> {
    fn new(history: &'a [Event], given: &'a Given) -> Self {
        let (sheet, disturbances) = (Sheet::new(&LAWS), Disturbances::new(history));
        let judge = Judge { history, given, sheet, disturbances };
        let (states, cases) = (Dense::new(history.len()), Cases::default());
        Self { judge, states, cases, is_quiescent: false }
    }

    #[inline(always)]
    fn see(&mut self, at: usize, event: &Event) {
        let Self { judge, states, cases, is_quiescent } = self;
        let process = event.process;
        match event.fact {
            Fact::Begin { tx, participants } => {
                judge.begin(states.at(tx.0), at, tx, process, participants);
            }
            Fact::Initiated { tx } => states.at(tx.0).flags |= INITIATED,
            Fact::PrepareSent { tx, .. } => judge.prepare_sent(states.at(tx.0), at, tx),
            Fact::Prepared { tx } => {
                let state = states.at(tx.0);
                state.prepared = state.prepared.with(process);
            }
            Fact::Vote { tx, yes } => judge.vote(states.at(tx.0), at, tx, yes),
            Fact::Timeout { tx } => states.at(tx.0).flags |= TIMED_OUT,
            Fact::DecisionDurable { tx, commit } => {
                judge.durable(states.at(tx.0), at, tx, commit);
            }
            Fact::Decide { tx, commit } => judge.decide(states.at(tx.0), at, tx, commit),
            Fact::Answer { tx, commit } => judge.answer(states.at(tx.0), at, tx, commit),
            Fact::AckReceived { tx, from } => {
                let state = states.at(tx.0);
                state.acks = state.acks.with(from);
            }
            Fact::Forget { tx } => judge.forget(states.at(tx.0), at, tx),
            Fact::Heuristic { tx, commit } => cases.decided(at, process, tx, commit),
            Fact::HeuristicReported { tx, of } => {
                cases.reported(&mut judge.sheet, judge.history, at, tx, of);
            }
            Fact::Quiescent => *is_quiescent = true,
            _ => {}
        }
    }

    fn end(self) -> Vec<Judgement> {
        let Self { mut judge, mut states, cases, is_quiescent } = self;
        cases.end(&mut judge.sheet, is_quiescent, |tx| states.at(tx.0).outcome());
        states.tell("transaction", &mut judge.sheet);
        judge.sheet.done()
    }
}

fn word(commit: bool) -> &'static str {
    if commit { "commit" } else { "abort" }
}

/// The first event before `before` that says so.
fn first(history: &[Event], before: usize, says: impl Fn(&Event) -> bool) -> Option<usize> {
    history[..before].iter().position(says)
}

/// The first decision of that kind by such a process, made or answered.
fn decided(
    history: &[Event],
    before: usize,
    of: Tx,
    so: bool,
    by: impl Fn(Process) -> bool,
) -> Option<usize> {
    first(history, before, |event| {
        let (Fact::Decide { tx, commit } | Fact::Answer { tx, commit }) = event.fact else {
            return false;
        };
        tx == of && commit == so && by(event.process)
    })
}

impl Judge<'_> {
    #[inline]
    fn begin(&mut self, state: &mut State, at: usize, tx: Tx, by: Process, all: Processes) {
        if state.is(BEGUN) {
            self.sheet.violation(&UNIQUE, || {
                let got = format!("transaction {} begins again", tx.0);
                Finding::new("a new name", got, [state.begin as usize, at])
            });
        }
        *state = State { participants: all, coordinator: by.0, begin: at as u32, ..*state };
        state.flags |= BEGUN;
    }

    #[inline]
    fn prepare_sent(&mut self, state: &State, at: usize, tx: Tx) {
        if self.given.variant == Variant::PresumedCommit && !state.is(INITIATED) {
            self.sheet.violation(&DURABLE_DECISION, || {
                let got = format!("a prepare request of transaction {} without one", tx.0);
                Finding::new("a durable initiation record", got, [at])
            });
        }
    }

    #[inline]
    fn vote(&mut self, state: &mut State, at: usize, tx: Tx, yes: bool) {
        let process = self.history[at].process;
        if !yes {
            state.no = state.no.with(process);
            state.yes = state.yes - state.no;
            return;
        }
        if !state.no.contains(process) {
            state.yes = state.yes.with(process);
        }
        if !state.prepared.contains(process) {
            self.sheet.violation(&DURABLE_VOTE, || {
                let got = format!("process {} votes Yes on {} without one", process.0, tx.0);
                Finding::new("a durable prepare record", got, [at])
            });
        }
        self.no_failures(state, at, tx);
    }

    #[inline]
    fn durable(&mut self, state: &mut State, at: usize, of: Tx, commit: bool) {
        let (flag, other) =
            if commit { (DURABLE_COMMIT, DURABLE_ABORT) } else { (DURABLE_ABORT, DURABLE_COMMIT) };
        if state.is(other) || state.deciders(!commit).contains(Process(state.coordinator)) {
            self.reversed(state, at, of, commit);
        }
        state.flags |= flag;
    }

    #[inline]
    fn decide(&mut self, state: &mut State, at: usize, of: Tx, commit: bool) {
        let process = self.history[at].process;
        self.decision(state, at, of, commit);
        if commit && !state.is(DURABLE_COMMIT) {
            self.sheet.violation(&DURABLE_DECISION, || {
                let got = format!("process {} commits {} without one", process.0, of.0);
                Finding::new("a durable commit record at the coordinator", got, [at])
            });
        }
        let in_doubt = state.yes.contains(process) && !state.deciders(commit).contains(process);
        if in_doubt && !state.is_evident(process, commit) {
            self.alone(at, of, commit);
        }
        let deciders = state.deciders(commit);
        *deciders = deciders.with(process);
        self.no_failures(state, at, of);
    }

    #[cold]
    fn alone(&mut self, at: usize, of: Tx, commit: bool) {
        let history = self.history;
        let process = history[at].process;
        self.sheet.violation(&WINDOW, || {
            let vote = Fact::Vote { tx: of, yes: true };
            let voted = first(history, at, |e| e.process == process && e.fact == vote);
            let expected = "a decision of the coordinator or of another participant first";
            let got = format!("process {} decides {} on {} alone", process.0, word(commit), of.0);
            Finding::new(expected, got, voted.into_iter().chain([at]))
        });
    }

    /// What every decision has to obey, whether it was made or answered.
    #[inline]
    fn decision(&mut self, state: &mut State, at: usize, of: Tx, commit: bool) {
        let process = self.history[at].process;
        let others = *state.deciders(!commit);
        let logged = if commit { DURABLE_ABORT } else { DURABLE_COMMIT };
        let is_logged = state.is(logged) && state.is(BEGUN) && process.0 == state.coordinator;
        if others.contains(process) || is_logged {
            self.reversed(state, at, of, commit);
        }
        if !(others - Processes::one(process)).is_empty() {
            self.disagreement(at, of, commit);
        }
        if commit && !state.yes.contains_all(state.participants) {
            self.not_unanimous(state, at, of);
        }
        if !state.is(BEGUN) {
            let reason = || format!("event {at} decides transaction {}, which never begins", of.0);
            self.sheet.unknown(&AC3, reason);
            self.sheet.unknown(&AC4, reason);
        }
    }

    #[cold]
    fn disagreement(&mut self, at: usize, of: Tx, commit: bool) {
        let history = self.history;
        let process = history[at].process;
        self.sheet.violation(&AC1, || {
            let earlier = decided(history, at, of, !commit, |by| by != process);
            let expected = format!("{} of {}, as others decided", word(!commit), of.0);
            let got = format!("process {} decides {}", process.0, word(commit));
            Finding::new(expected, got, earlier.into_iter().chain([at]))
        });
    }

    #[cold]
    fn reversed(&mut self, state: &State, at: usize, of: Tx, commit: bool) {
        let history = self.history;
        let process = history[at].process;
        self.sheet.violation(&AC2, || {
            let record = Fact::DecisionDurable { tx: of, commit: !commit };
            let logged = || first(history, at, |event| event.fact == record);
            let earlier = decided(history, at, of, !commit, |by| by == process).or_else(logged);
            let begun = state.is(BEGUN).then_some(state.begin as usize);
            let expected = format!("process {} keeps to {}", process.0, word(!commit));
            let got = format!("{} of transaction {}", word(commit), of.0);
            Finding::new(expected, got, begun.into_iter().chain(earlier).chain([at]))
        });
    }

    #[cold]
    fn not_unanimous(&mut self, state: &State, at: usize, of: Tx) {
        let history = self.history;
        self.sheet.violation(&AC3, || {
            let vote = Fact::Vote { tx: of, yes: false };
            let refused = first(history, at, |event| event.fact == vote);
            let expected = format!("Yes of all of {}", state.participants);
            let got = format!("commit of {} with Yes of {}", of.0, state.yes);
            Finding::new(expected, got, refused.into_iter().chain([state.begin as usize, at]))
        });
    }

    /// AC4, wherever its last condition may have come true.
    #[inline]
    fn no_failures(&mut self, state: &State, at: usize, tx: Tx) {
        let is_suspect = !state.abort.is_empty()
            && state.yes.contains_all(state.participants)
            && state.flags & (BEGUN | TIMED_OUT) == BEGUN;
        if is_suspect {
            self.aborted_all_the_same(state, at, tx);
        }
    }

    #[cold]
    fn aborted_all_the_same(&mut self, state: &State, at: usize, tx: Tx) {
        if !self.given.faults_recorded {
            let reason = || format!("transaction {} may have met a fault: none is recorded", tx.0);
            return self.sheet.unknown(&AC4, reason);
        }
        let (history, begun) = (self.history, state.begin as usize);
        let all = state.participants.with(Process(state.coordinator));
        if !self.disturbances.touch(all, begun, at) {
            self.sheet.violation(&AC4, || {
                let aborted = decided(history, at + 1, tx, false, |_| true);
                let got = format!("abort of {}, with all Yes and no failure", tx.0);
                Finding::new("commit", got, [begun, at].into_iter().chain(aborted))
            });
        }
    }

    #[inline]
    fn answer(&mut self, state: &mut State, at: usize, of: Tx, commit: bool) {
        if !state.is(BEGUN) {
            let reason = || format!("event {at} answers about {}, which never begins", of.0);
            self.sheet.unknown(&PRESUMPTION, reason);
        } else if commit != state.answer(self.given.variant) {
            self.wrong_answer(state, at, of, commit);
        }
        if state.is(FORGOTTEN) {
            state.flags |= if commit { TOLD_COMMIT } else { TOLD_ABORT };
            return;
        }
        self.decision(state, at, of, commit);
        let process = self.history[at].process;
        let deciders = state.deciders(commit);
        *deciders = deciders.with(process);
        self.no_failures(state, at, of);
    }

    #[cold]
    fn wrong_answer(&mut self, state: &State, at: usize, of: Tx, commit: bool) {
        let history = self.history;
        self.sheet.violation(&PRESUMPTION, || {
            let record = first(history, at, |event| {
                matches!(event.fact, Fact::DecisionDurable { tx, .. } | Fact::Forget { tx }
                    if tx == of)
            });
            let source = if state.record().is_some() { "the record" } else { "presumption" };
            let expected = format!("the answer {}, by {source}", word(!commit));
            let got = format!("{} of {}", word(commit), of.0);
            Finding::new(expected, got, record.into_iter().chain([at]))
        });
    }

    #[inline]
    fn forget(&mut self, state: &mut State, at: usize, of: Tx) {
        if !state.is(BEGUN) {
            let reason = || format!("event {at} forgets {}, which never begins", of.0);
            self.sheet.unknown(&PRESUMPTION, reason);
        }
        let commit = state.is(DURABLE_COMMIT);
        let is_presumed = commit == (self.given.variant == Variant::PresumedCommit);
        let due = state.participants - state.no;
        if !is_presumed && !state.acks.contains_all(due) {
            let history = self.history;
            self.sheet.violation(&PRESUMPTION, || {
                let fact = Fact::DecisionDurable { tx: of, commit };
                let record = first(history, at, |event| event.fact == fact);
                let expected = format!("acknowledgements of all of {due}");
                let got = format!("{} of {} forgotten", word(commit), of.0);
                Finding::new(expected, got, record.into_iter().chain([at]))
            });
        }
        state.flags |= FORGOTTEN;
    }
}
