//! The automata as validators: every fact of a transaction must be a step that they allow.
//!
//! How facts are steps. A Yes vote is `Prepare`; a No vote, or a working participant's abort, is
//! `ChooseToAbort`; what a coordinator first decides or answers is `TMCommit` or `TMAbort`. The
//! same again is no step: messages are repeated, decisions applied twice. What a coordinator
//! answers after it has forgotten, and what a participant decided heuristically, is outside both
//! automata.

use std::fmt::Debug;

use crate::automata::{
    Automaton, Manager, TCommit, TCommitState, TCommitStep, TwoPhase, TwoPhaseState, TwoPhaseStep,
};
use crate::dense::Dense;
use crate::given::Given;
use crate::history::{Event, Fact, Process, Tx};
use crate::pass::Pass;
use crate::processes::Processes;
use crate::verdict::{Finding, Judgement, Law, Sheet};

/// Every step is one of TCommit.
pub static TCOMMIT: Law = Law {
    name: "TCommit step",
    statement: "What participants do is a behaviour of Gray and Lamport's TCommit: they prepare \
                while working, commit when all are prepared or committed, and abort when none has \
                committed.",
};
/// Every step is one of TwoPhase.
pub static TWO_PHASE: Law = Law {
    name: "TwoPhase step",
    statement: "What coordinator and participants do is a behaviour of Gray and Lamport's \
                TwoPhase: the coordinator commits when all votes have arrived, and prepared \
                participants do what it says. Cooperative termination is not.",
};

pub(crate) static LAWS: [&Law; 2] = [&TCOMMIT, &TWO_PHASE];

#[derive(Clone, Copy, Debug, Default)]
struct State {
    resource_managers: Processes,
    whole: TCommitState,
    protocol: TwoPhaseState,
    heuristic: Processes,
    begin: u32,
    coordinator: u8,
    is_begun: bool,
    is_forgotten: bool,
}

struct Judge<'a> {
    history: &'a [Event],
    sheet: Sheet,
    /// Whether arrivals of votes are recorded at all, once that matters.
    has_arrivals: Option<bool>,
}

/// Holds a history against both automata.
pub(crate) struct Steps<'a> {
    judge: Judge<'a>,
    states: Dense<State>,
}

impl<'a> Pass<'a> for Steps<'a> {
    fn new(history: &'a [Event], _: &'a Given) -> Self {
        let judge = Judge { history, sheet: Sheet::new(&LAWS), has_arrivals: None };
        Self { judge, states: Dense::new(history.len()) }
    }

    #[inline(always)]
    fn see(&mut self, at: usize, event: &Event) {
        let Self { judge, states } = self;
        match event.fact {
            Fact::Begin { tx, participants } => {
                let state = states.at(tx.0);
                state.resource_managers = participants;
                state.begin = at as u32;
                state.coordinator = event.process.0;
                state.is_begun = true;
            }
            Fact::Vote { tx, yes } => judge.vote(states.at(tx.0), at, tx, yes),
            Fact::VoteReceived { tx, from, yes: true } => {
                judge.arrival(states.at(tx.0), at, tx, from);
            }
            Fact::Decide { tx, commit } => judge.decide(states.at(tx.0), at, tx, commit),
            Fact::Answer { tx, commit } => {
                let state = states.at(tx.0);
                if !state.is_forgotten {
                    judge.manager(state, at, tx, commit);
                }
            }
            Fact::Forget { tx } => states.at(tx.0).is_forgotten = true,
            Fact::Heuristic { tx, .. } => {
                let state = states.at(tx.0);
                state.heuristic = state.heuristic.with(event.process);
            }
            _ => {}
        }
    }

    fn end(mut self) -> Vec<Judgement> {
        self.states.tell("transaction", &mut self.judge.sheet);
        self.judge.sheet.done()
    }
}

