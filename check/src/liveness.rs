//! Termination: once everything is healed, every transaction is decided everywhere in bounded time,
//! and nothing stays prepared. While only a core is healed, what is decided is carried out in it.
//! What does not end is named: which process, in which phase, waiting for what.
//!
//! AC5 of Bernstein, Hadzilacos, Goodman 1987 (chapter 7), with a bound in place of "long enough".
//! A process owes a decision if it is in doubt (prepared, or voted Yes), or if it coordinates a
//! transaction that it has not lost with a crash before anything of it was durable.

use crate::dense::Dense;
use crate::given::Given;
use crate::history::{Event, Fact, Process, Tx};
use crate::pass::Pass;
use crate::processes::Processes;
use crate::stuck::why_stuck;
use crate::verdict::{Finding, Judgement, Law, Sheet};

/// Termination.
pub static AC5: Law = Law {
    name: "AC5 termination",
    statement: "If no fault begins and no process of the core crashes after a core is healed, then \
                every process in it that owes a decision on a transaction decides it within the \
                bound, counted from the healing or from the begin, whichever is later. Unless the \
                core is everything, that goes for its participants in what the coordinator has \
                decided, and counts from its decision if that is later.",
};
/// Nothing stays prepared.
pub static ORPHANS: Law = Law {
    name: "no orphans",
    statement: "At quiescence no participant holds a transaction prepared, by its own account or \
                by the history.",
};

pub(crate) static LAWS: [&Law; 2] = [&AC5, &ORPHANS];

#[derive(Clone, Copy, Debug, Default)]
struct State {
    /// Prepared, or voted Yes.
    in_doubt: Processes,
    decided: Processes,
    begin_at: u64,
    /// When its coordinator decided it, where that is known.
    decided_at: Option<u64>,
    begin: u32,
    coordinator: u8,
    is_begun: bool,
    /// Something at the coordinator outlives a crash of it.
    is_logged: bool,
}

struct Clock {
    healed: Option<(usize, u64)>,
    /// What is healed.
    core: Processes,
    bound_ns: Option<u64>,
    crashed: [Option<usize>; Processes::COUNT_MAX],
}

impl Clock {
    /// Until when the transaction must be decided, if the clock runs.
    #[inline]
    fn due(&self, state: &State) -> Option<u64> {
        let (_, healed_at) = self.healed?;
        let since = match self.is_whole() {
            true => state.begin_at,
            // Two-phase commit blocks while its coordinator is away.
            false => state.decided_at.filter(|_| self.core.contains(Process(state.coordinator)))?,
        };
        Some(healed_at.max(since).saturating_add(self.bound_ns?))
    }

    fn is_whole(&self) -> bool {
        self.core == Processes::ALL
    }

    /// Who owes a decision, and is healed.
    #[inline]
    fn owing(&self, state: &State) -> Processes {
        match self.is_whole() {
            true => self.owed(state),
            // Those whom its coordinator would tell may all be away.
            false => (self.owed(state) & self.core) - Processes::one(Process(state.coordinator)),
        }
    }

    /// By whom a decision is owed.
    #[inline]
    fn owed(&self, state: &State) -> Processes {
        let coordinator = Process(state.coordinator);
        let crashed = self.crashed[usize::from(state.coordinator) % Processes::COUNT_MAX];
        let is_lost = !state.is_logged && crashed > Some(state.begin as usize);
        let owing = if state.is_begun && !is_lost {
            state.in_doubt.with(coordinator)
        } else {
            state.in_doubt
        };
        owing - state.decided
    }
}

/// Judges termination.
pub(crate) struct Liveness<'a> {
    history: &'a [Event],
    sheet: Sheet,
    states: Dense<State>,
    clock: Clock,
    quiescent: Option<usize>,
}

