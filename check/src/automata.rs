//! Transaction commit as automata: what may happen at all, and what two-phase commit does.
//!
//! [`TCommit`] and [`TwoPhase`] are the specifications of J. Gray and L. Lamport, "Consensus on
//! transaction commit", ACM TODS 31(1), 2006 (TLA+ modules TCommit and TwoPhase). Each is one
//! transition function, which serves twice: [`explore`] goes through all states that it reaches,
//! and the checker `automata` holds real histories against it step by step.

use std::collections::BTreeSet;
use std::fmt::Debug;

use crate::history::Process;
use crate::processes::Processes;

/// A transition system with finitely many steps.
pub trait Automaton {
    /// A state.
    type State: Copy + Ord + Debug;
    /// The name of a step.
    type Step: Copy + Debug;

    /// Where it starts.
    fn start(&self) -> Self::State;
    /// All steps that may be enabled in some state.
    fn steps(&self) -> Vec<Self::Step>;
    /// Where this step leads; `None` if it is not enabled.
    fn step(&self, state: Self::State, step: Self::Step) -> Option<Self::State>;
    /// What must hold in every state.
    fn is_consistent(&self, state: Self::State) -> bool;
}

/// What resource managers may do as a whole, whatever the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TCommit {
    /// The participants.
    pub resource_managers: Processes,
}

/// The resource managers by state; those in no set are working. Nobody is in two sets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct TCommitState {
    /// Prepared, and not decided.
    pub prepared: Processes,
    /// Committed.
    pub committed: Processes,
    /// Aborted.
    pub aborted: Processes,
}

/// A step of [`TCommit`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TCommitStep {
    /// `Prepare(rm)`.
    Prepare(Process),
    /// `Decide(rm)`, the disjunct that commits: all are prepared or have committed.
    Commit(Process),
    /// `Decide(rm)`, the disjunct that aborts: none has committed.
    Abort(Process),
}

impl Automaton for TCommit {
    type State = TCommitState;
    type Step = TCommitStep;

    fn start(&self) -> TCommitState {
        TCommitState::default()
    }

    fn steps(&self) -> Vec<TCommitStep> {
        let all = [TCommitStep::Prepare, TCommitStep::Commit, TCommitStep::Abort];
        self.resource_managers.iter().flat_map(|rm| all.map(|step| step(rm))).collect()
    }

    #[inline]
    fn step(&self, state: TCommitState, step: TCommitStep) -> Option<TCommitState> {
        let TCommitState { prepared, committed, aborted } = state;
        let (TCommitStep::Prepare(rm) | TCommitStep::Commit(rm) | TCommitStep::Abort(rm)) = step;
        let own = Processes::one(rm);
        let is_working = !(prepared | committed | aborted).contains(rm);
        let can_commit = (prepared | committed).contains_all(self.resource_managers);
        match step {
            TCommitStep::Prepare(_) if is_working => {
                Some(TCommitState { prepared: prepared | own, ..state })
            }
            TCommitStep::Commit(_) if prepared.contains(rm) && can_commit => {
                Some(TCommitState { prepared: prepared - own, committed: committed | own, aborted })
            }
            TCommitStep::Abort(_)
                if (is_working || prepared.contains(rm)) && committed.is_empty() =>
            {
                Some(TCommitState { prepared: prepared - own, aborted: aborted | own, committed })
            }
            _ => None,
        }
    }

    /// `TCConsistent`: none has committed while another has aborted.
    fn is_consistent(&self, state: TCommitState) -> bool {
        state.committed.is_empty() || state.aborted.is_empty()
    }
}

/// Two-phase commit with one transaction manager, without failures of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TwoPhase {
    /// The participants.
    pub resource_managers: Processes,
}

/// The transaction manager's state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Manager {
    /// Not decided.
    #[default]
    Init,
    /// Has sent Commit.
    Committed,
    /// Has sent Abort.
    Aborted,
}

/// A state of [`TwoPhase`]. Messages stay for ever: who has sent Prepared is in `sent`; Commit and
/// Abort have been sent if the manager is in that state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct TwoPhaseState {
    /// Have sent Prepared: are prepared unless they are decided.
    pub sent: Processes,
    /// Whose Prepared the manager has received.
    pub received: Processes,
    /// Have committed.
    pub committed: Processes,
    /// Have aborted.
    pub aborted: Processes,
    /// The manager.
    pub manager: Manager,
}