impl Judge<'_> {
    #[inline]
    fn vote(&mut self, state: &mut State, at: usize, tx: Tx, yes: bool) {
        let rm = self.history[at].process;
        let prior = if yes { state.protocol.sent } else { state.protocol.aborted };
        if prior.contains(rm) {
            return;
        }
        if yes {
            self.whole(state, at, tx, TCommitStep::Prepare(rm));
            self.protocol(state, at, tx, TwoPhaseStep::RmPrepare(rm));
        } else {
            self.whole(state, at, tx, TCommitStep::Abort(rm));
            self.protocol(state, at, tx, TwoPhaseStep::RmChooseToAbort(rm));
        }
    }

    #[inline]
    fn arrival(&mut self, state: &mut State, at: usize, tx: Tx, from: Process) {
        if state.protocol.manager == Manager::Init {
            self.protocol(state, at, tx, TwoPhaseStep::TmRcvPrepared(from));
        }
    }

    #[inline]
    fn decide(&mut self, state: &mut State, at: usize, tx: Tx, commit: bool) {
        let process = self.history[at].process;
        if !state.is_begun {
            return self.never_begun(at, tx);
        }
        if !state.resource_managers.contains(process) {
            return self.manager(state, at, tx, commit);
        }
        let TwoPhaseState { sent, committed, aborted, manager, .. } = state.protocol;
        let prior = if commit { committed } else { aborted };
        if prior.contains(process) || state.heuristic.contains(process) {
            return;
        }
        let chooses = !sent.contains(process) && manager != Manager::Aborted;
        if commit {
            self.whole(state, at, tx, TCommitStep::Commit(process));
            self.protocol(state, at, tx, TwoPhaseStep::RmRcvCommitMsg(process));
        } else {
            self.whole(state, at, tx, TCommitStep::Abort(process));
            let by_itself = TwoPhaseStep::RmChooseToAbort(process);
            let told = TwoPhaseStep::RmRcvAbortMsg(process);
            self.protocol(state, at, tx, if chooses { by_itself } else { told });
        }
    }

    #[inline]
    fn manager(&mut self, state: &mut State, at: usize, tx: Tx, commit: bool) {
        if !state.is_begun {
            return self.never_begun(at, tx);
        }
        let (prior, step) = if commit {
            (Manager::Committed, TwoPhaseStep::TmCommit)
        } else {
            (Manager::Aborted, TwoPhaseStep::TmAbort)
        };
        if state.protocol.manager != prior {
            self.protocol(state, at, tx, step);
        }
    }

    #[cold]
    fn never_begun(&mut self, at: usize, tx: Tx) {
        let reason = || format!("event {at} decides transaction {}, which never begins", tx.0);
        self.sheet.unknown(&TCOMMIT, reason);
        self.sheet.unknown(&TWO_PHASE, reason);
    }

    #[inline]
    fn whole(&mut self, state: &mut State, at: usize, tx: Tx, step: TCommitStep) {
        let automaton = TCommit { resource_managers: state.resource_managers };
        match automaton.step(state.whole, step) {
            Some(next) => state.whole = next,
            None => self.refused(&TCOMMIT, state, at, tx, &step),
        }
    }

    #[inline]
    fn protocol(&mut self, state: &mut State, at: usize, tx: Tx, step: TwoPhaseStep) {
        let automaton = TwoPhase { resource_managers: state.resource_managers };
        match automaton.step(state.protocol, step) {
            Some(next) => state.protocol = next,
            None if step == TwoPhaseStep::TmCommit && !self.has_arrivals() => {
                let reason = || format!("event {at} commits, and no arrival of a vote is recorded");
                self.sheet.unknown(&TWO_PHASE, reason);
                state.protocol.manager = Manager::Committed;
            }
            None => self.refused(&TWO_PHASE, state, at, tx, &step),
        }
    }

    fn has_arrivals(&mut self) -> bool {
        let history = self.history;
        let is_arrival = |event: &Event| matches!(event.fact, Fact::VoteReceived { .. });
        *self.has_arrivals.get_or_insert_with(|| history.iter().any(is_arrival))
    }

    #[cold]
    fn refused(&mut self, law: &'static Law, state: &State, at: usize, of: Tx, step: &dyn Debug) {
        let history = self.history;
        self.sheet.violation(law, || {
            let before = history[..at].iter().rposition(|event| {
                matches!(event.fact, Fact::Vote { tx, .. } | Fact::Decide { tx, .. }
                    if tx == of)
            });
            let TwoPhaseState { sent, received, committed, aborted, manager } = state.protocol;
            let expected = format!(
                "a step that is enabled where of {} have prepared {sent}, committed {committed}, \
                 aborted {aborted}, and the coordinator, {manager:?}, has votes of {received}",
                state.resource_managers
            );
            let got = format!("{step:?} of transaction {}", of.0);
            let begun = state.is_begun.then_some(state.begin as usize);
            Finding::new(expected, got, begun.into_iter().chain(before).chain([at]))
        });
    }
}