impl<'a> Pass<'a> for Liveness<'a> {
    fn new(history: &'a [Event], given: &'a Given) -> Self {
        let crashed = [None; Processes::COUNT_MAX];
        let (core, bound_ns) = (Processes::ALL, given.decide_ns_max);
        let clock = Clock { healed: None, core, bound_ns, crashed };
        let (sheet, states) = (Sheet::new(&LAWS), Dense::new(history.len()));
        Self { history, sheet, states, clock, quiescent: None }
    }

    #[inline(always)]
    fn see(&mut self, at: usize, event: &Event) {
        let Self { history, sheet, states, clock, quiescent } = self;
        match event.fact {
            Fact::Begin { tx, .. } => {
                let state = states.at(tx.0);
                state.begin_at = event.at;
                state.begin = at as u32;
                state.coordinator = event.process.0;
                state.is_begun = true;
            }
            Fact::Initiated { tx } => states.at(tx.0).is_logged = true,
            Fact::DecisionDurable { tx, .. } => {
                let state = states.at(tx.0);
                state.is_logged = true;
                state.decided_at.get_or_insert(event.at);
            }
            Fact::Prepared { tx } | Fact::Vote { tx, yes: true } => {
                let state = states.at(tx.0);
                state.in_doubt = state.in_doubt.with(event.process);
            }
            Fact::Vote { tx, yes: false } | Fact::Heuristic { tx, .. } | Fact::Forget { tx } => {
                let state = states.at(tx.0);
                state.decided = state.decided.with(event.process);
            }
            Fact::Decide { tx, .. } | Fact::Answer { tx, .. } => {
                let state = states.at(tx.0);
                if clock.due(state).is_some_and(|due| event.at > due) {
                    late(sheet, history, clock, state, at, tx);
                }
                state.decided = state.decided.with(event.process);
                if event.process.0 == state.coordinator {
                    state.decided_at.get_or_insert(event.at);
                }
            }
            Fact::Crash => {
                clock.crashed[usize::from(event.process.0) % Processes::COUNT_MAX] = Some(at);
                if clock.core.contains(event.process) {
                    clock.healed = None;
                }
            }
            Fact::FaultBegin { .. } => clock.healed = None,
            Fact::Healed { core } => {
                if clock.healed.is_some() && !clock.is_whole() {
                    overdue(sheet, &history[..=at], states, clock);
                }
                (clock.healed, clock.core) = (Some((at, event.at)), core);
            }
            Fact::Quiescent => *quiescent = Some(at),
            Fact::PreparedAtEnd { tx } => match *quiescent {
                Some(quiescent) => orphan(sheet, event.process, tx, [quiescent, at]),
                None => sheet.unknown(&ORPHANS, || format!("event {at} is before quiescence")),
            },
            _ => {}
        }
    }

    fn end(mut self) -> Vec<Judgement> {
        end(&mut self.sheet, self.history, &self.states, &self.clock, self.quiescent);
        self.states.tell("transaction", &mut self.sheet);
        self.sheet.done()
    }
}

#[cold]
fn orphan(sheet: &mut Sheet, process: Process, tx: Tx, witness: [usize; 2]) {
    sheet.violation(&ORPHANS, || {
        let got = format!("transaction {} prepared at process {}", tx.0, process.0);
        Finding::new("nothing prepared at quiescence", got, witness)
    });
}

#[cold]
fn late(sheet: &mut Sheet, history: &[Event], clock: &Clock, state: &State, at: usize, tx: Tx) {
    let process = history[at].process;
    let (Some(due), Some((healed, _))) = (clock.due(state), clock.healed) else { return };
    if !clock.owing(state).contains(process) {
        return;
    }
    sheet.violation(&AC5, || {
        let expected = format!("a decision of process {} on {} by {due} ns", process.0, tx.0);
        let got = format!("one at {} ns", history[at].at);
        let begun = state.is_begun.then_some(state.begin as usize);
        Finding::new(expected, got, begun.into_iter().chain([healed, at]))
    });
}

/// What is open too long when this history of a healed core ends.
#[cold]
fn overdue(sheet: &mut Sheet, history: &[Event], states: &Dense<State>, clock: &Clock) {
    let (Some(last), Some((healed, _))) = (history.last(), clock.healed) else { return };
    for (tx, state) in states.iter() {
        let owing = clock.owing(state);
        if !owing.is_empty() && clock.due(state).is_some_and(|due| last.at > due) {
            let begun = state.is_begun.then_some(state.begin);
            sheet.violation(&AC5, || why_stuck(history, Tx(tx), begun, owing, healed));
        }
    }
}

/// What is still open when the history ends.
fn end(
    sheet: &mut Sheet,
    history: &[Event],
    states: &Dense<State>,
    clock: &Clock,
    quiescent: Option<usize>,
) {
    let Some(last) = history.last() else { return };
    let mut prepared_ever = false;
    for (tx, state) in states.iter() {
        prepared_ever |= !state.in_doubt.is_empty();
        let owed = clock.owed(state);
        if owed.is_empty() {
            continue;
        }
        let tx = Tx(tx);
        let held = (owed & state.in_doubt).iter().next();
        if let (Some(quiescent), Some(process)) = (quiescent, held) {
            let names_it = |event: &Event| {
                event.process == process
                    && matches!(event.fact, Fact::Prepared { tx: of } | Fact::Vote { tx: of, .. }
                        if of == tx)
            };
            let prepared = history.iter().position(names_it).unwrap_or(quiescent);
            orphan(sheet, process, tx, [prepared, quiescent]);
        }
        match (clock.due(state), clock.healed) {
            (Some(due), Some((healed, _))) if last.at > due => {
                let owing = clock.owing(state);
                if owing.is_empty() {
                    sheet.unknown(&AC5, || unbounded(tx, clock));
                    continue;
                }
                sheet.violation(&AC5, || {
                    why_stuck(history, tx, state.is_begun.then_some(state.begin), owing, healed)
                });
            }
            _ => sheet.unknown(&AC5, || unbounded(tx, clock)),
        }
    }
    if quiescent.is_none() && prepared_ever {
        sheet.unknown(&ORPHANS, || "the history has no quiescence".into());
    }
}

fn unbounded(tx: Tx, clock: &Clock) -> String {
    let why = match (clock.bound_ns, clock.healed) {
        (None, _) => "no bound is given",
        (_, None) => "the history does not end healed",
        _ if !clock.is_whole() => "who owes a decision was not healed",
        _ => "the history ends before the bound",
    };
    format!("transaction {} is open, and {why}", tx.0)
}