/// A step of [`TwoPhase`], by its name in the TLA+ module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TwoPhaseStep {
    /// `TMRcvPrepared(rm)`.
    TmRcvPrepared(Process),
    /// `TMCommit`.
    TmCommit,
    /// `TMAbort`.
    TmAbort,
    /// `RMPrepare(rm)`.
    RmPrepare(Process),
    /// `RMChooseToAbort(rm)`.
    RmChooseToAbort(Process),
    /// `RMRcvCommitMsg(rm)`.
    RmRcvCommitMsg(Process),
    /// `RMRcvAbortMsg(rm)`.
    RmRcvAbortMsg(Process),
}

impl Automaton for TwoPhase {
    type State = TwoPhaseState;
    type Step = TwoPhaseStep;

    fn start(&self) -> TwoPhaseState {
        TwoPhaseState::default()
    }

    fn steps(&self) -> Vec<TwoPhaseStep> {
        use TwoPhaseStep::*;
        let each = [TmRcvPrepared, RmPrepare, RmChooseToAbort, RmRcvCommitMsg, RmRcvAbortMsg];
        let each = self.resource_managers.iter().flat_map(|rm| each.map(|step| step(rm)));
        [TmCommit, TmAbort].into_iter().chain(each).collect()
    }

    #[inline]
    fn step(&self, state: TwoPhaseState, step: TwoPhaseStep) -> Option<TwoPhaseState> {
        use TwoPhaseStep::*;
        let TwoPhaseState { sent, received, committed, aborted, manager } = state;
        let is_working = |rm| !(sent | committed | aborted).contains(rm);
        match step {
            TmRcvPrepared(rm) if manager == Manager::Init && sent.contains(rm) => {
                Some(TwoPhaseState { received: received.with(rm), ..state })
            }
            TmCommit
                if manager == Manager::Init && received.contains_all(self.resource_managers) =>
            {
                Some(TwoPhaseState { manager: Manager::Committed, ..state })
            }
            TmAbort if manager == Manager::Init => {
                Some(TwoPhaseState { manager: Manager::Aborted, ..state })
            }
            RmPrepare(rm) if is_working(rm) => Some(TwoPhaseState { sent: sent.with(rm), ..state }),
            RmChooseToAbort(rm) if is_working(rm) => {
                Some(TwoPhaseState { aborted: aborted.with(rm), ..state })
            }
            RmRcvCommitMsg(rm) if manager == Manager::Committed => {
                let aborted = aborted - Processes::one(rm);
                Some(TwoPhaseState { committed: committed.with(rm), aborted, ..state })
            }
            RmRcvAbortMsg(rm) if manager == Manager::Aborted => {
                let committed = committed - Processes::one(rm);
                Some(TwoPhaseState { aborted: aborted.with(rm), committed, ..state })
            }
            _ => None,
        }
    }

    /// `TCConsistent`.
    fn is_consistent(&self, state: TwoPhaseState) -> bool {
        state.committed.is_empty() || state.aborted.is_empty()
    }
}

/// What an exploration found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explored<Step> {
    /// How many different states were reached.
    pub distinct: usize,
    /// How many states were generated, the same ones again and the first among them, as TLC counts.
    pub generated: usize,
    /// The fewest steps to an inconsistent state, if one was reached; exploring ends with it.
    pub counterexample: Option<Vec<Step>>,
    /// Whether all states were reached, within the bound and without a counterexample.
    pub is_complete: bool,
}

/// Goes through all states that an automaton reaches, breadth first, up to `states_max` different
/// ones. O(states x steps x log states) in time, some 100 bytes a state.
pub fn explore<A: Automaton>(automaton: &A, states_max: usize) -> Explored<A::Step> {
    let start = automaton.start();
    let steps = automaton.steps();
    let mut known = BTreeSet::from([start]);
    let mut reached = vec![Reached { state: start, from: None }];
    let mut generated = 1;
    let mut next = 0;
    while next < reached.len() {
        let state = reached[next].state;
        if !automaton.is_consistent(state) || reached.len() > states_max {
            break;
        }
        for step in &steps {
            let Some(successor) = automaton.step(state, *step) else { continue };
            generated += 1;
            if known.insert(successor) {
                reached.push(Reached { state: successor, from: Some((next, *step)) });
            }
        }
        next += 1;
    }
    let broken = reached.get(next).filter(|reached| !automaton.is_consistent(reached.state));
    let counterexample = broken.map(|_| path(&reached, next));
    let is_complete = next == reached.len();
    Explored { distinct: reached.len(), generated, counterexample, is_complete }
}

/// A state, and by which step of which state it was reached first.
struct Reached<State, Step> {
    state: State,
    from: Option<(usize, Step)>,
}

/// The steps from the start to this state.
fn path<State, Step: Copy>(reached: &[Reached<State, Step>], to: usize) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut at = to;
    while let Some((from, step)) = reached[at].from {
        steps.push(step);
        at = from;
    }
    steps.reverse();
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two_phase(count: usize) -> TwoPhase {
        TwoPhase { resource_managers: Processes::first(count) }
    }

    fn counts<A: Automaton>(automaton: &A) -> (usize, usize) {
        let explored = explore(automaton, 1_000_000);
        assert!(explored.is_complete && explored.counterexample.is_none());
        (explored.distinct, explored.generated)
    }

    #[test]
    fn tcommit_has_as_many_states_as_published() {
        assert_eq!(counts(&TCommit { resource_managers: Processes::first(3) }), (34, 94));
    }

    #[test]
    fn two_phase_has_as_many_states_as_published() {
        assert_eq!(counts(&two_phase(3)), (288, 1_146));
        assert_eq!([4, 5, 6].map(|count| counts(&two_phase(count)).0), [1_568, 8_832, 50_816]);
    }

    #[test]
    fn two_phase_refines_tcommit() {
        let (concrete, count) = (two_phase(3), Processes::first(3));
        let abstracted = TCommit { resource_managers: count };
        let project = |state: TwoPhaseState| TCommitState {
            prepared: state.sent - state.committed - state.aborted,
            committed: state.committed,
            aborted: state.aborted,
        };
        let mut reached = vec![concrete.start()];
        let mut next = 0;
        while let Some(state) = reached.get(next).copied() {
            for step in concrete.steps() {
                let Some(after) = concrete.step(state, step) else { continue };
                let (from, to) = (project(state), project(after));
                let mut steps = abstracted.steps().into_iter();
                let is_step =
                    from == to || steps.any(|step| abstracted.step(from, step) == Some(to));
                assert!(is_step, "{step:?} from {state:?} is no step of TCommit");
                if !reached.contains(&after) {
                    reached.push(after);
                }
            }
            next += 1;
        }
        assert_eq!(reached.len(), 288);
    }

    #[test]
    fn a_bound_on_states_is_kept_and_told() {
        let explored = explore(&two_phase(3), 100);
        assert!(!explored.is_complete && explored.distinct < 120, "{}", explored.distinct);
    }

    /// Two-phase commit, but a resource manager may abort after it has sent Prepared.
    struct Fickle(TwoPhase);

    impl Automaton for Fickle {
        type State = TwoPhaseState;
        type Step = TwoPhaseStep;

        fn start(&self) -> TwoPhaseState {
            self.0.start()
        }

        fn steps(&self) -> Vec<TwoPhaseStep> {
            self.0.steps()
        }

        fn step(&self, state: TwoPhaseState, step: TwoPhaseStep) -> Option<TwoPhaseState> {
            match step {
                TwoPhaseStep::RmChooseToAbort(rm) if !state.committed.contains(rm) => {
                    Some(TwoPhaseState { aborted: state.aborted.with(rm), ..state })
                }
                _ => self.0.step(state, step),
            }
        }

        fn is_consistent(&self, state: TwoPhaseState) -> bool {
            self.0.is_consistent(state)
        }
    }

    #[test]
    fn a_manager_that_aborts_after_its_vote_is_caught_on_the_shortest_path() {
        let explored = explore(&Fickle(two_phase(2)), 1_000_000);
        let path = explored.counterexample.expect("it breaks TCConsistent");
        // Two prepare, two are received, one commit, one applies it, the other one aborts.
        assert_eq!(path.len(), 7, "{path:?}");
    }

    /// Two-phase commit, but the manager does not wait for the last vote.
    struct Hasty(TwoPhase);

    impl Automaton for Hasty {
        type State = TwoPhaseState;
        type Step = TwoPhaseStep;

        fn start(&self) -> TwoPhaseState {
            self.0.start()
        }

        fn steps(&self) -> Vec<TwoPhaseStep> {
            self.0.steps()
        }

        fn step(&self, state: TwoPhaseState, step: TwoPhaseStep) -> Option<TwoPhaseState> {
            let is_early = step == TwoPhaseStep::TmCommit
                && state.manager == Manager::Init
                && !state.received.is_empty();
            let early = TwoPhaseState { manager: Manager::Committed, ..state };
            if is_early { Some(early) } else { self.0.step(state, step) }
        }

        fn is_consistent(&self, state: TwoPhaseState) -> bool {
            self.0.is_consistent(state)
        }
    }

    #[test]
    fn a_transaction_manager_that_misses_a_vote_is_caught_on_the_shortest_path() {
        let explored = explore(&Hasty(two_phase(2)), 1_000_000);
        let path = explored.counterexample.expect("it breaks TCConsistent");
        // One prepares and is received; commit, one applies it, the other one chooses to abort.
        assert_eq!(path.len(), 5, "{path:?}");
    }
}
